/// What a value of a row may be: a `SQLValue`, or none of one.
public protocol SQLBindable {
    func append(to values: inout SQLValues)
}

extension Optional: SQLBindable where Wrapped: SQLValue {
    public func append(to values: inout SQLValues) {
        if let self { self.append(to: &values) } else { values.appendNull(Wrapped.sqlType) }
    }
}

/// The values of rows that are inserted together, one row behind the other. Their text follows from their number alone, so that none is
/// composed row by row.
public struct SQLRows {
    var values = SQLValues()
    var count = 0

    init(capacity: Int) {
        values.reserveCapacity(8 * capacity)
    }

    /// Adds a row, its values in the order of the columns.
    public mutating func append<each Value: SQLBindable>(_ row: repeat each Value) {
        repeat (each row).append(to: &values)
        count += 1
    }

    /// - Parameters:
    ///   - head: up to and with `VALUES`.
    ///   - tail: what follows the rows.
    func statement(_ head: String, _ tail: String) -> SQL {
        let width = values.count / count
        precondition(width * count == values.count, "rows of one statement have as many values each")
        var statement = statement(of: "(?" + String(repeating: ", ?", count: width - 1) + ")", by: ", ", behind: head + " ")
        if !tail.isEmpty { statement.text += " " + tail }
        return statement
    }

    /// - Parameter part: what is said of each row, with as many `?` as it has values.
    func statement(of part: String, by separator: String, behind head: String = "") -> SQL {
        var statement = SQL(stringLiteral: head)
        statement.text.reserveCapacity(head.utf8.count + count * (part.utf8.count + separator.utf8.count))
        for index in 0..<count {
            if index > 0 { statement.text += separator }
            statement.text += part
        }
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
    public func insert<Item>(_ head: String, _ items: [Item], _ tail: String = "", _ fill: (inout SQLRows, Item) -> Void) throws {
        try inChunks(items) { part in
            var rows = SQLRows(capacity: part.count)
            for item in part { fill(&rows, item) }
            try queue(rows.statement(head, tail))
        }
    }

    /// Asks the same of each item, with as few statements as possible.
    /// - Parameters:
    ///   - question: a `SELECT` with a `?` for each value.
    ///   - fill: appends the item's values.
    /// - Returns: what was found, in no order.
    public func ask<Item>(_ question: String, ofEach items: [Item], _ fill: (inout SQLRows, Item) -> Void) throws -> Answer<[Row]> {
        var answers: [Answer<[Row]>] = []
        try inChunks(items) { part in
            var rows = SQLRows(capacity: part.count)
            for item in part { fill(&rows, item) }
            answers.append(try ask(rows.statement(of: question, by: " UNION ALL ")))
        }
        return Answer { [answers] in try answers.flatMap { try $0.get() } }
    }

    /// As `insert`, of rows that may be there already: those stay as they are.
    /// - Parameter columns: what is told of the rows that were new.
    /// - Returns: the new ones, in no order.
    public func insertNew<Item>(
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
