import Contracts
import Storage
import Values

extension DisputeState: SQLTextValue {}

enum DisputeStore {
    private static let columns: SQL = "id, payment_id, attempt_id, provider, reference, amount, currency, state, created_at"

    static func insert(_ dispute: DisputeRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO dispute (\(columns))
            VALUES (\(dispute.id), \(dispute.paymentID), \(dispute.attemptID), \(dispute.provider), \(dispute.reference),
                \(dispute.amount.amount), \(dispute.amount.currency), \(dispute.state), \(dispute.createdAt))
            """)
    }

    static func find(_ reference: String, of provider: String, in tx: Transaction) throws -> DisputeRecord? {
        try tx.row("SELECT \(columns) FROM dispute WHERE provider = \(provider) AND reference = \(reference)").map(record)
    }

    static func all(of payment: PaymentID, in tx: Transaction) throws -> [DisputeRecord] {
        try tx.rows("SELECT \(columns) FROM dispute WHERE payment_id = \(payment) ORDER BY created_at, id").map(record)
    }

    static func save(_ dispute: DisputeRecord, in tx: Transaction) throws {
        try tx.queue("UPDATE dispute SET state = \(dispute.state) WHERE id = \(dispute.id)")
    }

    private static func record(_ row: Row) throws -> DisputeRecord {
        DisputeRecord(
            id: try row["id"], paymentID: try row["payment_id"], attemptID: try row["attempt_id"], provider: try row["provider"],
            reference: try row["reference"], amount: Money(try row["amount"], try row["currency"]), state: try row["state"],
            createdAt: try row["created_at"])
    }
}
