import Discovery
import RemoteConfiguration
import Yams

/// Reads files of settings into flat keys.
enum SettingsFile {
    /// One part of a file: YAML may hold several, each for some profiles only.
    struct Part {
        var values: [String: SettingValue]
        /// Nil for all.
        var profiles: [String]?
    }

    /// By the end of a file's name, the one that wins first.
    static let extensions = ["properties", "yml", "yaml", "json"]
    /// A file that refers to itself again and again could otherwise become as large as memory.
    private static let mostSettings = 50_000
    /// And so could the work, where it merges itself again and again.
    private static let mostSteps = 500_000
    private static let deepest = 64

    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    static func parts(_ text: String, path: String) throws -> [Part] {
        if path.hasSuffix(".properties") { return [Part(values: PropertiesText.parse(text), profiles: nil)] }
        do {
            // Not `compose_all`, whose sequence ends at a mistake as it does at the end.
            let parser = try Parser(yaml: text)
            var parts: [Part] = []
            var steps = 0
            while let node = try parser.nextRoot() {
                var values: [String: SettingValue] = [:]
                // An empty document.
                guard node.scalar?.string != "" else { continue }
                guard case .mapping(let mapping) = node else { throw Malformed(description: "it is no mapping of names to values") }
                try flatten(mapping, prefix: "", depth: 0, into: &values, &steps)
                parts.append(part(values))
            }
            return parts
        } catch {
            throw Malformed(description: "\(path): \(error)")
        }
    }

    /// For which profiles it is; a sign of negation is part of a name here.
    private static func part(_ values: [String: SettingValue]) -> Part {
        let keys = ["spring.config.activate.on-profile", "spring.profiles"]
        var texts: [String] = []
        for (key, value) in values {
            let isList = keys.contains { key.hasPrefix("\($0)[") }
            if keys.contains(key) || isList { texts.append(value.text) }
        }
        guard !texts.isEmpty else { return Part(values: values, profiles: nil) }
        return Part(values: values, profiles: texts.flatMap { $0.split(separator: ",").map { $0.trimming(\.isWhitespace) } })
    }

    private static func flatten(
        _ mapping: Node.Mapping, prefix: String, depth: Int, into values: inout [String: SettingValue], _ steps: inout Int
    ) throws {
        guard depth < deepest else { throw Malformed(description: "it is more than \(deepest) levels deep") }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw Malformed(description: "a name in \(prefix) is no text") }
            if name == "<<" {
                // What is said beside it wins.
                var merged: [String: SettingValue] = [:]
                for node in value.sequence.map(Array.init) ?? [value] {
                    guard let other = node.mapping else { continue }
                    var one: [String: SettingValue] = [:]
                    try flatten(other, prefix: prefix, depth: depth + 1, into: &one, &steps)
                    merged.merge(one) { first, _ in first }
                }
                values.merge(merged) { said, _ in said }
                continue
            }
            try flatten(
                value, key: prefix.isEmpty || name.hasPrefix("[") ? prefix + name : "\(prefix).\(name)", depth: depth, into: &values, &steps
            )
        }
    }

    private static func flatten(
        _ node: Node, key: String, depth: Int, into values: inout [String: SettingValue], _ steps: inout Int
    ) throws {
        steps += 1
        guard steps <= mostSteps else { throw Malformed(description: "it refers to itself again and again") }
        switch node {
        case .mapping(let mapping) where !mapping.isEmpty: try flatten(mapping, prefix: key, depth: depth + 1, into: &values, &steps)
        case .sequence(let sequence) where !sequence.isEmpty:
            guard depth < deepest else { throw Malformed(description: "it is more than \(deepest) levels deep") }
            for (index, element) in sequence.enumerated() {
                try flatten(element, key: "\(key)[\(index)]", depth: depth + 1, into: &values, &steps)
            }
        case .scalar: values[key] = value(of: node)
        case .mapping, .sequence: values[key] = .text("")
        case .alias: throw Malformed(description: "\(key) refers to what is not there")
        }
        guard values.count <= mostSettings else { throw Malformed(description: "it has more than \(mostSettings) settings") }
    }

    private static func value(of node: Node) -> SettingValue {
        let text = node.scalar?.string ?? ""
        return switch Tag.Name(rawValue: node.tag.rawValue) {
        case .null: .text("")
        case .bool: node.bool.map { .flag($0) } ?? .text(text)
        case .int: node.int.map { .whole($0) } ?? .text(text)
        case .float: node.float.flatMap { $0.isFinite ? .decimal($0) : nil } ?? .text(text)
        default: .text(text)
        }
    }
}

/// The format of Java's `Properties`: `key=value`, `key: value` or `key value`, comments with `#` or `!`, lines that go on behind a `\`.
enum PropertiesText {
    static func parse(_ text: String) -> [String: SettingValue] {
        var values: [String: SettingValue] = [:]
        var logical = ""
        for physical in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            let line = physical.drop { $0 == " " || $0 == "\t" }
            if logical.isEmpty, line.isEmpty || line.hasPrefix("#") || line.hasPrefix("!") { continue }
            logical += line
            let backslashes = logical.reversed().prefix { $0 == "\\" }.count
            if backslashes % 2 == 1 {
                logical.removeLast()
                continue
            }
            add(logical, to: &values)
            logical = ""
        }
        if !logical.isEmpty { add(logical, to: &values) }
        return values
    }

    private static func add(_ line: String, to values: inout [String: SettingValue]) {
        var index = line.startIndex
        while index < line.endIndex, !"=: \t".contains(line[index]) {
            if line[index] == "\\", line.index(after: index) < line.endIndex { index = line.index(after: index) }
            index = line.index(after: index)
        }
        var value = line[index...].drop { $0 == " " || $0 == "\t" }
        if let first = value.first, first == "=" || first == ":" { value = value.dropFirst().drop { $0 == " " || $0 == "\t" } }
        values[unescaped(line[..<index])] = .text(unescaped(value))
    }

    private static func unescaped(_ text: Substring) -> String {
        guard text.contains("\\") else { return String(text) }
        var result = ""
        var rest = text
        while let character = rest.popFirst() {
            guard character == "\\", let escaped = rest.popFirst() else {
                result.append(character)
                continue
            }
            switch escaped {
            case "n": result.append("\n")
            case "r": result.append("\r")
            case "t": result.append("\t")
            case "f": result.append("\u{0C}")
            case "u":
                guard rest.count >= 4, let code = UInt32(rest.prefix(4), radix: 16), let scalar = Unicode.Scalar(code) else {
                    result += "u"
                    continue
                }
                result.unicodeScalars.append(scalar)
                rest = rest.dropFirst(4)
            default: result.append(escaped)
            }
        }
        return result
    }
}
