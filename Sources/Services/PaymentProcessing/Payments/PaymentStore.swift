import Contracts
import Storage
import Values

extension PaymentState: SQLTextValue {}
extension CloseReason: SQLTextValue {}
extension SettlementOutcome: SQLTextValue {}

enum PaymentStore {
    private static let columns: SQL = """
        id, order_id, organizer_id, amount, currency, description, buyer_email, state, captured, refunded, paid_by, closing, settled,
        announce_at, expires_at, version
        """

    /// False if the order has a payment already.
    static func insert(_ payment: PaymentRecord, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            INSERT INTO payment (id, order_id, organizer_id, amount, currency, description, buyer_email, state, expires_at, created_at)
            VALUES (\(payment.id), \(payment.orderID), \(payment.organizerID), \(payment.amount.amount), \(payment.amount.currency),
                \(payment.description), \(payment.buyerEmail), \(payment.state), \(payment.expiresAt), \(tx.now))
            ON CONFLICT (order_id) DO NOTHING
            """) == 1
    }

    static func find(_ id: PaymentID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row("SELECT \(columns) FROM payment WHERE id = \(id)").map(record)
    }

    static func find(order: OrderID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row("SELECT \(columns) FROM payment WHERE order_id = \(order)").map(record)
    }

    static func lock(_ id: PaymentID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row("SELECT \(columns) FROM payment WHERE id = \(id) \(SQL.Difference.forUpdate)").map(record)
    }

    static func lock(order: OrderID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row("SELECT \(columns) FROM payment WHERE order_id = \(order) \(SQL.Difference.forUpdate)").map(record)
    }

    static func lock(ofAttempt id: AttemptID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row(
            """
            SELECT \(columns) FROM payment WHERE id = (SELECT payment_id FROM payment_attempt WHERE id = \(id))
            \(SQL.Difference.forUpdate)
            """
        ).map(record)
    }

    static func lock(ofRefund id: RefundID, in tx: Transaction) throws -> PaymentRecord? {
        try tx.row(
            """
            SELECT \(columns) FROM payment WHERE id = (SELECT payment_id FROM refund WHERE id = \(id)) \(SQL.Difference.forUpdate)
            """
        ).map(record)
    }

    static func save(_ payment: PaymentRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE payment SET state = \(payment.state), captured = \(payment.captured), refunded = \(payment.refunded),
                paid_by = \(payment.paidBy), closing = \(payment.closing), settled = \(payment.settled),
                announce_at = \(payment.announceAt), version = \(payment.version)
            WHERE id = \(payment.id)
            """)
    }

    /// The payment as others see it, with its newest attempt in front.
    static func view(_ payment: PaymentRecord, in tx: Transaction) throws -> Payment {
        try view(payment, try AttemptStore.all(of: payment.id, in: tx), in: tx)
    }

    /// - Parameters:
    ///   - attempts: all of the payment, as they are now, oldest first.
    ///   - hasRefunds: false where it is known that there cannot be one.
    static func view(
        _ payment: PaymentRecord, _ attempts: [AttemptRecord], hasRefunds: Bool = true, in tx: Transaction
    ) throws -> Payment {
        let newest = attempts.last
        let currency = payment.amount.currency
        let disputes = try DisputeStore.all(of: payment.id, in: tx)
        return Payment(
            id: payment.id, orderId: payment.orderID, state: payment.state, amount: payment.amount, status: newest?.state,
            action: newest?.action, attempts: attempts.map(\.view), captured: Money(payment.captured, currency),
            refunded: Money(payment.refunded, currency),
            refunds: try hasRefunds ? RefundStore.all(of: payment.id, in: tx).map(\.view) : [],
            disputes: disputes.isEmpty ? nil : disputes.map { PaymentDispute(id: $0.id, state: $0.state, amount: $0.amount) },
            isPayLater: attempts.contains { $0.isPayLater && ($0.isLive || $0.id == payment.paidBy) }, version: payment.version)
    }

    static func dueForAnnouncement(limit: Int, in tx: Transaction) throws -> [PaymentRecord] {
        try tx.rows(
            """
            SELECT \(columns) FROM payment WHERE announce_at IS NOT NULL AND announce_at <= \(tx.now)
            ORDER BY announce_at LIMIT \(limit)
            """
        ).map(record)
    }

    /// Leaves out those that Sales has settled meanwhile.
    static func announceAgain(_ ids: [PaymentID], after wait: TimeSpan, in tx: Transaction) throws {
        let next = try tx.now + wait
        try tx.inChunks(ids) { ids in
            try tx.queue("UPDATE payment SET announce_at = \(next) WHERE id IN \(list: ids) AND announce_at IS NOT NULL")
        }
    }

    /// What `PaymentRecord.settle` does, for many captured payments whose orders are fulfilled.
    static func settleFulfilled(_ ids: [PaymentID], in tx: Transaction) throws {
        try tx.inChunks(ids) { ids in
            try tx.queue(
                """
                UPDATE payment SET state = 'closed', settled = 'fulfilled', announce_at = NULL, version = version + 1
                WHERE id IN \(list: ids) AND state = 'captured'
                """)
        }
    }

    private static func record(_ row: Row) throws -> PaymentRecord {
        PaymentRecord(
            id: try row["id"], orderID: try row["order_id"], organizerID: try row["organizer_id"],
            amount: Money(try row["amount"], try row["currency"]), description: try row["description"],
            buyerEmail: try row["buyer_email"], state: try row["state"], captured: try row["captured"],
            refunded: try row["refunded"], paidBy: try row["paid_by"], closing: try row["closing"], settled: try row["settled"],
            announceAt: try row["announce_at"], expiresAt: try row["expires_at"], version: try row["version"])
    }
}

extension RefundRecord {
    fileprivate var view: PaymentRefund {
        PaymentRefund(id: id, status: state, amount: amount, cause: causeID)
    }
}
