import AsyncHTTPClient
import Contracts
import Discovery
import Foundation
import Glibc
import NIOCore
import NIOHTTP1
import Synchronization
import TestServers
import Testing

/// `ticketflow serve config-server` on a repository of a test's own.
final class ConfigServerProcess: Sendable {
    static let operatorPassword = "operator-password"
    static let readerPassword = "reader-password"

    let repository: GitRepository
    let url: String
    private let port: Int
    private let folder: TemporaryFolder
    private let http: HTTPClient
    private let process = Mutex<ChildProcess?>(nil)

    private init(_ files: [String: String], http: HTTPClient) async throws {
        folder = try TemporaryFolder()
        repository = try await GitRepository.make(files)
        port = try Ports.lasting(1)[0]
        url = "http://127.0.0.1:\(port)"
        self.http = http
    }

    /// What a program needs to take its settings from here.
    var clientSettings: [String: String] {
        [
            "TICKETFLOW_CONFIG_URLS": url, "TICKETFLOW_CONFIG_USER": "reader",
            "TICKETFLOW_CONFIG_PASSWORD": ConfigServerProcess.readerPassword,
        ]
    }

    private static let roles = Contracts.routes.map(\.service.description) + [RunningProgram.registry, "border-gateway"]

    /// Of the user that has the name of a role.
    static func password(of role: String) -> String { "password of \(role)" }

    /// What a part needs to take its settings from here as a user of its own.
    @Sendable func clientSettings(of role: String) -> [String: String] {
        [
            "TICKETFLOW_CONFIG_URLS": url, "TICKETFLOW_CONFIG_USER": role,
            "TICKETFLOW_CONFIG_PASSWORD": ConfigServerProcess.password(of: role),
        ]
    }

    func start() async throws {
        let settings = [
            "PATH": "/usr/bin:/bin", "HOME": folder.path, "TICKETFLOW_CONFIG_SERVER_BACKENDS": "git:\(repository.path)",
            "TICKETFLOW_CONFIG_SERVER_USERS": (["reader", "operator"] + ConfigServerProcess.roles).joined(separator: ","),
            "TICKETFLOW_CONFIG_SERVER_USER_READER_PASSWORD": ConfigServerProcess.readerPassword,
            "TICKETFLOW_CONFIG_SERVER_USER_READER_APPLICATIONS": "*",
            "TICKETFLOW_CONFIG_SERVER_USER_OPERATOR_PASSWORD": ConfigServerProcess.operatorPassword,
            "TICKETFLOW_CONFIG_SERVER_USER_OPERATOR_APPLICATIONS": "*",
            "TICKETFLOW_CONFIG_SERVER_USER_OPERATOR_MAY": "encrypt,decrypt,monitor",
            "TICKETFLOW_CONFIG_SERVER_ENCRYPT_KEY": "a key for tests",
            // What is in force in time is so because it was announced.
            "TICKETFLOW_CONFIG_SERVER_REFRESH_SECONDS": "3600",
        ]
        // Each reads its own settings and what all share, and no other's.
        let passwords = Dictionary(
            uniqueKeysWithValues: ConfigServerProcess.roles.map { role in
                (
                    "TICKETFLOW_CONFIG_SERVER_USER_\(role.uppercased().replacing("-", with: "_"))_PASSWORD",
                    ConfigServerProcess.password(of: role)
                )
            })
        let started = try ChildProcess(
            RunningProgram.executable, ["serve", "config-server", "--data", "\(folder.path)/data", "--port", "\(port)"],
            environment: settings.merging(passwords) { $1 }, output: "\(folder.path)/output", errors: "\(folder.path)/log")
        process.withLock { $0 = started }
        try await eventually("the Config Server is ready", within: .seconds(30)) {
            if let end = started.end { throw ChildProcess.Failure(description: "the Config Server ended: \(end)\n\(self.log)") }
            return try? await self.http.execute(HTTPClientRequest(url: "\(self.url)/health/ready"), timeout: .seconds(2)).status == .ok
        }
    }

    func stop() async throws {
        let running = process.withLock { process in
            defer { process = nil }
            return process
        }
        running?.send(SIGTERM)
        #expect(try await running?.wait(atMost: .seconds(30)) == .exit(0))
    }

    var log: String { ChildProcess.text(of: "\(folder.path)/log") }

    /// As the operator.
    @discardableResult
    func post(_ path: String, _ body: String, type: String = "application/x-www-form-urlencoded") async throws -> String {
        var request = HTTPClientRequest(url: url + path)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: type)
        request.setBasicAuth(username: "operator", password: ConfigServerProcess.operatorPassword)
        request.body = .bytes(ByteBuffer(string: body))
        let answer = try await http.execute(request, timeout: .seconds(20))
        let text = String(buffer: try await answer.body.collect(upTo: 1 << 20))
        #expect(answer.status == .ok, "\(path) was answered \(answer.status): \(text)")
        return text
    }

    /// Commits files and announces them, as a webhook would.
    func publish(_ files: [String: String]) async throws {
        try await repository.commit(files)
        try await post("/monitor", files.keys.sorted().map { "path=\($0)" }.joined(separator: "&"))
    }

    private func remove() {
        process.withLock { $0 }?.send(SIGKILL)
        repository.remove()
        folder.remove()
    }

    /// Starts one, hands it to the test, and stops it.
    static func with(_ files: [String: String], _ body: (ConfigServerProcess) async throws -> Void) async throws {
        let http = HTTPClient(eventLoopGroupProvider: .singleton)
        let server = try await ConfigServerProcess(files, http: http)
        do {
            try await server.start()
            try await body(server)
            if server.process.withLock({ $0 != nil }) { try await server.stop() }
        } catch {
            Issue.record(error, "\(server.log.suffix(2_000))")
        }
        server.remove()
        try await http.shutdown()
    }
}
