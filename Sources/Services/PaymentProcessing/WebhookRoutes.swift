import Contracts
import Discovery
import ServiceKit

/// What providers tell. The signature is the identity.
struct WebhookRoutes: Sendable {
    let events: ProviderEvents

    var endpoints: [Endpoint] {
        [Endpoint(PaymentProcessingRoutes.webhook, webhook)]
    }

    @Sendable func webhook(_ call: Call) async throws -> Reply {
        try await events.receive(call.text("provider"), call.headers, call.rawBody)
        return try .ok(WebhookAnswer(received: true))
    }
}
