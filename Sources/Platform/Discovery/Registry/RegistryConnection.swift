import AsyncHTTPClient
import NIOCore
import NIOHTTP1
package import Values

/// The HTTP client under conversations with registries. To be closed.
package struct RegistryConnections: Sendable {
    private let client: HTTPClient

    package init() {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(1)
        // A stream says something every few seconds, or it is dead.
        configuration.timeout.read = .seconds(12)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    package func to(_ address: RegistryAddress) -> RegistryConnection {
        RegistryConnection(address: address, client: client)
    }

    package func close() async throws {
        try await client.shutdown()
    }
}

/// What is asked of one registry, in Eureka's protocol.
package struct RegistryConnection: Sendable {
    /// An answer that was not hoped for.
    package struct Refused: Error, CustomStringConvertible {
        package let status: Int
        package let description: String
    }

    package let address: RegistryAddress
    fileprivate let client: HTTPClient

    private static let timeLimit = TimeSpan.seconds(2)
    private static let largestAnswer = 64 << 20

    fileprivate init(address: RegistryAddress, client: HTTPClient) {
        self.address = address
        self.client = client
    }

    // MARK: For an instance

    package func register(_ instance: RegisteredInstance) async throws {
        try demand(await send(.POST, "/apps/\(instance.app.percentEncoded())", body: instance.document(.json)))
    }

    /// - Returns: whether it is registered there.
    package func renew(_ instance: RegisteredInstance) async throws -> Bool {
        try isKnown(
            await send(.PUT, path(of: instance) + "?status=\(instance.status.rawValue)&lastDirtyTimestamp=\(instance.lastDirtyAt)"))
    }

    package func cancel(_ instance: RegisteredInstance, within limit: TimeSpan = timeLimit) async throws {
        _ = try isKnown(await send(.DELETE, path(of: instance), within: limit))
    }

    /// - Returns: whether it is registered there.
    package func setStatus(
        _ status: RegisteredInstance.Status, of instance: RegisteredInstance, within limit: TimeSpan = timeLimit
    ) async throws -> Bool {
        try isKnown(
            await send(
                .PUT, path(of: instance) + "/status?value=\(status.rawValue)&lastDirtyTimestamp=\(instance.lastDirtyAt)", within: limit))
    }

    // MARK: For who looks for instances

    package func everything(asPeer: Bool = false) async throws -> RegistryListing {
        try JSON.value(from: demand(await send(.GET, "/apps/", asPeer: asPeer)))
    }

    /// What has changed in the last minutes.
    package func recentChanges() async throws -> RegistryListing {
        try JSON.value(from: demand(await send(.GET, "/apps/delta")))
    }

    /// Hands out events for as long as they come.
    /// - Parameters:
    ///   - id: of the last event that was seen; nil for none.
    ///   - onOpen: is told once the server has begun to answer.
    /// - Returns: false where the server has no such stream, as none but TicketFlow's has.
    package func followChanges(
        after id: String?, onOpen: () async -> Void, _ body: (ServerSentEvent) async throws -> Void
    ) async throws -> Bool {
        var request = request(.GET, "/changes", asPeer: false)
        request.headers.replaceOrAdd(name: "Accept", value: "text/event-stream")
        if let id { request.headers.add(name: "Last-Event-ID", value: id) }
        let response = try await client.execute(request, deadline: .distantFuture)
        guard response.status == .ok, response.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") ?? false else {
            if response.status.code >= 500 || response.status == .unauthorized { throw refusal(response.status.code, []) }
            return false
        }
        await onOpen()
        // The first event is the whole list.
        var parser = ServerSentEventParser(longest: RegistryConnection.largestAnswer)
        for try await bytes in response.body {
            for event in try parser.take(bytes.readableBytesView) { try await body(event) }
        }
        return true
    }

    // MARK: Between registries

    /// Hands on what happened here to a peer.
    /// - Returns: its answer, and its name for itself, where it has one.
    package func replicate(_ batch: [UInt8]) async throws -> (answer: [UInt8], registry: String?) {
        let answer = try await send(.POST, "/peerreplication/batch/", body: batch, asPeer: true)
        return (try demand(answer), answer.registry)
    }

    // MARK: Requests

    private struct Answer {
        let status: UInt
        let body: [UInt8]
        let registry: String?
    }

    private func path(of instance: RegisteredInstance) -> String {
        "/apps/\(instance.app.percentEncoded())/\(instance.id.percentEncoded())"
    }

    private func request(_ method: HTTPMethod, _ path: String, asPeer: Bool) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: address.url + path)
        request.method = method
        request.headers.add(name: "Accept", value: "application/json")
        if let authorization = address.authorization { request.headers.add(name: "Authorization", value: authorization) }
        if asPeer { request.headers.add(name: "x-netflix-discovery-replication", value: "true") }
        return request
    }

    private func send(
        _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, asPeer: Bool = false, within limit: TimeSpan = timeLimit
    ) async throws -> Answer {
        var request = request(method, path, asPeer: asPeer)
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let (response, bytes) = try await within(limit) { [client, request] in
            let response = try await client.execute(request, deadline: .now() + .microseconds(limit.microseconds))
            return (response, try await response.body.collect(upTo: RegistryConnection.largestAnswer))
        }
        return Answer(
            status: response.status.code, body: Array(bytes.readableBytesView), registry: response.headers.first(name: "X-Registry-Id"))
    }

    @discardableResult
    private func demand(_ answer: Answer) throws -> [UInt8] {
        guard (200..<300).contains(answer.status) else { throw refusal(answer.status, answer.body) }
        return answer.body
    }

    private func isKnown(_ answer: Answer) throws -> Bool {
        if answer.status == 404 { return false }
        try demand(answer)
        return true
    }

    private func refusal(_ status: UInt, _ body: [UInt8]) -> Refused {
        Refused(status: Int(status), description: "\(address) answered \(status) \(String(decoding: body.prefix(200), as: UTF8.self))")
    }
}
