import Contracts
import Storage
import Values

extension SandboxCharge.State: SQLTextValue {}

enum SandboxWebhookKind: IdentifierKind { static let prefix = "delivery" }
typealias SandboxWebhookID = TypeID<SandboxWebhookKind>

/// What the sandbox remembers. It shares a file with the service, and nothing else: no other statement reads these tables.
enum SandboxStore {
    struct Webhook: Sendable {
        let id: SandboxWebhookID
        let json: String
    }

    private static let columns: SQL = "id, attempt_id, method, amount, currency, return_url, state, failure"

    /// False if the attempt has a charge already.
    static func insert(_ charge: SandboxCharge, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            INSERT INTO sandbox_charge (\(columns), created_at)
            VALUES (\(charge.id), \(charge.attemptID), \(charge.method), \(charge.money.amount), \(charge.money.currency),
                \(charge.returnURL), \(charge.state), \(charge.failure), \(tx.now))
            ON CONFLICT (attempt_id) DO NOTHING
            """) == 1
    }

    static func find(_ attempt: AttemptID, in tx: Transaction) throws -> SandboxCharge? {
        try tx.row("SELECT \(columns) FROM sandbox_charge WHERE attempt_id = \(attempt)").map(record)
    }

    static func lock(_ attempt: AttemptID, in tx: Transaction) throws -> SandboxCharge? {
        try tx.row("SELECT \(columns) FROM sandbox_charge WHERE attempt_id = \(attempt) \(SQL.Difference.forUpdate)").map(record)
    }

    static func lock(charge id: String, in tx: Transaction) throws -> SandboxCharge? {
        try tx.row("SELECT \(columns) FROM sandbox_charge WHERE id = \(id) \(SQL.Difference.forUpdate)").map(record)
    }

    static func save(_ charge: SandboxCharge, in tx: Transaction) throws {
        try tx.queue("UPDATE sandbox_charge SET state = \(charge.state), failure = \(charge.failure) WHERE id = \(charge.id)")
    }

    static func refund(_ id: RefundID, in tx: Transaction) throws -> SandboxRefund? {
        try tx.row("SELECT id, charge_id, amount, currency, failure, submission FROM sandbox_refund WHERE id = \(id)").map { row in
            SandboxRefund(
                id: try row["id"], chargeID: try row["charge_id"], money: Money(try row["amount"], try row["currency"]),
                failure: try row["failure"], submission: try row["submission"])
        }
    }

    static func refunded(of charge: String, in tx: Transaction) throws -> Int64 {
        let row = try tx.row(
            """
            SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS sum FROM sandbox_refund
            WHERE charge_id = \(charge) AND state = 'succeeded'
            """)
        return try row?["sum"] ?? 0
    }

    static func save(_ refund: SandboxRefund, in tx: Transaction) throws {
        let state = refund.failure == nil ? "succeeded" : "failed"
        try tx.queue(
            """
            INSERT INTO sandbox_refund (id, charge_id, amount, currency, state, failure, submission, created_at)
            VALUES (\(refund.id), \(refund.chargeID), \(refund.money.amount), \(refund.money.currency), \(state), \(refund.failure),
                \(refund.submission), \(tx.now))
            ON CONFLICT (id) DO UPDATE SET state = excluded.state, failure = excluded.failure, submission = excluded.submission
            """)
    }

    static func send(_ event: SandboxEvent, at instant: Instant, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO sandbox_webhook (id, json, deliver_at)
            VALUES (\(SandboxWebhookID()), \(try JSON.text(of: event)), \(instant))
            """)
    }

    static func dueWebhooks(limit: Int, in tx: Transaction) throws -> [Webhook] {
        try tx.rows(
            "SELECT id, json FROM sandbox_webhook WHERE deliver_at <= \(tx.now) ORDER BY deliver_at LIMIT \(limit)"
        ).map { Webhook(id: try $0["id"], json: try $0["json"]) }
    }

    static func removeWebhooks(_ ids: [SandboxWebhookID], in tx: Transaction) throws {
        try tx.queue("DELETE FROM sandbox_webhook WHERE id IN \(list: ids)")
    }

    static func postponeWebhooks(_ ids: [SandboxWebhookID], by wait: TimeSpan, in tx: Transaction) throws {
        try tx.queue("UPDATE sandbox_webhook SET deliver_at = \(tx.now + wait) WHERE id IN \(list: ids)")
    }

    private static func record(_ row: Row) throws -> SandboxCharge {
        SandboxCharge(
            id: try row["id"], attemptID: try row["attempt_id"], method: try row["method"],
            money: Money(try row["amount"], try row["currency"]), returnURL: try row["return_url"], state: try row["state"],
            failure: try row["failure"])
    }
}
