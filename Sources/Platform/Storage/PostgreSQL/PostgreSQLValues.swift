internal import CLibpq

/// The values of a statement as they go over the wire: in binary form, each with its type.
struct PostgreSQLValues {
    let types: [Oid]
    /// All values, and one byte more, so that an empty one has an address too.
    private var bytes: [UInt8]
    /// Where each begins; nil for a null.
    private var places: [Int?] = []
    private var lengths: [Int32] = []

    init(_ values: SQLValues) {
        types = values.places.map(\.postgreSQLType)
        bytes = values.room
        places.reserveCapacity(values.count)
        lengths.reserveCapacity(values.count)
        for value in values.places {
            switch value {
            case .null:
                places.append(nil)
                lengths.append(0)
            case .integer(let value): unsafe withUnsafeBytes(of: value.bigEndian) { unsafe append($0) }
            case .text(let range), .bytes(let range):
                places.append(range.lowerBound)
                lengths.append(Int32(range.count))
            case .boolean(let value):
                append([value ? 1 : 0])
            }
        }
        bytes.append(0)
    }

    private mutating func append(_ value: some Collection<UInt8>) {
        places.append(bytes.count)
        lengths.append(Int32(value.count))
        bytes += value
    }

    var count: Int32 { Int32(types.count) }

    /// Hands out libpq's arrays of values, lengths and formats.
    func withPointers<Result>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> Result
    ) -> Result {
        let formats = [Int32](repeating: 1, count: types.count)
        return unsafe bytes.withUnsafeBytes { buffer in
            let start = unsafe buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers = unsafe places.map { place in unsafe place.flatMap { place in unsafe start.map { unsafe $0 + place } } }
            return unsafe pointers.withUnsafeBufferPointer { pointers in
                unsafe lengths.withUnsafeBufferPointer { lengths in
                    unsafe formats.withUnsafeBufferPointer { formats in
                        unsafe body(pointers.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }
}

/// PostgreSQL's types by their number (its catalogue `pg_type`).
private enum PostgreSQLType {
    static let boolean: Oid = 16
    static let bytes: Oid = 17
    static let integer: Oid = 20
    static let text: Oid = 25
    static let integers: [Oid] = [integer, 21, 23, 26]
    /// `name`, `text`, those of a limited length, and that of a literal.
    static let texts: [Oid] = [19, text, 1_042, 1_043, 705]
}

extension SQLValues.Value {
    fileprivate var postgreSQLType: Oid {
        switch self {
        case .integer, .null(.integer): PostgreSQLType.integer
        case .text, .null(.text): PostgreSQLType.text
        case .boolean, .null(.boolean): PostgreSQLType.boolean
        case .bytes, .null(.bytes): PostgreSQLType.bytes
        }
    }
}

extension SQLPrimitive {
    /// - Parameter bytes: of a value in binary form. Nil for a type that means something else in each engine, such as `numeric`.
    fileprivate init?(type: Oid, bytes: UnsafeRawBufferPointer) {
        switch type {
        case PostgreSQLType.boolean: self = .boolean(unsafe bytes.first == 1)
        case PostgreSQLType.bytes: self = .bytes(unsafe Array(bytes))
        case _ where PostgreSQLType.texts.contains(type): self = .text(unsafe String(decoding: bytes, as: UTF8.self))
        case _ where PostgreSQLType.integers.contains(type):
            let first = unsafe bytes.first ?? 0
            self = .integer(unsafe bytes.reduce(type != 26 && first >= 128 ? -1 : 0) { $0 << 8 | Int64($1) })
        default: return nil
        }
    }
}

/// What the server said to one command, with its rows.
@safe struct PostgreSQLResult: ~Copyable {
    private let pointer: OpaquePointer

    /// - Parameter pointer: is cleared with this value.
    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe PQclear(pointer)
    }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }
    /// What was done, such as `COMMIT`.
    var command: String { unsafe String(cString: PQcmdStatus(pointer)) }
    /// How many rows were changed.
    var changes: Int { Int(unsafe String(cString: PQcmdTuples(pointer))) ?? 0 }

    /// What went wrong.
    var failure: PostgreSQLFailure {
        let message = field(pq_field_message) ?? "the connection was lost"
        // Without a code the message is libpq's own: the connection is gone. After FATAL and PANIC the server closes it.
        guard let state = field(pq_field_sqlstate), field(pq_field_severity) == "ERROR" else { return .lost(message) }
        // Not the detail, which quotes the row.
        return .refused(state: state, message: message)
    }

    private func field(_ code: Int32) -> String? {
        unsafe PQresultErrorField(pointer, code).map { unsafe String(cString: $0) }
    }

    var columns: Row.Columns {
        let count = unsafe PQnfields(pointer)
        return Row.Columns(names: (0..<count).map { unsafe String(cString: PQfname(pointer, $0)) })
    }

    func rows(_ columns: Row.Columns) throws -> [Row] {
        let (height, width) = unsafe (PQntuples(pointer), PQnfields(pointer))
        let types = (0..<width).map { unsafe PQftype(pointer, $0) }
        return try (0..<height).map { row in
            Row(columns: columns, values: try types.indices.map { try value(row, Int32($0), types[$0]) })
        }
    }

    private func value(_ row: Int32, _ column: Int32, _ type: Oid) throws -> SQLPrimitive {
        guard unsafe PQgetisnull(pointer, row, column) == 0 else { return .null }
        let bytes = unsafe UnsafeRawBufferPointer(
            start: PQgetvalue(pointer, row, column), count: Int(PQgetlength(pointer, row, column)))
        guard let value = unsafe SQLPrimitive(type: type, bytes: bytes) else {
            throw StorageError.unexpectedValue(
                column: unsafe String(cString: PQfname(pointer, column)), expected: "one of the four types; say CAST (type \(type))")
        }
        return value
    }
}
