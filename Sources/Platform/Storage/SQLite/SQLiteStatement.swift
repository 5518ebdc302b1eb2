internal import GRDBSQLite

/// A prepared statement. Belongs to one connection, which alone uses it.
@safe final class SQLiteStatement {
    private let pointer: OpaquePointer
    private var columns = Row.Columns(names: [])
    private var width = 0

    private static let emptyText: StaticString = ""

    /// - Parameter pointer: is finalized with this object.
    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe sqlite3_finalize(pointer)
    }

    func execute(_ values: SQLValues, on connection: SQLiteConnection) throws {
        try withBound(values, on: connection) {
            while try step(on: connection) {}
        }
    }

    func rows(_ values: SQLValues, on connection: SQLiteConnection) throws -> [Row] {
        try withBound(values, on: connection) {
            var rows: [Row] = []
            while try step(on: connection) {
                if rows.isEmpty { learnColumns() }
                rows.append(Row(columns: columns, values: (0..<width).map { value(Int32($0)) }))
            }
            return rows
        }
    }

    /// Texts and bytes are bound where they stand. They stay there until the statement is reset, and are bound anew before it runs again.
    private func withBound<Result>(_ values: SQLValues, on connection: SQLiteConnection, _ run: () throws -> Result) throws -> Result {
        try unsafe values.room.withUnsafeBytes { room in
            defer { unsafe sqlite3_reset(pointer) }
            for (index, value) in values.places.enumerated() {
                let place = Int32(index + 1)
                let code =
                    switch value {
                    case .null: unsafe sqlite3_bind_null(pointer, place)
                    case .integer(let value): unsafe sqlite3_bind_int64(pointer, place, value)
                    case .boolean(let value): unsafe sqlite3_bind_int64(pointer, place, value ? 1 : 0)
                    // An empty one has an address too: SQLite takes none for NULL.
                    case .text(let range) where range.isEmpty:
                        unsafe sqlite3_bind_text(
                            pointer, place, UnsafeRawPointer(SQLiteStatement.emptyText.utf8Start).assumingMemoryBound(to: CChar.self), 0,
                            nil)
                    case .text(let range):
                        unsafe sqlite3_bind_text(
                            pointer, place, room.baseAddress?.advanced(by: range.lowerBound).assumingMemoryBound(to: CChar.self),
                            Int32(range.count), nil)
                    case .bytes(let range) where range.isEmpty: unsafe sqlite3_bind_zeroblob(pointer, place, 0)
                    case .bytes(let range):
                        unsafe sqlite3_bind_blob(pointer, place, room.baseAddress?.advanced(by: range.lowerBound), Int32(range.count), nil)
                    }
                guard code == SQLITE_OK else { throw connection.error }
            }
            return try run()
        }
    }

    private func step(on connection: SQLiteConnection) throws -> Bool {
        switch unsafe sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw connection.error
        }
    }

    private func value(_ column: Int32) -> SQLPrimitive {
        switch unsafe sqlite3_column_type(pointer, column) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(pointer, column))
        case SQLITE_NULL: return .null
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
