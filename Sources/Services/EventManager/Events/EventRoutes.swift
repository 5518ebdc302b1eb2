import Contracts
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import Storage
import Values

/// Events: found, read, made, changed.
struct EventRoutes: Sendable {
    let database: Database
    let authentication: AuthenticationClient
    let editor: EventEditor
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(EventManagerRoutes.events, list),
            Endpoint(EventManagerRoutes.event, event),
            Endpoint(EventManagerRoutes.eventForServices, eventForServices),
            Endpoint(EventManagerRoutes.createEvent, create),
            Endpoint(EventManagerRoutes.changeEvent, change),
            Endpoint(EventManagerRoutes.deleteEvent, delete),
        ]
    }

    @Sendable func list(_ call: Call) async throws -> Reply {
        let search = try EventSearch(call)
        let limit = try call.limit
        if search.states != .listed {
            guard let organizer = search.organizer else {
                throw Problem.invalid("state", "needs the organizer whose staff ask for it")
            }
            guard try await isStaff(call.identity, of: organizer) else {
                throw call.identity.user == nil ? Problem.unauthenticated : .notFound("organizer")
            }
        }
        let events = try await database.read { tx in try EventStore.list(search, limit: limit + 1, in: tx) }
        return try .ok(Page(events, limit: limit, cursor: search.cursor))
    }

    /// By id or slug. A draft is there for the staff of its organizer alone.
    @Sendable func event(_ call: Call) async throws -> Reply {
        let name = call.text("id")
        let found = try await database.read { tx in
            if let id = EventID(name) { try EventStore.find(id, in: tx) } else { try EventStore.find(slug: name, in: tx) }
        }
        guard let event = found else { throw Problem.notFound("event") }
        if event.state == .draft {
            guard try await isStaff(call.identity, of: event.organizerId) else { throw Problem.notFound("event") }
        }
        return try .ok(event, etag: event.etag)
    }

    @Sendable func eventForServices(_ call: Call) async throws -> Reply {
        let id = try call.id("id", EventKind.self)
        guard let event = try await database.read({ tx in try EventStore.find(id, in: tx) }) else { throw Problem.notFound("event") }
        return try .ok(event, etag: event.etag)
    }

    @Sendable func create(_ call: Call) async throws -> Reply {
        let new = try call.body(NewEvent.self)
        let schedule = try new.validated()
        let key = try call.optionalIdempotencyKey()
        let actor = "\(try call.user.id)"
        guard try await database.read({ tx in try OrganizerStore.find(new.organizerId, in: tx) }) != nil else {
            throw Problem.notFound("organizer")
        }
        try await authentication.require(.manager, of: new.organizerId, for: call.identity, what: "organizer")
        let id = EventID()
        // The day sets apart what is repeated under the same name.
        let slugs = Slug.candidates(new.name, fallback: "event", details: [String(schedule.start.local.prefix(10))])
        let reply = try await database.write { tx in
            try Idempotency.once(key, in: tx) {
                let event = try EventRoutes.insert(new, id: id, at: schedule, slugs: slugs, by: actor, in: tx)
                return try .created(event, at: EventManagerRoutes.event.path(["\(id)"]))
            }
        }
        logger.info("an event was made", metadata: ["event": "\(id)", "organizer": "\(new.organizerId)", "by": "\(actor)"])
        return reply
    }

    private static func insert(
        _ new: NewEvent, id: EventID, at schedule: Schedule, slugs: [String], by actor: String, in tx: Transaction
    ) throws -> Event {
        var event = Event(
            id: id, slug: "", organizerId: new.organizerId, name: new.name, summary: new.summary, description: new.description,
            state: .draft, startsAt: schedule.start.instant, localStartsAt: schedule.start.local, endsAt: nil,
            timeZone: schedule.start.zone, venueId: new.venueId, venue: nil, onlineURL: new.onlineURL, currency: new.currency,
            imageURL: new.imageURL, ageRestriction: new.ageRestriction, refundPolicy: new.refundPolicy, version: 1,
            createdAt: try tx.now)
        event.take(schedule)
        event.venue = try venue(of: event, in: tx)
        for slug in slugs {
            event.slug = slug
            if try EventStore.insert(event, by: actor, in: tx) { return event }
        }
        throw Problem.unavailable("No free address was found for the event. Try again.")
    }

    @Sendable func change(_ call: Call) async throws -> Reply {
        let change = try call.body(EventChange.self)
        let event = try await editor.edit(call) { event, tx in
            guard event.isOpen else {
                throw Problem.conflict("event-ended", "This cannot be changed any more", "The event is \(event.state.rawValue).")
            }
            try change.apply(to: &event)
            if change.venueId != nil { _ = try EventRoutes.venue(of: event, in: tx) }
        }
        logger.info("an event was changed", metadata: ["event": "\(event.id)", "version": "\(event.version)"])
        return try .ok(event, etag: event.etag)
    }

    /// Only a draft: nothing was ever sold of it. All others are canceled.
    @Sendable func delete(_ call: Call) async throws -> Reply {
        let id = try await editor.write(call) { event, actor, tx in
            guard event.state == .draft else {
                throw Problem.conflict(
                    "event-not-draft", "Only a draft can be removed", "The event is \(event.state.rawValue); cancel it instead.")
            }
            try EventStore.delete(event, by: actor, in: tx)
            return event.id
        }
        logger.info("an event was removed", metadata: ["event": "\(id)"])
        return .noContent
    }

    private func isStaff(_ identity: Identity, of organizer: OrganizerID) async throws -> Bool {
        guard let user = identity.user else { return false }
        if user.isAdmin { return true }
        return try await authentication.role(of: user.id, in: organizer) != nil
    }

    private static func venue(of event: Event, in tx: Transaction) throws -> Venue? {
        guard let id = event.venueId else { return nil }
        guard let venue = try VenueStore.find(id, in: tx), venue.organizerId == event.organizerId else {
            throw Problem.invalid("venueId", "must be a venue of this organizer")
        }
        return venue
    }
}
