internal import CRabbitMQ

/// A value of an AMQP table, as far as this program needs them.
enum AMQPValue: Hashable, Sendable {
    case text(String)
    case integer(Int64)
    case boolean(Bool)
    case table([String: AMQPValue])
}

/// Memory for what the C library is given; all of it is freed at once.
@safe struct AMQPPool: ~Copyable {
    private let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        unsafe pool = .allocate(capacity: 1)
        unsafe init_amqp_pool(pool, 4_096)
    }

    deinit {
        unsafe empty_amqp_pool(pool)
        unsafe pool.deallocate()
    }

    /// Frees what was handed out.
    func recycle() {
        unsafe recycle_amqp_pool(pool)
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        guard !text.isEmpty else { return unsafe amqp_empty_bytes }
        var text = text
        return text.withUTF8 { source in
            var copy = unsafe amqp_bytes_t()
            unsafe amqp_pool_alloc_bytes(pool, source.count, &copy)
            unsafe UnsafeMutableRawBufferPointer(start: copy.bytes, count: copy.len).copyBytes(from: source)
            return unsafe copy
        }
    }

    func table(_ values: [String: AMQPValue]) -> amqp_table_t {
        guard !values.isEmpty else { return unsafe amqp_empty_table }
        let size = unsafe MemoryLayout<amqp_table_entry_t>.stride * values.count
        let entries = unsafe amqp_pool_alloc(pool, size).bindMemory(to: amqp_table_entry_t.self, capacity: values.count)
        for (index, (key, value)) in values.sorted(by: { $0.key < $1.key }).enumerated() {
            unsafe entries[index] = amqp_table_entry_t(key: bytes(key), value: field(value))
        }
        return unsafe amqp_table_t(num_entries: Int32(values.count), entries: entries)
    }

    private func field(_ value: AMQPValue) -> amqp_field_value_t {
        var field = unsafe amqp_field_value_t()
        switch value {
        case .text(let text):
            unsafe field.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            unsafe field.value.bytes = bytes(text)
        case .integer(let integer):
            unsafe field.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
            unsafe field.value.i64 = integer
        case .boolean(let boolean):
            unsafe field.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            unsafe field.value.boolean = boolean ? 1 : 0
        case .table(let values):
            unsafe field.kind = UInt8(AMQP_FIELD_KIND_TABLE.rawValue)
            unsafe field.value.table = table(values)
        }
        return unsafe field
    }
}

extension String {
    init(_ bytes: amqp_bytes_t) {
        let buffer = unsafe UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len)
        unsafe self.init(decoding: buffer, as: UTF8.self)
    }

    /// At most so many bytes of it, and no broken character at the end.
    func prefix(bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: limit)
        while String.Index(end, within: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}

extension [String: AMQPValue] {
    /// The entries of a table that are texts, whole numbers or booleans.
    init(_ table: amqp_table_t) {
        self.init()
        for index in unsafe 0..<Int(table.num_entries) {
            let entry = unsafe table.entries[index]
            let value = unsafe entry.value.value
            let known: AMQPValue? =
                switch unsafe UInt32(entry.value.kind) {
                case AMQP_FIELD_KIND_UTF8.rawValue: .text(unsafe String(value.bytes))
                case AMQP_FIELD_KIND_I64.rawValue: .integer(unsafe value.i64)
                case AMQP_FIELD_KIND_I32.rawValue: .integer(Int64(unsafe value.i32))
                case AMQP_FIELD_KIND_BOOLEAN.rawValue: .boolean(unsafe value.boolean != 0)
                default: nil
                }
            self[unsafe String(entry.key)] = known
        }
    }
}
