internal import GRDB
internal import GRDBSQLite
import Values

/// A connection of GRDB's pool with its prepared statements, as a transaction sees it.
///
/// Statements are bound and stepped through SQLite's own functions: GRDB's boxes for arguments and rows took more time than the
/// statements. GRDB keeps what it is good at: opening and pooling.
///
/// Used by one thread at a time: that which GRDB has the connection work on.
@safe final class SQLiteConnection: EngineConnection, @unchecked Sendable {
    private let handle: OpaquePointer
    private var statements: [StatementText: SQLiteStatement] = [:]
    private(set) var commitActions: [@Sendable () -> Void] = []
    private var definitions = 0

    /// Statements with lists come in few lengths, so that a service has a few hundred at most.
    private static let mostStatements = 1_000

    init(_ db: GRDB.Database) throws {
        guard let connection = unsafe db.sqliteConnection else { throw StorageError.closed }
        unsafe handle = connection
    }

    func execute(_ sql: SQL) throws -> Int {
        try statement(sql.text).execute(sql.values, on: self)
        return Int(unsafe sqlite3_changes(handle))
    }

    func queue(_ sql: SQL) throws -> Answer<Int> {
        let changes = try execute(sql)
        return Answer { changes }
    }

    func ask(_ sql: SQL) throws -> Answer<[Row]> {
        let rows = try rows(sql)
        return Answer { rows }
    }

    /// Grows with every change that this connection makes.
    var changes: Int { definitions + Int(unsafe sqlite3_total_changes64(handle)) }

    /// The one writer runs one transaction after another: nothing is left to lock.
    func lock(_ sql: SQL) throws {}
    func lockSchema() throws {}

    func define(_ statement: String) throws {
        definitions += 1
        try run(statement.replacing(") CLUSTERED;", with: ") WITHOUT ROWID;"))
    }

    func rows(_ sql: SQL) throws -> [Row] {
        try statement(sql.text).rows(sql.values, on: self)
    }

    /// For what has no values and no answer, such as a savepoint.
    func run(_ text: String) throws {
        try statement(text).execute(SQLValues(), on: self)
    }

    enum Kind: String {
        /// Takes the writer's lock at once.
        case immediate = "BEGIN IMMEDIATE"
        /// Sees one state of the database from its first statement on.
        case deferred = "BEGIN DEFERRED"
    }

    enum End: String {
        case commit = "COMMIT"
        case rollback = "ROLLBACK"
    }

    /// Runs `body` between statements that are prepared once. Throwing rolls back.
    func inTransaction(_ kind: Kind, _ body: () throws -> End) throws {
        try run(kind.rawValue)
        do {
            try run(try body().rawValue)
        } catch {
            // Some errors have rolled back already.
            if isInTransaction { try run(End.rollback.rawValue) }
            throw error
        }
    }

    var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

    func now() throws -> Instant { .now }

    func onCommit(_ action: @escaping @Sendable () -> Void) {
        commitActions.append(action)
    }

    /// Drops the actions of a member that was rolled back.
    func forgetCommitActions(after count: Int) {
        commitActions.removeLast(commitActions.count - count)
    }

    /// Hands out the actions of the transaction that was committed.
    func takeCommitActions() -> [@Sendable () -> Void] {
        defer { commitActions = [] }
        return commitActions
    }

    /// Finalizes all statements, as SQLite wants it before a connection is closed.
    func close() {
        statements = [:]
    }

    /// The error that SQLite's last call on this connection has left.
    var error: StorageError {
        let code = unsafe sqlite3_extended_errcode(handle)
        return StorageError(sqliteCode: code, message: unsafe String(cString: sqlite3_errmsg(handle)))
    }

    private func statement(_ text: String) throws -> SQLiteStatement {
        let key = StatementText(text: text)
        if let statement = statements[key] { return statement }
        if statements.count >= SQLiteConnection.mostStatements { statements = [:] }
        var pointer: OpaquePointer?
        let code = unsafe sqlite3_prepare_v3(handle, text, Int32(text.utf8.count), UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
        guard code == SQLITE_OK, let prepared = unsafe pointer else { throw error }
        let statement = unsafe SQLiteStatement(prepared)
        statements[key] = statement
        return statement
    }
}

/// A statement's text as a key. Hashed by its length and its end: texts of one connection differ there, and many are long.
private struct StatementText: Hashable {
    let text: String

    func hash(into hasher: inout Hasher) {
        let utf8 = text.utf8
        hasher.combine(utf8.count)
        _ = unsafe utf8.withContiguousStorageIfAvailable { bytes in
            unsafe hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes).suffix(32)))
        }
    }
}
