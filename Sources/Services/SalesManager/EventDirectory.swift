import Contracts
import Discovery
import ServiceKit
import Storage
import Synchronization
import Values

/// What SalesManager has to know of an event that is on sale, none of which ever changes.
struct EventFacts: Sendable {
    let id: EventID
    let organizerID: OrganizerID
    let currency: Currency
}

/// Asks EventManager once about each event that was published, and then knows. Whether it was canceled meanwhile is the
/// database's to say, under its lock.
final class EventDirectory: Sendable {
    private static let largestCache = 10_000

    private let database: Database
    private let eventManager: EventManagerClient
    private let known = Mutex<[EventID: EventFacts]>([:])

    init(database: Database, eventManager: EventManagerClient) {
        self.database = database
        self.eventManager = eventManager
    }

    /// `Problem` 404 where there is no such event, or none that the public knows.
    func facts(_ id: EventID) async throws -> EventFacts {
        if let facts = known.withLock({ $0[id] }) { return facts }
        let stored = try await database.read { tx in try EventStore.find(id, in: tx) }
        let facts = if let stored { stored } else { try await fetch(id) }
        known.withLock { known in
            if known.count >= EventDirectory.largestCache { known.removeAll() }
            known[id] = facts
        }
        return facts
    }

    private func fetch(_ id: EventID) async throws -> EventFacts {
        let event = try await eventManager.event(id)
        guard event.state != .draft else { throw Problem.notFound("event") }
        try await database.write { tx in try EventStore.save(event, in: tx) }
        return EventFacts(id: id, organizerID: event.organizerId, currency: event.currency)
    }
}

/// The SQL of SalesManager's own view of events.
enum EventStore {
    static func find(_ id: EventID, in tx: Transaction) throws -> EventFacts? {
        try tx.row("SELECT organizer_id, currency FROM event WHERE id = \(id)").map { row in
            EventFacts(id: id, organizerID: try row["organizer_id"], currency: try row["currency"])
        }
    }

    /// Ignores what is older than what is known.
    static func save(_ event: Event, in tx: Transaction) throws {
        let until = event.refundPolicy?.until
        let feesRefunded = event.refundPolicy?.feesRefunded ?? false
        let isCanceled = event.state == .canceled
        try tx.queue(
            """
            INSERT INTO event (id, organizer_id, currency, is_canceled, refund_until, are_fees_refunded, version)
            VALUES (\(event.id), \(event.organizerId), \(event.currency), \(isCanceled), \(until), \(feesRefunded), \(event.version))
            ON CONFLICT (id) DO UPDATE SET refund_until = excluded.refund_until,
                are_fees_refunded = excluded.are_fees_refunded, version = excluded.version
            WHERE event.version < excluded.version
            """)
    }

    /// Locks the event's row, so that paying and canceling are one after the other.
    static func isCanceled(_ id: EventID, in tx: Transaction) throws -> Bool {
        try tx.row("SELECT is_canceled FROM event WHERE id = \(id) \(.forUpdate)").map { try $0["is_canceled"] } ?? false
    }

    static func refundPolicy(_ id: EventID, in tx: Transaction) throws -> RefundPolicy? {
        guard let row = try tx.row("SELECT refund_until, are_fees_refunded FROM event WHERE id = \(id)"),
            let until: Instant = try row["refund_until"]
        else { return nil }
        return RefundPolicy(until: until, feesRefunded: try row["are_fees_refunded"])
    }

    static func cancel(_ id: EventID, refund: Bool, in tx: Transaction) throws {
        try tx.queue(
            "UPDATE event SET is_canceled = TRUE, is_refunding = (is_refunding OR \(refund)) WHERE id = \(id)")
    }
}
