public import ServiceLifecycle

/// A database of one service, on whichever engine the deployment has.
///
/// The body of a transaction is synchronous and may be run again, so it has no effects but those on the database.
/// It never catches a database error: PostgreSQL has aborted the transaction by then. Where a conflict is expected,
/// say `ON CONFLICT DO NOTHING` and look at how many rows were changed.
public final class Database: Service {
    public let name: String
    private let engine: any StorageEngine

    init(name: String, engine: any StorageEngine) {
        self.name = name
        self.engine = engine
    }

    /// Runs `body` in a read-write transaction that is durable when this returns. Throwing rolls it back.
    ///
    /// Once queued, the write ends with its real outcome, whatever happens to the caller's task; at `Deadline.current`
    /// only the waiting ends, with `StorageError.deadline`.
    public func write<Result: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Result
    ) async throws -> Result {
        try await PendingWork.wait(for: body) { engine.write($0) }
    }

    /// Has `item` decided with all others of its lane that wait at the same time. As for `write`, it ends with its real outcome.
    public func write<Item: Sendable, Answer: Sendable>(
        _ item: Item, lane: String, by coalescer: Coalescer<Item, Answer>
    ) async throws -> Answer {
        try await PendingWork.wait(for: item, lane: lane, by: coalescer) { engine.write($0) }
    }

    /// Runs `body` on a snapshot. Never waits for writers.
    public func read<Result: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Result
    ) async throws -> Result {
        try await PendingWork.wait(for: body) { engine.read($0) }
    }

    /// Brings the schema up to date, under a lock, each migration in a transaction of its own.
    public func migrate(_ migrations: [Migration]) async throws {
        try await write { tx in
            try tx.lockSchema()
            try tx.define(
                "CREATE TABLE IF NOT EXISTS schema_migration (id TEXT PRIMARY KEY, text TEXT NOT NULL, applied_at BIGINT NOT NULL);")
        }
        let applied = try await read { tx in
            try tx.rows("SELECT id, text FROM schema_migration ORDER BY id").map { row in
                (id: try row["id"] as String, text: try row["text"] as String)
            }
        }
        for (id, text) in applied {
            guard let known = migrations.first(where: { $0.id == id }) else {
                throw StorageError.newerSchema(database: name, migration: id)
            }
            guard known.text == text else { throw StorageError.changedMigration(database: name, migration: id) }
        }
        for migration in migrations where !applied.contains(where: { $0.id == migration.id }) {
            try await write { tx in
                try tx.lockSchema()
                let inserted = try tx.execute(
                    """
                    INSERT INTO schema_migration (id, text, applied_at) VALUES (\(migration.id), \(migration.text), \(tx.now))
                    ON CONFLICT DO NOTHING
                    """)
                guard inserted == 1 else { return }
                for statement in migration.statements { try tx.define(statement) }
                try migration.conversion?(tx)
            }
        }
    }

    /// Ends the waiting of callers whose deadline has passed, until the process is asked to stop.
    public func run() async throws {
        await engine.run()
    }

    public func close() async throws {
        try await engine.close()
    }
}

/// One step of a schema's history. Append-only: what was released is never changed.
public struct Migration: Sendable {
    public let id: String
    public let statements: [String]
    /// What the statements cannot say in the words of both engines; runs after them.
    let conversion: (@Sendable (Transaction) throws -> Void)?

    /// - Parameters:
    ///   - sql: statements in the common subset of both engines, each ended by `;` at the end of a line. A table that ends with
    ///     `) CLUSTERED;` is kept in the order of its primary key, where the engine can do that: one tree to write instead of two. For
    ///     rows of less than a kilobyte. `TEXT` is compared byte by byte.
    ///   - conversion: runs after the statements, as the body of any transaction.
    public init(_ id: String, _ sql: String, conversion: (@Sendable (Transaction) throws -> Void)? = nil) {
        self.id = id
        self.conversion = conversion
        var statements: [String] = []
        var lines: [Substring] = []
        for line in sql.split(separator: "\n") {
            lines.append(line)
            if line.hasSuffix(";") {
                statements.append(lines.joined(separator: "\n"))
                lines = []
            }
        }
        precondition(lines.allSatisfy { $0.allSatisfy(\.isWhitespace) }, "migration \(id) has a statement without its ;")
        self.statements = statements
    }

    var text: String { statements.joined(separator: "\n") }
}

/// A kind of database: SQLite, PostgreSQL.
protocol StorageEngine: Sendable {
    /// Performs a read-write transaction, and answers once it is durable.
    func write(_ work: PendingWork)
    /// Performs a transaction on a snapshot.
    func read(_ work: PendingWork)
    /// Ends the waiting of callers whose deadline has passed, until the process is asked to stop.
    func run() async
    func close() async throws
}
