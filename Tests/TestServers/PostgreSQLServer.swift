import Foundation

/// A PostgreSQL server of a test's own, on a free port of this machine and in a temporary folder. It ends with the process that
/// started it.
package final class PostgreSQLServer: Sendable {
    /// For all tests of this process that need a server and do not stop it: each has a schema of its own.
    package static let shared = Task { try await PostgreSQLServer.launched() }

    package let port: Int
    package let password = "correct-horse"
    private let folder: ServerFolder
    private let settings: [String: String]

    /// - Parameters:
    ///   - names: of the server's certificate, such as `DNS:localhost`; none for a server without TLS.
    ///   - settings: as in `postgresql.conf`.
    package static func launched(
        certificateFor names: String? = nil, settings: [String: String] = [:]
    ) async throws -> PostgreSQLServer {
        try await onItsOwnThread { try PostgreSQLServer(certificateFor: names, settings: settings) }
    }

    private init(certificateFor names: String?, settings: [String: String]) throws {
        port = try Ports.lasting(1)[0]
        folder = try ServerFolder("postgresql")
        try folder.write(password, to: "password")
        var settings = settings
        if let names {
            try Certificate.make(in: folder.path, for: names)
            settings["ssl"] = "on"
            settings["ssl_cert_file"] = "\(folder.path)/certificate.pem"
            settings["ssl_key_file"] = "\(folder.path)/key.pem"
        }
        self.settings = settings
        try folder.handOver()
        // A language that does not sort by bytes, so that what relies on it is seen to say so. Only the making of the cluster is not
        // synced to the disk, the server's work is.
        try run(
            "initdb", "--pgdata=\(data)", "--username=owner", "--pwfile=\(folder.path)/password", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync")
        try startNow()
        try folder.endWithThisProcess("data/postmaster.pid", signal: "QUIT")
    }

    /// A standby that follows `primary`, and can be read.
    package static func launchedStandby(of primary: PostgreSQLServer) async throws -> PostgreSQLServer {
        try await onItsOwnThread { try PostgreSQLServer(standbyOf: primary) }
    }

    private init(standbyOf primary: PostgreSQLServer) throws {
        port = try Ports.lasting(1)[0]
        folder = try ServerFolder("postgresql")
        settings = [:]
        try folder.handOver()
        try run(
            "pg_basebackup", "--pgdata=\(data)", "--dbname=\(primary.connectionString())", "--write-recovery-conf",
            "--wal-method=stream", "--checkpoint=fast", "--no-sync")
        try startNow()
        try folder.endWithThisProcess("data/postmaster.pid", signal: "QUIT")
    }

    /// - Parameter port: of what stands before the server, such as a `FragileNetwork`.
    package func connectionString(password: String? = nil, port: Int? = nil, database: String = "postgres") -> String {
        "host=127.0.0.1 port=\(port ?? self.port) user=owner password=\(password ?? self.password) dbname=\(database)"
    }

    /// An empty database of its own on this server.
    /// - Returns: its connection string.
    package func makeDatabase() async throws -> String {
        let name = "d\(UInt64.random(in: 0...UInt64.max))"
        try await onItsOwnThread { try self.run("createdb", "--maintenance-db=\(self.connectionString())", name) }
        return connectionString(database: name)
    }

    /// The authority that its certificate comes from.
    package var authority: String { "\(folder.path)/certificate.pem" }

    package func start() async throws {
        try await onItsOwnThread { try self.startNow() }
    }

    /// Ends the server as a crash would: nothing is written out, no connection is told.
    package func crash() async throws {
        try await onItsOwnThread { try self.run("pg_ctl", "stop", "--pgdata=\(self.data)", "--mode=immediate", "--silent") }
    }

    /// Makes a standby the server that is written to. Returns when it can be.
    package func promote() async throws {
        try await onItsOwnThread { try self.run("pg_ctl", "promote", "--pgdata=\(self.data)", "--wait", "--silent") }
    }

    private var data: String { "\(folder.path)/data" }

    private func startNow() throws {
        let own = ["listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "400"]
        let settings = own.merging(settings) { $1 }.map { "-c \($0)=\($1)" }
        try run(
            "pg_ctl", "start", "--pgdata=\(data)", "--log=\(folder.path)/log", "--wait", "--silent",
            "--options=-p \(port) \(settings.joined(separator: " "))")
    }

    /// Runs one of the server's programs.
    private func run(_ program: String, _ arguments: String...) throws {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        guard let newest = versions.max(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }) else {
            throw ServerFailure("PostgreSQL is not installed; make testdeps installs it")
        }
        try folder.run(["/usr/lib/postgresql/\(newest)/bin/\(program)"] + arguments)
    }
}

/// A primary and a standby that has each commit on its disk before it is acknowledged.
package struct PostgreSQLPair: Sendable {
    package let primary: PostgreSQLServer
    package let standby: PostgreSQLServer

    package static func launched() async throws -> PostgreSQLPair {
        let primary = try await PostgreSQLServer.launched(settings: ["synchronous_standby_names": "*"])
        return PostgreSQLPair(primary: primary, standby: try await PostgreSQLServer.launchedStandby(of: primary))
    }

    /// Names both, and takes the one that can be written to.
    package var connectionString: String {
        """
        host=127.0.0.1,127.0.0.1 port=\(primary.port),\(standby.port) user=owner password=\(primary.password) dbname=postgres \
        target_session_attrs=read-write
        """
    }

    /// Ends the primary as a crash would, and makes the standby the one that is written to.
    package func failOver() async throws {
        try await primary.crash()
        try await standby.promote()
    }
}
