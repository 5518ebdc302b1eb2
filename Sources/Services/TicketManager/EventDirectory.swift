import Contracts
import Discovery
import Storage
import Synchronization
import Values

/// What TicketManager has to know of an event. None of it ever changes, but that a draft is published.
struct EventFacts: Sendable {
    let id: EventID
    let organizerID: OrganizerID
    let currency: Currency
    /// A draft does not exist for anybody but its organizer's staff, and nothing of it is sold.
    let isPublic: Bool
}

/// Asks EventManager once about each event that is public, and then knows; about a draft each time.
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
        let stored = try await stored(id)
        let facts = if let stored, stored.isPublic { stored } else { try await fetch(id, isStored: stored != nil) }
        guard facts.isPublic else { return facts }
        known.withLock { known in
            if known.count >= EventDirectory.largestCache { known.removeAll() }
            known[id] = facts
        }
        return facts
    }

    private func stored(_ id: EventID) async throws -> EventFacts? {
        try await database.read { tx in
            try tx.row("SELECT organizer_id, currency, is_public FROM event WHERE id = \(id)").map { row in
                EventFacts(
                    id: id, organizerID: try row["organizer_id"], currency: try row["currency"], isPublic: try row["is_public"])
            }
        }
    }

    private func fetch(_ id: EventID, isStored: Bool) async throws -> EventFacts {
        let event = try await eventManager.event(id)
        let isPublic = event.state != .draft
        if isPublic || !isStored {
            try await database.write { tx in
                _ = try tx.execute(
                    """
                    INSERT INTO event (id, organizer_id, currency, time_zone, is_public)
                    VALUES (\(id), \(event.organizerId), \(event.currency), \(event.timeZone), \(isPublic))
                    ON CONFLICT (id) DO UPDATE SET is_public = (event.is_public OR excluded.is_public)
                    """)
            }
        }
        return EventFacts(id: id, organizerID: event.organizerId, currency: event.currency, isPublic: isPublic)
    }

    /// As it is now: an organizer may correct it, also after the event was published.
    func timeZone(of id: EventID) async throws -> String {
        try await eventManager.event(id).timeZone
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

    /// `Problem` 404 for a draft, unless the caller is staff of its organizer.
    func requireKnown(_ event: EventID, to identity: Identity, what: String = "event") async throws {
        if try await events.facts(event).isPublic { return }
        guard try await includes(identity, of: event) else { throw Problem.notFound(what) }
    }

    /// Whether the caller is staff of the event's organizer, in any role or in one that covers `needed`.
    func includes(_ identity: Identity, of event: EventID, as needed: Role? = nil) async throws -> Bool {
        guard let user = identity.user else { return false }
        if user.isAdmin { return true }
        guard let role = try await authentication.role(of: user.id, in: try await events.facts(event).organizerID) else { return false }
        return needed.map(role.covers) ?? true
    }
}
