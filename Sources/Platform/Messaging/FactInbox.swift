package import Storage
import Values

/// An inbox for a consumer that makes one thing of many events, such as sums: what waits about one subject at the same time is taken in
/// at once, and written once.
///
/// As with `Inbox`, an event that comes again has no second effect, and one that throws does the others no harm.
package struct FactInbox<Fact: Sendable>: Sendable {
    private struct Arrival: Sendable {
        let event: MessageID
        let fact: Fact
    }

    private let database: Database
    private let coalescer: Coalescer<Arrival, Void>

    /// - Parameters:
    ///   - consumer: its queue's name.
    ///   - effect: of facts that this consumer has not taken in before, all about one subject, in no order. May run again, as the body
    ///     of any transaction.
    package init(of consumer: String, in database: Database, _ effect: @escaping @Sendable ([Fact], Transaction) throws -> Void) {
        self.database = database
        coalescer = Coalescer { arrivals, tx in
            var fresh = try Inbox.accept(arrivals.map(\.event), by: consumer, in: tx)
            let facts = arrivals.filter { fresh.remove($0.event) != nil }.map(\.fact)
            if !facts.isEmpty { try effect(facts, tx) }
            return arrivals.map { _ in .success(()) }
        }
    }

    /// Takes in what an event says, or nothing if it was taken in before.
    /// - Parameter subject: what rows the effect locks, so that two instances cannot wait for each other's; nothing where it locks none.
    package func take(_ fact: Fact, of event: MessageID, about subject: String = "") async throws {
        try await database.write(Arrival(event: event, fact: fact), lane: subject, by: coalescer)
    }
}
