import FoundationEssentials
package import HTTPTypes
import Values

/// What the typed clients of `Contracts` are made of: routes in, values or `Problem`s out.
package struct PeerClient: Sendable {
    /// As whom a call is made.
    package enum Caller: Sendable {
        /// As this service, under the token that Authentication issued to it.
        case itself
        /// With the caller's own token handed on.
        case token(String)
        case nobody
    }

    private let service: ServiceName
    private let transport: any Transport
    private let ownToken: @Sendable () async throws -> String

    package init(
        service: ServiceName, transport: any Transport, ownToken: @escaping @Sendable () async throws -> String
    ) {
        self.service = service
        self.transport = transport
        self.ownToken = ownToken
    }

    package func call<Answer: Decodable>(
        _ route: Route, _ parameters: [String] = [], query: [(String, String)] = [], as caller: Caller = .itself,
        idempotencyKey: String? = nil, body: (any Encodable & Sendable)? = nil, answer: Answer.Type = Answer.self
    ) async throws -> Answer {
        let response = try await send(route, parameters, query: query, as: caller, idempotencyKey: idempotencyKey, body: body)
        return try response.answer(Answer.self)
    }

    /// For calls whose answer has no body that matters.
    package func perform(
        _ route: Route, _ parameters: [String] = [], query: [(String, String)] = [], as caller: Caller = .itself,
        idempotencyKey: String? = nil, body: (any Encodable & Sendable)? = nil
    ) async throws {
        _ = try await send(route, parameters, query: query, as: caller, idempotencyKey: idempotencyKey, body: body)
    }

    private func send(
        _ route: Route, _ parameters: [String], query: [(String, String)], as caller: Caller,
        idempotencyKey: String?, body: (any Encodable & Sendable)?
    ) async throws -> PeerResponse {
        if Deadline.isOver { throw Problem.unavailable("The time for this request is over.") }
        var headers = HTTPFields()
        switch caller {
        case .itself: headers[.authorization] = "Bearer \(try await ownToken())"
        case .token(let token): headers[.authorization] = "Bearer \(token)"
        case .nobody: break
        }
        if let requestID = Correlation.id { headers[.requestID] = requestID }
        if let traceparent = Correlation.traceparent { headers[.traceparent] = traceparent }
        if let idempotencyKey { headers[.idempotencyKey] = idempotencyKey }
        var bytes: [UInt8] = []
        if let body {
            headers[.contentType] = "application/json"
            bytes = try JSON.bytes(of: body)
        }
        var target = route.path(parameters)
        if !query.isEmpty {
            target += "?" + query.map { "\($0.percentEncoded())=\($1.percentEncoded())" }.joined(separator: "&")
        }
        let response = try await transport.send(
            PeerRequest(
                method: route.method, target: target, headers: headers, body: bytes,
                isRepeatable: route.isRepeatable || idempotencyKey != nil),
            to: service)
        guard (200..<300).contains(response.status) else {
            if var problem = try? JSON.value(Problem.self, from: response.body) {
                problem.retryAfter = response.headers[.retryAfter].flatMap { Int($0) }
                throw problem
            }
            throw Problem.unavailable("\(service) answered \(response.status).")
        }
        return response
    }
}

extension HTTPFields {
    /// What the subscript says, without a sequence of values and a text made of it where there is one, as there nearly always is.
    package func value(of name: HTTPField.Name) -> String? {
        var value: String?
        for field in self where field.name == name { value = value.map { "\($0), \(field.value)" } ?? field.value }
        return value
    }
}

extension HTTPField.Name {
    package static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    package static let requestID = HTTPField.Name("X-Request-Id")!
    /// How long the caller still waits, in milliseconds: clocks of two machines differ, a span is the same on both.
    package static let timeLeft = HTTPField.Name("X-Time-Left")!
}
