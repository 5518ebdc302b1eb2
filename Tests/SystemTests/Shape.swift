import Contracts
import Foundation
import Messaging
import TestServers
import Values

/// How the program runs: all in one process, or each service as two processes that find each other in two
/// registries, with PostgreSQL and RabbitMQ between them. Tests run in
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

extension RabbitMQServer {
    /// Ends it with SIGKILL, once it would find the queues of a system again.
    /// - Parameter host: the system's virtual host.
    func kill(_ host: String) async throws {
        try await kill(onceOnDisk: Contracts.queues.map(\.name), of: host)
    }
}
