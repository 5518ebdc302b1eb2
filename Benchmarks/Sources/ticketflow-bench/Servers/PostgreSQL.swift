import Foundation
import Glibc

/// A PostgreSQL server of this run's own, with a folder on the disk that is measured.
///
/// Everything is durable. It has PostgreSQL's own settings but for what whoever runs a shop would set: connections for all services
/// and the yardstick, and memory and room for its log (`settings`).
final class PostgreSQL {
    /// `max_wal_size`: less means a checkpoint, and its full pages, every few seconds of load.
    static let settings = ["max_connections=300", "shared_buffers=1GB", "max_wal_size=4GB"]

    private let folder: String
    private let port: Int
    private let server: ChildProcess
    /// PostgreSQL refuses to run as the superuser of a machine.
    private static let user = geteuid() == 0 ? "postgres" : nil

    init(in folder: String, port: Int) throws {
        self.folder = folder
        self.port = port
        let programs = try PostgreSQL.programs()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if let user = PostgreSQL.user { try ChildProcess.output(of: ["chown", user, folder]) }
        try ChildProcess.output(
            of: [
                "\(programs)/initdb", "--pgdata=\(folder)/data", "--username=bench", "--auth=trust", "--encoding=UTF8",
                "--locale=C.UTF-8", "--no-sync",
            ], user: PostgreSQL.user)
        let options = PostgreSQL.settings + ["listen_addresses=127.0.0.1", "unix_socket_directories="]
        server = try ChildProcess(
            ["\(programs)/postgres", "-D", "\(folder)/data", "-p", "\(port)"] + options.flatMap { ["-c", $0] },
            user: PostgreSQL.user, output: "\(folder).log")
        for _ in 0..<600 {
            if (try? query("SELECT 1")) != nil { return }
            guard server.ending == nil else { break }
            usleep(50_000)
        }
        throw ChildProcess.Failure(description: "PostgreSQL does not start; it said:\n\(readText("\(folder).log") ?? "")")
    }

    /// Ends it without waiting for its clients.
    func stop() {
        server.stop(SIGINT)
    }

    func url(_ database: String = "postgres") -> String { "postgresql://bench@127.0.0.1:\(port)/\(database)" }

    func makeDatabase(_ name: String) throws {
        try query("CREATE DATABASE \(name)")
    }

    /// What a statement answers: its rows a line each, its columns with a `|` between.
    @discardableResult
    func query(_ sql: String, in database: String = "postgres") throws -> String {
        try PostgreSQL.query(sql, at: url(database))
    }

    @discardableResult
    static func query(_ sql: String, at url: String) throws -> String {
        try ChildProcess.output(of: psql(url), input: sql, environment: ["PGOPTIONS": "-c client_min_messages=warning"])
            .trimmingCharacters(in: .newlines)
    }

    private static func psql(_ url: String) -> [String] {
        ["psql", url, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    }

    /// Transactions a second of `pgbench`: each updates the same row and inserts one.
    func hotRow(clients: Int, seconds: Double) throws -> Double {
        let script = """
            BEGIN;
            UPDATE hot SET held = held + 1 WHERE id = 1;
            INSERT INTO entry (hot, quantity) VALUES (1, 1);
            COMMIT;
            """
        try query(
            """
            CREATE TABLE IF NOT EXISTS hot (id BIGINT PRIMARY KEY, held BIGINT NOT NULL);
            CREATE TABLE IF NOT EXISTS entry (id BIGSERIAL PRIMARY KEY, hot BIGINT NOT NULL, quantity BIGINT NOT NULL);
            INSERT INTO hot VALUES (1, 0) ON CONFLICT DO NOTHING;
            """)
        try script.write(toFile: "\(folder)/hot.sql", atomically: true, encoding: .utf8)
        let said = try ChildProcess.output(of: [
            "pgbench", "--no-vacuum", "--protocol=prepared", "--client=\(clients)", "--jobs=2", "--time=\(Int(seconds.rounded(.up)))",
            "--file=\(folder)/hot.sql", url(),
        ])
        guard let line = said.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let perSecond = Double(line.dropFirst(6).prefix { $0 != " " })
        else { throw ChildProcess.Failure(description: "pgbench did not say how fast it was:\n\(said)") }
        return perSecond
    }

    private static func programs() throws -> String {
        let parent = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
        guard let newest = versions.max(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }) else {
            throw ChildProcess.Failure(description: "PostgreSQL is not installed; make testdeps installs it")
        }
        return "\(parent)/\(newest)/bin"
    }
}
