internal import CSQLite
import Dispatch
internal import GRDB
import Synchronization

extension Database {
    /// Opens or makes a SQLite file: WAL, full durability, group commit.
    /// - Parameter readers: how many transactions may read side by side.
    public static func sqlite(name: String, path: String, readers: Int = 2) throws -> Database {
        Database(name: name, engine: try SQLiteEngine(path: path, readers: readers))
    }
}

/// SQLite through GRDB: one writer that commits in groups, and a few readers on snapshots.
final class SQLiteEngine: StorageEngine {
    private let pool: DatabasePool
    private let commits: GroupCommit
    private let reads: GroupRead
    private let connections = SQLiteConnections()

    /// What is set before SQLite is first used; later it changes nothing. SQLite's count of its memory is left out, which nobody reads:
    /// one lock for all connections at every allocation. Logs are written a commit at a time.
    private static let forTheProcess: Void = {
        _ = sqlite_count_memory(0)
        _ = sqlite_gather_log_writes()
    }()

    init(path: String, readers: Int) throws {
        SQLiteEngine.forTheProcess
        var configuration = GRDB.Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(10)
        configuration.persistentReadOnlyConnections = true
        // As many threads as processors for all databases together, and one pool of them for readers and one for writers: a thread for
        // each database would be woken for nearly every transaction, and there would be more of them than processors.
        configuration.targetQueue = .global(qos: .default)
        configuration.writeTargetQueue = .global(qos: .userInitiated)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = -2048")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            // Pages of a transaction that has not committed stay in memory, so that nothing of it is in the log, nor gathered for it.
            try db.execute(sql: "PRAGMA cache_spill = OFF")
        }
        pool = try DatabasePool(path: path, configuration: configuration)
        try pool.writeWithoutTransaction { db in
            // GRDB has set NORMAL by now, which loses the last commits when the power fails.
            try db.execute(sql: "PRAGMA synchronous = FULL")
            // 4 MB: a page that is written again and again goes to the file once, and nobody waits long for it.
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 1000")
        }
        commits = GroupCommit(pool: pool, connections: connections)
        reads = GroupRead(pool: pool, connections: connections, readers: readers)
    }

    func write(_ work: PendingWork) {
        commits.add(work)
    }

    func read(_ work: PendingWork) {
        reads.add(work)
    }

    func run() async {
        await commits.run()
    }

    func close() async throws {
        // Those that work now are waited for, so that no statement is finalized under their hands.
        try await pool.barrierWriteWithoutTransaction { _ in connections.close() }
        try pool.close()
    }
}

/// What is kept for each connection of the pool.
final class SQLiteConnections: Sendable {
    /// Nil once they are closed.
    private let connections = Mutex<[ObjectIdentifier: SQLiteConnection]?>([:])

    func connection(of db: GRDB.Database) throws -> SQLiteConnection {
        try connections.withLock { connections in
            guard connections != nil else { throw StorageError.closed }
            if let connection = connections?[ObjectIdentifier(db)] { return connection }
            let connection = try SQLiteConnection(db)
            connections?[ObjectIdentifier(db)] = connection
            return connection
        }
    }

    /// Who still comes is refused: a statement that is prepared now would keep the file open.
    func close() {
        connections.withLock { connections in
            for connection in (connections ?? [:]).values { connection.close() }
            connections = nil
        }
    }
}

extension StorageError {
    /// GRDB's errors as this room's.
    static func translate(_ error: any Error) -> StorageError {
        if let error = error as? StorageError { return error }
        guard let error = error as? DatabaseError else { return .unavailable("\(error)") }
        return StorageError(sqliteCode: error.extendedResultCode.rawValue, message: error.message ?? "SQLite error")
    }

    /// - Parameter sqliteCode: extended result code.
    init(sqliteCode: Int32, message: String) {
        let code = ResultCode(rawValue: sqliteCode)
        self =
            switch code {
            case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY: .constraint(.unique, detail: message)
            case .SQLITE_CONSTRAINT_FOREIGNKEY: .constraint(.foreignKey, detail: message)
            case .SQLITE_CONSTRAINT_CHECK: .constraint(.check, detail: message)
            case .SQLITE_CONSTRAINT_NOTNULL: .constraint(.notNull, detail: message)
            case _ where code.primaryResultCode == .SQLITE_CONSTRAINT: .constraint(.other, detail: message)
            default: .engine(code: "\(sqliteCode)", message: message)
            }
    }
}
