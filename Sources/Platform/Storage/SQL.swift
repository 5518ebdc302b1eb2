public import Values

/// A statement with its values. An interpolated value becomes a binding and can never become SQL:
/// `"SELECT * FROM hold WHERE id = \(id)"`. Another `SQL` is inserted as it is.
public struct SQL: ExpressibleByStringInterpolation, Sendable {
    /// The one named place of what the engines do not share.
    public enum Difference: Sendable {
        /// Locks the selected rows until the transaction ends. SQLite has one writer, and so nothing to lock.
        case forUpdate
    }

    /// The statement, with a `?` for each value: SQLite's own form. No statement has one that means anything else.
    var text: String
    /// In the order of their `?`.
    var values = SQLValues()
    /// What another engine says at which place of the text, in UTF-8 code units.
    var differences: [(offset: Int, Difference)]

    public init(stringLiteral value: String) {
        text = value
        differences = []
    }

    public init(stringInterpolation: StringInterpolation) {
        self = stringInterpolation.sql
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        var sql: SQL

        public init(literalCapacity: Int, interpolationCount: Int) {
            sql = SQL(stringLiteral: "")
            sql.text.reserveCapacity(literalCapacity + 4 * interpolationCount)
            sql.values.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            sql.text += literal
        }

        public mutating func appendInterpolation(_ value: some SQLValue) {
            sql.append(value)
        }

        public mutating func appendInterpolation(_ value: JSONText) {
            sql.append(value)
        }

        public mutating func appendInterpolation<V: SQLValue>(_ value: V?) {
            sql.append(value)
        }

        public mutating func appendInterpolation(_ other: SQL) {
            sql.append(other)
        }

        public mutating func appendInterpolation(_ difference: Difference) {
            sql.differences.append((sql.text.utf8.count, difference))
        }

        /// `(a, b, c)` for `IN`. An empty list matches nothing.
        public mutating func appendInterpolation<V: SQLValue>(list values: some Collection<V>) {
            guard !values.isEmpty else {
                sql.text += "(NULL)"
                return
            }
            var separator = "("
            for value in values {
                sql.text += separator
                sql.append(value)
                separator = ", "
            }
            sql.text += ")"
        }
    }

    /// Joins statements, as for the rows of `VALUES`.
    public static func joined(_ parts: some Collection<SQL>, by separator: String) -> SQL {
        var result = SQL(stringLiteral: "")
        if let first = parts.first {
            result.text.reserveCapacity(parts.count * (first.text.utf8.count + separator.utf8.count))
            result.values.reserveCapacity(parts.count * first.values.count)
        }
        var isFirst = true
        for part in parts {
            if !isFirst { result.text += separator }
            isFirst = false
            result.append(part)
        }
        return result
    }

    private mutating func append(_ value: some SQLBindable) {
        text += "?"
        value.append(to: &values)
    }

    private mutating func append(_ other: SQL) {
        let offset = text.utf8.count
        text += other.text
        values.append(other.values)
        for (place, difference) in other.differences { differences.append((offset + place, difference)) }
    }
}
