import Contracts
import Storage
import Values

/// What the cancellation of an event still needs.
struct PendingCancellation: Sendable {
    let refund: Bool
    let reason: String?
    let isClosed: Bool
}

enum CancellationStore {
    /// True if there is something new to do: a first cancellation, or refunds after one without.
    static func request(_ id: EventID, refund: Bool, reason: String?, in tx: Transaction) throws -> Bool {
        let now = try tx.now
        let inserted = try tx.execute(
            """
            INSERT INTO cancellation (event_id, refund, reason, requested_at, attempted_at)
            VALUES (\(id), \(refund), \(reason), \(now), \(now))
            ON CONFLICT (event_id) DO NOTHING
            """)
        if inserted == 1 { return true }
        guard refund else { return false }
        return try tx.execute(
            """
            UPDATE cancellation SET refund = TRUE, settled_at = NULL, reason = COALESCE(\(reason), reason)
            WHERE event_id = \(id) AND refund = FALSE
            """) > 0
    }

    /// Nil if nothing is left to do. Takes note of the attempt, so that one that fails again and again does not hold up others.
    static func attempt(_ id: EventID, in tx: Transaction) throws -> PendingCancellation? {
        guard
            let row = try tx.row(
                """
                UPDATE cancellation SET attempted_at = \(tx.now) WHERE event_id = \(id) AND settled_at IS NULL
                RETURNING refund, reason, closed_at
                """)
        else { return nil }
        let closedAt: Instant? = try row["closed_at"]
        return PendingCancellation(refund: try row["refund"], reason: try row["reason"], isClosed: closedAt != nil)
    }

    static func unsettled(limit: Int, in tx: Transaction) throws -> [EventID] {
        try tx.rows(
            "SELECT event_id FROM cancellation WHERE settled_at IS NULL ORDER BY attempted_at LIMIT \(limit)"
        ).map { try $0["event_id"] }
    }

    static func close(_ id: EventID, in tx: Transaction) throws {
        try tx.execute("UPDATE cancellation SET closed_at = \(tx.now) WHERE event_id = \(id) AND closed_at IS NULL")
    }

    /// Only for what was told: refunds that were asked for meanwhile remain to be done.
    static func settle(_ id: EventID, refund: Bool, in tx: Transaction) throws {
        try tx.execute("UPDATE cancellation SET settled_at = \(tx.now) WHERE event_id = \(id) AND refund = \(refund)")
    }
}
