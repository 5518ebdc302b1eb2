import Contracts
import Storage
import Values

extension AttemptState: SQLTextValue {}

enum AttemptStore {
    private static let columns: SQL = """
        id, payment_id, provider, method, return_url, amount, currency, state, failure, action_type, action_url, action_text,
        is_pay_later, reference, received_amount, received_currency, check_at, checks, created_at
        """

    static func insert(_ attempt: AttemptRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO payment_attempt
                (id, payment_id, provider, method, return_url, amount, currency, state, check_at, created_at)
            VALUES (\(attempt.id), \(attempt.paymentID), \(attempt.provider), \(attempt.method), \(attempt.returnURL),
                \(attempt.amount.amount), \(attempt.amount.currency), \(attempt.state), \(attempt.checkAt), \(attempt.createdAt))
            """)
    }

    static func find(_ id: AttemptID, in tx: Transaction) throws -> AttemptRecord? {
        try tx.row("SELECT \(columns) FROM payment_attempt WHERE id = \(id)").map(record)
    }

    /// Oldest first.
    static func all(of payment: PaymentID, in tx: Transaction) throws -> [AttemptRecord] {
        try tx.rows("SELECT \(columns) FROM payment_attempt WHERE payment_id = \(payment) ORDER BY created_at, id").map(record)
    }

    static func live(of payment: PaymentID, in tx: Transaction) throws -> AttemptRecord? {
        try tx.row(
            """
            SELECT \(columns) FROM payment_attempt
            WHERE payment_id = \(payment) AND state IN ('created', 'requiresAction', 'authorized')
            """
        ).map(record)
    }

    static func save(_ attempt: AttemptRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE payment_attempt SET state = \(attempt.state), failure = \(attempt.failure),
                action_type = \(attempt.action?.type.rawValue), action_url = \(attempt.action?.url),
                action_text = \(attempt.action?.text), is_pay_later = \(attempt.isPayLater), reference = \(attempt.reference),
                received_amount = \(attempt.received?.amount), received_currency = \(attempt.received?.currency),
                check_at = \(attempt.checkAt), checks = \(attempt.checks)
            WHERE id = \(attempt.id)
            """)
    }

    static func due(limit: Int, in tx: Transaction) throws -> [AttemptID] {
        try tx.rows(
            """
            SELECT id FROM payment_attempt WHERE check_at IS NOT NULL AND check_at <= \(tx.now) ORDER BY check_at LIMIT \(limit)
            """
        ).map { try $0["id"] }
    }

    private static func record(_ row: Row) throws -> AttemptRecord {
        let action = try (row["action_type"] as String?).flatMap(PaymentAction.Kind.init).map {
            PaymentAction(type: $0, url: try row["action_url"], text: try row["action_text"])
        }
        let received: Money? =
            if let amount: Int64 = try row["received_amount"], let currency: Currency = try row["received_currency"] {
                Money(amount, currency)
            } else {
                nil
            }
        return AttemptRecord(
            id: try row["id"], paymentID: try row["payment_id"], provider: try row["provider"], method: try row["method"],
            returnURL: try row["return_url"], amount: Money(try row["amount"], try row["currency"]), state: try row["state"],
            failure: try row["failure"], action: action, isPayLater: try row["is_pay_later"], reference: try row["reference"],
            received: received, checkAt: try row["check_at"], checks: try row["checks"], createdAt: try row["created_at"])
    }
}
