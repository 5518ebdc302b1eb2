import AsyncHTTPClient
import Contracts
import Discovery
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization
import Values

/// What came back.
struct Answer: Sendable {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]

    func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value { try JSON.value(type, from: body) }
    var text: String { String(decoding: body, as: UTF8.self) }
    /// The last part of the problem's type, such as `sold-out`; nil for anything that is no problem document.
    var problem: String? {
        guard headers["content-type"] == "application/problem+json" else { return nil }
        return (try? JSON.value(Problem.self, from: body))?.code
    }
    /// Nobody there could do it, or say that it was done; it may be asked again.
    var isPutOff: Bool { (502...504).contains(status) }
    /// The problem without what differs from request to request.
    var problemWithoutRequest: [String: String] {
        let object = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
        return object.filter { $0.key != "requestId" }.mapValues { "\($0)" }
    }
}

/// Who makes a request: the fields that say so.
struct Caller: Sendable {
    var fields: [String: String] = [:]

    static let nobody = Caller()
    static func bearer(_ token: String) -> Caller { Caller(fields: ["Authorization": "Bearer \(token)"]) }
    static func cart(_ token: String) -> Caller { Caller(fields: ["X-Cart-Token": token]) }
    static func order(_ token: String) -> Caller { Caller(fields: ["X-Order-Token": token]) }
}

/// A status that the test had not asked for.
struct UnexpectedAnswer: Error, CustomStringConvertible {
    let request: String
    let answer: Answer

    var description: String { "\(request) was answered \(answer.status): \(answer.text.prefix(2_000))" }
}

extension RunningProgram {
    /// A request as it is, with a body as it is.
    /// - Parameter place: instead of the front door.
    func send(
        _ method: HTTPRequest.Method, _ target: String, as caller: Caller = .nobody, headers: [String: String] = [:], bytes: [UInt8]? = nil,
        timeout: Duration = .seconds(40), at place: String? = nil
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: (place ?? address) + target)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for (name, value) in caller.fields.merging(headers, uniquingKeysWith: { $1 }) {
            request.headers.replaceOrAdd(name: name, value: value)
        }
        if let bytes { request.body = .bytes(ByteBuffer(bytes: bytes)) }
        let start = ContinuousClock.now
        defer { slowest.withLock { $0 = max($0, ContinuousClock.now - start) } }
        let response = try await http.execute(request, timeout: TimeAmount(timeout))
        let body = try await response.body.collect(upTo: 8 << 20)
        return Answer(
            status: Int(response.status.code),
            headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }, body: Array(body.readableBytesView))
    }

    /// An operation of the API.
    /// - Parameters:
    ///   - parameters: of the path, in their order.
    ///   - query: with its question mark.
    ///   - key: the Idempotency-Key.
    func call(
        _ route: Route, _ parameters: [String] = [], query: String = "", as caller: Caller = .nobody, key: String? = nil,
        body: (any Encodable & Sendable)? = nil, timeout: Duration = .seconds(40)
    ) async throws -> Answer {
        var headers: [String: String] = [:]
        if let key { headers["Idempotency-Key"] = key }
        if body != nil { headers["Content-Type"] = "application/json" }
        return try await send(
            route.method, route.path(parameters) + query, as: caller, headers: headers,
            bytes: try body.map { try JSON.bytes(of: $0) }, timeout: timeout)
    }

    /// An operation that succeeds. Throws `UnexpectedAnswer` if it does not.
    func ask<Value: Decodable>(
        _ route: Route, _ parameters: [String] = [], query: String = "", as caller: Caller = .nobody, key: String? = nil,
        body: (any Encodable & Sendable)? = nil, for type: Value.Type = Value.self
    ) async throws -> Value {
        try await done(route, parameters, query: query, as: caller, key: key, body: body).json()
    }

    @discardableResult
    func done(
        _ route: Route, _ parameters: [String] = [], query: String = "", as caller: Caller = .nobody, key: String? = nil,
        body: (any Encodable & Sendable)? = nil
    ) async throws -> Answer {
        let answer = try await call(route, parameters, query: query, as: caller, key: key, body: body)
        guard (200..<300).contains(answer.status) else {
            throw UnexpectedAnswer(request: "\(route.method) \(route.path(parameters))", answer: answer)
        }
        return answer
    }
}
