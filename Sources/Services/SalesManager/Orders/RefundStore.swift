import Contracts
import Storage
import Values

/// A refund as Sales asks for it: what it is for, what it gives back for each unit, and how far it came.
struct RefundRecord: Sendable {
    struct Share: Hashable, Sendable {
        var unit: OrderUnitID
        var amount: Int64
        var voidsTicket: Bool
    }

    var orderID: OrderID
    /// Names the reason; one refund for each.
    var cause: String
    /// Payments' id, once it has the refund. A refund of nothing never gets one.
    var id: RefundID?
    var status: RefundState
    var amount: Int64
    var reason: String
    var isInsisting: Bool
    /// Whether its order has ended and it is tried until its money is back.
    var isOwed: Bool
    var createdAt: Instant
    var shares: [Share]

    /// What is over stays as it is, but for money that went back after all.
    func mayBecome(_ new: RefundState) -> Bool {
        status == .requested || status == .submitted || (status == .failed && new == .succeeded)
    }

    var isOnItsWay: Bool { status == .requested || status == .submitted }

    /// Whether its money is back, or on its way.
    var isUnderWay: Bool { status != .failed && status != .canceled }

    /// What its tickets are blocked by meanwhile.
    var blockID: String { "refund-\(orderID)-\(cause)" }
}

extension RefundState: SQLTextValue {}

/// The SQL of refunds.
enum RefundStore {
    /// False if one with this cause exists.
    static func insert(_ refund: RefundRecord, in tx: Transaction) throws -> Bool {
        let inserted = try tx.execute(
            """
            INSERT INTO refund (order_id, cause, status, amount, reason, is_insisting, is_owed, look_at, created_at)
            VALUES (\(refund.orderID), \(refund.cause), \(refund.status), \(refund.amount), \(refund.reason), \(refund.isInsisting),
                \(refund.isOwed), \(refund.createdAt + .seconds(10)), \(refund.createdAt))
            ON CONFLICT DO NOTHING
            """)
        guard inserted == 1 else { return false }
        try tx.insert("INSERT INTO refund_unit (order_id, cause, unit_id, amount, voids_ticket) VALUES", refund.shares) { rows, share in
            rows.append(refund.orderID, refund.cause, share.unit, share.amount, share.voidsTicket)
        }
        return true
    }

    static func find(_ order: OrderID, _ cause: String, in tx: Transaction) throws -> RefundRecord? {
        try tx.row("SELECT * FROM refund WHERE order_id = \(order) AND cause = \(cause) \(.forUpdate)").map { try refund($0, in: tx) }
    }

    static func refunds(of order: OrderID, in tx: Transaction) throws -> [RefundRecord] {
        try tx.rows("SELECT * FROM refund WHERE order_id = \(order) ORDER BY created_at, cause").map { try refund($0, in: tx) }
    }

    private static func refund(_ row: Row, in tx: Transaction) throws -> RefundRecord {
        let order: OrderID = try row["order_id"]
        let cause: String = try row["cause"]
        let shares = try tx.rows(
            "SELECT unit_id, amount, voids_ticket FROM refund_unit WHERE order_id = \(order) AND cause = \(cause) ORDER BY unit_id"
        ).map { RefundRecord.Share(unit: try $0["unit_id"], amount: try $0["amount"], voidsTicket: try $0["voids_ticket"]) }
        return RefundRecord(
            orderID: order, cause: cause, id: try row["id"], status: try row["status"], amount: try row["amount"],
            reason: try row["reason"], isInsisting: try row["is_insisting"], isOwed: try row["is_owed"],
            createdAt: try row["created_at"], shares: shares)
    }

    /// What was given back for each unit, or is on its way.
    static func refunded(of order: OrderID, in tx: Transaction) throws -> [OrderUnitID: Int64] {
        let rows = try tx.rows(
            """
            SELECT refund_unit.unit_id AS unit_id, CAST(SUM(refund_unit.amount) AS BIGINT) AS amount FROM refund_unit
            JOIN refund ON refund.order_id = refund_unit.order_id AND refund.cause = refund_unit.cause
            WHERE refund_unit.order_id = \(order) AND refund.status NOT IN ('failed', 'canceled') GROUP BY refund_unit.unit_id
            """)
        return Dictionary(uniqueKeysWithValues: try rows.map { (try $0["unit_id"], try $0["amount"]) })
    }

    static func setOwed(_ isOwed: Bool, of refund: RefundRecord, in tx: Transaction) throws {
        try tx.queue("UPDATE refund SET is_owed = \(isOwed) WHERE order_id = \(refund.orderID) AND cause = \(refund.cause)")
    }

    static func setID(_ id: RefundID, of refund: RefundRecord, in tx: Transaction) throws {
        try tx.queue("UPDATE refund SET id = \(id) WHERE order_id = \(refund.orderID) AND cause = \(refund.cause)")
    }

    static func setStatus(_ status: RefundState, of refund: RefundRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE refund SET status = \(status), look_at = \(tx.now + .seconds(10))
            WHERE order_id = \(refund.orderID) AND cause = \(refund.cause)
            """)
    }

    static func markRefunded(_ units: [OrderUnitID], in tx: Transaction) throws {
        for unit in units { try tx.queue("UPDATE order_unit SET is_refunded = TRUE WHERE id = \(unit)") }
    }

    static func due(at now: Instant, limit: Int, in tx: Transaction) throws -> [(OrderID, String)] {
        try tx.rows(
            """
            SELECT order_id, cause FROM refund WHERE status IN ('requested', 'submitted') AND look_at <= \(now)
            ORDER BY look_at LIMIT \(limit)
            """
        ).map { (try $0["order_id"], try $0["cause"]) }
    }

    static func lookAgain(_ order: OrderID, _ cause: String, at time: Instant, in tx: Transaction) throws {
        try tx.queue("UPDATE refund SET look_at = \(time) WHERE order_id = \(order) AND cause = \(cause)")
    }
}
