import Foundation
import Glibc
import NIOCore
import Synchronization

/// The program that is measured, as a process on a data folder.
final class Program {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Of the front door.
    let port: Int
    let ticketManagerPort: Int
    let authenticationPort: Int
    let folder: String
    private let process: pid_t
    private let load: Load
    private let spawned: NIODeadline
    private var isRunning = true

    /// - Parameters:
    ///   - binary: path of the executable.
    ///   - folder: its data folder; made by the program where it is missing.
    init(_ binary: String, on folder: String, load: Load) throws {
        let ports = try load.freePorts(3)
        port = ports[0]
        ticketManagerPort = ports[1]
        authenticationPort = ports[2]
        self.folder = folder
        self.load = load
        spawned = .now()
        process = try Program.spawn(
            [binary, "serve", "--data", folder, "--port", "\(ports[0])"],
            environment: [
                "TICKETFLOW_LOG_LEVEL": "warning",
                "TICKETFLOW_TICKET_MANAGER_LISTEN": "127.0.0.1:\(ports[1])",
                "TICKETFLOW_AUTHENTICATION_LISTEN": "127.0.0.1:\(ports[2])",
                "TICKETFLOW_PAYMENT_PROCESSING_SANDBOX_ENABLED": "true",
                "TICKETFLOW_BENCHMARK_ROUTES": "true",
            ],
            output: Program.output(of: folder))
        Program.running.store(process, ordering: .sequentiallyConsistent)
    }

    deinit {
        stop()
    }

    /// Returns once `GET /health/ready` answers 200.
    /// - Returns: seconds since the process was made.
    @discardableResult
    func waitUntilReady() throws -> Double {
        while NIODeadline.now() < spawned + .seconds(60) {
            if let answer = try? load.call("GET", "/health/ready", port: port), answer.status == 200 {
                return Double((NIODeadline.now() - spawned).nanoseconds) / 1e9
            }
            var status: Int32 = 0
            if waitpid(process, &status, WNOHANG) == process {
                isRunning = false
                Program.running.store(0, ordering: .sequentiallyConsistent)
                throw Failure(description: "the program ended before it was ready; it said:\n\(said())")
            }
            usleep(1_000)
        }
        throw Failure(description: "the program was not ready within a minute; it said:\n\(said())")
    }

    /// Asks it to end, and waits until it has. Kills what has not ended after 30 seconds.
    func stop() {
        guard isRunning else { return }
        isRunning = false
        defer { Program.running.store(0, ordering: .sequentiallyConsistent) }
        kill(process, SIGTERM)
        var status: Int32 = 0
        for _ in 0..<3_000 {
            if waitpid(process, &status, WNOHANG) != 0 { return }
            usleep(10_000)
        }
        note("the program did not end within 30 seconds of SIGTERM and is killed")
        kill(process, SIGKILL)
        waitpid(process, &status, 0)
    }

    /// What is left to do after a load (messages, mails, reports) is done: a second and a half in which it does next to nothing.
    /// - Returns: how many seconds that took.
    @discardableResult
    func waitUntilQuiet() -> Double {
        let begin = NIODeadline.now()
        var quiet = 0
        while quiet < 3 {
            let before = processorSeconds
            usleep(500_000)
            quiet = processorSeconds - before < 0.05 ? quiet + 1 : 0
            if NIODeadline.now() > begin + .minutes(15) {
                note("the program is still busy after a quarter of an hour; what follows is measured beside that")
                break
            }
        }
        return Double((NIODeadline.now() - begin).nanoseconds) / 1e9 - 1.5
    }

    /// The last of what it wrote to its outputs.
    func said() -> String {
        String((readText(Program.output(of: folder)) ?? "").suffix(2_000))
    }

    // MARK: What the kernel says of it

    /// Resident set in MB (2^20 bytes) now, and the most that it was.
    var memory: (now: Double, most: Double) {
        var values: [Substring: Double] = [:]
        for line in (readText("/proc/\(process)/status") ?? "").split(separator: "\n") {
            let words = line.split { $0 == ":" || $0 == " " || $0 == "\t" }
            if words.count == 3, words[2] == "kB", let number = Double(words[1]) { values[words[0]] = number / 1_024 }
        }
        return (values["VmRSS"] ?? 0, values["VmHWM"] ?? 0)
    }

    /// Processor time, of all threads.
    var processorSeconds: Double {
        // The name, in parentheses, may hold spaces; after it user and system time are the twelfth and thirteenth.
        let fields = (readText("/proc/\(process)/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    // MARK: Processes

    /// Ended with this process when that is interrupted; 0 for none.
    private static let running = Atomic<pid_t>(0)

    /// Makes an interruption end the program too.
    static func endWithThisProcess() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { number in
                let process = Program.running.load(ordering: .sequentiallyConsistent)
                if process > 0 { kill(process, SIGTERM) }
                _exit(128 + number)
            }
        }
    }

    private static func output(of folder: String) -> String { "\(folder).log" }

    /// In this process's own group and session, so that an interrupted terminal ends both.
    private static func spawn(_ arguments: [String], environment: [String: String], output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let kept = ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"].compactMap { (name: String) in
            getenv(name).map { (name, String(cString: $0)) }
        }
        let variables = environment.merging(kept) { $1 }.map { "\($0)=\($1)" }
        var process: pid_t = 0
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = variables.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        let code = posix_spawn(&process, arguments[0], &actions, nil, &argv, &envp)
        guard code == 0 else {
            throw Failure(description: "\(arguments[0]) cannot be started: \(String(cString: strerror(code))); `make build` makes it")
        }
        return process
    }
}

func readText(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&part, 1, part.count, file), count > 0 { bytes += part[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}

/// Tells on standard error how it goes; standard output is for results.
func note(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}
