import AsyncHTTPClient
import Contracts
import Foundation
import Glibc
import HTTPTypes
import NIOCore
import Storage
import Synchronization
import Testing

/// All tests of the whole program. One after the other: each has the machine for itself.
@Suite(.serialized, .showingTheLog)
enum WholeSystem {}

/// `ticketflow serve`, the real one, on a data folder of its own and a free port.
final class RunningProgram: Sendable {
    /// The one that the test at hand drives, to show its log where something fails.
    @TaskLocal static var current: RunningProgram?

    private struct State {
        var process: ChildProcess?
        var address = ""
        var settings: [String: String]
    }

    let data: String
    let http: HTTPClient
    private let folder: TemporaryFolder
    private let state: Mutex<State>

    /// What every test wants: the sandbox, and passwords that cost little.
    private static let settings = [
        "TICKETFLOW_PAYMENT_PROCESSING_SANDBOX_ENABLED": "true",
        "TICKETFLOW_AUTHENTICATION_ARGON2_MEMORY_KIBIBYTES": "64",
        "TICKETFLOW_AUTHENTICATION_ARGON2_PASSES": "1",
    ]

    init(_ settings: [String: String], http: HTTPClient) throws {
        folder = try TemporaryFolder()
        data = "\(folder.path)/data"
        self.http = http
        state = Mutex(State(settings: RunningProgram.settings.merging(settings) { $1 }))
    }

    static let repository = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

    /// `TICKETFLOW` names another than the debug build, such as the release build for long runs.
    static let executable = ProcessInfo.processInfo.environment["TICKETFLOW"] ?? "\(repository)/.build/debug/ticketflow"

    private var outputFile: String { "\(folder.path)/output" }
    private var logFile: String { "\(folder.path)/log" }

    /// `http://127.0.0.1:PORT`.
    var address: String { state.withLock { $0.address } }
    var log: String { ChildProcess.text(of: logFile) }
    /// What it said to whoever started it.
    var output: String { ChildProcess.text(of: outputFile) }
    private var process: ChildProcess? { state.withLock { $0.process } }

    /// - Parameter settings: by their names in the environment; those of before stay. An empty one is taken away.
    func start(_ settings: [String: String] = [:]) async throws {
        let settings = state.withLock { state in
            state.settings = state.settings.merging(settings) { $1 }.filter { !$0.value.isEmpty }
            return state.settings
        }
        let process = try ChildProcess(
            RunningProgram.executable, ["serve", "--data", data, "--port", "0"],
            environment: settings.merging(["PATH": "/usr/bin:/bin", "HOME": folder.path]) { $1 }, output: outputFile, errors: logFile)
        state.withLock { $0.process = process }
        func expectLife() throws {
            if let end = process.end { throw EndedAtStart(end: end, log: log) }
        }
        let address = try await eventually("the program listens", within: .seconds(60), every: .milliseconds(5)) {
            try expectLife()
            return output.split(separator: "\n").first { $0.hasPrefix("TicketFlow is ready at ") }?.split(separator: " ").last
        }
        state.withLock { $0.address = String(address) }
        var answer = ""
        do {
            try await eventually("the program is ready") {
                try expectLife()
                do {
                    let ready = try await send(.get, "/health/ready", timeout: .seconds(5))
                    answer = "\(ready.status) \(ready.text)"
                    return ready.status == 200
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
        guard let process else { return }
        process.send(SIGTERM)
        let end = try await process.wait(atMost: .seconds(30))
        #expect(end == .exit(0), "the program did not end in peace")
        state.withLock { $0.process = nil }
    }

    /// As a power cut stops it.
    func kill9() async throws {
        guard let process else { return }
        process.send(SIGKILL)
        try await process.wait(atMost: .seconds(10))
        state.withLock { $0.process = nil }
    }

    func restart(_ settings: [String: String] = [:]) async throws {
        try await stop()
        try await start(settings)
    }

    /// Whether it runs; false after a fault that ended it.
    var isRunning: Bool { process.map { $0.end == nil } ?? false }

    /// Waits for a fault to end it.
    func died(within limit: Duration = .seconds(20)) async throws {
        guard let process else { return }
        let end = try await process.wait(atMost: limit)
        #expect(end == .signal(SIGKILL), "the program ended otherwise than by the fault")
        state.withLock { $0.process = nil }
    }

    /// Another command of the same program on the same data, such as `check`.
    func command(_ arguments: String...) async throws -> (end: ChildProcess.End, output: String, errors: String) {
        let settings = state.withLock { $0.settings }
        return try await ChildProcess.run(RunningProgram.executable, arguments + ["--data", data], environment: settings)
    }

    /// Demands that the books of the data folder add up.
    func expectCleanBooks(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let check = try await command("check")
        #expect(check.end == .exit(0), "\(comment.map { "\($0): " } ?? "")\(check.output)\(check.errors)", sourceLocation: sourceLocation)
    }

    /// Looks into a service's database, also beside the running program.
    func withDatabase<Result: Sendable>(_ service: String, _ body: (Database) async throws -> Result) async throws -> Result {
        let database = try Database.sqlite(name: service, path: "\(data)/\(service).sqlite", readers: 1)
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
        if isRunning { try await stop() }
    }

    fileprivate func abandon() async {
        try? await kill9()
        tidyUp()
    }
}

/// Starts the program, hands it to the test, and stops it.
/// - Parameter settings: by their names in the environment.
func withProgram<Result>(_ settings: [String: String] = [:], _ body: (RunningProgram) async throws -> Result) async throws -> Result {
    FileDescriptors.raise()
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_200
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.connect = .seconds(20)
    configuration.redirectConfiguration = .disallow
    let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    let program = try RunningProgram(settings, http: http)
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
