import Contracts
import Storage
import Values

/// A cart as it is stored.
struct CartRecord: Sendable {
    var id: CartID
    var event: EventFacts?
    var state: Cart.State
    var holdID: HoldID?
    var holdVersion: Int64
    var couponUseID: CouponUseID?
    var couponCode: String?
    var expiresAt: Instant
    var lines: [PricedLine]

    func wire(at now: Instant, token: String? = nil, order: OrderID? = nil) -> Cart {
        Cart(
            id: id, token: token, eventId: event?.id, state: state == .open && expiresAt <= now ? .expired : state,
            lines: event.map { event in lines.map { $0.wire(event.currency) } } ?? [], couponCode: couponCode,
            totals: event.map { Totals(lines, $0.currency) }, expiresAt: expiresAt, orderId: order)
    }
}

extension Cart.State: SQLTextValue {}

/// The SQL of carts.
enum CartStore {
    static func insert(_ cart: CartRecord, at now: Instant, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO cart (id, event_id, state, expires_at, created_at)
            VALUES (\(cart.id), \(cart.event?.id), \(cart.state), \(cart.expiresAt), \(now))
            """)
    }

    static func find(_ id: CartID, in tx: Transaction) throws -> CartRecord? {
        try find(id, "", in: tx)
    }

    static func lock(_ id: CartID, in tx: Transaction) throws -> CartRecord? {
        try find(id, "\(.forUpdate)", in: tx)
    }

    private static func find(_ id: CartID, _ suffix: SQL, in tx: Transaction) throws -> CartRecord? {
        // No join, so that only the cart's row is locked; its lines are read under the lock.
        guard
            let row = try tx.row(
                """
                SELECT cart.*, (SELECT organizer_id FROM event WHERE event.id = cart.event_id) AS organizer_id,
                    (SELECT currency FROM event WHERE event.id = cart.event_id) AS currency
                FROM cart WHERE id = \(id) \(suffix)
                """)
        else { return nil }
        let eventID: EventID? = try row["event_id"]
        let event = try eventID.map { EventFacts(id: $0, organizerID: try row["organizer_id"], currency: try row["currency"]) }
        let lines = try tx.rows("SELECT * FROM cart_line WHERE cart_id = \(id) ORDER BY id").map(line)
        return CartRecord(
            id: id, event: event, state: try row["state"], holdID: try row["hold_id"], holdVersion: try row["hold_version"],
            couponUseID: try row["coupon_use_id"], couponCode: try row["coupon_code"], expiresAt: try row["expires_at"], lines: lines)
    }

    private static func line(_ row: Row) throws -> PricedLine {
        PricedLine(
            id: try row["id"], ticketTypeID: try row["ticket_type_id"], name: try row["name"], quantity: try row["quantity"],
            unitPrice: try row["unit_price"], taxRate: try row["tax_rate"], unitFee: try row["unit_fee"],
            isFeeIncluded: try row["is_fee_included"], discount: try row["discount"])
    }

    /// Makes the lines those of the hold, which knows best; keeps what is newer. The deadline of a cart's first hold is the cart's from
    /// then on.
    /// - Parameter cart: as it is now, its row locked.
    /// - Returns: the cart as it is then.
    static func save(
        _ hold: Hold, of event: EventFacts, discounts: [TicketTypeID: Int64], to cart: CartRecord, in tx: Transaction
    ) throws -> CartRecord {
        guard cart.holdID == nil || hold.version > cart.holdVersion else { return cart }
        var after = cart
        after.event = event
        after.holdID = hold.id
        after.holdVersion = hold.version
        if cart.holdID == nil { after.expiresAt = hold.expiresAt }
        let kept = Dictionary(cart.lines.map { ($0.ticketTypeID, $0.id) }) { $1 }
        after.lines = hold.lines.map { line in
            PricedLine(
                id: kept[line.ticketTypeId] ?? CartLineID(), ticketTypeID: line.ticketTypeId, name: line.name, quantity: line.quantity,
                unitPrice: line.price.amount, taxRate: line.taxRate, unitFee: line.fee, isFeeIncluded: line.feeIncluded,
                discount: discounts[line.ticketTypeId] ?? 0)
        }.sorted { $0.id < $1.id }
        try tx.queue(
            """
            UPDATE cart SET event_id = \(event.id), hold_id = \(hold.id), hold_version = \(hold.version), expires_at = \(after.expiresAt)
            WHERE id = \(cart.id)
            """)
        for type in kept.keys where !after.lines.contains(where: { $0.ticketTypeID == type }) {
            try tx.queue("DELETE FROM cart_line WHERE cart_id = \(cart.id) AND ticket_type_id = \(type)")
        }
        for line in after.lines {
            try tx.queue(
                """
                INSERT INTO cart_line
                    (id, cart_id, ticket_type_id, name, quantity, unit_price, tax_rate, unit_fee, is_fee_included, discount)
                VALUES (\(line.id), \(cart.id), \(line.ticketTypeID), \(line.name), \(line.quantity), \(line.unitPrice),
                    \(line.taxRate), \(line.unitFee), \(line.isFeeIncluded), \(line.discount))
                ON CONFLICT (cart_id, ticket_type_id) DO UPDATE SET name = excluded.name, quantity = excluded.quantity,
                    unit_price = excluded.unit_price, tax_rate = excluded.tax_rate, unit_fee = excluded.unit_fee,
                    is_fee_included = excluded.is_fee_included, discount = excluded.discount
                """)
        }
        return after
    }

    static func setCoupon(_ use: CouponUse?, discounts: [TicketTypeID: Int64], of cart: CartID, in tx: Transaction) throws {
        try tx.queue("UPDATE cart SET coupon_use_id = \(use?.id), coupon_code = \(use?.code) WHERE id = \(cart)")
        try tx.queue("UPDATE cart_line SET discount = 0 WHERE cart_id = \(cart)")
        for (type, discount) in discounts {
            try tx.queue("UPDATE cart_line SET discount = \(discount) WHERE cart_id = \(cart) AND ticket_type_id = \(type)")
        }
    }

    static func setState(_ state: Cart.State, of cart: CartID, in tx: Transaction) throws {
        try tx.queue("UPDATE cart SET state = \(state) WHERE id = \(cart)")
    }
}
