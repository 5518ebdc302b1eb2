import Contracts
import Discovery
import Logging
import Messaging
import ServiceKit
import Storage
import Values

/// Where events are.
struct VenueRoutes: Sendable {
    let database: Database
    let outbox: Outbox
    let authentication: AuthenticationClient
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(EventManagerRoutes.venues, list),
            Endpoint(EventManagerRoutes.venue, venue),
            Endpoint(EventManagerRoutes.createVenue, create),
            Endpoint(EventManagerRoutes.changeVenue, change),
        ]
    }

    @Sendable func list(_ call: Call) async throws -> Reply {
        let limit = try call.limit
        let organizer = try call.query("organizer", as: OrganizerID.self, "an id that begins with org_")
        let patterns = try SearchText.patterns(call.query("query") ?? "")
        let after = try call.query("after", as: VenueID.self, "the next of an earlier answer")
        let venues = try await database.read { tx in
            try VenueStore.list(of: organizer, matching: patterns, after: after, limit: limit + 1, in: tx)
        }
        return try .ok(Page(venues, limit: limit) { "\($0.id)" })
    }

    @Sendable func venue(_ call: Call) async throws -> Reply {
        try .ok(try await find(call))
    }

    @Sendable func create(_ call: Call) async throws -> Reply {
        let new = try call.body(NewVenue.self)
        try new.validate()
        let key = try call.optionalIdempotencyKey()
        guard try await database.read({ tx in try OrganizerStore.find(new.organizerId, in: tx) }) != nil else {
            throw Problem.notFound("organizer")
        }
        try await authentication.require(.manager, of: new.organizerId, for: call.identity, what: "organizer")
        let id = VenueID()
        let reply = try await database.write { tx in
            try Idempotency.once(key, in: tx) {
                let venue = Venue(
                    id: id, organizerId: new.organizerId, name: new.name, street: new.street, city: new.city, country: new.country,
                    createdAt: try tx.now)
                try VenueStore.insert(venue, in: tx)
                return try .created(venue, at: EventManagerRoutes.venue.path(["\(id)"]))
            }
        }
        logger.info("a venue was made", metadata: ["venue": "\(id)", "organizer": "\(new.organizerId)"])
        return reply
    }

    /// An event's answer holds its venue, so that each public event there changes as well.
    @Sendable func change(_ call: Call) async throws -> Reply {
        let change = try call.body(VenueChange.self)
        let found = try await find(call)
        try await authentication.require(.manager, of: found.organizerId, for: call.identity, what: "venue")
        let (actor, outbox) = ("\(try call.user.id)", outbox)
        let venue = try await database.write { tx in
            guard let before = try VenueStore.lock(found.id, in: tx) else { throw Problem.notFound("venue") }
            var venue = before
            try change.apply(to: &venue)
            guard venue != before else { return venue }
            try VenueStore.update(venue, in: tx)
            for event in try EventStore.listed(at: venue.id, in: tx) {
                _ = try EventStore.save(event, over: event, by: actor, isTouched: true, outbox: outbox, in: tx)
            }
            return venue
        }
        logger.info("a venue was changed", metadata: ["venue": "\(venue.id)", "by": "\(actor)"])
        return try .ok(venue)
    }

    private func find(_ call: Call) async throws -> Venue {
        let id = try call.id("id", VenueKind.self)
        guard let venue = try await database.read({ tx in try VenueStore.find(id, in: tx) }) else { throw Problem.notFound("venue") }
        return venue
    }
}
