import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Who sells.
struct OrganizerRoutes: Sendable {
    let database: Database
    let authentication: AuthenticationClient
    let ownership: Ownership
    let configuration: LiveSettings<EventManagerConfiguration>
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(EventManagerRoutes.organizers, list),
            Endpoint(EventManagerRoutes.organizer, organizer),
            Endpoint(EventManagerRoutes.organizerForServices, organizerForServices),
            Endpoint(EventManagerRoutes.createOrganizer, create),
            Endpoint(EventManagerRoutes.changeOrganizer, change),
        ]
    }

    @Sendable func list(_ call: Call) async throws -> Reply {
        let limit = try call.limit
        let patterns = try SearchText.patterns(call.query("query") ?? "")
        let after = try call.query("after", as: OrganizerID.self, "the next of an earlier answer")
        let organizers = try await database.read { tx in
            try OrganizerStore.list(matching: patterns, after: after, limit: limit + 1, in: tx)
        }
        return try .ok(Page(organizers, limit: limit) { "\($0.id)" })
    }

    /// By id or slug.
    @Sendable func organizer(_ call: Call) async throws -> Reply {
        let name = call.text("id")
        let found = try await database.read { tx in
            if let id = OrganizerID(name) { try OrganizerStore.find(id, in: tx) } else { try OrganizerStore.find(slug: name, in: tx) }
        }
        guard let organizer = found else { throw Problem.notFound("organizer") }
        return try .ok(organizer)
    }

    @Sendable func organizerForServices(_ call: Call) async throws -> Reply {
        let id = try call.organizer
        guard let organizer = try await database.read({ tx in try OrganizerStore.find(id, in: tx) }) else {
            throw Problem.notFound("organizer")
        }
        return try .ok(organizer)
    }

    /// Any user may; they become its owner.
    @Sendable func create(_ call: Call) async throws -> Reply {
        let new = try call.body(NewOrganizer.self)
        try new.validate()
        let (owner, key) = (try call.user.id, try call.optionalIdempotencyKey())
        let (id, slugs, most) = (OrganizerID(), Slug.candidates(new.name, fallback: "organizer"), configuration.organizersPerUser)
        let reply = try await database.write { tx in
            try Idempotency.once(key, in: tx) {
                guard try OrganizerStore.count(madeBy: owner, in: tx) < most else {
                    throw Problem.conflict("too-many-organizers", "You have made many organizers", "One user may make \(most).")
                }
                let organizer = try OrganizerRoutes.insert(new, id: id, slugs: slugs, creator: owner, in: tx)
                return try .created(organizer, at: EventManagerRoutes.organizer.path(["\(id)"]))
            }
        }
        // For a repeated request this is the organizer that the first one made.
        let organizer = try JSON.value(Organizer.self, from: reply.body).id
        logger.info("an organizer was made", metadata: ["organizer": "\(organizer)", "by": "\(owner)"])
        do {
            try await ownership.confirm(organizer, owner: owner)
        } catch {
            // The organizer is there, which is what was asked for; the timer makes its creator the owner.
            logger.warning(
                "an organizer has no owner yet; it is tried again", metadata: ["organizer": "\(organizer)", "error": "\(error)"])
        }
        return reply
    }

    private static func insert(
        _ new: NewOrganizer, id: OrganizerID, slugs: [String], creator: UserID, in tx: Transaction
    ) throws -> Organizer {
        for slug in slugs {
            let organizer = Organizer(id: id, name: new.name, slug: slug, email: new.email, createdAt: try tx.now)
            if try OrganizerStore.insert(organizer, creator: creator, in: tx) { return organizer }
        }
        throw Problem.unavailable("No free address was found for the organizer. Try again.")
    }

    @Sendable func change(_ call: Call) async throws -> Reply {
        let change = try call.body(OrganizerChange.self)
        let (id, actor) = (try call.organizer, try call.user.id)
        guard try await database.read({ tx in try OrganizerStore.find(id, in: tx) }) != nil else { throw Problem.notFound("organizer") }
        try await authentication.require(.owner, of: id, for: call.identity, what: "organizer")
        let organizer = try await database.write { tx in
            guard var organizer = try OrganizerStore.lock(id, in: tx) else { throw Problem.notFound("organizer") }
            try change.apply(to: &organizer)
            try OrganizerStore.update(organizer, in: tx)
            return organizer
        }
        logger.info("an organizer was changed", metadata: ["organizer": "\(id)", "by": "\(actor)"])
        return try .ok(organizer)
    }
}

extension Call {
    fileprivate var organizer: OrganizerID {
        get throws {
            guard let id = OrganizerID(text("id")) else { throw Problem.notFound("organizer") }
            return id
        }
    }
}
