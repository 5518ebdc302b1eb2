/// Takes a body of JSON apart as far as the fast check needs it: its names and values one after the other. It is no judge of what is JSON.
struct BodyPieces {
    enum Piece {
        /// Without its quotation marks.
        case name(Range<Int>)
        /// Without its quotation marks.
        case text(Range<Int>)
        case number(Range<Int>)
        /// What true, false or null ends with.
        case word
        /// Values of a list follow, which have no name of their own.
        case list
        case end
        case unknown
    }

    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    /// - Parameter bytes: valid as long as this is used.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    mutating func next() -> Piece {
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""): return text()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                let start = index
                while index < bytes.count, bytes[index].isInNumber { index += 1 }
                return .number(start..<index)
            case UInt8(ascii: "["):
                index += 1
                return .list
            case UInt8(ascii: "e"), UInt8(ascii: "n"):
                index += 1
                return .word
            case UInt8(ascii: "a"), UInt8(ascii: "f"), UInt8(ascii: "l"), UInt8(ascii: "r"), UInt8(ascii: "s"), UInt8(ascii: "t"),
                UInt8(ascii: "u"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ","):
                index += 1
            default:
                guard byte.isBlank else { return .unknown }
                index += 1
            }
        }
        return .end
    }

    private mutating func text() -> Piece {
        let start = index + 1
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") { end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < bytes.count else { return .unknown }
        index = end + 1
        while index < bytes.count, bytes[index].isBlank { index += 1 }
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") else { return .text(start..<end) }
        index += 1
        return .name(start..<end)
    }
}

extension UInt8 {
    fileprivate var isBlank: Bool { self == 0x20 || self == 0x0a || self == 0x0d || self == 0x09 }
    fileprivate var isInNumber: Bool {
        (48...57).contains(self) || self == UInt8(ascii: ".") || self == UInt8(ascii: "-") || self == UInt8(ascii: "+")
            || self | 0x20 == 0x65
    }
}
