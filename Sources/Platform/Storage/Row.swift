/// One row of an answer. Values are asked for by column and type: `let capacity: Int = try row["capacity"]`.
public struct Row: Sendable {
    let columns: Columns
    let values: [SQLPrimitive]

    /// The names of an answer's columns, shared by all rows of a statement.
    final class Columns: Sendable {
        private let indices: [String: Int]

        init(names: [String]) {
            indices = Dictionary(zip(names, names.indices)) { first, _ in first }
        }

        func index(of name: String) throws -> Int {
            guard let index = indices[name] else {
                throw StorageError.unexpectedValue(column: name, expected: "a column of this name")
            }
            return index
        }
    }

    public subscript<V: SQLValue>(_ column: String) -> V {
        get throws {
            guard let value = V(sqlValue: values[try columns.index(of: column)]) else {
                throw StorageError.unexpectedValue(column: column, expected: "\(V.self)")
            }
            return value
        }
    }

    public subscript<V: SQLValue>(_ column: String) -> V? {
        get throws {
            let primitive = values[try columns.index(of: column)]
            if case .null = primitive { return nil }
            guard let value = V(sqlValue: primitive) else {
                throw StorageError.unexpectedValue(column: column, expected: "\(V.self)")
            }
            return value
        }
    }
}
