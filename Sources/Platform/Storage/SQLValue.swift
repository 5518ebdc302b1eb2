public import Values

/// The four column types that mean the same in both engines.
public enum SQLType: Sendable {
    case integer, text, boolean, bytes
}

/// A value as a column holds it.
public enum SQLPrimitive: Hashable, Sendable {
    case null
    case integer(Int64)
    case text(String)
    case boolean(Bool)
    case bytes([UInt8])
}

/// What can stand in a column. Instants are `BIGINT` microseconds; ids, enums and JSON are `TEXT`.
public protocol SQLValue: SQLBindable, Sendable {
    /// A null knows its type too, because PostgreSQL asks for it.
    static var sqlType: SQLType { get }
    /// Nil where the column holds something else.
    init?(sqlValue: SQLPrimitive)
}

extension Int64: SQLValue {
    public static var sqlType: SQLType { .integer }
    public func append(to values: inout SQLValues) { values.append(self) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Int: SQLValue {
    public static var sqlType: SQLType { .integer }
    public func append(to values: inout SQLValues) { values.append(Int64(self)) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self.init(exactly: value)
    }
}

extension String: SQLValue {
    public static var sqlType: SQLType { .text }
    public func append(to values: inout SQLValues) { values.append(text: self) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .text(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Bool: SQLValue {
    public static var sqlType: SQLType { .boolean }
    public func append(to values: inout SQLValues) { values.append(self) }
    public init?(sqlValue: SQLPrimitive) {
        switch sqlValue {
        case .boolean(let value): self = value
        case .integer(let value): self = value != 0
        default: return nil
        }
    }
}

extension [UInt8]: SQLValue, SQLBindable {
    public static var sqlType: SQLType { .bytes }
    public func append(to values: inout SQLValues) { values.append(bytes: self) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .bytes(let value) = sqlValue else { return nil }
        self = value
    }
}

extension Instant: SQLValue {
    public static var sqlType: SQLType { .integer }
    public func append(to values: inout SQLValues) { values.append(microseconds) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .integer(let value) = sqlValue else { return nil }
        self.init(microseconds: value)
    }
}

/// What is written as text and read back from it: ids, currencies, and enums of strings.
public protocol SQLTextValue: SQLValue {
    var sqlText: String { get }
    init?(sqlText: String)
}

extension SQLTextValue {
    public static var sqlType: SQLType { .text }
    public func append(to values: inout SQLValues) { values.append(text: sqlText) }
    public init?(sqlValue: SQLPrimitive) {
        guard case .text(let text) = sqlValue else { return nil }
        self.init(sqlText: text)
    }
}

extension SQLTextValue where Self: LosslessStringConvertible {
    public var sqlText: String { description }
    public init?(sqlText: String) { self.init(sqlText) }
}

extension SQLTextValue where Self: RawRepresentable, RawValue == String {
    public var sqlText: String { rawValue }
    public init?(sqlText: String) { self.init(rawValue: sqlText) }
}

/// A column of JSON is read as a `String`.
extension JSONText: SQLBindable {
    public func append(to values: inout SQLValues) { values.appendText { $0 += bytes } }
}

extension TypeID: SQLTextValue, SQLValue {
    public func append(to values: inout SQLValues) { values.appendText { append(to: &$0) } }
}
extension Currency: SQLTextValue, SQLValue {}
