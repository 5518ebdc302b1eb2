import Foundation
import Glibc
import NIOCore

/// The program that is measured, as a process on a data folder.
final class Program {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Of the front door.
    let port: Int
    let ticketManagerPort: Int
    let authenticationPort: Int
    /// Where it says whether it is ready.
    private let healthPort: Int
    let folder: String
    private let process: ChildProcess
    private let load: Load
    private let spawned: NIODeadline

    /// - Parameters:
    ///   - binary: path of the executable.
    ///   - roles: what it runs; a whole system if none is named.
    ///   - folder: its data folder; made by the program where it is missing.
    ///   - settings: further ones, by the names of their variables.
    ///   - core: the only processor core that it may use; nil for all.
    init(
        _ binary: String, roles: [String] = [], on folder: String, settings: [String: String] = [:], core: Int? = nil, load: Load
    ) throws {
        let ports = try load.freePorts(3)
        port = ports[0]
        ticketManagerPort = ports[1]
        authenticationPort = ports[2]
        healthPort = roles == ["ticket-manager"] ? ports[1] : ports[0]
        self.folder = folder
        self.load = load
        spawned = .now()
        let place = core.map { ["taskset", "--cpu-list", "\($0)"] } ?? []
        process = try ChildProcess(
            place + [binary, "serve"] + roles + ["--data", folder, "--port", "\(ports[0])"],
            environment: [
                "TICKETFLOW_LOG_LEVEL": "warning",
                "TICKETFLOW_TICKET_MANAGER_LISTEN": "127.0.0.1:\(ports[1])",
                "TICKETFLOW_AUTHENTICATION_LISTEN": "127.0.0.1:\(ports[2])",
                "TICKETFLOW_PAYMENT_PROCESSING_SANDBOX_ENABLED": "true",
                "TICKETFLOW_BENCHMARK_ROUTES": "true",
                // Beside the front door there may be another of these.
                "TICKETFLOW_BORDER_GATEWAY_ADMIN_PORT": "0",
                // All clients of a benchmark have one address.
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": "off",
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_USER": "off",
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_SIGN_IN": "off",
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_COUPONS": "off",
            ].merging(settings) { $1 },
            output: Program.output(of: folder))
    }

    /// Returns once `GET /health/ready` answers 200.
    /// - Returns: seconds since the process was made.
    @discardableResult
    func waitUntilReady() throws -> Double {
        while NIODeadline.now() < spawned + .seconds(60) {
            if let answer = try? load.call("GET", "/health/ready", port: healthPort), answer.status == 200 {
                return Double((NIODeadline.now() - spawned).nanoseconds) / 1e9
            }
            if process.ending != nil {
                throw Failure(description: "the program ended before it was ready; it said:\n\(said())")
            }
            usleep(1_000)
        }
        throw Failure(description: "the program was not ready within a minute; it said:\n\(said())")
    }

    func stop() {
        process.stop()
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
        for line in (readText("/proc/\(process.id)/status") ?? "").split(separator: "\n") {
            let words = line.split { $0 == ":" || $0 == " " || $0 == "\t" }
            if words.count == 3, words[2] == "kB", let number = Double(words[1]) { values[words[0]] = number / 1_024 }
        }
        return (values["VmRSS"] ?? 0, values["VmHWM"] ?? 0)
    }

    /// Processor time, of all threads.
    var processorSeconds: Double {
        // The name, in parentheses, may hold spaces; after it user and system time are the twelfth and thirteenth.
        let fields = (readText("/proc/\(process.id)/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func output(of folder: String) -> String { "\(folder).log" }
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
