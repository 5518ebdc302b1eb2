import Foundation

/// A PostgreSQL server of a test's own, on a free port of this machine and in a temporary folder.
///
/// It ends with the process that started it, however that ends: a shell that reads from a pipe of this process stops it then, by its
/// process id, and removes the folder.
package final class PostgreSQLServer: Sendable {
    /// For all tests of this process that need a server and do not stop it: each has a schema of its own.
    package static let shared = Task { try await PostgreSQLServer.launched() }

    package let port: Int
    package let password = "correct-horse"
    private let folder: String

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package static func launched() async throws -> PostgreSQLServer {
        try await onItsOwnThread { try PostgreSQLServer() }
    }

    private init() throws {
        folder = NSTemporaryDirectory() + "postgresql-\(UUID().uuidString)"
        port = try PostgreSQLServer.freePort()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try password.write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        if geteuid() == 0 { try PostgreSQLServer.run(["chown", "-R", "postgres", folder]) }
        // A language that does not sort by bytes, so that what relies on it is seen to say so. Only the making of the cluster is not
        // synced to the disk, the server's work is.
        try postgres(
            "initdb", "--pgdata=\(folder)/data", "--username=owner", "--pwfile=\(folder)/password", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync")
        try startNow()
        // Its writing end stays open for as long as this process lives, and no other process has it.
        var life: [Int32] = [0, 0]
        guard pipe(&life) == 0, life.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
            throw Failure(description: "there is no pipe left")
        }
        defer { close(life[0]) }
        try PostgreSQLServer.spawn(
            [
                "sh", "-c",
                """
                cat; process=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$process"
                while kill -0 "$process" 2>/dev/null; do sleep 0.1; done; rm -rf "$0"
                """, folder,
            ], input: life[0])
    }

    package func connectionString(password: String? = nil, port: Int? = nil, database: String = "postgres") -> String {
        "host=127.0.0.1 port=\(port ?? self.port) user=owner password=\(password ?? self.password) dbname=\(database)"
    }

    /// An empty database of its own on this server.
    /// - Returns: its connection string.
    package func makeDatabase() async throws -> String {
        let name = "d\(UInt64.random(in: 0...UInt64.max))"
        try await PostgreSQLServer.onItsOwnThread {
            try self.postgres("createdb", "--maintenance-db=\(self.connectionString())", name)
        }
        return connectionString(database: name)
    }

    package func start() async throws {
        try await PostgreSQLServer.onItsOwnThread { try self.startNow() }
    }

    /// Ends the server as a crash would: nothing is written out, no connection is told.
    package func crash() async throws {
        try await PostgreSQLServer.onItsOwnThread {
            try self.postgres("pg_ctl", "stop", "--pgdata=\(self.folder)/data", "--mode=immediate", "--silent")
        }
    }

    /// A program that takes its time would keep other tests from theirs.
    private static func onItsOwnThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    private func startNow() throws {
        try postgres(
            "pg_ctl", "start", "--pgdata=\(folder)/data", "--log=\(folder)/log", "--wait", "--silent",
            "--options=-p \(port) -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400")
    }

    /// A port that nothing listens on, at least a moment ago.
    package static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else { throw Failure(description: "there is no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Runs one of the server's programs, as the user `postgres` where this is the superuser: they refuse to work for that one.
    private func postgres(_ program: String, _ arguments: String...) throws {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        guard let newest = versions.max(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }) else {
            throw Failure(description: "PostgreSQL is not installed; make deps installs it")
        }
        let command = ["/usr/lib/postgresql/\(newest)/bin/\(program)"] + arguments
        try PostgreSQLServer.run(geteuid() == 0 ? ["runuser", "-u", "postgres", "--"] + command : command)
    }

    private static func run(_ command: [String]) throws {
        var status: Int32 = 0
        let process = try spawn(command)
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw Failure(description: "\(command.joined(separator: " ")) ended with \(status)") }
    }

    /// Not with Foundation's `Process`, which takes a program for running as long as a server that it has started.
    @discardableResult
    private static func spawn(_ command: [String], input: Int32? = nil) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for output in Int32(1)...2 { posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0) }
        let arguments = command.map { strdup($0) }
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, command[0], &actions, nil, arguments + [nil], environ)
        guard error == 0 else { throw Failure(description: "\(command[0]) cannot be started (\(error))") }
        return process
    }
}
