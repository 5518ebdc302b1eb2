package import HTTPTypes
import Synchronization
import Values

/// A call of a peer.
package struct PeerRequest: Sendable {
    package var method: HTTPRequest.Method
    /// Path and query.
    package var target: String
    package var headers: HTTPFields
    package var body: [UInt8]
    /// Whether it may arrive twice and still have its effect once.
    package var isRepeatable: Bool

    package init(method: HTTPRequest.Method, target: String, headers: HTTPFields, body: [UInt8], isRepeatable: Bool) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.isRepeatable = isRepeatable
    }
}

package struct PeerResponse: Sendable {
    package var status: Int
    package var headers: HTTPFields
    package var body: [UInt8]
    /// What a peer in the same process answers instead of a body.
    package var value: (any Encodable & Sendable)?

    package init(status: Int, headers: HTTPFields, body: [UInt8], value: (any Encodable & Sendable)? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.value = value
    }

    /// The answer as what the caller knows of it.
    func answer<Answer: Decodable>(_ type: Answer.Type) throws -> Answer {
        guard let value else { return try JSON.value(type, from: body) }
        return try value as? Answer ?? JSON.value(type, from: JSON.bytes(of: value))
    }
}

/// How a call reaches a peer: in this process, or over the network to an instance of it.
///
/// Throws `Problem` 503 when the peer cannot be reached. `Deadline.current` bounds the wait.
package protocol Transport: Sendable {
    func send(_ request: PeerRequest, to service: ServiceName) async throws -> PeerResponse
}

/// Calls the peer's own router, no socket. Peers need each other, so they are entered once all are made.
package final class InProcessTransport: Transport {
    package typealias Responder = @Sendable (PeerRequest) async throws -> PeerResponse

    private let responders = Mutex<[ServiceName: Responder]>([:])
    private let elsewhere: (any Transport)?

    /// - Parameter elsewhere: reaches the peers that do not run in this process; nil where all do.
    package init(elsewhere: (any Transport)? = nil) {
        self.elsewhere = elsewhere
    }

    package func enter(_ service: ServiceName, _ responder: @escaping Responder) {
        responders.withLock { $0[service] = responder }
    }

    package func send(_ request: PeerRequest, to service: ServiceName) async throws -> PeerResponse {
        if let responder = responders.withLock({ $0[service] }) { return try await responder(request) }
        guard let elsewhere else { throw Problem.unavailable("The service \(service) does not run here.") }
        return try await elsewhere.send(request, to: service)
    }
}
