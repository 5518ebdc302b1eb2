package import Discovery
import HTTPTypes
package import Logging

/// The entry of one service or server on a listener of its own: all its routes, those for services included, and what an operator asks.
package struct ServiceDoor: Sendable {
    /// The yardstick of benchmarks: the smallest request that reads and writes JSON.
    package static let noop = Route(.post, "/noop", .anyone)

    private struct Noop: Codable {
        let id: String
        let quantity: Int64
    }

    private let inner: @Sendable (IncomingRequest) async -> Reply
    private let own: ServiceResponder
    private let ownTable: RouteTable<Bool>

    /// - Parameters:
    ///   - hasBenchmarkRoutes: whether `POST /noop` is there. It decodes `{"id":"a","quantity":1}` and answers the same.
    ///   - inner: answers all that an operator does not ask.
    package init(
        _ name: ServiceName, operations: Operations, hasBenchmarkRoutes: Bool, verifier: IdentityVerifier, logger: Logger,
        inner: @escaping @Sendable (IncomingRequest) async -> Reply
    ) {
        var endpoints = Operations.routes.map { route in
            Endpoint(route) { _ in try await operations.answer(route) ?? Reply(status: .notFound) }
        }
        if hasBenchmarkRoutes {
            endpoints.append(Endpoint(ServiceDoor.noop) { call in try Reply.ok(try call.body(Noop.self)) })
        }
        self.inner = inner
        own = ServiceResponder(service: name, endpoints: endpoints, verifier: verifier, logger: logger)
        ownTable = RouteTable(endpoints.map { ($0.route, true) })
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        if case .notFound = ownTable.match(request.method, request.target.prefix { $0 != "?" }) { return await inner(request) }
        return await own.respond(to: request)
    }
}
