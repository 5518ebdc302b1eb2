import Contracts
import Discovery
import Logging
import Messaging
import ServiceKit
import Storage

/// What becomes of events.
struct EventStateRoutes: Sendable {
    let outbox: Outbox
    let editor: EventEditor
    let cancellations: Cancellations
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(EventManagerRoutes.publishEvent, publish),
            Endpoint(EventManagerRoutes.postponeEvent, postpone),
            Endpoint(EventManagerRoutes.cancelEvent, cancel),
        ]
    }

    @Sendable func publish(_ call: Call) async throws -> Reply {
        let event = try await editor.edit(call) { event, tx in
            try event.publish()
            guard try !event.isOver(at: tx.now) else {
                throw Problem.conflict("event-over", "The event is over", "It ended at \(event.overAt); give it a later time first.")
            }
        }
        logger.info("an event was published", metadata: ["event": "\(event.id)", "version": "\(event.version)"])
        return try .ok(event, etag: event.etag)
    }

    /// With new times where they are known already. Tickets stay good and are sold on; who wants a pause ends the sale of the ticket types.
    @Sendable func postpone(_ call: Call) async throws -> Reply {
        let request = try call.optionalBody(PostponeEvent.self) ?? PostponeEvent()
        let event = try await editor.edit(call) { event, _ in
            try event.postpone()
            try request.apply(to: &event)
        }
        logger.info("an event was postponed", metadata: ["event": "\(event.id)", "version": "\(event.version)"])
        return try .ok(event, etag: event.etag)
    }

    /// May be repeated: the answer is the canceled event. Asked for later, refunds are made then.
    @Sendable func cancel(_ call: Call) async throws -> Reply {
        let request = try call.optionalBody(CancelEvent.self) ?? CancelEvent()
        guard request.reason?.count ?? 0 <= 1_000 else { throw Problem.invalid("reason", "must be at most 1000 characters long") }
        let (refund, reason, outbox) = (request.refund ?? false, request.reason, outbox)
        let event = try await editor.write(call) { before, actor, tx in
            var event = before
            if event.state != .canceled { try event.cancel() }
            guard try CancellationStore.request(before.id, refund: refund, reason: reason, in: tx) else { return before }
            event = try EventStore.save(
                event, over: before, by: actor, reason: reason, isTouched: true, outbox: outbox, in: tx)
            try outbox.append(
                EventCanceled(eventId: event.id, refund: refund, reason: reason), of: "\(event.id)", version: event.version, in: tx)
            return event
        }
        logger.info("an event was canceled", metadata: ["event": "\(event.id)", "refund": "\(refund)"])
        do {
            try await cancellations.carryOut(event.id)
        } catch {
            // The event is canceled, which is what was asked for; the timer does the rest.
            logger.warning(
                "a cancellation is not carried out yet; it is tried again", metadata: ["event": "\(event.id)", "error": "\(error)"])
        }
        return try .ok(event, etag: event.etag)
    }
}

extension Call {
    /// The body where there is one.
    fileprivate func optionalBody<Body: Decodable>(_ type: Body.Type) throws -> Body? {
        rawBody.isEmpty ? nil : try body(type)
    }
}
