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
        try tx.execute(
            """
            INSERT INTO cart (id, event_id, state, expires_at, created_at)
            VALUES (\(cart.id), \(cart.event?.id), \(cart.state), \(cart.expiresAt), \(now))
            """)
    }

    static func find(_ id: CartID, in tx: Transaction) throws -> CartRecord? {
        try find("cart.id = \(id)", "", in: tx)
    }

    static func lock(_ id: CartID, in tx: Transaction) throws -> CartRecord? {
        guard try tx.row("SELECT id FROM cart WHERE id = \(id) \(.forUpdate)") != nil else { return nil }
        return try find(id, in: tx)
    }

    private static func find(_ condition: SQL, _ suffix: SQL, in tx: Transaction) throws -> CartRecord? {
        guard
            let row = try tx.row(
                """
                SELECT cart.*, event.organizer_id AS organizer_id, event.currency AS currency FROM cart
                LEFT JOIN event ON event.id = cart.event_id WHERE \(condition)
                """)
        else { return nil }
        let id: CartID = try row["id"]
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

    /// Gives the cart its hold, whose deadline is the cart's from now on.
    static func attach(_ hold: Hold, to cart: CartID, in tx: Transaction) throws {
        try tx.execute(
            "UPDATE cart SET hold_id = \(hold.id), event_id = \(hold.eventId), expires_at = \(hold.expiresAt) WHERE id = \(cart)")
    }

    /// Makes the lines those of the hold, which knows best; keeps what is newer.
    static func save(_ hold: Hold, discounts: [TicketTypeID: Int64], to cart: CartRecord, in tx: Transaction) throws {
        guard hold.version > cart.holdVersion || cart.holdVersion == 0 else { return }
        try tx.execute("UPDATE cart SET hold_version = \(hold.version) WHERE id = \(cart.id)")
        let kept = Dictionary(cart.lines.map { ($0.ticketTypeID, $0.id) }) { $1 }
        for (type, line) in kept where !hold.lines.contains(where: { $0.ticketTypeId == type }) {
            try tx.execute("DELETE FROM cart_line WHERE id = \(line)")
        }
        for line in hold.lines {
            try tx.execute(
                """
                INSERT INTO cart_line
                    (id, cart_id, ticket_type_id, name, quantity, unit_price, tax_rate, unit_fee, is_fee_included, discount)
                VALUES (\(kept[line.ticketTypeId] ?? CartLineID()), \(cart.id), \(line.ticketTypeId), \(line.name), \(line.quantity),
                    \(line.price.amount), \(line.taxRate), \(line.fee), \(line.feeIncluded), \(discounts[line.ticketTypeId] ?? 0))
                ON CONFLICT (cart_id, ticket_type_id) DO UPDATE SET name = excluded.name, quantity = excluded.quantity,
                    unit_price = excluded.unit_price, tax_rate = excluded.tax_rate, unit_fee = excluded.unit_fee,
                    is_fee_included = excluded.is_fee_included, discount = excluded.discount
                """)
        }
    }

    static func setCoupon(_ use: CouponUse?, discounts: [TicketTypeID: Int64], of cart: CartID, in tx: Transaction) throws {
        try tx.execute("UPDATE cart SET coupon_use_id = \(use?.id), coupon_code = \(use?.code) WHERE id = \(cart)")
        try tx.execute("UPDATE cart_line SET discount = 0 WHERE cart_id = \(cart)")
        for (type, discount) in discounts {
            try tx.execute("UPDATE cart_line SET discount = \(discount) WHERE cart_id = \(cart) AND ticket_type_id = \(type)")
        }
    }

    static func setState(_ state: Cart.State, of cart: CartID, in tx: Transaction) throws {
        try tx.execute("UPDATE cart SET state = \(state) WHERE id = \(cart)")
    }
}
