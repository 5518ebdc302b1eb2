/// A value of a document, as `Decodable` types read it. Lives as long as its document is being read, which it reaches by its address:
/// with nothing to count, copies of it cost nothing.
@safe struct JSONValue: Decoder {
    private let address: UnsafePointer<JSONDocument>
    fileprivate let index: Int

    init(document: UnsafePointer<JSONDocument>, index: Int) {
        unsafe address = document
        self.index = index
    }

    fileprivate var document: JSONDocument { _read { yield unsafe address.pointee } }
    private var node: JSONDocument.Node { document.nodes[index] }

    /// Another value of the same document.
    fileprivate func value(at index: Int) -> JSONValue { unsafe JSONValue(document: address, index: index) }

    var codingPath: [any CodingKey] { document.path(to: index) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try Value(from: self)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard node.kind == .object else { throw mismatch([String: Any].self) }
        return KeyedDecodingContainer(JSONObject(object: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard node.kind == .array else { throw mismatch([Any].self) }
        return JSONArray(self)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    func mismatch(_ type: Any.Type) -> DecodingError {
        let context = DecodingError.Context(codingPath: codingPath, debugDescription: "another type of value stands here")
        return node.kind == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }
}

extension JSONValue: SingleValueDecodingContainer {
    func decodeNil() -> Bool { node.kind == .null }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard node.kind == .bool else { throw mismatch(type) }
        return document.bytes[Int(node.start)] == UInt8(ascii: "t")
    }

    func decode(_ type: String.Type) throws -> String {
        guard node.kind == .string else { throw mismatch(type) }
        return try document.string(node)
    }

    func decode(_ type: Double.Type) throws -> Double {
        guard node.kind == .number else { throw mismatch(type) }
        guard let value = Double(text), value.isFinite else { throw outOfRange }
        return value
    }

    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
    func decode(_ type: Int.Type) throws -> Int { try integer() }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

    private func integer<Value: FixedWidthInteger>() throws -> Value {
        guard node.kind == .number else { throw mismatch(Value.self) }
        var value: Value = 0
        let digits = document.bytes[Int(node.start)..<Int(node.end)]
        let isNegative = digits.first == UInt8(ascii: "-")
        for digit in isNegative ? digits.dropFirst() : digits {
            guard (48...57).contains(digit) else { return try wholeNumber() }
            let (product, overflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowsToo) =
                isNegative ? product.subtractingReportingOverflow(Value(digit - 48)) : product.addingReportingOverflow(Value(digit - 48))
            guard !overflows, !overflowsToo else { throw outOfRange }
            value = sum
        }
        return value
    }

    /// `1.0` and `1e3` are whole numbers too.
    private func wholeNumber<Value: FixedWidthInteger>() throws -> Value {
        guard let number = Double(text) else { throw outOfRange }
        guard number.rounded() == number else {
            throw DecodingError.typeMismatch(Value.self, .init(codingPath: codingPath, debugDescription: "a fraction stands here"))
        }
        guard abs(number) < 0x1p53, let value = Value(exactly: number) else { throw outOfRange }
        return value
    }

    private var text: String { String(decoding: document.bytes[Int(node.start)..<Int(node.end)], as: UTF8.self) }

    private var outOfRange: DecodingError {
        .dataCorrupted(.init(codingPath: codingPath, debugDescription: "must be a number that fits"))
    }
}

private struct JSONObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let object: JSONValue

    private var document: JSONDocument { _read { yield object.document } }
    var codingPath: [any CodingKey] { object.codingPath }

    var allKeys: [Key] {
        var keys: [Key] = []
        let end = Int(document.nodes[object.index].next)
        var key = object.index + 1
        while key < end {
            if let text = try? document.string(document.nodes[key]), let key = Key(stringValue: text) { keys.append(key) }
            key = Int(document.nodes[key + 1].next)
        }
        return keys
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try value(key).decodeNil() }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try value(key).decode(type) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try value(key).decode(type) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try value(key).decode(type) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try value(key).decode(type) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try value(key).decode(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try value(key).decode(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try value(key).decode(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try value(key).decode(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try value(key).decode(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try value(key).decode(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try value(key).decode(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try value(key).decode(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try value(key).decode(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try value(key).decode(type) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try value(key).decode(type) }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
        try value(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try value(key).unkeyedContainer() }
    func superDecoder() throws -> any Decoder { object }
    func superDecoder(forKey key: Key) throws -> any Decoder { try value(key) }

    // The inherited ones look for the member three times.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try valueIfPresent(key)?.decode(type) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try valueIfPresent(key)?.decode(type) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try valueIfPresent(key)?.decode(type) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try valueIfPresent(key)?.decode(type) }
    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? { try valueIfPresent(key)?.decode(type) }

    private func value(_ key: Key) throws -> JSONValue {
        guard let index = find(key) else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "there is no such member"))
        }
        return object.value(at: index)
    }

    /// Nil for null too.
    private func valueIfPresent(_ key: Key) -> JSONValue? {
        guard let index = find(key), document.nodes[index].kind != .null else { return nil }
        return object.value(at: index)
    }

    /// The last of several members of one name, as most readers of JSON have it.
    private func find(_ key: Key) -> Int? {
        document.member(key.stringValue, of: object.index)
    }
}

private struct JSONArray: UnkeyedDecodingContainer {
    private let array: JSONValue
    private var current: Int
    private(set) var currentIndex = 0

    private var document: JSONDocument { _read { yield array.document } }

    init(_ array: JSONValue) {
        self.array = array
        current = array.index + 1
    }

    var codingPath: [any CodingKey] { array.codingPath }
    var isAtEnd: Bool { current >= document.nodes[array.index].next }

    var count: Int? {
        var count = 0
        var child = array.index + 1
        while child < document.nodes[array.index].next {
            child = Int(document.nodes[child].next)
            count += 1
        }
        return count
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, document.nodes[current].kind == .null else { return false }
        _ = try next()
        return true
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try next().decode(type) }
    mutating func decode(_ type: String.Type) throws -> String { try next().decode(type) }
    mutating func decode(_ type: Double.Type) throws -> Double { try next().decode(type) }
    mutating func decode(_ type: Float.Type) throws -> Float { try next().decode(type) }
    mutating func decode(_ type: Int.Type) throws -> Int { try next().decode(type) }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try next().decode(type) }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try next().decode(type) }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try next().decode(type) }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try next().decode(type) }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try next().decode(type) }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try next().decode(type) }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try next().decode(type) }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try next().decode(type) }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try next().decode(type) }
    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try next().decode(type) }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        try next().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }

    private mutating func next() throws -> JSONValue {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(Any.self, .init(codingPath: codingPath, debugDescription: "the list has no more elements"))
        }
        defer {
            current = Int(document.nodes[current].next)
            currentIndex += 1
        }
        return array.value(at: current)
    }
}
