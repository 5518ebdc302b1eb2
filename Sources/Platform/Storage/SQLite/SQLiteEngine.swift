internal import GRDB

extension Database {
    /// Opens or makes a SQLite file: WAL, full durability, group commit.
    /// - Parameter readers: how many transactions may read side by side.
    package static func sqlite(name: String, path: String, readers: Int = 2) throws -> Database {
        Database(name: name, engine: try SQLiteEngine(path: path, readers: readers))
    }
}

/// SQLite through GRDB: one writer that commits in groups, and a few readers on snapshots.
final class SQLiteEngine: StorageEngine {
    private let pool: DatabasePool
    private let commits: GroupCommit
    private let reads: GroupRead

    init(path: String, readers: Int) throws {
        var configuration = GRDB.Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(10)
        configuration.persistentReadOnlyConnections = true
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = -2048")
        }
        pool = try DatabasePool(path: path, configuration: configuration)
        try pool.writeWithoutTransaction { db in
            // GRDB has set NORMAL by now, which loses the last commits when the power fails.
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
        commits = GroupCommit(pool: pool)
        reads = GroupRead(pool: pool, readers: readers)
    }

    func write<Result: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Result) async throws -> Result {
        try await commits.write(body)
    }

    func read<Result: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Result) async throws -> Result {
        try await reads.read(body)
    }

    func run() async {
        await commits.run()
    }

    func close() async throws {
        try pool.close()
    }
}

extension StorageError {
    /// GRDB's errors as this room's; others as they are.
    static func translate(_ error: any Error) -> any Error {
        (error as? DatabaseError).map { StorageError($0) } ?? error
    }

    private init(_ error: DatabaseError) {
        if error.resultCode == .SQLITE_CONSTRAINT {
            let kind: Constraint =
                switch error.extendedResultCode {
                case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY: .unique
                case .SQLITE_CONSTRAINT_FOREIGNKEY: .foreignKey
                case .SQLITE_CONSTRAINT_CHECK: .check
                case .SQLITE_CONSTRAINT_NOTNULL: .notNull
                default: .other
                }
            self = .constraint(kind, detail: error.message ?? "")
        } else {
            self = .engine(code: Int(error.extendedResultCode.rawValue), message: error.message ?? "SQLite error")
        }
    }
}
