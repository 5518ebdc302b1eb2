internal import Foundation
internal import GRDB
import Values

/// A transaction's view of GRDB's connection. Lives no longer than the closure that made it.
final class SQLiteConnection: EngineConnection {
    private let db: GRDB.Database
    private(set) var commitActions: [@Sendable () -> Void] = []

    init(_ db: GRDB.Database) {
        self.db = db
    }

    func execute(_ sql: SQL) throws -> Int {
        let statement = try prepare(sql)
        try statement.execute()
        return db.changesCount
    }

    func rows(_ sql: SQL) throws -> [Row] {
        let statement = try prepare(sql)
        let columns = Row.Columns(names: statement.columnNames)
        let count = columns.names.count
        let cursor = try GRDB.Row.fetchCursor(statement)
        var rows: [Row] = []
        while let row = try cursor.next() {
            var values: [SQLPrimitive] = []
            values.reserveCapacity(count)
            for index in 0..<count { values.append(SQLPrimitive(row[index] as DatabaseValue)) }
            rows.append(Row(columns: columns, values: values))
        }
        return rows
    }

    func now() throws -> Instant { .now }

    func onCommit(_ action: @escaping @Sendable () -> Void) {
        commitActions.append(action)
    }

    /// Drops the actions of a member that was rolled back.
    func forgetCommitActions(after count: Int) {
        commitActions.removeLast(commitActions.count - count)
    }

    private func prepare(_ sql: SQL) throws -> Statement {
        var text = ""
        text.reserveCapacity(256)
        var arguments: [(any DatabaseValueConvertible)?] = []
        for part in sql.parts {
            switch part {
            case .text(let fragment): text += fragment
            case .value(let value):
                text += "?"
                arguments.append(value.databaseValue)
            case .difference: break
            }
        }
        let statement = try db.cachedStatement(sql: text)
        statement.setUncheckedArguments(StatementArguments(arguments))
        return statement
    }
}

extension SQLPrimitive {
    fileprivate var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let value): value.databaseValue
        case .text(let value): value.databaseValue
        case .boolean(let value): value.databaseValue
        case .bytes(let value): Data(value).databaseValue
        }
    }

    fileprivate init(_ value: DatabaseValue) {
        switch value.storage {
        case .null: self = .null(.text)
        case .int64(let value): self = .integer(value)
        case .double(let value): self = .text(String(value))
        case .string(let value): self = .text(value)
        case .blob(let value): self = .bytes([UInt8](value))
        }
    }
}
