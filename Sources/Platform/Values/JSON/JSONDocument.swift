/// A text that is JSON as RFC 8259 says, as a flat list of its values in the order in which they begin.
struct JSONDocument {
    enum Kind: UInt8 {
        case null, bool, number, string, object, array
    }

    struct Node {
        let kind: Kind
        /// Of a string: whether there is a backslash in it.
        var hasEscape = false
        /// Without a string's quotes.
        let start: Int32
        var end: Int32
        /// The first node behind this value and all that is in it.
        var next: Int32
    }

    let bytes: [UInt8]
    /// An object's children are key, value, key, value, ...
    let nodes: [Node]

    /// Deeper than anything sensible, and not so deep that it would exhaust a thread's stack.
    private static let deepest = 128

    /// - Throws: `DecodingError.dataCorrupted` where it is not JSON.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        var nodes: [Node] = []
        nodes.reserveCapacity(max(8, bytes.count / 12))
        var scanner = JSONScanner()
        try bytes.withUnsafeBufferPointer { buffer in
            guard buffer.count < Int32.max else { throw JSONScanner.notJSON }
            try unsafe scanner.scanAll(buffer, into: &nodes, deepest: JSONDocument.deepest)
        }
        self.nodes = nodes
    }

    func string(_ node: Node) throws -> String {
        let range = Int(node.start)..<Int(node.end)
        if !node.hasEscape {
            let bytes = bytes
            let span = bytes.span.extracting(range)
            do {
                let text = try UTF8Span(validating: span)
                return String(copying: text)
            } catch {
                throw JSONScanner.notJSON
            }
        }
        var plain: [UInt8] = []
        plain.reserveCapacity(range.count)
        var position = range.lowerBound
        while position < range.upperBound {
            guard bytes[position] == UInt8(ascii: "\\") else {
                plain.append(bytes[position])
                position += 1
                continue
            }
            position += 2
            switch bytes[position - 1] {
            case UInt8(ascii: "b"): plain.append(0x08)
            case UInt8(ascii: "t"): plain.append(0x09)
            case UInt8(ascii: "n"): plain.append(0x0A)
            case UInt8(ascii: "f"): plain.append(0x0C)
            case UInt8(ascii: "r"): plain.append(0x0D)
            case UInt8(ascii: "u"): plain += String(try scalar(at: &position)).utf8
            case let byte: plain.append(byte)
            }
        }
        guard let text = String(validating: plain, as: UTF8.self) else { throw JSONScanner.notJSON }
        return text
    }

    /// What four digits, or two times four of a surrogate pair, stand for. The scanner has seen that they are one.
    private func scalar(at position: inout Int) throws -> Unicode.Scalar {
        let first = unit(at: position)
        position += 4
        var value = first
        if (0xD800..<0xDC00).contains(first) {
            value = 0x10000 + (first - 0xD800) << 10 + (unit(at: position + 2) - 0xDC00)
            position += 6
        }
        guard let scalar = Unicode.Scalar(value) else { throw JSONScanner.notJSON }
        return scalar
    }

    private func unit(at position: Int) -> UInt32 {
        bytes[position..<position + 4].reduce(0) { $0 << 4 + (JSONScanner.hexDigit($1) ?? 0) }
    }

    /// The names on the way to a value, for errors.
    func path(to index: Int) -> [any CodingKey] {
        var path: [any CodingKey] = []
        var current = 0
        while current != index {
            var child = current + 1
            var place = 0
            let isObject = nodes[current].kind == .object
            while true {
                let key = child
                if isObject { child += 1 }
                if index < nodes[child].next {
                    path.append(isObject ? JSONKey(stringValue: (try? string(nodes[key])) ?? "") : JSONKey(intValue: place))
                    current = child
                    break
                }
                child = Int(nodes[child].next)
                place += 1
            }
        }
        return path
    }

    /// Of an object: the value of the last member of this name.
    func member(_ name: String, of object: Int) -> Int? {
        var name = name
        return name.withUTF8 { utf8 in
            var found: Int?
            let end = Int(nodes[object].next)
            var key = object + 1
            while key < end {
                if unsafe isKey(nodes[key], utf8) { found = key + 1 }
                key = Int(nodes[key + 1].next)
            }
            return found
        }
    }

    private func isKey(_ node: Node, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        if node.hasEscape { return (try? string(node)).map { unsafe $0.utf8.elementsEqual(name) } ?? false }
        guard name.count == Int(node.end - node.start) else { return false }
        return bytes.withUnsafeBufferPointer { bytes in
            for offset in 0..<name.count where unsafe bytes[Int(node.start) + offset] != name[offset] { return false }
            return true
        }
    }
}

/// A name or a place on the way to a value.
struct JSONKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = "\(intValue)"
        self.intValue = intValue
    }
}

/// Finds where each value begins and ends.
struct JSONScanner {
    static let notJSON = DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "This is not JSON."))

    private var position = 0

    @unsafe mutating func scanAll(_ bytes: UnsafeBufferPointer<UInt8>, into nodes: inout [JSONDocument.Node], deepest: Int) throws {
        unsafe try scan(bytes, &nodes, deepest)
        unsafe skipSpace(bytes)
        guard position == bytes.count else { throw JSONScanner.notJSON }
    }

    @unsafe private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, _ nodes: inout [JSONDocument.Node], _ deepest: Int) throws {
        unsafe skipSpace(bytes)
        guard position < bytes.count, deepest > 0 else { throw JSONScanner.notJSON }
        switch unsafe bytes[position] {
        case UInt8(ascii: "\""): try unsafe string(bytes, &nodes)
        case UInt8(ascii: "{"): try unsafe members(bytes, &nodes, .object, UInt8(ascii: "}"), deepest)
        case UInt8(ascii: "["): try unsafe members(bytes, &nodes, .array, UInt8(ascii: "]"), deepest)
        case UInt8(ascii: "t"): try unsafe word("true", .bool, bytes, &nodes)
        case UInt8(ascii: "f"): try unsafe word("false", .bool, bytes, &nodes)
        case UInt8(ascii: "n"): try unsafe word("null", .null, bytes, &nodes)
        default: try unsafe number(bytes, &nodes)
        }
    }

    @unsafe private mutating func members(
        _ bytes: UnsafeBufferPointer<UInt8>, _ nodes: inout [JSONDocument.Node], _ kind: JSONDocument.Kind, _ close: UInt8, _ deepest: Int
    ) throws {
        let index = nodes.count
        nodes.append(.init(kind: kind, start: Int32(position), end: 0, next: 0))
        position += 1
        unsafe skipSpace(bytes)
        if position < bytes.count, unsafe bytes[position] == close {
            position += 1
        } else {
            while true {
                if kind == .object {
                    unsafe skipSpace(bytes)
                    guard position < bytes.count, unsafe bytes[position] == UInt8(ascii: "\"") else { throw JSONScanner.notJSON }
                    try unsafe string(bytes, &nodes)
                    unsafe skipSpace(bytes)
                    guard position < bytes.count, unsafe bytes[position] == UInt8(ascii: ":") else { throw JSONScanner.notJSON }
                    position += 1
                }
                try unsafe scan(bytes, &nodes, deepest - 1)
                unsafe skipSpace(bytes)
                guard position < bytes.count else { throw JSONScanner.notJSON }
                position += 1
                if unsafe bytes[position - 1] == close { break }
                guard unsafe bytes[position - 1] == UInt8(ascii: ",") else { throw JSONScanner.notJSON }
            }
        }
        nodes[index].end = Int32(position)
        nodes[index].next = Int32(nodes.count)
    }

    @unsafe private mutating func string(_ bytes: UnsafeBufferPointer<UInt8>, _ nodes: inout [JSONDocument.Node]) throws {
        position += 1
        let start = position
        var hasEscape = false
        while position < bytes.count {
            switch unsafe bytes[position] {
            case UInt8(ascii: "\""):
                nodes.append(
                    .init(kind: .string, hasEscape: hasEscape, start: Int32(start), end: Int32(position), next: Int32(nodes.count + 1)))
                position += 1
                return
            case UInt8(ascii: "\\"):
                hasEscape = true
                position += 1
                guard position < bytes.count else { throw JSONScanner.notJSON }
                switch unsafe bytes[position] {
                case UInt8(ascii: "u"):
                    // Half of a surrogate pair is no character.
                    switch try unsafe unit(bytes) {
                    case 0xD800..<0xDC00:
                        guard position + 1 < bytes.count, unsafe bytes[position] == UInt8(ascii: "\\") else { throw JSONScanner.notJSON }
                        position += 1
                        guard unsafe bytes[position] == UInt8(ascii: "u"), (0xDC00..<0xE000).contains(try unsafe unit(bytes)) else {
                            throw JSONScanner.notJSON
                        }
                    case 0xDC00..<0xE000: throw JSONScanner.notJSON
                    default: break
                    }
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
                    UInt8(ascii: "r"), UInt8(ascii: "t"):
                    position += 1
                default: throw JSONScanner.notJSON
                }
            case 0..<0x20: throw JSONScanner.notJSON
            default: position += 1
            }
        }
        throw JSONScanner.notJSON
    }

    /// The four digits behind a `u`.
    @unsafe private mutating func unit(_ bytes: UnsafeBufferPointer<UInt8>) throws -> UInt32 {
        guard position + 4 < bytes.count else { throw JSONScanner.notJSON }
        var unit: UInt32 = 0
        for offset in 1...4 {
            guard let digit = unsafe JSONScanner.hexDigit(bytes[position + offset]) else { throw JSONScanner.notJSON }
            unit = unit << 4 | digit
        }
        position += 5
        return unit
    }

    @unsafe private mutating func number(_ bytes: UnsafeBufferPointer<UInt8>, _ nodes: inout [JSONDocument.Node]) throws {
        let start = position
        if unsafe bytes[position] == UInt8(ascii: "-") { position += 1 }
        let whole = position
        guard unsafe digits(bytes) > 0 else { throw JSONScanner.notJSON }
        if unsafe bytes[whole] == UInt8(ascii: "0"), position - whole > 1 { throw JSONScanner.notJSON }
        if position < bytes.count, unsafe bytes[position] == UInt8(ascii: ".") {
            position += 1
            guard unsafe digits(bytes) > 0 else { throw JSONScanner.notJSON }
        }
        if position < bytes.count, unsafe bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, unsafe bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            guard unsafe digits(bytes) > 0 else { throw JSONScanner.notJSON }
        }
        nodes.append(.init(kind: .number, start: Int32(start), end: Int32(position), next: Int32(nodes.count + 1)))
    }

    @unsafe private mutating func digits(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let start = position
        while position < bytes.count, unsafe (48...57).contains(bytes[position]) { position += 1 }
        return position - start
    }

    @unsafe private mutating func word(
        _ word: StaticString, _ kind: JSONDocument.Kind, _ bytes: UnsafeBufferPointer<UInt8>, _ nodes: inout [JSONDocument.Node]
    ) throws {
        guard position + word.utf8CodeUnitCount <= bytes.count else { throw JSONScanner.notJSON }
        for offset in 0..<word.utf8CodeUnitCount where unsafe bytes[position + offset] != word.utf8Start[offset] {
            throw JSONScanner.notJSON
        }
        nodes.append(
            .init(kind: kind, start: Int32(position), end: Int32(position + word.utf8CodeUnitCount), next: Int32(nodes.count + 1)))
        position += word.utf8CodeUnitCount
    }

    @unsafe private mutating func skipSpace(_ bytes: UnsafeBufferPointer<UInt8>) {
        while position < bytes.count {
            switch unsafe bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 48...57: UInt32(byte) - 48
        case 97...102: UInt32(byte) - 87
        case 65...70: UInt32(byte) - 55
        default: nil
        }
    }
}
