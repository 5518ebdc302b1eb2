/// A value that writes its JSON at once instead of handing it to a coder member by member: for what is written many thousand times a
/// second. It has to be what its `Encodable` form would be; a test holds both together.
package protocol JSONWritable: Encodable {
    var json: JSONText { get }
}

/// The JSON of a value, as a text with its values between: `{"id":\(id),"lines":\(lines)}`. Members stand in the order of their keys.
package struct JSONText: ExpressibleByStringInterpolation, StringInterpolationProtocol {
    package private(set) var bytes: [UInt8]

    package init(stringLiteral value: String) {
        bytes = Array(value.utf8)
    }

    package init(literalCapacity: Int, interpolationCount: Int) {
        bytes = []
        bytes.reserveCapacity(literalCapacity + 40 * interpolationCount)
    }

    package init(stringInterpolation: JSONText) {
        self = stringInterpolation
    }

    package mutating func appendLiteral(_ literal: String) {
        bytes += literal.utf8
    }

    package mutating func appendInterpolation(_ value: String) { bytes.appendJSON(value) }
    package mutating func appendInterpolation(_ value: Int64) { bytes.appendJSON(value) }
    package mutating func appendInterpolation(_ value: Bool) { bytes.appendJSON(value) }
    package mutating func appendInterpolation(_ value: Instant) { appendQuoted { value.append(to: &$0) } }
    package mutating func appendInterpolation<Kind>(_ value: TypeID<Kind>) { appendQuoted { value.append(to: &$0) } }
    package mutating func appendInterpolation(_ value: some RawRepresentable<String>) { bytes.appendJSON(value.rawValue) }
    package mutating func appendInterpolation(_ value: some JSONWritable) { bytes += value.json.bytes }

    package mutating func appendInterpolation(_ values: [some JSONWritable]) {
        appendList(values) { $0.appendInterpolation($1) }
    }

    package mutating func appendInterpolation<Kind>(_ values: [TypeID<Kind>]) {
        appendList(values) { $0.appendInterpolation($1) }
    }

    private mutating func appendList<Element>(_ values: [Element], _ append: (inout JSONText, Element) -> Void) {
        var separator = UInt8(ascii: "[")
        for value in values {
            bytes.append(separator)
            append(&self, value)
            separator = UInt8(ascii: ",")
        }
        if values.isEmpty { bytes.append(separator) }
        bytes.append(UInt8(ascii: "]"))
    }

    /// A member that is left out where there is none, with the comma before it.
    package mutating func appendInterpolation<Kind>(_ key: StaticString, _ value: TypeID<Kind>?) {
        guard let value else { return }
        appendLiteral(",\"\(key)\":")
        appendInterpolation(value)
    }

    /// Of characters that need no escape.
    private mutating func appendQuoted(_ write: (inout [UInt8]) -> Void) {
        bytes.append(UInt8(ascii: "\""))
        write(&bytes)
        bytes.append(UInt8(ascii: "\""))
    }
}

extension Money: JSONWritable {
    package var json: JSONText { #"{"amount":\#(amount),"currency":\#(currency.code)}"# }
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
