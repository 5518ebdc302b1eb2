import Configuration
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import ServiceLifecycle
import ServiceRegistry
import Synchronization
import TestServers
import Testing
import Values

/// A registry as a client sees it, in this process.
struct RegistryDesk: Sendable {
    let server: RegistryServer

    init(_ settings: [AbsoluteConfigKey: ConfigValue] = [:]) throws {
        server = try RegistryServer(
            EdgeEnvironment(
                configuration: ConfigReader(provider: InMemoryProvider(values: settings)), folder: "/nowhere", logger: .silent))
    }

    func call(
        _ method: HTTPRequest.Method, _ target: String, _ fields: HTTPFields = [:], body: String? = nil
    ) async -> Reply {
        var headers = fields
        if let body, headers[.contentType] == nil {
            headers[.contentType] = body.hasPrefix("<") ? "application/xml" : "application/json"
        }
        return await server.respond(
            to: IncomingRequest(method: method, target: target, headers: headers, body: Array((body ?? "").utf8)))
    }

    /// The answer as JSON.
    func read<Value: Decodable>(_ target: String, as type: Value.Type = Value.self) async throws -> Value {
        let reply = await call(.get, target, [.accept: "application/json"])
        #expect(reply.status == .ok, "\(target)")
        return try JSON.value(from: reply.body)
    }

    func everything() async throws -> RegistryListing { try await read("/eureka/apps/") }
    func delta() async throws -> RegistryListing { try await read("/eureka/apps/delta") }

    /// The instance, or nil for 404.
    func instance(_ app: String = "SHOP", _ id: String = "a") async throws -> RegisteredInstance? {
        let reply = await call(.get, "/eureka/apps/\(app)/\(id)", [.accept: "application/json"])
        if reply.status == .notFound { return nil }
        return try JSON.value(EnclosedInstance.self, from: reply.body).instance
    }

    @discardableResult
    func register(_ instance: RegisteredInstance, _ fields: HTTPFields = [:]) async -> Reply {
        await call(
            .post, "/eureka/apps/\(instance.app.percentEncoded())", fields,
            body: String(decoding: instance.document(.json), as: UTF8.self))
    }
}

extension RegisteredInstance {
    static func example(_ id: String = "a", app: String = "SHOP", port: Int = 8_080, status: Status = .up) -> RegisteredInstance {
        var instance = RegisteredInstance(id: id, app: app, hostName: "host-\(id)", ipAddress: "10.0.0.7", port: port, status: status)
        instance.lastDirtyAt = 1_000
        return instance
    }
}

extension Reply {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension HTTPFields {
    static let fromPeer: HTTPFields = [HTTPField.Name("x-netflix-discovery-replication")!: "true"]
    static let json: HTTPFields = [.accept: "application/json"]
}

extension Logger {
    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A registry that listens, for as long as the body runs.
/// - Parameters:
///   - port: 0 for any.
///   - answer: what is answered instead of the registry; nil where the registry answers.
func withListeningRegistry(
    port: Int = 0, _ settings: [AbsoluteConfigKey: ConfigValue] = [:],
    answer: @escaping @Sendable (IncomingRequest) -> Reply? = { _ in nil },
    _ body: (RegistryDesk, Int) async throws -> Void
) async throws {
    let desk = try RegistryDesk(settings)
    // A process that another test has just started holds what was open here until it has closed it, also a port of an earlier life.
    try await eventually("port \(port) is free") { Ports.isFree(port, reuse: true) }
    let (ready, isReady) = AsyncStream.makeStream(of: Int.self)
    let listener = HTTPListener(
        host: "127.0.0.1", port: port, largestBody: RegistryServer.largestBody, takes: .anything, logger: .silent,
        onReady: {
            isReady.yield($0)
            isReady.finish()
        },
        respond: { request in
            if let answer = answer(request) { return answer }
            return await desk.server.respond(to: request)
        })
    let services = desk.server.services + [listener]
    try await withRunning(services, onEnd: { isReady.finish() }) {
        let port = try #require(await ready.first { _ in true })
        try await eventually("the registry is ready") { await desk.call(.get, "/eureka/apps/").status != .serviceUnavailable }
        try await body(desk, port)
    }
}

/// Runs services for as long as the body runs.
/// - Parameter onEnd: is told when they have ended, also by themselves. Their error is the one that is thrown.
func withRunning(
    _ services: [any Service], onEnd: @escaping @Sendable () -> Void = {}, _ body: () async throws -> Void
) async throws {
    let group = ServiceGroup(services: services, gracefulShutdownSignals: [], cancellationSignals: [], logger: .silent)
    async let running: Void = run(group, onEnd)
    do {
        try await body()
    } catch {
        await group.triggerGracefulShutdown()
        try await running
        throw error
    }
    await group.triggerGracefulShutdown()
    try await running
}

private func run(_ group: ServiceGroup, _ onEnd: () -> Void) async throws {
    defer { onEnd() }
    try await group.run()
}

struct NeverCame: Error, CustomStringConvertible {
    let description: String
}

/// Asks again and again until it holds.
func eventually(_ what: String, within limit: Duration = .seconds(60), _ holds: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !holds() {
        guard ContinuousClock.now < end else { throw NeverCame(description: "in \(limit) it never came that \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
