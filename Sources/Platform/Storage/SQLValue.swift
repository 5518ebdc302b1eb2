package import Values

/// The four column types that mean the same in both engines.
package enum SQLType: Sendable {
    case integer, text, boolean, bytes
}

/// A value on its way into or out of a column. A null knows its type, because PostgreSQL asks for it.
package enum SQLPrimitive: Hashable, Sendable {
    case null(SQLType)
    case integer(Int64)
    case text(String)
    case boolean(Bool)
    case bytes([UInt8])
}

/// What can stand in a column. Instants are `BIGINT` microseconds; ids, enums and JSON are `TEXT`.
package protocol SQLValue: SQLBindable, Sendable {
    static var sqlType: SQLType { get }
    var sqlValue: SQLPrimitive { get }
    /// Nil where the column holds something else.
    init?(sqlValue: SQLPrimitive)
}

extension Int64: SQLValue {
    package static var sqlType: SQLType { .integer }
    package var sqlValue: SQLPrimitive { .integer(self) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Int: SQLValue {
    package static var sqlType: SQLType { .integer }
    package var sqlValue: SQLPrimitive { .integer(Int64(self)) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self.init(exactly: value)
    }
}

extension String: SQLValue {
    package static var sqlType: SQLType { .text }
    package var sqlValue: SQLPrimitive { .text(self) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .text(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Bool: SQLValue {
    package static var sqlType: SQLType { .boolean }
    package var sqlValue: SQLPrimitive { .boolean(self) }
    package init?(sqlValue: SQLPrimitive) {
        switch sqlValue {
        case .boolean(let value): self = value
        case .integer(let value): self = value != 0
        default: return nil
        }
    }
}

extension [UInt8]: SQLValue, SQLBindable {
    package static var sqlType: SQLType { .bytes }
    package var sqlValue: SQLPrimitive { .bytes(self) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .bytes(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Instant: SQLValue {
    package static var sqlType: SQLType { .integer }
    package var sqlValue: SQLPrimitive { .integer(microseconds) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self.init(microseconds: value)
    }
}

/// What is written as text and read back from it: ids, currencies, and enums of strings.
package protocol SQLTextValue: SQLValue {
    var sqlText: String { get }
    init?(sqlText: String)
}

extension SQLTextValue {
    package static var sqlType: SQLType { .text }
    package var sqlValue: SQLPrimitive { .text(sqlText) }
    package init?(sqlValue: SQLPrimitive) {
        guard case .text(let text) = sqlValue else { return nil }
        self.init(sqlText: text)
    }
}

extension SQLTextValue where Self: LosslessStringConvertible {
    package var sqlText: String { description }
    package init?(sqlText: String) { self.init(sqlText) }
}

extension SQLTextValue where Self: RawRepresentable, RawValue == String {
    package var sqlText: String { rawValue }
    package init?(sqlText: String) { self.init(rawValue: sqlText) }
}

extension TypeID: SQLTextValue, SQLValue {}
extension Currency: SQLTextValue, SQLValue {}
