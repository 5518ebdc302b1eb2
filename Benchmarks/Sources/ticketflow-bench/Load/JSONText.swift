/// A value within a JSON text, found by its place and without making anything of what stands beside it. For the answers of this
/// program's own server only: what is no JSON gives nil, or nonsense.
struct JSONText: Sendable {
    private let bytes: [UInt8]
    private let start: Int

    init(_ bytes: [UInt8]) {
        self.init(bytes, from: 0)
    }

    private init(_ bytes: [UInt8], from start: Int) {
        self.bytes = bytes
        self.start = JSONText.skipSpace(bytes, start)
    }

    /// A member of an object.
    subscript(key: String) -> JSONText? {
        var found: JSONText?
        forEach("{", "}") { name, value in
            guard let name, bytes[name].elementsEqual(key.utf8) else { return true }
            found = value
            return false
        }
        return found
    }

    /// Of an array.
    var elements: [JSONText] {
        var elements: [JSONText] = []
        forEach("[", "]") { _, value in
            elements.append(value)
            return true
        }
        return elements
    }

    /// Of a string, as it stands there: what is escaped stays so, which ids, tokens and codes never are.
    var string: String? {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else { return nil }
        return String(decoding: bytes[start + 1..<max(start + 1, JSONText.skipValue(bytes, start) - 1)], as: UTF8.self)
    }

    var integer: Int? {
        Int(String(decoding: bytes[start..<JSONText.skipValue(bytes, start)], as: UTF8.self))
    }

    /// The members of an object or the elements of an array, until the closure says false.
    private func forEach(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (Range<Int>?, JSONText) -> Bool) {
        guard start < bytes.count, bytes[start] == UInt8(ascii: open) else { return }
        var position = start + 1
        while true {
            position = JSONText.skipSpace(bytes, position)
            guard position < bytes.count, bytes[position] != UInt8(ascii: close) else { return }
            var name: Range<Int>?
            if open == "{" {
                let end = JSONText.skipValue(bytes, position)
                name = position + 1..<max(end - 1, position + 1)
                position = min(JSONText.skipSpace(bytes, end) + 1, bytes.count)
            }
            let value = JSONText(bytes, from: position)
            guard body(name, value) else { return }
            let end = JSONText.skipValue(bytes, value.start)
            guard end > value.start else { return }
            position = JSONText.skipSpace(bytes, end)
            if position < bytes.count, bytes[position] == UInt8(ascii: ",") { position += 1 }
        }
    }

    private static func skipSpace(_ bytes: [UInt8], _ start: Int) -> Int {
        var position = start
        while position < bytes.count, bytes[position] <= 32 { position += 1 }
        return position
    }

    /// Behind the value that begins here.
    private static func skipValue(_ bytes: [UInt8], _ start: Int) -> Int {
        var position = start
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                    position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
                }
                if depth == 0 { return min(position + 1, bytes.count) }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return position }
                depth -= 1
                if depth == 0 { return position + 1 }
            case UInt8(ascii: ","), 0...32:
                if depth == 0 { return position }
            default: break
            }
            position += 1
        }
        return bytes.count
    }
}
