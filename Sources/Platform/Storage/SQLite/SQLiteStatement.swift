internal import GRDBSQLite

/// A prepared statement. Belongs to one connection, which alone uses it.
@safe final class SQLiteStatement {
    private let pointer: OpaquePointer
    private var columns = Row.Columns(names: [])
    private var width = 0

    /// SQLite copies what is bound so.
    private static let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// - Parameter pointer: is finalized with this object.
    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe sqlite3_finalize(pointer)
    }

    func execute(_ values: [SQLPrimitive], on connection: SQLiteConnection) throws {
        defer { unsafe sqlite3_reset(pointer) }
        try bind(values, on: connection)
        while try step(on: connection) {}
    }

    func rows(_ values: [SQLPrimitive], on connection: SQLiteConnection) throws -> [Row] {
        defer { unsafe sqlite3_reset(pointer) }
        try bind(values, on: connection)
        var rows: [Row] = []
        while try step(on: connection) {
            if rows.isEmpty { learnColumns() }
            rows.append(Row(columns: columns, values: (0..<width).map { value(Int32($0)) }))
        }
        return rows
    }

    private func step(on connection: SQLiteConnection) throws -> Bool {
        switch unsafe sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw connection.error
        }
    }

    private func bind(_ values: [SQLPrimitive], on connection: SQLiteConnection) throws {
        for (index, value) in values.enumerated() {
            let place = Int32(index + 1)
            let code =
                switch value {
                case .null: unsafe sqlite3_bind_null(pointer, place)
                case .integer(let value): unsafe sqlite3_bind_int64(pointer, place, value)
                case .boolean(let value): unsafe sqlite3_bind_int64(pointer, place, value ? 1 : 0)
                case .text(let value): bind(value, at: place)
                // A pointer, for an empty array too: SQLite takes none for NULL.
                case .bytes([]): unsafe sqlite3_bind_zeroblob(pointer, place, 0)
                case .bytes(let value): unsafe sqlite3_bind_blob(pointer, place, value, Int32(value.count), SQLiteStatement.copied)
                }
            guard code == SQLITE_OK else { throw connection.error }
        }
    }

    /// By its own bytes. Handed over as a string it would be copied twice.
    private func bind(_ text: String, at place: Int32) -> Int32 {
        var text = text
        return text.withUTF8 { utf8 in
            // A pointer, for an empty text too: SQLite takes none for NULL.
            guard let start = utf8.baseAddress else { return unsafe sqlite3_bind_text(pointer, place, "", 0, SQLiteStatement.copied) }
            return unsafe start.withMemoryRebound(to: CChar.self, capacity: utf8.count) { start in
                unsafe sqlite3_bind_text(pointer, place, start, Int32(utf8.count), SQLiteStatement.copied)
            }
        }
    }

    private func value(_ column: Int32) -> SQLPrimitive {
        switch unsafe sqlite3_column_type(pointer, column) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(pointer, column))
        case SQLITE_NULL: return .null(.text)
        case SQLITE_BLOB:
            let start = unsafe sqlite3_column_blob(pointer, column)
            return .bytes(unsafe Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column)))))
        default:
            let start = unsafe sqlite3_column_text(pointer, column)
            let bytes = unsafe UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column)))
            return .text(unsafe String(decoding: bytes, as: UTF8.self))
        }
    }

    /// A migration may have changed what `*` stands for.
    private func learnColumns() {
        let count = Int(unsafe sqlite3_column_count(pointer))
        guard count != width else { return }
        width = count
        columns = Row.Columns(names: (0..<Int32(count)).map { unsafe String(cString: sqlite3_column_name(pointer, $0)) })
    }
}
