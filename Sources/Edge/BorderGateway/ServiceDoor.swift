package import Discovery
import HTTPTypes
package import Logging
package import ServiceKit

/// The entry of one service on a listener of its own: all its routes, those for services included, and what an operator asks.
package struct ServiceDoor: Sendable {
    /// The yardstick of benchmarks: the smallest request that reads and writes JSON.
    package static let noop = Route(.post, "/noop", .anyone)

    private struct Noop: Codable {
        let id: String
        let quantity: Int64
    }

    private let service: ServiceResponder
    private let own: ServiceResponder
    private let ownTable: RouteTable<Bool>

    /// - Parameter hasBenchmarkRoutes: whether `POST /noop` is there. It decodes `{"id":"a","quantity":1}` and answers the same.
    package init(
        _ host: ServiceHost, operations: Operations, hasBenchmarkRoutes: Bool, verifier: IdentityVerifier, logger: Logger
    ) {
        var endpoints = Operations.routes.map { route in
            Endpoint(route) { _ in try await operations.answer(route) ?? Reply(status: .notFound) }
        }
        if hasBenchmarkRoutes {
            endpoints.append(Endpoint(ServiceDoor.noop) { call in try Reply.ok(try call.body(Noop.self)) })
        }
        service = host.responder
        own = ServiceResponder(service: host.name, endpoints: endpoints, verifier: verifier, logger: logger)
        ownTable = RouteTable(endpoints.map { ($0.route, true) })
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        if case .notFound = ownTable.match(request.method, request.target.prefix { $0 != "?" }) {
            return await service.respond(to: request)
        }
        return await own.respond(to: request)
    }
}
