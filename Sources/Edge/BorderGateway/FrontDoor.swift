import Contracts
package import Discovery
import HTTPTypes
import Logging
package import ServiceKit
import Values

/// The one entry of a process: finds the service that a request is for, by the tables in `Contracts`. What is for services only
/// is not there at all.
package struct FrontDoor: Sendable {
    private enum Destination: Sendable {
        case service(ServiceName)
        case operations(Route)
        case document
    }

    /// The merged OpenAPI document.
    package static let document = Route(.get, "/api/openapi.json", .anyone)

    private let table: RouteTable<Destination>
    private let responders: [ServiceName: ServiceResponder]
    private let operations: Operations

    /// - Parameter responders: of the services that run here; what is for others is answered 503.
    package init(responders: [ServiceName: ServiceResponder], operations: Operations) {
        table = RouteTable(
            Contracts.publicRoutes.flatMap { service, routes in routes.map { ($0, .service(service)) } }
                + Operations.routes.map { ($0, .operations($0)) } + [(FrontDoor.document, .document)])
        self.responders = responders
        self.operations = operations
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        let path = request.target.prefix { $0 != "?" }
        switch table.match(request.method, path) {
        case .found(.service(let service), _):
            guard let responder = responders[service] else {
                return FrontDoor.problem(.unavailable("The service \(service) does not run here.", retryAfter: 5), request)
            }
            return await responder.respond(to: request)
        case .found(.operations(let route), _):
            return await FrontDoor.own(request) { try await operations.answer(route) }
        case .found(.document, _):
            return await FrontDoor.own(request) { .bytes(try OpenAPI.merged.get().json, type: "application/json") }
        case .methodNotAllowed(let allowed):
            let methods = Set(allowed.map(\.rawValue)).sorted().joined(separator: ", ")
            var reply = FrontDoor.problem(
                Problem(
                    405, "method-not-allowed", "This address does not know the method \(request.method)",
                    detail: "It knows \(methods)."), request)
            reply.headers[.allow] = methods
            return reply
        case .notFound:
            return FrontDoor.problem(.noSuchRoute, request)
        }
    }

    private static func own(_ request: IncomingRequest, _ answer: () async throws -> Reply?) async -> Reply {
        do {
            guard var reply = try await answer() else { return problem(.noSuchRoute, request) }
            reply.headers[.requestID] = requestID(of: request)
            return reply.withoutBody(if: request.method == .head)
        } catch {
            return problem(Problem(500, "internal", "Something went wrong here", detail: "It is written in the log."), request)
        }
    }

    private static func problem(_ problem: Problem, _ request: IncomingRequest) -> Reply {
        let requestID = requestID(of: request)
        var reply = Reply.problem(problem, requestID: requestID)
        reply.headers[.requestID] = requestID
        return reply.withoutBody(if: request.method == .head)
    }

    private static func requestID(of request: IncomingRequest) -> String {
        let given = request.headers[.requestID] ?? ""
        let isPlausible =
            (1...64).contains(given.utf8.count)
            && given.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || (65...90).contains($0) || $0 == 45 || $0 == 95 }
        return isPlausible ? given : String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }
}

extension Problem {
    fileprivate static let noSuchRoute = Problem(
        404, "no-such-route", "There is nothing at this address", detail: "See /api/openapi.json for what there is.")
}

extension Reply {
    fileprivate func withoutBody(if isHead: Bool) -> Reply {
        guard isHead else { return self }
        var reply = self
        reply.headers[.contentLength] = "\(body.count)"
        reply.body = []
        return reply
    }
}
