/// One row of an answer. Values are asked for by column and type: `let capacity: Int = try row["capacity"]`.
package struct Row: Sendable {
    let columns: Columns
    let values: [SQLPrimitive]

    /// The names of an answer's columns, shared by its rows.
    final class Columns: Sendable {
        let names: [String]
        init(names: [String]) { self.names = names }
    }

    package subscript<V: SQLValue>(_ column: String) -> V {
        get throws {
            guard let value: V = try self[column] else {
                throw StorageError.unexpectedValue(column: column, expected: "\(V.self)")
            }
            return value
        }
    }

    package subscript<V: SQLValue>(_ column: String) -> V? {
        get throws {
            guard let index = columns.names.firstIndex(of: column) else {
                throw StorageError.unexpectedValue(column: column, expected: "a column of this name")
            }
            if case .null = values[index] { return nil }
            guard let value = V(sqlValue: values[index]) else {
                throw StorageError.unexpectedValue(column: column, expected: "\(V.self)")
            }
            return value
        }
    }
}
