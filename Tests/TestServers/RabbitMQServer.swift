import Foundation
import Glibc
import Logging
package import Messaging
import Synchronization

/// One RabbitMQ for all tests of the process, on free ports of the loopback interface, with a virtual host for each test.
///
/// It goes before the programs under test where the user may say so: elsewhere it would have a machine of its own.
///
/// A small shell program keeps it and its epmd: when its standard input ends, as it does with this process however that ends, it ends
/// both by their ids and removes their folder.
package final class RabbitMQServer: Sendable {
    package static let user = "tester"
    package static let password = "secret-of:the@tests"

    private static let keeper = """
        trap '' INT
        epmd -port "$ERL_EPMD_PORT" >/dev/null 2>&1 & epmd=$!
        until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
        while read -r command; do
            case $command in
                start) nice -n -10 /usr/lib/rabbitmq/bin/rabbitmq-server -noinput >>"$HOME/output" 2>&1 & server=$! ;;
                kill) kill -KILL "$server"; wait "$server" 2>/dev/null ;;
            esac
            echo "$command"
        done
        kill -KILL "$server" "$epmd"
        wait
        rm -rf "$HOME"
        """
    private static let shared = Task { try await RabbitMQServer() }
    /// A test that breaks the server has it for itself.
    private static let turns = Turns()
    private static let hosts = 60

    private let folder: String
    package let port: Int
    private let encryptedPort: Int
    private let environment: [String: String]
    private let commands: FileHandle
    private let answers: FileHandle
    private let taken = Mutex(0)

    /// - Parameter alone: whether no other test uses the server meanwhile.
    package static func with<Result>(alone: Bool = false, _ body: (RabbitMQServer, String) async throws -> Result) async throws -> Result {
        await turns.enter(alone: alone)
        do {
            let server = try await shared.value
            let result = try await body(server, try server.nextHost())
            await turns.leave()
            return result
        } catch {
            await turns.leave()
            throw error
        }
    }

    private init() async throws {
        folder = NSTemporaryDirectory() + "ticketflow-rabbitmq-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let ports = try Ports.lasting(4)
        (port, encryptedPort) = (ports[0], ports[1])
        try RabbitMQServer.write(folder, port: port, encryptedPort: encryptedPort)
        environment = [
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": folder, "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "\(ports[2])", "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": "ticketflow-\(getpid())@localhost", "RABBITMQ_DIST_PORT": "\(ports[3])",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": "\(folder)/mnesia", "RABBITMQ_LOG_BASE": "\(folder)/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/plugins", "RABBITMQ_PID_FILE": "\(folder)/pid",
            // The script becomes the server, whose id is so the script's.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+S 1:1 +sbwt none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        ]
        let (input, output) = (Pipe(), Pipe())
        (commands, answers) = (input.fileHandleForWriting, output.fileHandleForReading)
        let keeper = Process()
        keeper.executableURL = URL(filePath: "/bin/sh")
        keeper.arguments = ["-c", RabbitMQServer.keeper]
        keeper.environment = environment
        keeper.standardInput = input
        keeper.standardOutput = output
        keeper.standardError = FileHandle.nullDevice
        try keeper.start()
        try await start()
    }

    private static func write(_ folder: String, port: Int, encryptedPort: Int) throws {
        try Certificate.make(in: folder, for: "DNS:localhost")
        try """
        listeners.tcp.1 = 127.0.0.1:\(port)
        listeners.ssl.1 = 127.0.0.1:\(encryptedPort)
        ssl_options.certfile = \(folder)/certificate.pem
        ssl_options.keyfile = \(folder)/key.pem
        ssl_options.verify = verify_none
        load_definitions = \(folder)/definitions.json
        log.console = false
        log.file.level = warning
        """.write(toFile: "\(folder)/rabbitmq.conf", atomically: true, encoding: .utf8)
        try "[].\n".write(toFile: "\(folder)/plugins", atomically: true, encoding: .utf8)
        let names = (1...hosts).map { "test-\($0)" }
        let definitions: [String: Any] = [
            "users": [["name": user, "password": password, "tags": ""]],
            "vhosts": names.map { ["name": $0] },
            "permissions": names.map { ["user": user, "vhost": $0, "configure": ".*", "write": ".*", "read": ".*"] },
        ]
        try JSONSerialization.data(withJSONObject: definitions).write(to: URL(filePath: "\(folder)/definitions.json"))
    }

    private func nextHost() throws -> String {
        let number = taken.withLock { taken in
            taken += 1
            return taken
        }
        guard number <= RabbitMQServer.hosts else { throw ServerFailure("there are more tests than virtual hosts") }
        return "test-\(number)"
    }

    /// - Parameter port: of what stands before the server, such as a `FragileNetwork`.
    package func address(
        _ host: String, password: String = password, port: Int? = nil, isEncrypted: Bool = false
    ) throws -> RabbitMQAddress {
        let text = url(host, password: password, port: port, isEncrypted: isEncrypted)
        guard let address = RabbitMQAddress(text) else { throw ServerFailure("\(text) is no address") }
        return address
    }

    /// As a setting says it.
    package func url(_ host: String, password: String = password, port: Int? = nil, isEncrypted: Bool = false) -> String {
        let password = password.replacing(":", with: "%3A").replacing("@", with: "%40")
        return isEncrypted
            ? "amqps://\(RabbitMQServer.user):\(password)@localhost:\(port ?? encryptedPort)/\(host)"
            : "amqp://\(RabbitMQServer.user):\(password)@127.0.0.1:\(port ?? self.port)/\(host)"
    }

    /// The authority that its certificate comes from.
    package var caFile: String { "\(folder)/certificate.pem" }

    /// Whether the server would find a quorum queue again.
    /// - Parameter queue: `<virtual host>_<queue>`.
    private func hasOnDisk(_ queue: String) -> Bool {
        let node = environment["RABBITMQ_NODENAME"] ?? ""
        let names = FileManager.default.contents(atPath: "\(folder)/mnesia/\(node)/quorum/\(node)/names.dets")
        // With its length before it: others begin alike.
        return names?.firstRange(of: Data([UInt8(queue.utf8.count)] + queue.utf8)) != nil
    }

    /// Ends it with SIGKILL, once it would find these quorum queues again: it writes down a new one only seconds later, and one that
    /// it has no note of neither takes nor gives messages ever after.
    package func kill(onceOnDisk queues: [String], of host: String) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while let missing = queues.first(where: { !hasOnDisk("\(host)_\($0)") }) {
            guard ContinuousClock.now < end else { throw ServerFailure("RabbitMQ has not written down the queue \(missing) in a minute") }
            try await Task.sleep(for: .milliseconds(100))
        }
        try await tell("kill")
    }

    /// Returns when it takes connections.
    package func start() async throws {
        try await tell("start")
        let broker = RabbitMQBroker(try address("test-1"), logger: Logger(label: "test"))
        let end = ContinuousClock.now + .seconds(90)
        while true {
            do {
                return try await broker.declare([])
            } catch {
                guard ContinuousClock.now < end else { throw ServerFailure("RabbitMQ does not start: \(error)\n\(output)") }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// `rabbitmqctl`, to its end.
    package func control(_ arguments: String...) async throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/lib/rabbitmq/bin/rabbitmqctl")
        process.arguments = arguments
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.start()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                process.waitUntilExit()
                continuation.resume()
            }
        }
        guard process.terminationStatus == 0 else {
            throw ServerFailure("rabbitmqctl \(arguments.joined(separator: " ")) ended with \(process.terminationStatus)")
        }
    }

    private var output: String {
        String(decoding: FileManager.default.contents(atPath: "\(folder)/output") ?? Data(), as: UTF8.self)
    }

    private func tell(_ command: String) async throws {
        try commands.write(contentsOf: Data("\(command)\n".utf8))
        let answers = answers
        let answer = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: answers.availableData) }
        }
        guard !answer.isEmpty else { throw ServerFailure("the server's keeper has ended") }
    }
}

/// Lets many in at once, or one alone; in the order in which they came.
private actor Turns {
    private var inside = 0
    private var isAlone = false
    private var waiting: [(alone: Bool, continuation: CheckedContinuation<Void, Never>)] = []

    func enter(alone: Bool) async {
        await withCheckedContinuation { continuation in
            waiting.append((alone, continuation))
            admit()
        }
    }

    func leave() {
        inside -= 1
        isAlone = false
        admit()
    }

    private func admit() {
        while let next = waiting.first, !isAlone, inside == 0 || !next.alone {
            waiting.removeFirst()
            inside += 1
            isAlone = next.alone
            next.continuation.resume()
        }
    }
}
