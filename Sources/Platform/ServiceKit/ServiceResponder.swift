import CoreMetrics
package import Discovery
package import HTTPTypes
package import Logging
import Messaging
import Metrics
import Storage
import Values

/// A request before it found its handler.
package struct IncomingRequest: Sendable {
    package var method: HTTPRequest.Method
    /// Path and query, percent-encoded.
    package var target: String
    package var headers: HTTPFields
    package var body: [UInt8]
    /// Whether the answer may be a value instead of its JSON: a peer in the same process asks.
    package var takesValue: Bool

    package init(method: HTTPRequest.Method, target: String, headers: HTTPFields, body: [UInt8], takesValue: Bool = false) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.takesValue = takesValue
    }
}

/// A transition that the state does not allow.
package struct IllegalTransition: Error, Hashable, Sendable {
    package let what: String
    package let from: String
    package let to: String

    package init(of what: String, from: String, to: String) {
        self.what = what
        self.from = from
        self.to = to
    }
}

/// Answers for one service: finds the handler, says who asks, bounds the time, and turns whatever goes wrong into a problem document.
package final class ServiceResponder: Sendable {
    private struct Target: Sendable {
        let endpoint: Endpoint
        let timer: Timer
        let failures: Counter
    }

    /// How long a caller waits at most.
    private static let timeLimit = TimeSpan.seconds(10)

    private let table: RouteTable<Target>
    private let verifier: IdentityVerifier
    private let inFlight = RequestsInFlight()
    private let logger: Logger

    package init(service: ServiceName, endpoints: [Endpoint], verifier: IdentityVerifier, logger: Logger) {
        table = RouteTable(
            endpoints.map { endpoint in
                let dimensions = [
                    ("service", service.description), ("method", endpoint.route.method.rawValue),
                    ("route", endpoint.route.path),
                ]
                return (
                    endpoint.route,
                    Target(
                        endpoint: endpoint, timer: Timer(label: "http_request_duration_seconds", dimensions: dimensions),
                        failures: Counter(label: "http_request_failures_total", dimensions: dimensions))
                )
            })
        self.verifier = verifier
        self.logger = logger
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        let requestID = RequestID.of(request)
        var reply: Reply
        do {
            reply = try await Deadline.$current.withValue(Deadline.current ?? .now + ServiceResponder.time(for: request)) {
                try await Correlation.$current.withValue(ServiceResponder.correlation(of: request, requestID)) {
                    try await answer(request, requestID: requestID)
                }
            }
        } catch {
            reply = .problem(problem(error, request: request, requestID: requestID), requestID: requestID)
        }
        reply.headers[.requestID] = requestID
        if request.method == .head {
            reply.headers[.contentLength] = "\(reply.body.count)"
            reply.body = []
        }
        return reply
    }

    private static func correlation(of request: IncomingRequest, _ requestID: String) -> Correlation {
        let traceparent = request.headers.value(of: .traceparent)
        return Correlation(id: requestID, traceparent: traceparent.flatMap { Correlation.isTrace($0) ? $0 : nil })
    }

    private static func time(for request: IncomingRequest) -> TimeSpan {
        guard let said = request.headers.value(of: .timeLeft).flatMap({ Int64($0) }), said >= 0 else { return timeLimit }
        return .milliseconds(min(said, timeLimit.microseconds / 1_000))
    }

    private func answer(_ request: IncomingRequest, requestID: String) async throws -> Reply {
        let target = request.target
        let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
        let path = target[..<(mark ?? target.endIndex)]
        switch table.match(request.method, path) {
        case .notFound:
            throw Problem(404, "no-such-route", "There is nothing at this address", detail: "See /api/openapi.json for what there is.")
        case .methodNotAllowed(let allowed):
            let methods = allowed.map(\.rawValue).joined(separator: ", ")
            var reply = Reply.problem(
                Problem(
                    405, "method-not-allowed", "This address does not know the method \(request.method)", detail: "It knows \(methods)."),
                requestID: requestID)
            reply.headers[.allow] = methods
            return reply
        case .found(let found, let parameters):
            let start = ContinuousClock.now
            defer { found.timer.recordNanoseconds((ContinuousClock.now - start).nanoseconds) }
            do {
                let call = try await call(
                    found.endpoint.route, request, path: path, query: mark.map { target[target.utf8.index(after: $0)...] } ?? "",
                    parameters: parameters, requestID: requestID)
                guard let key = request.headers.value(of: .idempotencyKey), let principal = call.principal else {
                    return try await found.endpoint.handle(call)
                }
                let flight = IdempotencyKey.Identity(principal: principal, key: key)
                try await inFlight.enter(flight)
                defer { inFlight.leave(flight) }
                return try await found.endpoint.handle(call)
            } catch {
                found.failures.increment()
                throw error
            }
        }
    }

    private func call(
        _ route: Route, _ request: IncomingRequest, path: Substring, query: Substring, parameters: [String: String], requestID: String
    ) async throws -> Call {
        let identity = try await verifier.identity(request.headers.value(of: .authorization))
        if let key = identity.user?.key, !key.covers(route) {
            throw Problem.forbidden(
                route.isForPrograms
                    ? "The scopes of this key are \(key.scopes.map(\.rawValue).sorted().joined(separator: ", ")); this needs another."
                    : "This is not for API keys; sign in.")
        }
        switch route.access {
        case .anyone: break
        case .user:
            guard identity.user != nil else { throw Problem.unauthenticated }
        case .service(let scope):
            switch identity {
            case .service(_, let scopes) where scopes.contains(scope): break
            case .service: throw Problem.forbidden("This needs the scope \(scope).")
            case .anonymous: throw Problem.unauthenticated
            case .user: throw Problem.forbidden("This is for services only.")
            }
        }
        return Call(
            route: route, path: String(path), parameters: parameters, query: try Query(query), headers: request.headers,
            bytes: request.body, identity: identity, requestID: requestID, takesValue: request.takesValue)
    }

    /// No internal error, stack, SQL or another user's data ever leaves here.
    private func problem(_ error: any Error, request: IncomingRequest, requestID: String) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as IllegalTransition:
            return .conflict(
                "illegal-transition", "This cannot be done any more", "The \(error.what) is \(error.from) and cannot become \(error.to).")
        case let error as StorageError where Idempotency.isTaken(error):
            return .requestInProgress
        case StorageError.deadline(let begun):
            return .unavailable(
                begun
                    ? "It took too long; whether it was done is not known. Repeat the request with the same Idempotency-Key."
                    : "It took too long; nothing was done. Try again.")
        case StorageError.unavailable, StorageError.timeLimit:
            logger.warning("a database did not answer", metadata: ["requestId": "\(requestID)", "error": "\(error)"])
            return .unavailable("It took too long; nothing was done. Try again.")
        case StorageError.outcomeUnknown:
            logger.warning("a database was lost during a commit", metadata: ["requestId": "\(requestID)", "error": "\(error)"])
            return .unavailable("Whether it was done is not known. Repeat the request with the same Idempotency-Key.")
        default:
            logger.error(
                "a request failed",
                metadata: [
                    "requestId": "\(requestID)", "method": "\(request.method)",
                    "path": "\(request.target.prefix { $0 != "?" })", "error": "\(error)",
                ])
            return Problem(
                500, "internal", "Something went wrong here", detail: "It was written down; name the request id when you ask about it.")
        }
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }
}
