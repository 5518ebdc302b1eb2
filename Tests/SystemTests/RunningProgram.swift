import AsyncHTTPClient
import Contracts
import Discovery
import Foundation
import Glibc
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOSSL
import Storage
import Synchronization
import TestServers
import Testing

/// All tests of the whole program. One after the other: each has the machine for itself.
@Suite(.serialized, .showingTheLog)
enum WholeSystem {}

/// `ticketflow serve`, the real one, on a data folder of its own and free ports: one process, or many.
final class RunningProgram: Sendable {
    /// The one that the test at hand drives, to show its log where something fails.
    @TaskLocal static var current: RunningProgram?

    /// A process of it.
    final class Part: Sendable {
        /// As `serve` knows it; nothing for all in one.
        let role: String?
        let port: Int
        let output: String
        private let state = Mutex<ChildProcess?>(nil)

        fileprivate init(role: String?, port: Int, output: String) {
            self.role = role
            self.port = port
            self.output = output
        }

        /// Nil before it was started, and after its end was seen.
        fileprivate(set) var process: ChildProcess? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }

        /// Where it listens, once it says so: `http://127.0.0.1:PORT`.
        var address: String? { said(" is ready at ") }
        /// Where operators ask it.
        var operatorAddress: String? { isFront ? said(" is watched at ") : address }
        private var isFront: Bool { role == nil || role == "border-gateway" }

        private func said(_ words: String) -> String? {
            ChildProcess.text(of: output).split(separator: "\n").first { $0.contains(words) }?.split(separator: " ").last.map(String.init)
        }

        func send(_ signal: Int32) {
            process?.send(signal)
        }

        /// Waits for its end.
        func ended(within limit: Duration = .seconds(30)) async throws -> ChildProcess.End? {
            let end = try await process?.wait(atMost: limit)
            process = nil
            return end
        }
    }

    let data: String
    let http: HTTPClient
    /// The front door's last.
    let parts: [Part]
    /// How long the slowest request took.
    let slowest = Mutex(Duration.zero)
    /// Where the registries of the distributed shape are; none where all addresses are fixed.
    let registries: [Int]
    private let database: String?
    private let folder: TemporaryFolder
    private let settings: Mutex<[String: String]>
    private let partSettings: @Sendable (String) -> [String: String]

    /// What every test wants: the sandbox, and passwords that cost little.
    private static let settings = [
        "TICKETFLOW_PAYMENT_PROCESSING_SANDBOX_ENABLED": "true",
        // A test is a thousand people at one address.
        "TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": "off",
        "TICKETFLOW_BORDER_GATEWAY_LIMITS_USER": "off",
        "TICKETFLOW_BORDER_GATEWAY_LIMITS_SIGN_IN": "off",
        "TICKETFLOW_BORDER_GATEWAY_LIMITS_COUPONS": "off",
        "TICKETFLOW_BORDER_GATEWAY_CONNECTIONS_PER_ADDRESS": "100000",
        "TICKETFLOW_AUTHENTICATION_ARGON2_MEMORY_KIBIBYTES": "64",
        "TICKETFLOW_AUTHENTICATION_ARGON2_PASSES": "1",
    ]

    /// - Parameters:
    ///   - servers: of the distributed shape, in which each service runs twice; nil for one process.
    ///   - findsPeers: whether services find each other in two registries; otherwise settings name their addresses.
    ///   - partSettings: in addition, of a part of the distributed shape by its role.
    init(
        _ settings: [String: String], servers: Servers?, findsPeers: Bool, partSettings: @escaping @Sendable (String) -> [String: String],
        http: HTTPClient
    ) throws {
        folder = try TemporaryFolder()
        data = "\(folder.path)/data"
        self.http = http
        database = servers?.database
        var settings = RunningProgram.settings.merging(settings) { $1 }
        if let servers {
            settings["TICKETFLOW_DATABASE_URL"] = servers.database
            settings["TICKETFLOW_BROKER_URL"] = servers.broker
            let roles = Contracts.routes.map(\.service.description).flatMap { [$0, $0] }
            let ports = try Ports.lasting(roles.count + 2)
            if findsPeers {
                registries = Array(ports.suffix(2))
                let urls = registries.map { "http://127.0.0.1:\($0)/eureka" }.joined(separator: ",")
                settings["TICKETFLOW_REGISTRY_URLS"] = urls
                // The same for both: each finds out which one it is.
                settings["TICKETFLOW_SERVICE_REGISTRY_PEERS"] = urls
            } else {
                registries = []
                for (role, addresses) in Dictionary(grouping: zip(roles, ports), by: \.0) {
                    let name = role.uppercased().replacing("-", with: "_")
                    settings["TICKETFLOW_PEERS_\(name)"] = addresses.map { "127.0.0.1:\($0.1)" }.joined(separator: ",")
                }
            }
            let folder = folder.path
            parts =
                registries.map { Part(role: RunningProgram.registry, port: $0, output: "\(folder)/output-registry-\($0)") }
                + zip(roles, ports).map { Part(role: $0, port: $1, output: "\(folder)/output-\($0)-\($1)") }
                + [Part(role: "border-gateway", port: 0, output: "\(folder)/output")]
        } else {
            registries = []
            parts = [Part(role: nil, port: 0, output: "\(folder.path)/output")]
        }
        self.settings = Mutex(settings)
        self.partSettings = partSettings
    }

    static let registry = "service-registry"

    static let repository = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

    /// `TICKETFLOW` names another than the debug build, such as the release build for long runs.
    static let executable = ProcessInfo.processInfo.environment["TICKETFLOW"] ?? "\(repository)/.build/debug/ticketflow"

    /// What the gateway tells those who operate it, and nobody else.
    func ofOperators(_ target: String, _ method: HTTPRequest.Method = .get) async throws -> Answer {
        let address: String = try #require(frontDoor.operatorAddress)
        return try await send(method, target, at: address)
    }

    private var logFile: String { "\(folder.path)/log" }
    private var frontDoor: Part { parts[parts.count - 1] }

    /// Of the front door: `http://127.0.0.1:PORT`.
    var address: String { frontDoor.address ?? "http://127.0.0.1:0" }
    /// Of all parts.
    var log: String { ChildProcess.text(of: logFile) }
    /// What it said to whoever started it.
    var output: String { parts.map { ChildProcess.text(of: $0.output) }.joined() }

    /// The processes of a service.
    func parts(of role: String) -> [Part] { parts.filter { $0.role == role } }

    /// Starts what does not run.
    /// - Parameter settings: by their names in the environment; those of before stay. An empty one is taken away.
    func start(_ settings: [String: String] = [:]) async throws {
        self.settings.withLock { $0 = $0.merging(settings) { $1 }.filter { !$0.value.isEmpty } }
        let stopped = parts.filter { $0.process == nil }
        for part in stopped { try launch(part) }
        for part in stopped { try await waitUntilReady(part) }
        if !registries.isEmpty { for part in parts { try await waitUntilItKnowsAll(part) } }
    }

    /// Waits until a part has heard of all instances of all services that run.
    private func waitUntilItKnowsAll(_ part: Part) async throws {
        for role in Contracts.routes.map(\.service.description) {
            let count = parts(of: role).count { $0.process != nil }
            try await eventually("\(part.role ?? "") knows all instances of \(role)", within: .seconds(30), every: .milliseconds(5)) {
                try await metric("peer_instances{peer=\"\(role)\"}", of: part) == Double(count)
            }
        }
    }

    /// What a part has measured; nil where it has not.
    func metric(_ name: String, of part: Part) async throws -> Double? {
        guard let address = part.operatorAddress else { return nil }
        let answer = try await http.execute(HTTPClientRequest(url: "\(address)/metrics"), timeout: .seconds(5))
        let text = String(buffer: try await answer.body.collect(upTo: 1 << 22))
        return text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
    }

    func start(_ part: Part) async throws {
        try launch(part)
        try await waitUntilReady(part)
    }

    private func launch(_ part: Part) throws {
        let settings = settings.withLock { $0 }.merging(part.role.map(partSettings) ?? [:]) { $1 }
        part.process = try ChildProcess(
            RunningProgram.executable,
            ["serve"] + (part.role.map { [$0] } ?? []) + ["--data", data, "--port", "\(part.port)"],
            environment: settings.merging(["PATH": "/usr/bin:/bin", "HOME": folder.path]) { $1 }, output: part.output, errors: logFile)
    }

    private func waitUntilReady(_ part: Part) async throws {
        func expectLife() throws {
            if let end = part.process?.end { throw EndedAtStart(end: end, log: log) }
        }
        let address = try await eventually("\(part.role ?? "the program") listens", within: .seconds(60), every: .milliseconds(5)) {
            try expectLife()
            return part.operatorAddress == nil ? nil : part.address
        }
        var answer = ""
        do {
            try await eventually("\(part.role ?? "the program") is ready", within: .seconds(60)) {
                try expectLife()
                do {
                    let ready = try await http.execute(HTTPClientRequest(url: "\(address)/health/ready"), timeout: .seconds(5))
                    answer = "\(ready.status.code) \(String(buffer: try await ready.body.collect(upTo: 1 << 16)))"
                    return ready.status == .ok
                } catch {
                    answer = "\(error)"
                    return false
                }
            }
        } catch let late as ChildProcess.Failure {
            throw ChildProcess.Failure(description: "\(late); it said last: \(answer)")
        }
    }

    /// It did not live long enough to be ready: what it found to do may have led it to a fault at once.
    struct EndedAtStart: Error, CustomStringConvertible {
        let end: ChildProcess.End
        let log: String

        var description: String { "the program ended at its start: \(end)\n\(log)" }
    }

    /// As an operator stops it: SIGTERM, and it ends by itself with 0.
    func stop() async throws {
        for part in parts { part.send(SIGTERM) }
        for part in parts {
            guard let end = try await part.ended() else { continue }
            #expect(end == .exit(0), "\(part.role ?? "the program") did not end in peace")
        }
    }

    /// As a power cut stops it.
    func kill9() async throws {
        for part in parts { part.send(SIGKILL) }
        for part in parts { _ = try await part.ended(within: .seconds(10)) }
    }

    func restart(_ settings: [String: String] = [:]) async throws {
        try await stop()
        try await start(settings)
    }

    /// Whether all of it runs; false after a fault that ended a part.
    var isRunning: Bool { parts.allSatisfy { $0.process.map { $0.end == nil } ?? false } }

    /// Waits for a fault to end a part of it, and cuts the power of the others.
    func died(within limit: Duration = .seconds(20)) async throws {
        try await eventually("a fault ends a part", within: limit, every: .milliseconds(5)) { !isRunning }
        let ends = parts.compactMap { $0.process?.end }
        #expect(ends.allSatisfy { $0 == .signal(SIGKILL) }, "it ended otherwise than by the fault: \(ends)")
        try await kill9()
    }

    /// Another command of the same program on the same data, such as `check`.
    func command(_ arguments: String...) async throws -> (end: ChildProcess.End, output: String, errors: String) {
        let settings = settings.withLock { $0 }
        return try await ChildProcess.run(RunningProgram.executable, arguments + ["--data", data], environment: settings)
    }

    /// Demands that the books of the data folder add up.
    func expectCleanBooks(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let check = try await command("check")
        #expect(check.end == .exit(0), "\(comment.map { "\($0): " } ?? "")\(check.output)\(check.errors)", sourceLocation: sourceLocation)
    }

    /// Looks into a service's database, also beside the running program.
    func withDatabase<Result: Sendable>(_ service: String, _ body: (Database) async throws -> Result) async throws -> Result {
        let database =
            if let server = database {
                try Database.postgres(name: service, connectionString: server, schema: service.replacing("-", with: "_"))
            } else {
                try Database.sqlite(name: service, path: "\(data)/\(service).sqlite", readers: 1)
            }
        do {
            let result = try await body(database)
            try await database.close()
            return result
        } catch {
            try? await database.close()
            throw error
        }
    }

    /// Rows of a query on a service's database, column by column.
    func rows(_ service: String, _ query: SQL) async throws -> [Row] {
        try await withDatabase(service) { database in try await database.read { tx in try tx.rows(query) } }
    }

    /// Removes what the test left, unless `TICKETFLOW_KEEP` is set: then it says where it is.
    private func tidyUp() {
        guard ProcessInfo.processInfo.environment["TICKETFLOW_KEEP"] != nil else { return folder.remove() }
        print("kept: \(folder.path)")
    }

    fileprivate func end() async throws {
        defer { tidyUp() }
        // Nothing that a client sends may end in an error that nobody thought of.
        let failures = log.split(separator: "\n").filter { $0.contains("a request failed") }
        #expect(failures.isEmpty, "requests ended in internal errors:\n\(failures.prefix(5).joined(separator: "\n"))")
        try await stop()
    }

    fileprivate func abandon() async {
        try? await kill9()
        tidyUp()
    }
}

/// Starts the program, hands it to the test, and stops it.
/// - Parameters:
///   - settings: by their names in the environment.
///   - partSettings: in addition, of a part of the distributed shape by its role.
func withProgram<Result>(
    _ settings: [String: String] = [:], shape: Shape = .chosen, findsPeers: Bool = true,
    partSettings: @escaping @Sendable (String) -> [String: String] = { _ in [:] }, _ body: (RunningProgram) async throws -> Result
) async throws -> Result {
    try await shape.withServers { servers in
        try await withProgram(settings, on: servers, findsPeers: findsPeers, partSettings: partSettings, body)
    }
}

/// The same in the distributed shape on servers of the test's own; nil for all in one process.
func withProgram<Result>(
    _ settings: [String: String] = [:], on servers: Servers?, findsPeers: Bool = true,
    partSettings: @escaping @Sendable (String) -> [String: String] = { _ in [:] }, _ body: (RunningProgram) async throws -> Result
) async throws -> Result {
    FileDescriptors.raise()
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_200
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.connect = .seconds(20)
    configuration.redirectConfiguration = .disallow
    // A test's certificate is its own authority; other clients look at it.
    var encryption = TLSConfiguration.makeClientConfiguration()
    encryption.certificateVerification = .none
    configuration.tlsConfiguration = encryption
    let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    let program = try RunningProgram(settings, servers: servers, findsPeers: findsPeers, partSettings: partSettings, http: http)
    return try await RunningProgram.$current.withValue(program) {
        do {
            try await program.start()
            let result = try await body(program)
            try await program.end()
            try await http.shutdown()
            return result
        } catch {
            // Told here, where the log still is.
            Issue.record(error)
            await program.abandon()
            try await http.shutdown()
            throw Told()
        }
    }
}

/// An error that was reported already.
struct Told: Error {}

private enum FileDescriptors {
    /// A thousand clients are a thousand connections.
    static func raise() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

extension Trait where Self == IssueHandlingTrait {
    /// Adds the end of the program's log to what failed.
    static var showingTheLog: Self {
        .compactMapIssues { issue in
            if issue.error is Told { return nil }
            guard let program = RunningProgram.current else { return issue }
            var issue = issue
            let lines = program.log.split(separator: "\n").filter { !$0.contains("\"level\":\"info\"") }.suffix(15)
            if !lines.isEmpty { issue.comments.append("the log ends with:\n\(lines.joined(separator: "\n"))") }
            return issue
        }
    }
}
