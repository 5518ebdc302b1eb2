/// Writes the documents of Eureka's protocol, which are the same in JSON and in XML but for their punctuation.
///
/// An attribute of an element of XML is a member `@name` in JSON, and the text of an element with attributes the member `$`.
package struct RegistryWriter {
    package enum Format: Hashable, Sendable {
        case json, xml
    }

    package let format: Format
    package private(set) var bytes: [UInt8] = []

    package init(_ format: Format) {
        self.format = format
    }

    /// A document whose outermost element has this name.
    package static func document(_ name: String, _ format: Format, _ body: (inout RegistryWriter) -> Void) -> [UInt8] {
        var writer = RegistryWriter(format)
        if format == .json { writer.put("{") }
        writer.object(name, body)
        if format == .json { writer.put("}") }
        return writer.bytes
    }

    /// An object of JSON that has no name.
    package static func json(_ body: (inout RegistryWriter) -> Void) -> [UInt8] {
        var writer = RegistryWriter(.json)
        writer.put("{")
        body(&writer)
        writer.put("}")
        return writer.bytes
    }

    package mutating func object(_ name: String, attributes: [(String, String)] = [], _ body: (inout RegistryWriter) -> Void = { _ in }) {
        switch format {
        case .json:
            key(name)
            put("{")
            for (name, value) in attributes {
                key("@" + name)
                quoted(value)
            }
            body(&self)
            put("}")
        case .xml:
            open(name, attributes)
            body(&self)
            close(name)
        }
    }

    /// As many objects of this name as there are elements.
    package mutating func list<Element>(_ name: String, _ elements: [Element], _ body: (inout RegistryWriter, Element) -> Void) {
        switch format {
        case .json:
            key(name)
            put("[")
            for element in elements {
                separate()
                put("{")
                body(&self, element)
                put("}")
            }
            put("]")
        case .xml:
            for element in elements {
                open(name, [])
                body(&self, element)
                close(name)
            }
        }
    }

    package mutating func text(_ name: String, _ value: String?) {
        guard let value else { return }
        switch format {
        case .json:
            key(name)
            quoted(value)
        case .xml:
            open(name, [])
            escaped(value)
            close(name)
        }
    }

    package mutating func number(_ name: String, _ value: Int64, attributes: [(String, String)] = []) {
        switch format {
        case .json where attributes.isEmpty:
            key(name)
            put("\(value)")
        case .json:
            object(name, attributes: attributes) { $0.number("$", value) }
        case .xml:
            open(name, attributes)
            put("\(value)")
            close(name)
        }
    }

    // MARK: Punctuation

    private mutating func put(_ text: String) {
        bytes += text.utf8
    }

    private mutating func separate() {
        if let last = bytes.last, last != UInt8(ascii: "{"), last != UInt8(ascii: "[") { put(",") }
    }

    private mutating func key(_ name: String) {
        separate()
        quoted(name)
        put(":")
    }

    private mutating func quoted(_ text: String) {
        put("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: put("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
        put("\"")
    }

    private mutating func open(_ name: String, _ attributes: [(String, String)]) {
        put("<" + name)
        for (name, value) in attributes {
            put(" " + name + "=\"")
            escaped(value)
            put("\"")
        }
        put(">")
    }

    private mutating func close(_ name: String) {
        put("</" + name + ">")
    }

    private mutating func escaped(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": put("&lt;")
            case ">": put("&gt;")
            case "&": put("&amp;")
            case "\"": put("&quot;")
            case "\t", "\n", "\r": put("&#\(scalar.value);")
            // No document of XML can hold them, in whatever form.
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": put("\u{FFFD}")
            default: bytes += String(scalar).utf8
            }
        }
    }
}

/// How names that are none in XML, as keys of metadata may be, are written as names of elements: as XStream does, with which Eureka's
/// own servers and clients read them.
package enum XMLName {
    package static func escaped(_ name: String) -> String {
        var result = ""
        let units = Array(name.utf16)
        for (index, unit) in units.enumerated() {
            switch unit {
            case 0x24: result += "_-"
            // Only where it would be read as the beginning of something else.
            case 0x5F:
                let next = index + 1 < units.count ? units[index + 1] : nil
                result += next.map { [0x5F, 0x2D, 0x2E].contains($0) || !isPlain($0) } ?? false ? "__" : "_"
            case let unit where isPlain(unit) && !(index == 0 && isNoBeginning(unit)):
                result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            default:
                let digits = String(unit, radix: 16)
                result += "_." + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result.isEmpty ? "_" : result
    }

    package static func plain(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "_")) else { return name }
        var result: [UInt16] = []
        var rest = Array(name.utf16)[...]
        while let unit = rest.popFirst() {
            guard unit == 0x5F, let next = rest.first else {
                result.append(unit)
                continue
            }
            if next == 0x5F {
                rest.removeFirst()
                result.append(0x5F)
            } else if next == 0x2D {
                rest.removeFirst()
                result.append(0x24)
            } else if next == 0x2E, rest.count >= 5,
                let value = UInt16(String(decoding: rest.dropFirst().prefix(4), as: UTF16.self), radix: 16)
            {
                rest.removeFirst(5)
                result.append(value)
            } else {
                result.append(unit)
            }
        }
        return String(decoding: result, as: UTF16.self)
    }

    private static func isPlain(_ unit: UInt16) -> Bool {
        switch unit {
        // Letters, digits, point, hyphen, underscore.
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2E, 0x2D, 0x5F: true
        default: false
        }
    }

    private static func isNoBeginning(_ unit: UInt16) -> Bool {
        switch unit {
        case 0x30...0x39, 0x2E, 0x2D: true
        default: false
        }
    }
}
