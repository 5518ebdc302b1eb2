import Discovery

/// Reads a document of Eureka's protocol in XML as the JSON that means the same, so that both are understood in one place.
///
/// Only what such documents hold: elements, attributes, text. No document type, hence no entities but XML's own: what is expanded
/// without end elsewhere is refused here. (Foundation's parser would bring libxml2 and ICU into a program that needs neither.)
struct XMLReader {
    struct Malformed: Error {}

    /// An element has more others in it than any document of the protocol that is sent to a registry.
    struct TooMany: Error {}

    private struct Element {
        let name: String
        var attributes: [(String, String)] = []
        var children: [Element] = []
        var text = ""
    }

    private static let deepest = 16
    static let mostChildren = 1_000

    private let bytes: [UInt8]
    private var position = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    static func json(of bytes: [UInt8]) throws -> [UInt8] {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Malformed() }
        var reader = XMLReader(bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes)
        try reader.skipOther()
        guard reader.next("<") else { throw Malformed() }
        let root = try reader.element(depth: 0)
        try reader.skipOther()
        guard reader.position == reader.bytes.count else { throw Malformed() }
        return RegistryWriter.json { write([root], to: &$0) }
    }

    // MARK: As JSON

    private static func write(_ elements: [Element], to writer: inout RegistryWriter, isMetadata: Bool = false) {
        var groups: [String: [Element]] = [:]
        for element in elements { groups[element.name, default: []].append(element) }
        for element in elements {
            guard let same = groups.removeValue(forKey: element.name) else { continue }
            let name = isMetadata ? XMLName.plain(element.name) : element.name
            if same.count > 1 {
                writer.list(name, same) { write(contentOf: $1, to: &$0) }
            } else if element.children.isEmpty, element.attributes.isEmpty {
                writer.text(name, element.text)
            } else {
                writer.object(name, attributes: element.attributes) { write(contentOf: element, to: &$0, hasAttributes: true) }
            }
        }
    }

    private static func write(contentOf element: Element, to writer: inout RegistryWriter, hasAttributes: Bool = false) {
        if !hasAttributes { for (name, value) in element.attributes { writer.text("@" + name, value) } }
        if element.children.isEmpty {
            if !element.text.isEmpty { writer.text("$", element.text) }
        } else {
            write(element.children, to: &writer, isMetadata: element.name == "metadata")
        }
    }

    // MARK: Elements

    /// Behind the `<` of an element that begins.
    private mutating func element(depth: Int) throws -> Element {
        guard depth < XMLReader.deepest else { throw Malformed() }
        var element = Element(name: try name())
        while true {
            skipSpace()
            if next("/>") { return element }
            if next(">") { break }
            let attribute = try name()
            skipSpace()
            guard next("=") else { throw Malformed() }
            skipSpace()
            guard let quote = bytes[position...].first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { throw Malformed() }
            position += 1
            element.attributes.append((attribute, try text(until: quote)))
            position += 1
        }
        while true {
            element.text += try text(until: UInt8(ascii: "<"))
            if next("</") {
                guard try name() == element.name else { throw Malformed() }
                skipSpace()
                guard next(">") else { throw Malformed() }
                if !element.children.isEmpty { element.text = "" }
                return element
            }
            if next("<![CDATA[") {
                let start = position
                try skip(to: "]]>")
                element.text += String(decoding: bytes[start..<position - 3], as: UTF8.self)
            } else if next("<!--") {
                try skip(to: "-->")
            } else if next("<?") {
                try skip(to: "?>")
            } else {
                position += 1
                guard element.children.count < XMLReader.mostChildren else { throw TooMany() }
                element.children.append(try self.element(depth: depth + 1))
            }
        }
    }

    private mutating func name() throws -> String {
        let start = position
        while position < bytes.count, !" \t\r\n/>=<\"'&".utf8.contains(bytes[position]) { position += 1 }
        guard position > start else { throw Malformed() }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// Up to a byte that is not taken.
    private mutating func text(until end: UInt8) throws -> String {
        var plain: [UInt8] = []
        while position < bytes.count, bytes[position] != end {
            guard bytes[position] == UInt8(ascii: "&") else {
                plain.append(bytes[position])
                position += 1
                continue
            }
            guard let semicolon = bytes[position...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else { throw Malformed() }
            plain += String(try character(named: String(decoding: bytes[position + 1..<semicolon], as: UTF8.self))).utf8
            position = semicolon + 1
        }
        guard position < bytes.count else { throw Malformed() }
        return String(decoding: plain, as: UTF8.self)
    }

    private func character(named name: String) throws -> Unicode.Scalar {
        switch name {
        case "lt": return "<"
        case "gt": return ">"
        case "amp": return "&"
        case "quot": return "\""
        case "apos": return "'"
        default:
            let digits = name.hasPrefix("#x") ? UInt32(name.dropFirst(2), radix: 16) : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
            guard let digits, let scalar = Unicode.Scalar(digits), digits >= 0x20 || [9, 10, 13].contains(digits) else { throw Malformed() }
            return scalar
        }
    }

    // MARK: What is in between

    private mutating func next(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard text.withUTF8Buffer({ bytes[position...].starts(with: $0) }) else { return false }
        position += count
        return true
    }

    private mutating func skipSpace() {
        while position < bytes.count, [9, 10, 13, 32].contains(bytes[position]) { position += 1 }
    }

    private mutating func skip(to end: StaticString) throws {
        while position < bytes.count {
            if next(end) { return }
            position += 1
        }
        throw Malformed()
    }

    /// What may stand before and behind the outermost element: the declaration and comments.
    private mutating func skipOther() throws {
        while true {
            skipSpace()
            if next("<?") { try skip(to: "?>") } else if next("<!--") { try skip(to: "-->") } else { return }
        }
    }
}
