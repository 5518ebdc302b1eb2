import Contracts
import Discovery
import Messaging
import Storage
import Values

/// An order as it is stored.
struct OrderRecord: Sendable {
    static let firstVersion: Int64 = 1

    var id: OrderID
    var cartID: CartID
    var number: String
    var eventID: EventID
    var organizerID: OrganizerID
    var status: OrderStatus
    var buyer: Buyer
    var userID: UserID?
    var holdID: HoldID
    var couponUseID: CouponUseID?
    var couponCode: String?
    var totals: Totals
    var choice: PaymentChoice?
    /// As Payments told last.
    var payment: Payment?
    /// Everything that follows from how it ended was told to everybody.
    var isSettled: Bool
    var expiresAt: Instant
    var createdAt: Instant
    var paidAt: Instant?
    var version: Int64
    var lines: [OrderLine]
    /// What TicketManager has issued at this moment; kept there, not here.
    var tickets: [Ticket]?

    var units: [OrderUnit] { lines.flatMap(\.units) }

    func facts(token: String) -> OrderFacts {
        OrderFacts(
            id: id, number: number, eventId: eventID, organizerId: organizerID, status: status, buyer: buyer, userId: userID,
            lines: lines, couponCode: couponCode, totals: totals, orderToken: token)
    }

    /// The buyer's address in the form in which it is compared.
    static func normalized(_ address: String) -> String {
        address.lowercased().filter { !$0.isWhitespace }
    }
}

extension OrderStatus: SQLTextValue {}

/// The SQL of orders.
enum OrderStore {
    /// False if the cart has an order already.
    static func insert(_ order: OrderRecord, lookAt: Instant, in tx: Transaction) throws -> Bool {
        let inserted = try tx.execute(
            """
            INSERT INTO sales_order (id, cart_id, number, event_id, organizer_id, status, buyer_email, buyer_address, buyer_name,
                buyer_locale, buyer_phone, user_id, channel, hold_id, coupon_use_id, coupon_code, currency, subtotal, discount,
                tax, fees, total, payment_choice, expires_at, look_at, created_at)
            VALUES (\(order.id), \(order.cartID), \(order.number), \(order.eventID), \(order.organizerID), \(order.status),
                \(order.buyer.email), \(OrderRecord.normalized(order.buyer.email)), \(order.buyer.name), \(order.buyer.locale),
                \(order.buyer.phone), \(order.userID), 'web', \(order.holdID), \(order.couponUseID), \(order.couponCode),
                \(order.totals.total.currency), \(order.totals.subtotal.amount), \(order.totals.discount.amount),
                \(order.totals.tax.amount), \(order.totals.fees.amount), \(order.totals.total.amount),
                \(try order.choice.map { try JSON.text(of: $0) }), \(order.expiresAt), \(lookAt), \(order.createdAt))
            ON CONFLICT (cart_id) DO NOTHING
            """)
        guard inserted == 1 else { return false }
        try tx.insert(
            "INSERT INTO order_line (id, order_id, position, ticket_type_id, name, unit_price) VALUES", Array(order.lines.enumerated())
        ) { rows, entry in
            let (position, line) = entry
            rows.append(line.id, order.id, position, line.ticketTypeId, line.name, line.unitPrice.amount)
        }
        let units = order.lines.flatMap { line in line.units.map { (line.id, $0) } }
        try tx.insert(
            """
            INSERT INTO order_unit
                (id, order_id, line_id, position, price, discount, tax, fee, total, attendee_name, attendee_email) VALUES
            """, Array(units.enumerated())
        ) { rows, entry in
            let (position, (line, unit)) = entry
            rows.append(
                unit.id, order.id, line, position, unit.price, unit.discount, unit.tax, unit.fee, unit.total, unit.attendee.name,
                unit.attendee.email)
        }
        return true
    }

    static func id(ofCart id: CartID, in tx: Transaction) throws -> OrderID? {
        try tx.row("SELECT id FROM sales_order WHERE cart_id = \(id)").map { try $0["id"] }
    }

    static func find(ofCart id: CartID, in tx: Transaction) throws -> OrderRecord? {
        guard let row = try tx.row("SELECT * FROM sales_order WHERE cart_id = \(id)") else { return nil }
        return try order(row, in: tx)
    }

    static func find(_ id: OrderID, in tx: Transaction) throws -> OrderRecord? {
        guard let row = try tx.row("SELECT * FROM sales_order WHERE id = \(id)") else { return nil }
        return try order(row, in: tx)
    }

    static func lock(_ id: OrderID, in tx: Transaction) throws -> OrderRecord? {
        guard let row = try tx.row("SELECT * FROM sales_order WHERE id = \(id) \(.forUpdate)") else { return nil }
        return try order(row, in: tx)
    }

    /// A page of orders, newest first.
    static func list(where condition: SQL, before: OrderID?, limit: Int, in tx: Transaction) throws -> [OrderRecord] {
        let older: SQL = if let before { "AND id < \(before)" } else { "" }
        return try tx.rows("SELECT * FROM sales_order WHERE \(condition) \(older) ORDER BY id DESC LIMIT \(limit)").map {
            try order($0, in: tx)
        }
    }

    /// A page of an event's orders, newest first.
    ///
    /// It begins at a place of the index that has both columns. Asked for one value of `event_id`, a planner may rather go through the
    /// orders of all events by their ids, which takes the longer the more were sold since.
    static func list(
        of event: EventID, where condition: SQL = "TRUE", before: OrderID?, limit: Int, in tx: Transaction
    ) throws -> [OrderRecord] {
        let end = before.map(\.description) ?? "~"
        return try tx.rows(
            """
            SELECT * FROM sales_order WHERE (event_id, id) < (\(event), \(end)) AND event_id >= \(event) AND \(condition)
            ORDER BY event_id DESC, id DESC LIMIT \(limit)
            """
        ).map { try order($0, in: tx) }
    }

    private static func order(_ row: Row, in tx: Transaction) throws -> OrderRecord {
        let id: OrderID = try row["id"]
        let currency: Currency = try row["currency"]
        func money(_ column: String) throws -> Money { Money(try row[column], currency) }
        let choice: String? = try row["payment_choice"]
        let payment: String? = try row["payment"]
        return OrderRecord(
            id: id, cartID: try row["cart_id"], number: try row["number"], eventID: try row["event_id"],
            organizerID: try row["organizer_id"], status: try row["status"],
            buyer: Buyer(
                email: try row["buyer_email"], name: try row["buyer_name"], locale: try row["buyer_locale"], phone: try row["buyer_phone"]),
            userID: try row["user_id"], holdID: try row["hold_id"], couponUseID: try row["coupon_use_id"],
            couponCode: try row["coupon_code"],
            totals: Totals(
                subtotal: try money("subtotal"), discount: try money("discount"), tax: try money("tax"), fees: try money("fees"),
                total: try money("total")),
            choice: try choice.map { try JSON.value(from: $0) }, payment: try payment.map { try JSON.value(from: $0) },
            isSettled: try row["is_settled"], expiresAt: try row["expires_at"], createdAt: try row["created_at"],
            paidAt: try row["paid_at"], version: try row["version"], lines: try lines(of: id, currency, in: tx))
    }

    private static func lines(of id: OrderID, _ currency: Currency, in tx: Transaction) throws -> [OrderLine] {
        let rows = try tx.rows(
            """
            SELECT order_unit.*, order_line.ticket_type_id AS ticket_type_id, order_line.name AS name,
                order_line.unit_price AS unit_price
            FROM order_unit JOIN order_line ON order_line.id = order_unit.line_id
            WHERE order_unit.order_id = \(id) ORDER BY order_unit.position
            """)
        var lines: [OrderLine] = []
        for row in rows {
            let lineID: OrderLineID = try row["line_id"]
            if lines.last?.id != lineID {
                let zero = Money(0, currency)
                lines.append(
                    OrderLine(
                        id: lineID, ticketTypeId: try row["ticket_type_id"], name: try row["name"], quantity: 0,
                        unitPrice: Money(try row["unit_price"], currency), discount: zero, tax: zero, fees: zero, total: zero, units: []))
            }
            let unit = OrderUnit(
                id: try row["id"], price: try row["price"], discount: try row["discount"], tax: try row["tax"], fee: try row["fee"],
                total: try row["total"], attendee: Attendee(name: try row["attendee_name"], email: try row["attendee_email"]),
                refunded: try row["is_refunded"])
            lines[lines.count - 1].add(unit)
        }
        return lines
    }

    // MARK: Changes

    /// Writes what changed, and raises the version.
    /// - Parameter payment: where Payments said something newer than what is known.
    static func save(_ order: inout OrderRecord, _ payment: Payment? = nil, lookAt: Instant? = nil, in tx: Transaction) throws {
        order.version += 1
        try tx.queue(
            """
            UPDATE sales_order SET status = \(order.status), is_settled = \(order.isSettled), paid_at = \(order.paidAt),
                version = \(order.version), look_at = COALESCE(\(lookAt), look_at),
                payment = COALESCE(\(try payment.map { try JSON.text(of: $0) }), payment),
                payment_version = COALESCE(\(payment?.version), payment_version)
            WHERE id = \(order.id)
            """)
    }

    /// Keeps what Payments said, unless something newer is known. What is disputed is looked at until its tickets are blocked, or free.
    static func save(_ payment: Payment, of id: OrderID, in tx: Transaction) throws {
        let look: SQL = if payment.disputes?.isEmpty ?? true { "" } else { ", is_settled = FALSE, look_at = \(try tx.now)" }
        try tx.queue(
            """
            UPDATE sales_order SET payment = \(try JSON.text(of: payment)), payment_version = \(payment.version)\(look)
            WHERE id = \(id) AND payment_version < \(payment.version)
            """)
    }

    /// Unless a refund is owed that failed a moment ago, or something newer was heard of the payment.
    /// - Parameter payment: what was known of it when it was found that nothing is left to do; nil where that does not matter.
    static func setSettled(_ id: OrderID, asOf payment: Payment? = nil, in tx: Transaction) throws {
        // First the lock, so that the question sees what was written under it.
        try tx.lock("SELECT id FROM sales_order WHERE id = \(id) \(.forUpdate)")
        try tx.queue(
            """
            UPDATE sales_order SET is_settled = TRUE
            WHERE id = \(id) AND payment_version <= \(payment?.version ?? .max) AND NOT EXISTS
                (SELECT 1 FROM refund WHERE order_id = \(id) AND is_owed = TRUE AND status IN ('failed', 'canceled'))
            """)
    }

    static func setUnsettled(_ id: OrderID, in tx: Transaction) throws {
        try tx.queue("UPDATE sales_order SET is_settled = FALSE, look_at = \(tx.now) WHERE id = \(id)")
    }

    static func lookAgain(_ id: OrderID, at time: Instant, in tx: Transaction) throws {
        try tx.queue("UPDATE sales_order SET look_at = \(time) WHERE id = \(id)")
    }

    /// A draft that came to nothing before anybody else knew of it; its cart goes on.
    static func delete(_ id: OrderID, in tx: Transaction) throws {
        let lines: [OrderLineID] = try tx.rows("SELECT line_id FROM order_unit WHERE order_id = \(id)").map { try $0["line_id"] }
        try tx.queue("DELETE FROM order_unit WHERE order_id = \(id)")
        try tx.queue("DELETE FROM order_line WHERE id IN \(list: Set(lines).sorted())")
        try tx.queue("DELETE FROM sales_order WHERE id = \(id)")
    }

    static func due(at now: Instant, limit: Int, in tx: Transaction) throws -> [OrderID] {
        try tx.rows("SELECT id FROM sales_order WHERE is_settled = FALSE AND look_at <= \(now) ORDER BY look_at LIMIT \(limit)")
            .map { try $0["id"] }
    }

    /// Which of the captures are of paid orders with nothing left to do, and no news.
    static func fulfilled(_ captures: [Capture], in tx: Transaction) throws -> [OrderID] {
        var fulfilled: [OrderID] = []
        try tx.inChunks(captures) { part in
            let versions = Dictionary(part.map { ($0.order, $0.version) }) { $1 }
            let rows = try tx.rows(
                """
                SELECT id, payment_version FROM sales_order
                WHERE id IN \(list: part.map(\.order)) AND status = 'paid' AND is_settled = TRUE
                """)
            for row in rows {
                let id: OrderID = try row["id"]
                if let version = versions[id], try row["payment_version"] >= version { fulfilled.append(id) }
            }
        }
        return fulfilled
    }

    static func history(_ id: OrderID, _ action: String, actor: String, reason: String? = nil, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO history (id, subject_id, action, actor, reason, at)
            VALUES (\(TypeID<HistoryKind>()), \(id), \(action), \(actor), \(reason), \(tx.now))
            """)
    }

    enum HistoryKind: IdentifierKind { static let prefix = "entry" }
}

extension OrderLine {
    fileprivate mutating func add(_ unit: OrderUnit) {
        units.append(unit)
        quantity += 1
        discount.amount += unit.discount
        tax.amount += unit.tax
        fees.amount += unit.fee
        total.amount += unit.total
    }
}
