import Contracts
import Discovery
import Messaging
import ServiceKit
import Storage

/// What every change of an event has in common: who may, on which state it is made, and what is told of it.
struct EventEditor: Sendable {
    let database: Database
    let outbox: Outbox
    let authentication: AuthenticationClient

    /// Changes the event of the path for a manager of its organizer. The change runs under the event's lock, and may run again.
    func edit(
        _ call: Call, reason: String? = nil, _ change: @escaping @Sendable (inout Event, Transaction) throws -> Void
    ) async throws -> Event {
        let outbox = outbox
        return try await write(call) { before, actor, tx in
            var event = before
            try change(&event, tx)
            return try EventStore.save(event, over: before, by: actor, reason: reason, outbox: outbox, in: tx)
        }
    }

    /// The same, where more is done than a change of the event.
    func write<Result: Sendable>(
        _ call: Call, _ body: @escaping @Sendable (Event, _ actor: String, Transaction) throws -> Result
    ) async throws -> Result {
        let actor = "\(try call.user.id)"
        let id = try call.id("id", EventKind.self)
        guard let found = try await database.read({ tx in try EventStore.find(id, in: tx) }) else { throw Problem.notFound("event") }
        try await authentication.require(.manager, of: found.organizerId, for: call.identity, what: "event")
        return try await database.write { tx in
            guard let before = try EventStore.lock(id, in: tx) else { throw Problem.notFound("event") }
            try call.requireMatch(before.etag)
            return try body(before, actor, tx)
        }
    }
}
