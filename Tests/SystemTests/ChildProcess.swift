import Foundation
import Glibc
import Synchronization

/// A program that a test started: its output goes to files, it is ended by its id alone.
final class ChildProcess: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// How it ended: the number that it exited with, or the signal that ended it.
    enum End: Hashable, Sendable {
        case exit(Int32)
        case signal(Int32)
    }

    let id: pid_t
    private let ended = Mutex<End?>(nil)

    /// - Parameters:
    ///   - environment: all of it; nothing is inherited.
    ///   - output: a file for standard output, made anew.
    ///   - errors: a file for standard error, appended to.
    init(_ program: String, _ arguments: [String], environment: [String: String], output: String, errors: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // Threads of the test's runtime block signals; the child must hear them.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            argv.forEach { free($0) }
            envp.forEach { free($0) }
        }
        var id: pid_t = 0
        let error = posix_spawn(&id, program, &actions, &attributes, &argv, &envp)
        guard error == 0 else { throw Failure(description: "\(program) cannot be started: \(String(cString: strerror(error)))") }
        self.id = id
    }

    /// Nil while it runs.
    var end: End? {
        ended.withLock { ended in
            if ended == nil {
                var status: Int32 = 0
                if waitpid(id, &status, WNOHANG) == id {
                    let signal = status & 0x7F
                    ended = signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
                }
            }
            return ended
        }
    }

    func send(_ signal: Int32) {
        ended.withLock { ended in
            // Its id is its own until it was waited for.
            if ended == nil { _ = kill(id, signal) }
        }
    }

    /// Kills it when the time is over.
    @discardableResult
    func wait(atMost limit: Duration) async throws -> End {
        do {
            return try await eventually("process \(id) ends", within: limit, every: .milliseconds(5)) { end }
        } catch {
            send(SIGKILL)
            _ = try? await eventually("process \(id) is gone", within: .seconds(10)) { end }
            throw error
        }
    }

    /// Runs a program to its end.
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], atMost limit: Duration = .seconds(60)
    ) async throws -> (end: End, output: String, errors: String) {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (output, errors) = ("\(folder.path)/output", "\(folder.path)/errors")
        var environment = environment
        environment["PATH"] = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        environment["HOME"] = environment["HOME"] ?? folder.path
        environment["LANG"] = environment["LANG"] ?? "C.UTF-8"
        let process = try ChildProcess(program, arguments, environment: environment, output: output, errors: errors)
        let end: End
        do {
            end = try await process.wait(atMost: limit)
        } catch {
            throw Failure(description: "\(error)\n\(text(of: output).suffix(4_000))\n\(text(of: errors).suffix(4_000))")
        }
        return (end, text(of: output), text(of: errors))
    }

    static func text(of file: String) -> String {
        guard let data = FileManager.default.contents(atPath: file) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }
}

/// A folder for one test.
struct TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "ticketflow-system-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// Asks again and again until there is an answer. Throws, saying what was waited for, when the time is over.
@discardableResult
func eventually<Value>(
    _ what: String, within limit: Duration = .seconds(20), every pause: Duration = .milliseconds(20), _ ask: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await ask() { return value }
        guard ContinuousClock.now < deadline else { throw ChildProcess.Failure(description: "in \(limit) it never came that \(what)") }
        try await Task.sleep(for: pause)
    }
}

/// The same until a condition holds.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), every pause: Duration = .milliseconds(20), holds: () async throws -> Bool
) async throws {
    try await eventually(what, within: limit, every: pause) { try await holds() ? true : nil }
}

/// Does something `count` times at once and answers what came of each, in their order.
func atOnce<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        for index in 0..<count { group.addTask { (index, try await body(index)) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }.sorted { $0.key < $1.key }.map(\.value)
    }
}
