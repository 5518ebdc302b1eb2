import Foundation
import Storage
import Synchronization
import TestServers
import Testing
import Values

/// What only a server beyond the network can do: be away, be slow, be used by others.
@Suite struct PostgreSQLTests {
    static func newSchema() -> String {
        "test_\(UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: ""))"
    }

    /// Returns once a transaction waits for its turn in a lane.
    private static func waiting(forLane lane: String, of schema: String, seenBy database: Database) async throws {
        try await eventually("a transaction waits for its turn") {
            try await database.read { tx in
                let key: SQL = "hashtextextended(\("lane \(schema) \(lane)"), 0)"
                return try tx.row("SELECT 1 AS waits FROM pg_locks WHERE NOT granted AND CAST(objid AS BIGINT) = (\(key) & 4294967295)")
            } != nil
        }
    }

    /// Few connections, for all tests share a server.
    static func settings(_ change: (inout PostgreSQLSettings) -> Void = { _ in }) -> PostgreSQLSettings {
        var settings = PostgreSQLSettings()
        settings.writers = 3
        settings.readers = 1
        settings.patience = .seconds(60)
        settings.lockTimeLimit = .seconds(20)
        change(&settings)
        return settings
    }

    @discardableResult
    static func withDatabase<Result>(
        schema: String = newSchema(), server: PostgreSQLServer? = nil, settings: PostgreSQLSettings = settings(),
        connectionString: String? = nil, _ body: (Storage::Database) async throws -> Result
    ) async throws -> Result {
        let address = try await address(of: server, or: connectionString)
        let database = try Storage::Database.postgres(name: "test", connectionString: address, schema: schema, settings: settings)
        do {
            let result = try await body(database)
            try await database.close()
            return result
        } catch {
            try await database.close()
            throw error
        }
    }

    /// With one connection for writes, which can be disturbed.
    static func withFragileDatabase(_ body: (Storage::Database, FragileNetwork) async throws -> Void) async throws {
        let server = try await PostgreSQLServer.shared.value
        let network = try FragileNetwork(to: server.port)
        try await withDatabase(settings: settings { $0.writers = 1 }, connectionString: server.connectionString(port: network.port)) {
            try await body($0, network)
        }
    }

    private static func address(of server: PostgreSQLServer?, or connectionString: String?) async throws -> String {
        if let connectionString { return connectionString }
        if let server { return server.connectionString() }
        return try await PostgreSQLServer.shared.value.connectionString()
    }

    static let counter = Migration(
        "0001-counter",
        """
        CREATE TABLE counter (id BIGINT PRIMARY KEY, value BIGINT NOT NULL);
        INSERT INTO counter (id, value) VALUES (1, 0), (2, 0);
        """)

    static func value(_ database: Storage::Database, _ id: Int = 1) async throws -> Int {
        try await database.read { tx in try tx.row("SELECT value FROM counter WHERE id = \(id)")!["value"] }
    }

    /// How many sessions of a schema do something now.
    static func sessions(_ database: Storage::Database, of schema: String, _ condition: SQL = "TRUE") async throws -> Int {
        try await database.read { tx in
            try tx.row(
                """
                SELECT COUNT(*) AS n FROM pg_stat_activity
                WHERE application_name = \(schema) AND pid <> pg_backend_pid() AND \(condition)
                """)!["n"]
        }
    }

    // MARK: Transactions that are in each other's way

    @Test func `two that wait for each other are run again, and both are done`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            try await database.migrate([PostgreSQLTests.counter])
            let met = [DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)]
            let runs = Counter()
            try await withThrowingTaskGroup { group in
                for (own, other) in [(0, 1), (1, 0)] {
                    group.addTask {
                        try await database.write { tx in
                            runs.add()
                            try tx.execute("UPDATE counter SET value = value + 1 WHERE id = \(own + 1)")
                            met[own].signal()
                            // The second time nobody comes any more.
                            _ = met[other].wait(timeout: .now() + 2)
                            try tx.execute("UPDATE counter SET value = value + 1 WHERE id = \(other + 1)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(runs.count > 2)
            #expect(try await [PostgreSQLTests.value(database, 1), PostgreSQLTests.value(database, 2)] == [2, 2])
        }
    }

    @Test func `one that cannot be serialized is run again`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            try await database.migrate([PostgreSQLTests.counter])
            let runs = Counter()
            try await database.write { tx in
                let isFirst = runs.add() == 1
                try tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                let value: Int = try tx.row("SELECT value FROM counter WHERE id = 1")!["value"]
                if isFirst {
                    // Another one is faster.
                    let isDone = DispatchSemaphore(value: 0)
                    Task {
                        try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = 10 WHERE id = 1") }
                        isDone.signal()
                    }
                    _ = isDone.wait(timeout: .now() + 20)
                }
                try tx.execute("UPDATE counter SET value = \(value + 1) WHERE id = 1")
            }
            #expect(runs.count == 2)
            #expect(try await PostgreSQLTests.value(database) == 11)
        }
    }

    @Test func `one that never can be serialized is given up`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            let runs = Counter()
            await #expect {
                try await database.write { tx in
                    runs.add()
                    _ = try tx.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END $$")
                }
            } throws: { error in
                if case StorageError.engine(code: "40001", _) = error { true } else { false }
            }
            #expect((2...20).contains(runs.count))
        }
    }

    @Test func `two instances are ordered by the locks of rows`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { first in
            try await PostgreSQLTests.withDatabase(schema: schema) { second in
                try await first.migrate([PostgreSQLTests.counter])
                try await withThrowingTaskGroup { group in
                    for round in 0..<60 {
                        group.addTask {
                            try await (round % 2 == 0 ? first : second).write { tx in
                                let value: Int = try tx.row("SELECT value FROM counter WHERE id = 1 \(.forUpdate)")!["value"]
                                try tx.execute("UPDATE counter SET value = \(value + 1) WHERE id = 1")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await PostgreSQLTests.value(first) == 60)
            }
        }
    }

    @Test func `two instances that start at once migrate once`() async throws {
        let schema = PostgreSQLTests.newSchema()
        let more = (2..<12).map { Migration("\(1000 + $0)-more", "INSERT INTO counter (id, value) VALUES (\($0 + 1), 1);") }
        try await PostgreSQLTests.withDatabase(schema: schema) { first in
            try await PostgreSQLTests.withDatabase(schema: schema) { second in
                async let one: Void = first.migrate([PostgreSQLTests.counter] + more)
                async let other: Void = second.migrate([PostgreSQLTests.counter] + more)
                _ = try await (one, other)
                let rows: Int = try await first.read { tx in try tx.row("SELECT COUNT(*) AS n FROM counter")!["n"] }
                #expect(rows == 12)
            }
        }
    }

    @Test func `what was prepared before another instance changed the schema is prepared anew`() async throws {
        let schema = PostgreSQLTests.newSchema()
        let more = Migration("0002-more", "ALTER TABLE counter ADD COLUMN more TEXT NOT NULL DEFAULT 'new';")
        try await PostgreSQLTests.withDatabase(schema: schema) { old in
            try await PostgreSQLTests.withDatabase(schema: schema) { new in
                try await old.migrate([PostgreSQLTests.counter])
                let all: @Sendable (Transaction) throws -> Row = { tx in try tx.row("SELECT * FROM counter WHERE id = \(1)")! }
                let before = try await old.write(all)
                #expect(throws: StorageError.self) { try before["more"] as String }
                try await new.migrate([PostgreSQLTests.counter, more])
                #expect(try await old.write(all)["more"] == "new")
            }
        }
    }

    // MARK: Limits of time

    @Test func `who waits too long for a lock is told so`() async throws {
        try await PostgreSQLTests.withDatabase(settings: PostgreSQLTests.settings { $0.lockTimeLimit = .milliseconds(200) }) { database in
            try await database.migrate([PostgreSQLTests.counter])
            let release = DispatchSemaphore(value: 0)
            let isLocked = DispatchSemaphore(value: 0)
            let blocker = Task {
                try await database.write { tx in
                    try tx.execute("UPDATE counter SET value = 5 WHERE id = 1")
                    isLocked.signal()
                    _ = release.wait(timeout: .now() + 20)
                }
            }
            try await eventually("the row is locked") { isLocked.wait(timeout: .now()) == .success }
            await #expect {
                try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = 6 WHERE id = 1") }
            } throws: { error in
                if case StorageError.timeLimit(let message) = error { message.contains("lock") } else { false }
            }
            release.signal()
            try await blocker.value
            #expect(try await PostgreSQLTests.value(database) == 5)
        }
    }

    @Test func `a statement that takes too long is ended`() async throws {
        try await PostgreSQLTests.withDatabase(settings: PostgreSQLTests.settings { $0.statementTimeLimit = .milliseconds(200) }) {
            database in
            await #expect {
                try await database.write { tx in _ = try tx.execute("SELECT 1 FROM (SELECT pg_sleep(30)) AS slept") }
            } throws: { error in
                if case StorageError.timeLimit = error { true } else { false }
            }
        }
    }

    @Test(arguments: [false, true])
    func `at the deadline the caller is told, the statement is cancelled, and the connection is of use again`(isRead: Bool) async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema, settings: PostgreSQLTests.settings { $0.writers = 1 }) { database in
            // Connected already: a busy machine takes its time for that.
            let ask: @Sendable (Transaction) throws -> Int = { tx in try tx.row("SELECT 1 AS one")!["one"] }
            _ = try await isRead ? database.read(ask) : database.write(ask)
            let begin = ContinuousClock.now
            await #expect {
                try await Deadline.$current.withValue(.now + .milliseconds(300)) {
                    let sleep: @Sendable (Transaction) throws -> Void = { tx in
                        _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(30)) AS slept")
                    }
                    if isRead { try await database.read(sleep) } else { try await database.write(sleep) }
                }
            } throws: { error in
                if case StorageError.deadline(begun: true) = error { true } else { false }
            }
            #expect(ContinuousClock.now - begin < .seconds(20))
            try await PostgreSQLTests.withDatabase { other in
                try await eventually("the statement is cancelled") {
                    try await PostgreSQLTests.sessions(other, of: schema, "query LIKE '%pg_sleep%' AND state = 'active'") == 0
                }
            }
            let answer = try await isRead ? database.read(ask) : database.write(ask)
            #expect(answer == 1)
        }
    }

    @Test func `a deadline that passes before the answer is asked for cancels what was sent, and harms nobody after it`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema, settings: PostgreSQLTests.settings { $0.writers = 1 }) { database in
            try await database.migrate([PostgreSQLTests.counter])
            await #expect {
                try await Deadline.$current.withValue(.now + .seconds(1)) {
                    try await database.write { tx in
                        _ = try tx.execute("UPDATE counter SET value = 7 WHERE id = 1")
                        let slept = try tx.ask("SELECT 1 FROM (SELECT pg_sleep(60)) AS slept")
                        Thread.sleep(forTimeInterval: 1.5)
                        _ = try slept.get()
                    }
                }
            } throws: { error in
                if case StorageError.deadline(begun: true) = error { true } else { false }
            }
            let begin = ContinuousClock.now
            try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1") }
            #expect(ContinuousClock.now - begin < .seconds(15))
            #expect(try await PostgreSQLTests.value(database) == 1)
        }
    }

    @Test func `what was queued and never asked about is undone, and harms nobody after it`() async throws {
        try await PostgreSQLTests.withDatabase(settings: PostgreSQLTests.settings { $0.writers = 1 }) { database in
            try await database.migrate([PostgreSQLTests.counter])
            // One that is refused, and one that is not.
            for id in [1, 3] {
                await #expect(throws: CancellationError.self) {
                    try await database.write { tx in
                        _ = try tx.queue("INSERT INTO counter (id, value) VALUES (\(id), 5)")
                        throw CancellationError()
                    }
                }
                try await database.write { tx in
                    let changed = try tx.execute("UPDATE counter SET value = value + 1")
                    #expect(changed == 2)
                }
            }
            #expect(try await PostgreSQLTests.value(database) == 2)
        }
    }

    @Test func `who waits for a connection until the deadline has nothing done`() async throws {
        try await PostgreSQLTests.withDatabase(settings: PostgreSQLTests.settings { $0.writers = 1 }) { database in
            try await database.migrate([PostgreSQLTests.counter])
            let ticker = Task { try await database.run() }
            defer { ticker.cancel() }
            let release = DispatchSemaphore(value: 0)
            let hasBegun = DispatchSemaphore(value: 0)
            let blocker = Task {
                try await database.write { _ in
                    hasBegun.signal()
                    _ = release.wait(timeout: .now() + 20)
                }
            }
            try await eventually("the connection is busy") { hasBegun.wait(timeout: .now()) == .success }
            await #expect {
                try await Deadline.$current.withValue(.now + .milliseconds(200)) {
                    try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = 1 WHERE id = 1") }
                }
            } throws: { error in
                if case StorageError.deadline(begun: false) = error { true } else { false }
            }
            release.signal()
            try await blocker.value
            #expect(try await PostgreSQLTests.value(database) == 0)
        }
    }

    // MARK: Servers that go away

    @Test func `a server that is killed and started again is found again, with all that was committed`() async throws {
        let server = try await PostgreSQLServer.launched()
        try await PostgreSQLTests.withDatabase(server: server) { database in
            try await database.migrate([PostgreSQLTests.counter])
            for value in 1...3 {
                try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = \(value) WHERE id = 1") }
            }
            try await server.crash()
            let meanwhile = Task {
                try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1") }
            }
            try await server.start()
            try await meanwhile.value
            #expect(try await PostgreSQLTests.value(database) == 4)
            // Not in doubt either: of a transaction that only writes, and has heard nothing from the server.
            try await server.crash()
            try await server.start()
            try await database.write { tx in _ = try tx.queue("UPDATE counter SET value = value + 1 WHERE id = 1") }
            #expect(try await PostgreSQLTests.value(database) == 5)
        }
    }

    @Test func `a connection that is lost before the commit has the transaction run again on another`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            try await database.migrate([PostgreSQLTests.counter])
            let runs = Counter()
            try await database.write { tx in
                try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1")
                guard runs.add() == 1 else { return }
                _ = try tx.rows("SELECT pg_terminate_backend(pg_backend_pid())")
            }
            #expect(runs.count == 2)
            #expect(try await PostgreSQLTests.value(database) == 1)
        }
    }

    @Test func `a connection that is lost during the commit leaves the outcome unknown, and nothing is run again`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { database in
            try await database.migrate([PostgreSQLTests.counter])
            // Makes a commit take its time.
            try await database.write { tx in
                try tx.execute(
                    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END'")
                try tx.execute(
                    """
                    CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON counter DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION slow()
                    """)
            }
            let (runs, commits) = (Counter(), Counter())
            let outcome = Task {
                try await database.write { tx in
                    runs.add()
                    try tx.execute("UPDATE counter SET value = 1 WHERE id = 1")
                    tx.onCommit { commits.add() }
                }
            }
            try await PostgreSQLTests.withDatabase { other in
                try await eventually("the commit is under way") {
                    try await PostgreSQLTests.sessions(other, of: schema, "query = 'COMMIT' AND state = 'active'") == 1
                }
                try await other.write { tx in
                    _ = try tx.rows(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE application_name = \(schema) AND query = 'COMMIT' AND state = 'active'
                        """)
                }
            }
            await #expect {
                try await outcome.value
            } throws: { error in
                if case StorageError.outcomeUnknown = error { true } else { false }
            }
            #expect(runs.count == 1)
            #expect(commits.count == 0)
            #expect(try await PostgreSQLTests.value(database) == 0)
        }
    }

    @Test func `that there is no server is said clearly`() async throws {
        let port = try Ports.free()
        let settings = PostgreSQLTests.settings { $0.patience = .seconds(3) }
        let address = "host=127.0.0.1 port=\(port) user=owner dbname=postgres"
        try await PostgreSQLTests.withDatabase(settings: settings, connectionString: address) { database in
            await #expect {
                try await database.write { tx in _ = try tx.rows("SELECT 1 AS one") }
            } throws: { error in
                if case StorageError.unavailable(let message) = error { message.contains("\(port)") } else { false }
            }
        }
    }

    @Test func `a wrong password is said clearly, and not repeated`() async throws {
        let address = try await PostgreSQLServer.shared.value.connectionString(password: "hunter2")
        let settings = PostgreSQLTests.settings { $0.patience = .seconds(3) }
        try await PostgreSQLTests.withDatabase(settings: settings, connectionString: address) { database in
            await #expect {
                try await database.read { tx in try tx.rows("SELECT 1 AS one") }
            } throws: { error in
                "\(error)".contains("password authentication failed") && !"\(error)".contains("hunter2")
            }
        }
    }

    @Test func `a connection string that cannot be read is refused without being repeated`() throws {
        #expect {
            try Storage::Database.postgres(name: "test", connectionString: "host=x password 'hunter2", schema: "test")
        } throws: { error in
            "\(error)".contains("connection string") && !"\(error)".contains("hunter2")
        }
        #expect(throws: StorageError.self) {
            try Storage::Database.postgres(name: "test", connectionString: "host=a,b,c port=1,2", schema: "test")
        }
        #expect(throws: StorageError.self) {
            try Storage::Database.postgres(name: "test", connectionString: "host=a", schema: "public; DROP TABLE x")
        }
    }

    @Test func `behind a host that takes connections and never answers the next one is found`() async throws {
        let server = try await PostgreSQLServer.shared.value
        let silent = try FragileNetwork(to: server.port)
        silent.swallow()
        let address = """
            postgresql://owner:\(server.password)@127.0.0.1:\(silent.port),127.0.0.1:\(try Ports.free()),\
            127.0.0.1:\(server.port)/postgres
            """
        let settings = PostgreSQLTests.settings { $0.connectTimeLimit = .milliseconds(300) }
        try await PostgreSQLTests.withDatabase(settings: settings, connectionString: address) { database in
            try await database.migrate([PostgreSQLTests.counter])
            #expect(try await PostgreSQLTests.value(database) == 0)
        }
    }

    @Test func `a server that cannot be written to is not taken`() async throws {
        let server = try await PostgreSQLServer.shared.value
        let settings = PostgreSQLTests.settings { $0.patience = .seconds(3) }
        let address = server.connectionString() + " options='-c default_transaction_read_only=on'"
        try await PostgreSQLTests.withDatabase(settings: settings, connectionString: address) { database in
            await #expect {
                try await database.write { tx in _ = try tx.rows("SELECT 1 AS one") }
            } throws: { error in
                if case StorageError.unavailable(let message) = error { message.contains("read-only") } else { false }
            }
        }
    }

    // MARK: The pool

    @Test func `no more connections are opened than there may be, however many wait`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { database in
            try await database.migrate([PostgreSQLTests.counter])
            let load = Load()
            try await withThrowingTaskGroup { group in
                for _ in 0..<2_000 {
                    group.addTask {
                        try await database.write { tx in
                            load.enter()
                            defer { load.leave() }
                            try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await PostgreSQLTests.value(database) == 2_000)
            #expect((2...3).contains(load.most))
            let sessions = try await PostgreSQLTests.withDatabase { try await PostgreSQLTests.sessions($0, of: schema) }
            #expect((2...4).contains(sessions))
        }
    }

    @Test func `a lane whose transaction takes long keeps no other from going on`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            try await database.migrate([PostgreSQLTests.counter])
            let release = DispatchSemaphore(value: 0)
            let hasBegun = DispatchSemaphore(value: 0)
            let coalescer = Coalescer<Int, Int> { items, tx in
                if items == [0] {
                    hasBegun.signal()
                    if release.wait(timeout: .now() + 20) == .timedOut { return items.map { _ in .success(0) } }
                }
                return items.map { _ in .success(items.count) }
            }
            let first = Task { try await database.write(0, lane: "a", by: coalescer) }
            try await eventually("the lane is busy") { hasBegun.wait(timeout: .now()) == .success }
            // Nothing else could let the first one go.
            #expect(try await database.write(1, lane: "b", by: coalescer) == 1)
            release.signal()
            #expect(try await first.value == 1)
        }
    }

    @Test func `where another process works in a lane, a transaction waits and takes along what arrives meanwhile`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { one in
            try await one.migrate([PostgreSQLTests.counter])
            try await PostgreSQLTests.withDatabase(schema: schema) { other in
                let gate = Gate()
                let coalescer = Coalescer<Int, Set<Int>> { items, tx in
                    _ = try tx.rows("SELECT 1 AS value")
                    if items.contains(-1) { gate.pass() }
                    return items.map { _ in .success(Set(items)) }
                }
                let first = Task { try await one.write(-1, lane: "a", by: coalescer) }
                try await eventually("one has the lane") { gate.isReached }
                // The first that meets it goes on without the lane: only rows are locked for good reasons.
                #expect(try await other.write(0, lane: "a", by: coalescer) == [0])
                let second = Task { try await other.write(1, lane: "a", by: coalescer) }
                try await PostgreSQLTests.waiting(forLane: "a", of: schema, seenBy: one)
                let late = (2..<10).map { id in Task.immediate { try await other.write(id, lane: "a", by: coalescer) } }
                // A lane of another name waits for nobody.
                #expect(try await other.write(10, lane: "b", by: coalescer) == [10])
                gate.open()
                #expect(try await first.value == [-1])
                #expect(try await second.value == Set(1..<10))
                for task in late { #expect(try await task.value == Set(1..<10)) }
            }
        }
    }

    @Test func `whoever comes while another waits in vain for its turn gets a turn of their own`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { one in
            try await one.migrate([PostgreSQLTests.counter])
            try await PostgreSQLTests.withDatabase(schema: schema) { other in
                let gate = Gate()
                let coalescer = Coalescer<Int, Set<Int>> { items, tx in
                    _ = try tx.rows("SELECT 1 AS value")
                    if items.contains(-1) { gate.pass() }
                    return items.map { _ in .success(Set(items)) }
                }
                let first = Task { try await one.write(-1, lane: "a", by: coalescer) }
                try await eventually("one has the lane") { gate.isReached }
                #expect(try await other.write(0, lane: "a", by: coalescer) == [0])
                let impatient = Task {
                    try await Deadline.$current.withValue(.now + .seconds(3)) { try await other.write(1, lane: "a", by: coalescer) }
                }
                try await PostgreSQLTests.waiting(forLane: "a", of: schema, seenBy: one)
                let late = Task.immediate { try await other.write(2, lane: "a", by: coalescer) }
                await #expect(throws: StorageError.self) { try await impatient.value }
                gate.open()
                #expect(try await first.value == [-1])
                #expect(try await late.value == [2])
            }
        }
    }

    @Test func `who is taken along into another's turn keeps their own time`() async throws {
        let schema = PostgreSQLTests.newSchema()
        try await PostgreSQLTests.withDatabase(schema: schema) { one in
            try await one.migrate([PostgreSQLTests.counter])
            try await PostgreSQLTests.withDatabase(schema: schema) { other in
                let gate = Gate()
                let coalescer = Coalescer<Int, Set<Int>> { items, tx in
                    // Longer than the impatient one waits.
                    _ = try tx.rows(items.contains(1) ? "SELECT 1 AS value FROM (SELECT pg_sleep(4)) AS slept" : "SELECT 1 AS value")
                    if items.contains(-1) { gate.pass() }
                    return items.map { _ in .success(Set(items)) }
                }
                let first = Task { try await one.write(-1, lane: "a", by: coalescer) }
                try await eventually("one has the lane") { gate.isReached }
                #expect(try await other.write(0, lane: "a", by: coalescer) == [0])
                let impatient = Task {
                    try await Deadline.$current.withValue(.now + .seconds(4)) { try await other.write(1, lane: "a", by: coalescer) }
                }
                try await PostgreSQLTests.waiting(forLane: "a", of: schema, seenBy: one)
                let late = Task.immediate { try await other.write(2, lane: "a", by: coalescer) }
                gate.open()
                #expect(try await first.value == [-1])
                #expect(try await late.value == [1, 2])
                _ = await impatient.result
            }
        }
    }

    @Test func `what needs no answer yet costs no round trip, and neither does the clock`() async throws {
        try await PostgreSQLTests.withFragileDatabase { database, network in
            try await database.migrate([PostgreSQLTests.counter])
            let work: @Sendable (Transaction) throws -> Int = { tx in
                let (first, second) = (try tx.ask("SELECT value FROM counter WHERE id = 1"), try tx.ask("SELECT 1 AS value"))
                let sum = try first.get()[0]["value"] as Int + second.get()[0]["value"]
                let now = try tx.now
                try tx.queue("UPDATE counter SET value = \(sum) WHERE id = 1")
                try tx.queue("UPDATE counter SET value = \(now.microseconds) WHERE id = 2")
                return sum
            }
            _ = try await database.write(work)
            let before = network.questions
            #expect(try await database.write(work) == 2)
            // What is asked, with `BEGIN`; then what is written, with `COMMIT`.
            #expect(network.questions - before == 2)
        }
    }

    @Test func `a number that is no integer is told as such, and the connection goes on`() async throws {
        try await PostgreSQLTests.withDatabase { database in
            try await database.migrate([PostgreSQLTests.counter])
            await #expect {
                try await database.read { tx in try tx.row("SELECT SUM(value) AS sum FROM counter") }
            } throws: { error in
                if case StorageError.unexpectedValue(column: "sum", _) = error { true } else { false }
            }
            let sum: Int = try await database.read { tx in
                try tx.row("SELECT CAST(SUM(value) AS BIGINT) AS sum FROM counter")!["sum"]
            }
            #expect(sum == 0)
        }
    }
}

private final class Counter: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func add() -> Int { value.add(1, ordering: .sequentiallyConsistent).newValue }
}

/// How many work at the same time.
private final class Load: Sendable {
    private let state = Mutex((now: 0, most: 0))

    var most: Int { state.withLock { $0.most } }

    func enter() { state.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) } }
    func leave() { state.withLock { $0.now -= 1 } }
}
