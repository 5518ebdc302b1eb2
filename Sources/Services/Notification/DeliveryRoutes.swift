import Contracts
import Discovery
import ServiceKit
import Storage

/// What a person was sent.
struct DeliveryRoutes {
    let database: Database

    var endpoints: [Endpoint] {
        [Endpoint(NotificationRoutes.notifications, list)]
    }

    @Sendable func list(_ call: Call) async throws -> Reply {
        let user = try call.user
        let limit = try call.limit
        let after = try call.query("after", as: DeliveryID.self, "the next of the page before")
        let items = try await database.read { tx in
            try DeliveryStore.list(
                for: user.id, verifiedEmail: user.isEmailVerified ? user.email : nil, after: after, limit: limit + 1, in: tx)
        }
        return try .ok(Page(items, limit: limit) { "\($0.id)" })
    }
}
