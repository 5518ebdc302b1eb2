import Foundation
import Storage
import TestServers
import Testing
import Values

/// PgBouncer in transaction mode: a connection to it is not a session of the server's. That statements work through it at all is for
/// `StorageTests` to say.
@Suite struct PooledPostgreSQLTests {
    /// With fewer sessions than there are connections to it.
    private static func withPool(_ body: (PgBouncer) async throws -> Void) async throws {
        try await body(try await PgBouncer.launched(before: PostgreSQLServer.shared.value, size: 2))
    }

    @Test func `services that share sessions have their own tables, and leave nothing behind`() async throws {
        try await PooledPostgreSQLTests.withPool { pool in
            let schemas = (0..<2).map { _ in PostgreSQLTests.newSchema() }
            try await PostgreSQLTests.withDatabase(schema: schemas[0], connectionString: pool.connectionString) { first in
                try await PostgreSQLTests.withDatabase(schema: schemas[1], connectionString: pool.connectionString) { second in
                    async let one: Void = first.migrate([PostgreSQLTests.counter])
                    async let other: Void = second.migrate([PostgreSQLTests.counter])
                    _ = try await (one, other)
                    try await withThrowingTaskGroup { group in
                        for round in 0..<200 {
                            group.addTask {
                                try await (round % 4 == 0 ? first : second).write { tx in
                                    _ = try tx.execute("UPDATE counter SET value = value + 1 WHERE id = \(1)")
                                    // Whose answer nobody waits for.
                                    if round % 10 == 0 { throw CancellationError() }
                                }
                            }
                        }
                        while let result = await group.nextResult() {
                            if case .failure(let error) = result, !(error is CancellationError) { throw error }
                        }
                    }
                    #expect(try await PostgreSQLTests.value(first) == 40)
                    #expect(try await PostgreSQLTests.value(second) == 140)
                    let left = try await first.write { tx in
                        try tx.row(
                            """
                            SELECT (SELECT COUNT(*) FROM pg_prepared_statements) AS statements,
                                (SELECT reset_val FROM pg_settings WHERE name = 'search_path') AS path
                            """)!
                    }
                    #expect(try left["statements"] == 0)
                    #expect(try left["path"] != schemas[0])
                }
            }
        }
    }

    @Test func `instances that start at once migrate once`() async throws {
        try await PooledPostgreSQLTests.withPool { pool in
            let schema = PostgreSQLTests.newSchema()
            let more = (2..<8).map { Migration("\(1000 + $0)-more", "INSERT INTO counter (id, value) VALUES (\($0 + 1), 1);") }
            try await PostgreSQLTests.withDatabase(schema: schema, connectionString: pool.connectionString) { first in
                try await PostgreSQLTests.withDatabase(schema: schema, connectionString: pool.connectionString) { second in
                    async let one: Void = first.migrate([PostgreSQLTests.counter] + more)
                    async let other: Void = second.migrate([PostgreSQLTests.counter] + more)
                    _ = try await (one, other)
                    let rows: Int = try await first.read { tx in try tx.row("SELECT COUNT(*) AS n FROM counter")!["n"] }
                    #expect(rows == 8)
                }
            }
        }
    }

    @Test func `a statement that takes too long is ended, and so is the wait for a lock`() async throws {
        try await PooledPostgreSQLTests.withPool { pool in
            let schema = PostgreSQLTests.newSchema()
            let settings = PostgreSQLTests.settings {
                $0.statementTimeLimit = .seconds(3)
                $0.lockTimeLimit = .milliseconds(200)
            }
            try await PostgreSQLTests.withDatabase(schema: schema, settings: settings, connectionString: pool.connectionString) {
                database in
                try await database.migrate([PostgreSQLTests.counter])
                await #expect {
                    try await database.write { tx in _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(60)) AS slept") }
                } throws: { error in
                    if case StorageError.timeLimit(let message) = error { message.contains("statement timeout") } else { false }
                }
                try await PostgreSQLTests.withDatabase(schema: schema) { direct in
                    let (isLocked, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
                    let blocker = Task {
                        try await direct.write { tx in
                            try tx.execute("UPDATE counter SET value = 5 WHERE id = 1")
                            isLocked.signal()
                            _ = release.wait(timeout: .now() + 20)
                        }
                    }
                    try await eventually("the row is locked") { isLocked.wait(timeout: .now()) == .success }
                    await #expect {
                        try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = 6 WHERE id = 1") }
                    } throws: { error in
                        if case StorageError.timeLimit(let message) = error { message.contains("lock timeout") } else { false }
                    }
                    release.signal()
                    try await blocker.value
                }
                #expect(try await PostgreSQLTests.value(database) == 5)
            }
        }
    }

    @Test func `what is cancelled at its deadline is its own statement, and the sessions are of use again`() async throws {
        try await PooledPostgreSQLTests.withPool { pool in
            let schema = PostgreSQLTests.newSchema()
            try await PostgreSQLTests.withDatabase(schema: schema, connectionString: pool.connectionString) { database in
                try await database.migrate([PostgreSQLTests.counter])
                let others = Task {
                    for _ in 0..<200 {
                        try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1") }
                    }
                }
                var begun = 0
                // One that got no session in its time says so, and nothing had to be cancelled.
                for _ in 0..<100 where begun < 5 {
                    await #expect {
                        try await Deadline.$current.withValue(.now + .milliseconds(200)) {
                            try await database.write { tx in _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(60)) AS slept") }
                        }
                    } throws: { error in
                        guard case StorageError.deadline(let hasBegun) = error else { return false }
                        begun += hasBegun ? 1 : 0
                        return true
                    }
                }
                #expect(begun == 5)
                try await others.value
                #expect(try await PostgreSQLTests.value(database) == 200)
                try await PostgreSQLTests.withDatabase { direct in
                    try await eventually("nothing sleeps any more") {
                        try await PostgreSQLTests.sessions(direct, of: schema, "query LIKE '%pg_sleep%' AND state = 'active'") == 0
                    }
                }
            }
        }
    }
}
