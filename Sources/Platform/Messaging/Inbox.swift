package import Storage
package import Values

/// What a consumer has handled. Recorded in the transaction of the effect, it makes at-least-once delivery exactly once in effect.
///
/// Events about the same thing that wait at the same time share a transaction, and so its locks and its commit.
package struct Inbox: Sendable {
    /// Longer than a dead letter lives, so that a replay cannot repeat an effect.
    package static let retention = TimeSpan.days(60)

    package typealias Effect = @Sendable (Transaction) throws -> Void

    private struct Cause: Sendable {
        let event: MessageID
        let traceparent = Correlation.traceparent
        let effect: Effect
    }

    private let causes: FactInbox<Cause>

    /// - Parameter consumer: its queue's name.
    package init(of consumer: String, in database: Database) {
        causes = FactInbox(of: consumer, in: database) { causes, tx in
            for cause in causes {
                let correlation = Correlation(id: "\(cause.event)", traceparent: cause.traceparent)
                try Correlation.$current.withValue(correlation) { try cause.effect(tx) }
            }
        }
    }

    /// Makes the effect of an event, or nothing if this consumer has handled it before. One that throws does the others no harm, and
    /// is not recorded. As the body of any transaction it may run again.
    /// - Parameter subject: what rows the effect locks, so that two instances cannot wait for each other's; nothing where it locks none.
    package func once(_ event: MessageID, about subject: String = "", _ effect: @escaping Effect) async throws {
        try await causes.take(Cause(event: event, effect: effect), of: event, about: subject)
    }

    /// False if `consumer` has handled this event before; then there is nothing left to do.
    package static func accept(_ event: MessageID, by consumer: String, in tx: Transaction) throws -> Bool {
        try accept([event], by: consumer, in: tx) == [event]
    }

    /// Records events, and says which are new.
    static func accept(_ events: [MessageID], by consumer: String, in tx: Transaction) throws -> Set<MessageID> {
        let now = try tx.now
        var fresh: Set<MessageID> = []
        let accepted = try tx.insertNew("INSERT INTO inbox (consumer, event_id, received_at) VALUES", events, returning: "event_id") {
            $0.append(consumer, $1, now)
        }
        for row in accepted { fresh.insert(try row["event_id"]) }
        return fresh
    }

    package static func forgetOld(in tx: Transaction) throws {
        try tx.execute("DELETE FROM inbox WHERE received_at < \(tx.now - retention)")
    }
}
