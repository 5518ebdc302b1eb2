/// What a value of a row may be: a `SQLValue`, or none of one.
package protocol SQLBindable {
    var bound: SQLPrimitive { get }
}

extension SQLValue {
    package var bound: SQLPrimitive { sqlValue }
}

extension Optional: SQLBindable where Wrapped: SQLValue {
    package var bound: SQLPrimitive { self?.sqlValue ?? .null(Wrapped.sqlType) }
}

/// The values of rows that are inserted together, one row behind the other. Their text follows from their number alone, so that none is
/// composed row by row.
package struct SQLRows {
    private var values: [SQLPrimitive] = []
    private var count = 0

    init(capacity: Int) {
        values.reserveCapacity(8 * capacity)
    }

    /// Adds a row, its values in the order of the columns.
    package mutating func append<each Value: SQLBindable>(_ row: repeat each Value) {
        repeat values.append((each row).bound)
        count += 1
    }

    /// - Parameters:
    ///   - head: up to and with `VALUES`.
    ///   - tail: what follows the rows.
    func statement(_ head: String, _ tail: String) -> SQL {
        let width = values.count / count
        precondition(width * count == values.count, "rows of one statement have as many values each")
        let row = "(?" + String(repeating: ", ?", count: width - 1) + ")"
        var statement = SQL(stringLiteral: head)
        statement.text.reserveCapacity(head.utf8.count + count * (row.utf8.count + 2) + tail.utf8.count + 1)
        for index in 0..<count {
            statement.text += index == 0 ? " " : ", "
            statement.text += row
        }
        if !tail.isEmpty { statement.text += " " + tail }
        statement.values = values
        return statement
    }
}

extension Transaction {
    /// Inserts a row for each item, with as few statements as possible.
    /// - Parameters:
    ///   - head: up to and with `VALUES`.
    ///   - tail: what follows the rows, such as `ON CONFLICT DO NOTHING`.
    ///   - fill: appends the item's row.
    package func insert<Item>(_ head: String, _ items: [Item], _ tail: String = "", _ fill: (inout SQLRows, Item) -> Void) throws {
        try inChunks(items) { part in
            var rows = SQLRows(capacity: part.count)
            for item in part { fill(&rows, item) }
            try queue(rows.statement(head, tail))
        }
    }

    /// As `insert`, of rows that may be there already: those stay as they are.
    /// - Parameter columns: what is told of the rows that were new.
    /// - Returns: the new ones, in no order.
    package func insertNew<Item>(
        _ head: String, _ items: [Item], returning columns: String, _ fill: (inout SQLRows, Item) -> Void
    ) throws -> [Row] {
        var new: [Row] = []
        try inChunks(items) { part in
            var rows = SQLRows(capacity: part.count)
            for item in part { fill(&rows, item) }
            new += try self.rows(rows.statement(head, "ON CONFLICT DO NOTHING RETURNING \(columns)"))
        }
        return new
    }
}
