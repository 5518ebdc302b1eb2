import Foundation
import ServiceLifecycle
import Storage
import Synchronization
import TestServers
import Testing
import Values

/// Each engine on a real database of its own.
enum Engine: String, CaseIterable, Sendable {
    case sqlite, postgres
    /// PostgreSQL behind PgBouncer in transaction mode.
    case pooledPostgres

    /// - Parameter body: is given the database, and where it is: its file or its schema.
    func withDatabase<Result>(_ body: (Storage::Database, String) async throws -> Result) async throws -> Result {
        guard case .sqlite = self else {
            let schema = PostgreSQLTests.newSchema()
            let address: String? = self == .pooledPostgres ? try await PgBouncer.shared.value.connectionString : nil
            return try await PostgreSQLTests.withDatabase(schema: schema, connectionString: address) { try await body($0, schema) }
        }
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try Storage::Database.sqlite(name: "test", path: folder + "/test.sqlite")
        let result = try await body(database, folder + "/test.sqlite")
        try await database.close()
        return result
    }
}

@Suite struct StorageTests {
    static let items = Migration(
        "0001-items",
        """
        CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT NOT NULL, price BIGINT CHECK (price >= 0), flag BOOLEAN, bytes BYTEA, at BIGINT);
        """)

    @Test(arguments: Engine.allCases)
    func `values come back as they went in`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let at = Instant(microseconds: 1_777_777_777_123_456)
            let name = "1e3 ' \" -- \u{1F39F} שלום"
            try await database.write { tx in
                _ = try tx.execute(
                    "INSERT INTO item (id, name, price, flag, bytes, at) VALUES (\(1), \(name), \(Int64?.none), \(true), \([0, 255] as [UInt8]), \(at))"
                )
            }
            let row = try #require(try await database.read { tx in try tx.row("SELECT * FROM item WHERE name = \(name)") })
            #expect(try row["name"] == name)
            #expect(try row["price"] == Int64?.none)
            #expect(try row["flag"] == true)
            #expect(try row["bytes"] == [0, 255] as [UInt8])
            #expect(try row["at"] == at)
        }
    }

    @Test(arguments: Engine.allCases)
    func `what is empty is not null, and the values of statements within statements keep their places`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let rows: [SQL] = (1...3).map { "(\($0), \($0 == 2 ? "" : "name \($0)"), \([UInt8](repeating: 7, count: $0 - 1)))" }
            _ = try await database.write { tx in
                try tx.execute("INSERT INTO item (id, name, bytes) VALUES \(SQL.joined(rows, by: ", "))")
            }
            let named: SQL = "name = \("name 3") AND bytes = \([7, 7] as [UInt8])"
            let found = try await database.read { tx in
                try tx.rows(
                    "SELECT * FROM item WHERE (name = \("name 1") AND id = \(1)) OR (\(named)) OR name IN \(list: ["", "x"]) ORDER BY id"
                ).map { row in (name: try row["name"] as String, bytes: try row["bytes"] as [UInt8]) }
            }
            #expect(found.map(\.name) == ["name 1", "", "name 3"])
            #expect(found.map(\.bytes) == [[], [7], [7, 7]])
        }
    }

    @Test(arguments: Engine.allCases)
    func `a member of a group that fails rolls back alone`(engine: Engine) async throws {
        struct Refused: Error {}
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let failures = await withTaskGroup(of: Bool.self) { group in
                for id in 0..<200 {
                    group.addTask { @Sendable in
                        do {
                            try await database.write { tx in
                                try tx.execute("INSERT INTO item (id, name) VALUES (\(id), 'x')")
                                if id % 3 == 0 { throw Refused() }
                            }
                            return false
                        } catch {
                            return true
                        }
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(failures == 67)
            let ids = try await database.read { tx in try tx.rows("SELECT id FROM item").map { try $0["id"] as Int } }
            #expect(Set(ids) == Set((0..<200).filter { $0 % 3 != 0 }))
        }
    }

    @Test(arguments: Engine.allCases)
    func `a constraint is told as such, and nothing of the transaction stays`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            await #expect {
                try await database.write { tx in
                    try tx.execute("INSERT INTO item (id, name) VALUES (1, 'kept?')")
                    try tx.execute("INSERT INTO item (id, name, price) VALUES (2, 'bad', -1)")
                }
            } throws: { error in
                if case StorageError.constraint(.check, _) = error { true } else { false }
            }
            let count: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
            #expect(count == 0)
        }
    }

    @Test(arguments: Engine.allCases)
    func `a caller whose time is over is told so, and what it waited for goes on`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let ticker = Task { try await database.run() }
            defer { ticker.cancel() }
            let release = DispatchSemaphore(value: 0)
            let hasBegun = DispatchSemaphore(value: 0)
            let blocker = Task {
                try await database.write { tx in
                    try tx.execute("INSERT INTO item (id, name) VALUES (7, 'first')")
                    hasBegun.signal()
                    _ = release.wait(timeout: .now() + 20)
                }
            }
            try await eventually("the writer is busy") { hasBegun.wait(timeout: .now()) == .success }
            let begin = ContinuousClock.now
            await #expect {
                try await Deadline.$current.withValue(.now + .milliseconds(300)) {
                    try await database.write { tx in
                        _ = try tx.execute("INSERT INTO item (id, name) VALUES (7, 'late') ON CONFLICT (id) DO UPDATE SET name = 'late'")
                    }
                }
            } throws: { error in
                if case StorageError.deadline = error { true } else { false }
            }
            #expect(ContinuousClock.now - begin < .seconds(15))
            release.signal()
            try await blocker.value
            let name: String? = try await database.read { tx in try tx.row("SELECT name FROM item WHERE id = 7")?["name"] }
            #expect(name == "first")
        }
    }

    /// What lane `a` answers to `ids` that all have gathered while its first item, -1, was being decided; nil for an error.
    private static func gather<Answer>(
        _ ids: Range<Int>, lane: (Int) -> String = { _ in "a" }, on database: Storage::Database, behind gate: Gate,
        _ coalescer: Coalescer<Int, Answer>
    ) async throws -> [Int: Answer] {
        let first = Task { try await database.write(-1, lane: "a", by: coalescer) }
        try await eventually("the first is being decided") { gate.isReached }
        // Each waits in its lane once it is suspended.
        let others = ids.map { id in
            let lane = lane(id)
            return (id, Task.immediate { try? await database.write(id, lane: lane, by: coalescer) })
        }
        gate.open()
        _ = try await first.value
        var answers: [Int: Answer] = [:]
        for (id, task) in others { answers[id] = await task.value }
        return answers
    }

    @Test(arguments: Engine.allCases)
    func `items of a lane that wait together are decided together, those of others by themselves`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let gate = Gate()
            let coalescer = Coalescer<Int, Set<Int>> { items, tx in
                if items.contains(-1) { gate.pass() }
                try tx.insert("INSERT INTO item (id, name) VALUES", items) { $0.append($1, "x") }
                return items.map { _ in .success(Set(items)) }
            }
            let decided = try await StorageTests.gather(0..<20, lane: { $0 < 15 ? "a" : "b" }, on: database, behind: gate, coalescer)
            for id in 0..<15 { #expect(decided[id] == Set(0..<15)) }
            for id in 15..<20 { #expect(decided[id]?.isSubset(of: 15..<20) == true) }
            let written: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
            #expect(written == 21)
        }
    }

    @Test(arguments: Engine.allCases)
    func `where a lane throws, each of its items is decided again alone`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let gate = Gate()
            let coalescer = Coalescer<Int, Int> { items, tx in
                if items.contains(-1) { gate.pass() }
                // A price below zero breaks the schema's CHECK.
                for id in items { try tx.execute("INSERT INTO item (id, name, price) VALUES (\(id), 'x', \(id == 7 ? -1 : 1))") }
                return items.map { _ in .success(items.count) }
            }
            let done = try await StorageTests.gather(0..<20, on: database, behind: gate, coalescer)
            #expect(Set(done.keys) == Set(0..<20).subtracting([7]))
            #expect(done.values.allSatisfy { $0 == 1 }, "they were not decided alone")
            let written: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
            #expect(written == 20)
        }
    }

    @Test(arguments: Engine.allCases)
    func `a write knows where its caller's work came from`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            let known = try await Correlation.$current.withValue(Correlation(id: "request-1", traceparent: "00-ab-cd-01")) {
                try await database.write { _ in [Correlation.id, Correlation.traceparent] }
            }
            #expect(known == ["request-1", "00-ab-cd-01"])
            #expect(try await database.write { _ in Correlation.id } == nil)
        }
    }

    @Test(arguments: Engine.allCases)
    func `what runs on commit runs after it, and not when it is rolled back`(engine: Engine) async throws {
        struct Refused: Error {}
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let ran = Mutex<[String]>([])
            try await database.write { tx in tx.onCommit { ran.withLock { $0.append("kept") } } }
            try? await database.write { tx in
                tx.onCommit { ran.withLock { $0.append("lost") } }
                throw Refused()
            }
            #expect(ran.withLock { $0 } == ["kept"])
        }
    }

    @Test(arguments: Engine.allCases)
    func `migrations run once, in order, and a newer schema refuses to start`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            let second = Migration("0002-more", "ALTER TABLE item ADD COLUMN more TEXT;")
            try await database.migrate([StorageTests.items])
            try await database.migrate([StorageTests.items, second])
            try await database.migrate([StorageTests.items, second])
            try await database.write { tx in _ = try tx.execute("INSERT INTO item (id, name, more) VALUES (1, 'a', 'b')") }
            await #expect {
                try await database.migrate([StorageTests.items])
            } throws: { error in
                if case StorageError.newerSchema(_, "0002-more") = error { true } else { false }
            }
            let changed = Migration("0002-more", "ALTER TABLE item ADD COLUMN other TEXT;")
            await #expect(throws: StorageError.self) { try await database.migrate([StorageTests.items, changed]) }
        }
    }

    @Test(arguments: Engine.allCases)
    func `text is compared byte by byte`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let names = ["b", "B", "a", "é", "Z", "_", "1"]
            try await database.write { tx in
                try tx.insert("INSERT INTO item (id, name) VALUES", Array(names.enumerated())) { $0.append($1.offset, $1.element) }
            }
            let (sorted, small) = try await database.read { tx in
                (
                    try tx.rows("SELECT name FROM item ORDER BY name").map { try $0["name"] as String },
                    try tx.rows("SELECT name FROM item WHERE name >= 'a' ORDER BY name").map { try $0["name"] as String }
                )
            }
            #expect(sorted == ["1", "B", "Z", "_", "a", "b", "é"])
            #expect(small == ["a", "b", "é"])
        }
    }

    @Test(arguments: Engine.allCases)
    func `what is queued is refused by the commit, and nothing of the transaction stays`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            await #expect {
                try await database.write { tx in
                    try tx.execute("INSERT INTO item (id, name) VALUES (1, 'kept?')")
                    try tx.queue("INSERT INTO item (id, name) VALUES (2, 'kept?')")
                    try tx.queue("INSERT INTO item (id, name) VALUES (1, 'twice')")
                }
            } throws: { error in
                if case StorageError.constraint(.unique, _) = error { true } else { false }
            }
            let count: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
            #expect(count == 0)
        }
    }

    @Test(arguments: Engine.allCases)
    func `what is asked before it is needed is answered in its order`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            let found = try await database.write { tx in
                let count: SQL = "SELECT COUNT(*) AS n FROM item"
                let none = try tx.ask(count)
                let made = try tx.queue("INSERT INTO item (id, name) VALUES (1, 'x'), (2, 'x')")
                let both = try tx.ask(count)
                let changed = try tx.queue("UPDATE item SET name = 'y' WHERE id = 2")
                let one: Int = try tx.row("SELECT COUNT(*) AS n FROM item WHERE name = 'y'")!["n"]
                return [try both.get()[0]["n"], try made.get(), try none.get()[0]["n"], try changed.get(), one]
            }
            #expect(found == [2, 2, 0, 1, 1])
        }
    }

    @Test(arguments: Engine.allCases)
    func `the clock goes on within a transaction, and from one to the next`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            var last = Instant.now - .seconds(60)
            for _ in 0..<20 {
                let shown = try await database.write { tx in
                    var shown = [try tx.now]
                    _ = try tx.rows("SELECT id FROM item")
                    while shown.count < 10 || shown.last == shown.first { shown.append(try tx.now) }
                    return shown
                }
                #expect(shown == shown.sorted())
                #expect(shown[0] >= last)
                last = shown[shown.count - 1]
            }
            let read = try await database.read { tx in try tx.now }
            #expect(read >= last && read < .now + .seconds(60))
        }
    }

    @Test(arguments: Engine.allCases)
    func `a read cannot write`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            await #expect(throws: StorageError.self) {
                try await database.read { tx in try tx.execute("INSERT INTO item (id, name) VALUES (1, 'x')") }
            }
            let count: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
            #expect(count == 0)
        }
    }

    @Test func `SQLite runs with full durability on every connection`() async throws {
        try await Engine.sqlite.withDatabase { database, _ in
            let mode = try await database.write { tx in
                (try tx.row("PRAGMA synchronous")!["synchronous"] as Int, try tx.row("PRAGMA journal_mode")!["journal_mode"] as String)
            }
            #expect(mode.0 == 2)
            #expect(mode.1 == "wal")
        }
    }

    @Test(arguments: Engine.allCases)
    func `a bulk insert writes every row, whatever their number`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([StorageTests.items])
            for count in [0, 1, 5, 84, 151] {
                try await database.write { tx in
                    try tx.execute("DELETE FROM item")
                    try tx.insert("INSERT INTO item (id, name) VALUES", Array(0..<count)) { $0.append($1, "n\($1)") }
                }
                let found: Int = try await database.read { tx in try tx.row("SELECT COUNT(*) AS n FROM item")!["n"] }
                #expect(found == count)
            }
        }
    }
}

/// Holds a thread until the test lets it go on.
final class Gate: Sendable {
    private let reached = Mutex(false)
    private let semaphore = DispatchSemaphore(value: 0)

    var isReached: Bool { reached.withLock { $0 } }

    func pass() {
        reached.withLock { $0 = true }
        semaphore.wait()
        // For a body that runs again.
        semaphore.signal()
    }

    func open() {
        semaphore.signal()
    }
}
