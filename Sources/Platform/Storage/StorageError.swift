/// What a database can answer beside rows.
public enum StorageError: Error, Sendable {
    /// A constraint of the schema refused the change. `detail` names it where the engine does.
    case constraint(Constraint, detail: String)
    /// The wait ended at the deadline. If `begun`, the outcome is unknown to the caller; else nothing was done.
    case deadline(begun: Bool)
    /// The database ended a statement that took too long, or waited too long for another's lock: nothing was done.
    case timeLimit(String)
    /// No server can be reached: nothing was done.
    case unavailable(String)
    /// A commit failed after the change was made: nothing of it is there.
    case commitFailed(String)
    /// The connection was lost while the change was being committed: it is there as a whole or not at all, and nobody knows which.
    case outcomeUnknown(String)
    case unexpectedValue(column: String, expected: String)
    /// The database was written by a newer program than this one.
    case newerSchema(database: String, migration: String)
    /// A migration that was applied reads otherwise now.
    case changedMigration(database: String, migration: String)
    case closed
    /// Anything else that the engine said. `code` is SQLite's extended result code, or PostgreSQL's SQLSTATE.
    case engine(code: String, message: String)

    public enum Constraint: String, Sendable {
        case unique, foreignKey, check, notNull, other
    }
}

extension StorageError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .constraint(let kind, let detail): "a \(kind.rawValue) constraint refused the change: \(detail)"
        case .deadline(let begun):
            begun ? "the deadline passed while the change was being made" : "the deadline passed before the change was begun"
        case .timeLimit(let message): "the database ended a statement that took too long: \(message)"
        case .unavailable(let message): "no database server can be reached: \(message)"
        case .commitFailed(let message): "the commit failed: \(message)"
        case .outcomeUnknown(let message): "it is not known whether the change was made, for the connection was lost: \(message)"
        case .unexpectedValue(let column, let expected): "column \(column) does not hold \(expected)"
        case .newerSchema(let database, let migration):
            "\(database) was written by a newer version of this program (it has migration \(migration)); start that version, or restore a backup"
        case .changedMigration(let database, let migration):
            "migration \(migration) of \(database) was changed after it had been applied; migrations are append-only"
        case .closed: "the database is closed"
        case .engine(let code, let message): "\(message) (\(code))"
        }
    }
}
