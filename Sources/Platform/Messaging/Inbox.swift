package import Storage
package import Values

/// What a consumer has handled. Recorded in the transaction of the effect, it makes at-least-once delivery exactly once in effect.
package enum Inbox {
    /// Longer than a dead letter lives, so that a replay cannot repeat an effect.
    package static let retention = TimeSpan.days(60)

    /// False if `consumer` has handled this event before; then there is nothing left to do.
    package static func accept(_ event: MessageID, by consumer: String, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            INSERT INTO inbox (consumer, event_id, received_at) VALUES (\(consumer), \(event), \(tx.now))
            ON CONFLICT DO NOTHING
            """) == 1
    }

    package static func forgetOld(in tx: Transaction) throws {
        try tx.execute("DELETE FROM inbox WHERE received_at < \(tx.now - retention)")
    }
}
