/// A statement with its values. An interpolated value becomes a binding and can never become SQL:
/// `"SELECT * FROM hold WHERE id = \(id)"`. Another `SQL` is inserted as it is.
package struct SQL: ExpressibleByStringInterpolation, Sendable {
    enum Part: Sendable {
        case text(String)
        case value(SQLPrimitive)
        case difference(Difference)
    }

    /// The one named place of what the engines do not share.
    package enum Difference: Sendable {
        /// Locks the selected rows until the transaction ends. SQLite has one writer, and so nothing to lock.
        case forUpdate
        /// Compares text byte by byte, as SQLite always does.
        case byteOrder
    }

    var parts: [Part]

    package init(stringLiteral value: String) {
        parts = [.text(value)]
    }

    package init(stringInterpolation: StringInterpolation) {
        parts = stringInterpolation.parts
    }

    package struct StringInterpolation: StringInterpolationProtocol {
        var parts: [Part] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            parts.reserveCapacity(2 * interpolationCount + 1)
        }

        package mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { parts.append(.text(literal)) }
        }

        package mutating func appendInterpolation(_ value: some SQLValue) {
            parts.append(.value(value.sqlValue))
        }

        package mutating func appendInterpolation<V: SQLValue>(_ value: V?) {
            parts.append(.value(value?.sqlValue ?? .null(V.sqlType)))
        }

        package mutating func appendInterpolation(_ sql: SQL) {
            parts.append(contentsOf: sql.parts)
        }

        package mutating func appendInterpolation(_ difference: Difference) {
            parts.append(.difference(difference))
        }

        /// `(a, b, c)` for `IN`. An empty list matches nothing.
        package mutating func appendInterpolation<V: SQLValue>(list values: some Collection<V>) {
            guard !values.isEmpty else { return parts.append(.text("(NULL)")) }
            var separator = "("
            for value in values {
                parts.append(.text(separator))
                parts.append(.value(value.sqlValue))
                separator = ", "
            }
            parts.append(.text(")"))
        }
    }

    /// Joins statements' parts, as for the rows of `VALUES`.
    package static func joined(_ parts: some Sequence<SQL>, by separator: String) -> SQL {
        var result = SQL(stringLiteral: "")
        result.parts = []
        for part in parts {
            if !result.parts.isEmpty { result.parts.append(.text(separator)) }
            result.parts.append(contentsOf: part.parts)
        }
        return result
    }
}
