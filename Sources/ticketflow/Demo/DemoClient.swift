import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import ServiceLifecycle
import Values

/// A request to the system's public HTTP API: method, target, fields and JSON in, status and JSON out.
typealias DemoCall = @Sendable (HTTPRequest.Method, String, [String: String], [UInt8]) async throws -> (status: Int, json: [UInt8])

/// Speaks to the public HTTP API with the types of `Contracts`.
struct DemoClient: Sendable {
    /// An answer that is none of the expected ones.
    struct Refusal: Error, CustomStringConvertible {
        let request: String
        let status: Int
        let problem: Problem?

        var description: String {
            "\(request) was answered \(status)\(problem.map { " \($0.code): \($0.detail ?? $0.title)" } ?? "")"
        }
    }

    private static let repetitions = 10

    private let call: DemoCall

    init(_ call: @escaping DemoCall) {
        self.call = call
    }

    /// - Parameters:
    ///   - token: of whoever asks.
    ///   - key: the request's Idempotency-Key.
    func send<Answer: Decodable>(
        _ route: Route, _ parameters: [String] = [], token: String? = nil, key: String? = nil, headers: [String: String] = [:],
        body: (any Encodable & Sendable)? = nil, answer: Answer.Type = Answer.self
    ) async throws -> Answer {
        var headers = headers
        if let token { headers["Authorization"] = "Bearer \(token)" }
        if let key { headers["Idempotency-Key"] = key }
        var json: [UInt8] = []
        if let body {
            headers["Content-Type"] = "application/json"
            json = try JSON.bytes(of: body)
        }
        let target = route.path(parameters)
        var (status, bytes) = try await call(route.method, target, headers, json)
        // A busy system says so; the same request with the same key is the same request.
        for _ in 0..<DemoClient.repetitions where status == 503 && !Task.isShuttingDownGracefully {
            try await Task.sleep(for: .seconds(1))
            (status, bytes) = try await call(route.method, target, headers, json)
        }
        guard (200..<300).contains(status) else {
            throw Refusal(request: "\(route.method) \(target)", status: status, problem: try? JSON.value(Problem.self, from: bytes))
        }
        return try JSON.value(Answer.self, from: bytes)
    }
}
