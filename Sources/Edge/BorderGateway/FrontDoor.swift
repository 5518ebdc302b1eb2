import Contracts
package import Discovery
import HTTPTypes
import Logging
package import ServiceKit
import Values

/// The one entry of a system: finds the service that a request is for, by the tables in `Contracts`, in this process or over the
/// network. What is for services only is not there at all.
package struct FrontDoor: Sendable {
    private enum Destination: Sendable {
        case service(ServiceName, Route)
        case operations(Route)
        case document
    }

    /// The merged OpenAPI document.
    package static let document = Route(.get, "/api/openapi.json", .anyone)

    private let table: RouteTable<Destination>
    private let responders: [ServiceName: ServiceResponder]
    private let elsewhere: (any Transport)?
    private let operations: Operations

    /// - Parameters:
    ///   - responders: of the services that run here.
    ///   - elsewhere: reaches the others.
    package init(responders: [ServiceName: ServiceResponder], elsewhere: (any Transport)?, operations: Operations) {
        table = RouteTable(
            Contracts.publicRoutes.flatMap { service, routes in routes.map { ($0, .service(service, $0)) } }
                + Operations.routes.map { ($0, .operations($0)) } + [(FrontDoor.document, .document)])
        self.responders = responders
        self.elsewhere = elsewhere
        self.operations = operations
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        // How long is waited is not for those outside to say.
        var request = request
        request.headers[.timeLeft] = nil
        let path = request.target.prefix { $0 != "?" }
        switch table.match(request.method, path) {
        case .found(.service(let service, let route), _):
            if let responder = responders[service] { return await responder.respond(to: request) }
            return await forward(request, of: route, to: service)
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

    /// The answer of an instance of the service, as it is.
    private func forward(_ request: IncomingRequest, of route: Route, to service: ServiceName) async -> Reply {
        guard let elsewhere else {
            return FrontDoor.problem(.unavailable("The service \(service) does not run here.", retryAfter: 5), request)
        }
        let requestID = RequestID.of(request)
        var request = request
        request.headers[.requestID] = requestID
        let isHead = request.method == .head
        let message = PeerRequest(
            method: isHead ? .get : request.method, target: request.target, headers: request.headers, body: request.body,
            isRepeatable: FrontDoor.isRepeatable(request, of: route))
        do {
            let response = try await Correlation.$id.withValue(requestID) { try await elsewhere.send(message, to: service) }
            return Reply(status: .init(code: response.status), headers: response.headers, body: response.body).withoutBody(if: isHead)
        } catch {
            return FrontDoor.problem(error as? Problem ?? .unavailable("\(service) does not answer at the moment."), request)
        }
    }

    /// A change under a condition is not: the second would find that it no longer holds. Nor is a deletion, whose second finds nothing.
    private static func isRepeatable(_ request: IncomingRequest, of route: Route) -> Bool {
        switch request.method {
        case .get, .head: true
        case .put: request.headers[.ifMatch] == nil
        default: route.takesKey
        }
    }

    private static func own(_ request: IncomingRequest, _ answer: () async throws -> Reply?) async -> Reply {
        do {
            guard var reply = try await answer() else { return problem(.noSuchRoute, request) }
            reply.headers[.requestID] = RequestID.of(request)
            return reply.withoutBody(if: request.method == .head)
        } catch {
            return problem(Problem(500, "internal", "Something went wrong here", detail: "It is written in the log."), request)
        }
    }

    private static func problem(_ problem: Problem, _ request: IncomingRequest) -> Reply {
        let requestID = RequestID.of(request)
        var reply = Reply.problem(problem, requestID: requestID)
        reply.headers[.requestID] = requestID
        return reply.withoutBody(if: request.method == .head)
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
