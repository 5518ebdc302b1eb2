import Foundation
import Glibc

/// A RabbitMQ of this run's own, with a folder on the disk that is measured, and RabbitMQ's own settings.
final class RabbitMQ {
    let port: Int
    private let names: ChildProcess
    private let server: ChildProcess

    /// - Parameter ports: three free ones: its own, that of Erlang's names, that between nodes.
    init(in folder: String, ports: [Int]) throws {
        port = ports[0]
        let home = "\(folder)/home"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        try """
        listeners.tcp.1 = 127.0.0.1:\(port)
        log.console = false
        log.file.level = warning

        """.write(toFile: "\(folder)/rabbitmq.conf", atomically: true, encoding: .utf8)
        try "[].\n".write(toFile: "\(folder)/plugins", atomically: true, encoding: .utf8)
        let environment = [
            "HOME": home, "LANG": "C.UTF-8", "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "\(ports[1])",
            "ERL_CRASH_DUMP_SECONDS": "0", "RABBITMQ_NODENAME": "bench-\(getpid())@localhost", "RABBITMQ_DIST_PORT": "\(ports[2])",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": "\(folder)/rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": "\(folder)/mnesia", "RABBITMQ_LOG_BASE": "\(folder)/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(folder)/plugins", "RABBITMQ_PID_FILE": "\(folder)/pid",
            // The script becomes the server then, whose id is so the script's.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        ]
        let output = "\(folder)/output"
        names = try ChildProcess(["epmd"], environment: environment, output: output)
        while (try? ChildProcess.output(of: ["epmd", "-names"], environment: environment)) == nil {
            guard names.ending == nil else { throw ChildProcess.Failure(description: "epmd does not start:\n\(readText(output) ?? "")") }
            usleep(50_000)
        }
        server = try ChildProcess(["/usr/lib/rabbitmq/bin/rabbitmq-server", "-noinput"], environment: environment, output: output)
        for _ in 0..<1_200 {
            if RabbitMQ.takesConnections(port) { return }
            guard server.ending == nil else { break }
            usleep(50_000)
        }
        throw ChildProcess.Failure(description: "RabbitMQ does not start; it said:\n\(readText(output) ?? "")")
    }

    func stop() {
        server.stop()
        names.stop()
    }

    var url: String { "amqp://guest:guest@127.0.0.1:\(port)/%2F" }

    /// It listens last of all.
    private static func takesConnections(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        } == 0
    }
}
