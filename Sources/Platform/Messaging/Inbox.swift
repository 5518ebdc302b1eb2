package import Storage
package import Values

/// What a consumer has handled. Recorded in the transaction of the effect, it makes at-least-once delivery exactly once in effect.
///
/// Events about the same thing that wait at the same time share a transaction, and so its locks and its commit.
package struct Inbox: Sendable {
    /// Longer than a dead letter lives, so that a replay cannot repeat an effect.
    package static let retention = TimeSpan.days(60)

    package typealias Effect = @Sendable (Transaction) throws -> Void

    private struct Arrival: Sendable {
        let event: MessageID
        let traceparent = Correlation.traceparent
        let effect: Effect
    }

    private let consumer: String
    private let database: Database
    private let coalescer: Coalescer<Arrival, Void>

    /// - Parameter consumer: its queue's name.
    package init(of consumer: String, in database: Database) {
        self.consumer = consumer
        self.database = database
        coalescer = Coalescer { arrivals, tx in
            var fresh = try Inbox.accept(arrivals.map(\.event), by: consumer, in: tx)
            // One that came twice at the same time is handled once.
            for arrival in arrivals where fresh.remove(arrival.event) != nil {
                let correlation = Correlation(id: "\(arrival.event)", traceparent: arrival.traceparent)
                try Correlation.$current.withValue(correlation) { try arrival.effect(tx) }
            }
            return arrivals.map { _ in .success(()) }
        }
    }

    /// Makes the effect of an event, or nothing if this consumer has handled it before. One that throws does the others no harm, and
    /// is not recorded. As the body of any transaction it may run again.
    /// - Parameter subject: what rows the effect locks, so that two instances cannot wait for each other's; nothing where it locks none.
    package func once(_ event: MessageID, about subject: String = "", _ effect: @escaping Effect) async throws {
        try await database.write(Arrival(event: event, effect: effect), lane: subject, by: coalescer)
    }

    /// False if `consumer` has handled this event before; then there is nothing left to do.
    package static func accept(_ event: MessageID, by consumer: String, in tx: Transaction) throws -> Bool {
        try accept([event], by: consumer, in: tx) == [event]
    }

    /// Records events, and says which are new.
    static func accept(_ events: [MessageID], by consumer: String, in tx: Transaction) throws -> Set<MessageID> {
        let now = try tx.now
        var fresh: Set<MessageID> = []
        try tx.inChunks(events) { events in
            let rows = events.map { "(\(consumer), \($0), \(now))" as SQL }
            let accepted = try tx.rows(
                """
                INSERT INTO inbox (consumer, event_id, received_at) VALUES \(SQL.joined(rows, by: ", "))
                ON CONFLICT DO NOTHING RETURNING event_id
                """)
            for row in accepted { fresh.insert(try row["event_id"]) }
        }
        return fresh
    }

    package static func forgetOld(in tx: Transaction) throws {
        try tx.execute("DELETE FROM inbox WHERE received_at < \(tx.now - retention)")
    }
}
