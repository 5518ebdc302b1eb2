import Contracts
import Storage
import Values

extension RefundState: SQLTextValue {}

enum RefundStore {
    private static let columns: SQL = """
        id, payment_id, order_id, attempt_id, cause_id, amount, currency, reason, state, failure, is_automatic, is_counted,
        submissions, check_at, checks, created_at
        """

    /// False if the order has a refund for this cause already.
    static func insert(_ refund: RefundRecord, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            INSERT INTO refund (id, payment_id, order_id, attempt_id, cause_id, amount, currency, reason, state, is_automatic,
                is_counted, check_at, created_at)
            VALUES (\(refund.id), \(refund.paymentID), \(refund.orderID), \(refund.attemptID), \(refund.causeID),
                \(refund.amount.amount), \(refund.amount.currency), \(refund.reason), \(refund.state), \(refund.isAutomatic),
                \(refund.isCounted), \(refund.checkAt), \(refund.createdAt))
            ON CONFLICT (order_id, cause_id) DO NOTHING
            """) == 1
    }

    static func find(_ id: RefundID, in tx: Transaction) throws -> RefundRecord? {
        try tx.row("SELECT \(columns) FROM refund WHERE id = \(id)").map(record)
    }

    static func find(order: OrderID, cause: String, in tx: Transaction) throws -> RefundRecord? {
        try tx.row("SELECT \(columns) FROM refund WHERE order_id = \(order) AND cause_id = \(cause)").map(record)
    }

    /// Oldest first.
    static func all(of payment: PaymentID, in tx: Transaction) throws -> [RefundRecord] {
        try tx.rows("SELECT \(columns) FROM refund WHERE payment_id = \(payment) ORDER BY created_at, id").map(record)
    }

    static func save(_ refund: RefundRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE refund SET state = \(refund.state), failure = \(refund.failure), submissions = \(refund.submissions),
                check_at = \(refund.checkAt), checks = \(refund.checks)
            WHERE id = \(refund.id)
            """)
    }

    static func due(limit: Int, in tx: Transaction) throws -> [RefundID] {
        try tx.rows("SELECT id FROM refund WHERE check_at IS NOT NULL AND check_at <= \(tx.now) ORDER BY check_at LIMIT \(limit)")
            .map { try $0["id"] }
    }

    /// Meaningful only while the payment is locked. An automatic refund that failed is tried until it succeeds, so it counts.
    static func refundable(_ payment: PaymentRecord, in tx: Transaction) throws -> Refundable {
        let refunds = try tx.row(
            """
            SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS sum FROM refund
            WHERE payment_id = \(payment.id) AND is_counted = TRUE AND state <> 'canceled'
                AND (state <> 'failed' OR is_automatic = TRUE)
            """)
        let disputes = try tx.row(
            """
            SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS sum FROM dispute
            WHERE payment_id = \(payment.id) AND state IN ('opened', 'lost')
            """)
        return Refundable(
            captured: payment.captured, refunds: try refunds?["sum"] ?? 0, disputes: try disputes?["sum"] ?? 0)
    }

    static func count(of payment: PaymentID, in tx: Transaction) throws -> Int64 {
        try tx.row("SELECT COUNT(*) AS number FROM refund WHERE payment_id = \(payment)")?["number"] ?? 0
    }

    private static func record(_ row: Row) throws -> RefundRecord {
        RefundRecord(
            id: try row["id"], paymentID: try row["payment_id"], orderID: try row["order_id"], attemptID: try row["attempt_id"],
            causeID: try row["cause_id"], amount: Money(try row["amount"], try row["currency"]), reason: try row["reason"],
            state: try row["state"], failure: try row["failure"], isAutomatic: try row["is_automatic"],
            isCounted: try row["is_counted"], submissions: try row["submissions"], checkAt: try row["check_at"],
            checks: try row["checks"], createdAt: try row["created_at"])
    }
}
