/// A PgBouncer in transaction mode before a PostgreSQL server. It ends with the process that started it.
package final class PgBouncer: Sendable {
    /// Before `PostgreSQLServer.shared`.
    package static let shared = Task { try await PgBouncer.launched(before: PostgreSQLServer.shared.value, size: 40) }

    package let port: Int
    private let server: PostgreSQLServer

    /// - Parameter size: how many connections it has to the server.
    package static func launched(before server: PostgreSQLServer, size: Int) async throws -> PgBouncer {
        try await onItsOwnThread { try PgBouncer(before: server, size: size) }
    }

    private init(before server: PostgreSQLServer, size: Int) throws {
        self.server = server
        port = try Ports.lasting(1)[0]
        let folder = try ServerFolder("pgbouncer")
        try folder.write("\"owner\" \"\(server.password)\"\n", to: "users")
        try folder.write(
            """
            [databases]
            postgres = host=127.0.0.1 port=\(server.port)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = \(folder.path)/users
            pidfile = \(folder.path)/pid
            logfile = \(folder.path)/log
            pool_mode = transaction
            default_pool_size = \(size)
            max_client_conn = 200

            """, to: "pgbouncer.ini")
        try folder.handOver()
        try folder.run(["/usr/sbin/pgbouncer", "--daemon", "--quiet", "\(folder.path)/pgbouncer.ini"])
        try folder.endWithThisProcess("pid", signal: "TERM")
    }

    package var connectionString: String { server.connectionString(port: port) }
}
