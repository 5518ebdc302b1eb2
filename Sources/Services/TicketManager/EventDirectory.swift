import Contracts
import Discovery
import Storage
import Synchronization
import Values

/// What TicketManager has to know of an event, none of which ever changes.
struct EventFacts: Sendable {
    let id: EventID
    let organizerID: OrganizerID
    let currency: Currency
    let timeZone: String
}

/// Asks EventManager once about each event, and then knows.
final class EventDirectory: Sendable {
    private static let largestCache = 10_000

    private let database: Database
    private let eventManager: EventManagerClient
    private let known = Mutex<[EventID: EventFacts]>([:])

    init(database: Database, eventManager: EventManagerClient) {
        self.database = database
        self.eventManager = eventManager
    }

    /// `Problem` 404 where there is no such event.
    func facts(_ id: EventID) async throws -> EventFacts {
        if let facts = known.withLock({ $0[id] }) { return facts }
        let facts = if let stored = try await stored(id) { stored } else { try await fetch(id) }
        known.withLock { known in
            if known.count >= EventDirectory.largestCache { known.removeAll() }
            known[id] = facts
        }
        return facts
    }

    private func stored(_ id: EventID) async throws -> EventFacts? {
        try await database.read { tx in
            try tx.row("SELECT organizer_id, currency, time_zone FROM event WHERE id = \(id)").map { row in
                EventFacts(
                    id: id, organizerID: try row["organizer_id"], currency: try row["currency"], timeZone: try row["time_zone"])
            }
        }
    }

    private func fetch(_ id: EventID) async throws -> EventFacts {
        let event = try await eventManager.event(id)
        try await database.write { tx in
            _ = try tx.execute(
                """
                INSERT INTO event (id, organizer_id, currency, time_zone)
                VALUES (\(id), \(event.organizerId), \(event.currency), \(event.timeZone)) ON CONFLICT DO NOTHING
                """)
        }
        return EventFacts(id: id, organizerID: event.organizerId, currency: event.currency, timeZone: event.timeZone)
    }
}

/// Lets an organizer's staff through to what belongs to one of its events.
struct Staff: Sendable {
    let authentication: AuthenticationClient
    let events: EventDirectory

    @discardableResult
    func require(_ role: Role, of event: EventID, for identity: Identity, what: String = "event") async throws -> EventFacts {
        let facts = try await events.facts(event)
        try await authentication.require(role, of: facts.organizerID, for: identity, what: what)
        return facts
    }

    /// Whether the caller is staff of the event's organizer at all.
    func includes(_ identity: Identity, of event: EventID) async throws -> Bool {
        guard let user = identity.user else { return false }
        if user.isAdmin { return true }
        return try await authentication.role(of: user.id, in: try await events.facts(event).organizerID) != nil
    }
}
