import Foundation
import Glibc

/// A program that runs beside this one, and is ended with it, however this one ends.
final class ChildProcess {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let id: pid_t
    private let name: String
    private var status: Int32?

    /// - Parameters:
    ///   - command: a program's name or path, and its arguments.
    ///   - environment: all that it sees of one, beside what says where programs are.
    ///   - user: whom it runs as; nil for whoever runs this.
    ///   - input: a file that it reads.
    ///   - output: a file that what it says is written behind.
    init(_ command: [String], environment: [String: String] = [:], user: String? = nil, input: String = "/dev/null", output: String) throws
    {
        // The kernel ends it when the thread is gone that made it, which is this program's first.
        var words = ["setpriv", "--pdeathsig", "TERM"]
        if let user { words += ["--reuid", user, "--regid", user, "--init-groups"] }
        name = command[0]
        id = try ChildProcess.spawn(words + ["--"] + command, environment: environment, input: input, output: output)
    }

    deinit {
        stop()
    }

    /// How it ended, as `wait` tells it; nil while it runs.
    var ending: Int32? {
        if status == nil {
            var status: Int32 = 0
            if waitpid(id, &status, WNOHANG) == id { self.status = status }
        }
        return status
    }

    /// Waits until it ends by itself.
    func wait() -> Int32 {
        if let status { return status }
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        self.status = status
        return status
    }

    /// Asks it to end, and waits until it has. Kills what has not ended after 30 seconds.
    func stop(_ signal: Int32 = SIGTERM) {
        guard ending == nil else { return }
        kill(id, signal)
        for _ in 0..<3_000 {
            if ending != nil { return }
            usleep(10_000)
        }
        note("\(name) did not end within 30 seconds and is killed")
        kill(id, SIGKILL)
        _ = wait()
    }

    /// Runs a program to its end, and hands out what it said.
    /// - Parameter input: what it reads.
    @discardableResult
    static func output(of command: [String], input: String = "", environment: [String: String] = [:], user: String? = nil) throws -> String
    {
        let path = "\(NSTemporaryDirectory())ticketflow-bench-\(UUID().uuidString)"
        defer { for end in ["in", "out"] { unlink("\(path).\(end)") } }
        try input.write(toFile: "\(path).in", atomically: false, encoding: .utf8)
        let child = try ChildProcess(command, environment: environment, user: user, input: "\(path).in", output: "\(path).out")
        let status = child.wait()
        let said = readText("\(path).out") ?? ""
        guard status == 0 else { throw Failure(description: "\(command[0]) ended with \(status); it said:\n\(said.suffix(2_000))") }
        return said
    }

    private static func spawn(_ words: [String], environment: [String: String], input: String, output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let kept = ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"].compactMap { (name: String) in
            getenv(name).map { (name, String(cString: $0)) }
        }
        let variables = environment.merging(kept) { own, _ in own }.map { "\($0)=\($1)" }
        var process: pid_t = 0
        var argv = words.map { strdup($0) } + [nil]
        var envp = variables.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        let code = posix_spawnp(&process, words[0], &actions, nil, &argv, &envp)
        guard code == 0 else { throw Failure(description: "\(words[0]) cannot be started: \(String(cString: strerror(code)))") }
        return process
    }
}
