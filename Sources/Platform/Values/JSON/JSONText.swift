/// A value that writes its JSON at once instead of handing it to a coder member by member: for what is written many thousand times a
/// second. It has to be what its `Encodable` form would be, the members of an object in the order of their keys; a test holds both together.
public protocol JSONWritable: Encodable {
    func write(to json: inout JSONText)
}

/// JSON that is being written.
public struct JSONText: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init(_ value: some JSONWritable) {
        bytes.reserveCapacity(1_024)
        value.write(to: &self)
    }

    public mutating func object(_ members: (inout JSONText) -> Void) {
        append(UInt8(ascii: "{"))
        members(&self)
        append(UInt8(ascii: "}"))
    }

    public mutating func list(_ elements: (inout JSONText) -> Void) {
        append(UInt8(ascii: "["))
        elements(&self)
        append(UInt8(ascii: "]"))
    }

    public mutating func member(_ key: StaticString, _ value: some JSONWritable) {
        begin(key)
        value.write(to: &self)
    }

    /// Left out where there is none.
    public mutating func member(_ key: StaticString, _ value: (some JSONWritable)?) {
        if let value { member(key, value) }
    }

    public mutating func member(_ key: StaticString, _ value: some RawRepresentable<String>) {
        member(key, value.rawValue)
    }

    public mutating func member(_ key: StaticString, _ value: (some RawRepresentable<String>)?) {
        if let value { member(key, value.rawValue) }
    }

    public mutating func element(_ value: some JSONWritable) {
        separate()
        value.write(to: &self)
    }

    mutating func append(_ byte: UInt8) {
        bytes.append(byte)
    }

    mutating func begin(_ key: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        key.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    /// A comma, but for what comes first: nothing else stands behind an opening bracket.
    mutating func separate() {
        let last = bytes[bytes.count - 1]
        if last != UInt8(ascii: "{"), last != UInt8(ascii: "[") { bytes.append(UInt8(ascii: ",")) }
    }

    fileprivate mutating func write(_ value: (inout [UInt8]) -> Void) {
        value(&bytes)
    }

    /// Of characters that need no escape.
    fileprivate mutating func quote(_ text: (inout [UInt8]) -> Void) {
        bytes.append(UInt8(ascii: "\""))
        text(&bytes)
        bytes.append(UInt8(ascii: "\""))
    }
}

extension String: JSONWritable {
    public func write(to json: inout JSONText) { json.write { $0.appendJSON(self) } }
}

extension Int64: JSONWritable {
    public func write(to json: inout JSONText) { json.write { $0.appendJSON(self) } }
}

extension Bool: JSONWritable {
    public func write(to json: inout JSONText) { json.write { $0.appendJSON(self) } }
}

extension Instant: JSONWritable {
    public func write(to json: inout JSONText) { json.quote { append(to: &$0) } }
}

extension TypeID: JSONWritable {
    public func write(to json: inout JSONText) { json.quote { append(to: &$0) } }
}

extension Currency: JSONWritable {
    public func write(to json: inout JSONText) { json.quote { $0 += code.utf8 } }
}

extension Array: JSONWritable where Element: JSONWritable {
    public func write(to json: inout JSONText) {
        json.list { json in
            for value in self { json.element(value) }
        }
    }
}

extension Money: JSONWritable {
    public func write(to json: inout JSONText) {
        json.object { json in
            json.member("amount", amount)
            json.member("currency", currency)
        }
    }
}

/// How JSON spells values.
extension [UInt8] {
    mutating func appendJSON(_ text: String) {
        append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var plain = 0
            for index in 0..<utf8.count {
                let byte = unsafe utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                unsafe append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain..<index]))
                plain = index + 1
                appendEscaped(byte)
            }
            unsafe append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain...]))
        }
        append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: append(UInt8(ascii: "b"))
        case 0x09: append(UInt8(ascii: "t"))
        case 0x0A: append(UInt8(ascii: "n"))
        case 0x0C: append(UInt8(ascii: "f"))
        case 0x0D: append(UInt8(ascii: "r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): append(byte)
        default:
            let digits = Array("0123456789abcdef".utf8)
            self += "u00".utf8
            append(digits[Int(byte >> 4)])
            append(digits[Int(byte & 15)])
        }
    }

    mutating func appendJSON(_ value: Bool) {
        self += value ? "true".utf8 : "false".utf8
    }

    mutating func appendJSON(_ value: some FixedWidthInteger) {
        if value < 0 { append(UInt8(ascii: "-")) }
        let first = count
        var rest = value.magnitude
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            append(48 + UInt8(digit))
            rest = quotient
        } while rest > 0
        if count - first > 1 { self[first...].reverse() }
    }
}
