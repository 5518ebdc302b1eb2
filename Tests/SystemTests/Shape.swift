import Foundation
import TestServers
import Values

/// How the program runs: all in one process, or each service as two processes with PostgreSQL and RabbitMQ between them. Tests run in
/// the shape that `TICKETFLOW_TEST_SHAPE` names, `together` if it names none.
enum Shape: String, Sendable {
    case together, distributed

    static let chosen: Shape = {
        guard let name = ProcessInfo.processInfo.environment["TICKETFLOW_TEST_SHAPE"] else { return .together }
        guard let shape = Shape(rawValue: name) else {
            preconditionFailure("TICKETFLOW_TEST_SHAPE is together or distributed, not \(name)")
        }
        return shape
    }()

    /// Makes an empty database and an empty virtual host where the shape needs them.
    func withServers<Result>(_ body: (Servers?) async throws -> Result) async throws -> Result {
        guard self == .distributed else { return try await body(nil) }
        let postgres = try await PostgreSQLServer.shared.value
        let database = try await postgres.makeDatabase()
        return try await RabbitMQServer.with { rabbit, host in
            try await body(Servers(database: database, broker: rabbit.url(host)))
        }
    }
}

/// What the processes of the distributed shape have in common, as the settings name it.
struct Servers: Sendable {
    let database: String
    let broker: String
}

/// Ports that nothing listens on, and that the system gives to no connection by itself: they stay free until they are taken.
enum FreePorts {
    struct None: Error {}

    static func take(_ count: Int) throws -> [Int] {
        var ports: [Int] = []
        for port in (20_000..<32_000).shuffled() {
            if isFree(port) { ports.append(port) }
            if ports.count == count { return ports }
        }
        throw None()
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        address.sin_port = in_port_t(port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
