import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// What other services ask of SalesManager.
struct PeerRoutes: Sendable {
    let database: Database
    let secret: LinkSecret
    let events: EventDirectory
    let purchase: Purchase

    var endpoints: [Endpoint] {
        [
            Endpoint(SalesManagerRoutes.paymentChanged, paymentChanged),
            Endpoint(SalesManagerRoutes.fulfilledCaptures, fulfilledCaptures),
            Endpoint(SalesManagerRoutes.orderForServices, order),
            Endpoint(SalesManagerRoutes.orderAccess, access),
            Endpoint(SalesManagerRoutes.cancelEvent, cancelEvent),
        ]
    }

    @Sendable private func paymentChanged(_ call: Call) async throws -> Reply {
        try await purchase.paymentChanged(try call.id("id"), try call.body(Payment.self))
        return .noContent
    }

    @Sendable private func fulfilledCaptures(_ call: Call) async throws -> Reply {
        let captures = try call.body(Captures.self).items
        guard captures.count <= 1_000 else { throw Problem.invalid("items", "must be at most 1,000") }
        let fulfilled = try await database.read { tx in try OrderStore.fulfilled(captures, in: tx) }
        return try .ok(FulfilledCaptures(orders: fulfilled))
    }

    @Sendable private func order(_ call: Call) async throws -> Reply {
        let order = try await purchase.find(try call.id("id"))
        return try .ok(order.facts(token: secret.token(for: "\(order.id)")))
    }

    @Sendable private func access(_ call: Call) async throws -> Reply {
        let question = try call.body(OrderAccessQuestion.self)
        let order = try await purchase.find(try call.id("id"))
        return try .ok(
            OrderAccess(isBuyer: order.isBuyer(question, secret), organizerId: order.organizerID, eventId: order.eventID))
    }

    /// Orders are refunded by a job, which can be stopped and started at any point.
    @Sendable private func cancelEvent(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let cancellation = try call.body(EventCancellation.self)
        _ = try await events.facts(event)
        return try await database.write { tx in
            try EventStore.cancel(event, refund: cancellation.refund, in: tx)
            return .noContent
        }
    }
}
