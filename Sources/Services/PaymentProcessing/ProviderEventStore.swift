import Contracts
import Storage
import Values

/// Everything that providers told, as it was understood, and whether it was applied.
enum ProviderEventStore {
    /// An event that waits to be applied.
    struct Waiting: Sendable {
        let provider: String
        let event: ProviderEvent
        let tries: Int64
        let receivedAt: Instant
    }

    /// - Parameter applyAt: when to apply it if that does not happen now; nil if there is nothing to apply.
    /// - Returns: false if it was stored before.
    static func insert(_ event: ProviderEvent, from provider: String, applyAt: Instant?, in tx: Transaction) throws -> Bool {
        let now = try tx.now
        return try tx.execute(
            """
            INSERT INTO provider_event (provider, event_id, json, received_at, applied_at, apply_at)
            VALUES (\(provider), \(event.id), \(try JSON.text(of: event)), \(now), \(applyAt == nil ? now : nil), \(applyAt))
            ON CONFLICT DO NOTHING
            """) == 1
    }

    static func markApplied(_ id: String, from provider: String, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE provider_event SET applied_at = \(tx.now), apply_at = NULL WHERE provider = \(provider) AND event_id = \(id)
            """)
    }

    /// - Parameter applyAt: nil gives up.
    static func postpone(_ id: String, from provider: String, until applyAt: Instant?, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE provider_event SET apply_at = \(applyAt), tries = tries + 1
            WHERE provider = \(provider) AND event_id = \(id) AND apply_at IS NOT NULL
            """)
    }

    static func due(limit: Int, in tx: Transaction) throws -> [Waiting] {
        try tx.rows(
            """
            SELECT provider, json, tries, received_at FROM provider_event
            WHERE apply_at IS NOT NULL AND apply_at <= \(tx.now) ORDER BY apply_at LIMIT \(limit)
            """
        ).map { row in
            Waiting(
                provider: try row["provider"], event: try JSON.value(from: try row["json"] as String), tries: try row["tries"],
                receivedAt: try row["received_at"])
        }
    }
}
