import RemoteConfiguration
import Values
import Yams

/// Settings as a tree again, from flat keys, for the forms in which people and programs read them.
indirect enum SettingsTree {
    case value(SettingValue)
    case object([String: SettingsTree])
    case list([SettingsTree])

    init(_ flat: [String: SettingValue]) {
        let root = Branch()
        // A value where another key expects a branch gives way to it.
        for (key, value) in flat.sorted(by: { $0.key < $1.key }) { root.add(SettingsTree.steps(of: key)[...], value) }
        self = root.tree
    }

    private final class Branch {
        var children: [String: Branch] = [:]
        var value: SettingValue?

        func add(_ steps: ArraySlice<String>, _ value: SettingValue) {
            guard let step = steps.first else {
                self.value = value
                return
            }
            let child = children[step] ?? Branch()
            children[step] = child
            child.add(steps.dropFirst(), value)
        }

        var tree: SettingsTree {
            guard !children.isEmpty else { return value.map { .value($0) } ?? .object([:]) }
            let indices = children.keys.map { key in key.hasPrefix("[") ? Int(key.dropFirst().dropLast()) : nil }
            if indices.allSatisfy({ $0 != nil }) {
                return .list(
                    children.sorted { Int($0.key.dropFirst().dropLast())! < Int($1.key.dropFirst().dropLast())! }.map(\.value.tree))
            }
            return .object(children.mapValues(\.tree))
        }
    }

    /// `a.b[0].c` is `a`, `b`, `[0]`, `c`; brackets around anything but a number are part of a name.
    private static func steps(of key: String) -> [String] {
        var steps: [String] = []
        for part in key.split(separator: ".", omittingEmptySubsequences: false) {
            var rest = part
            var indices: [String] = []
            while rest.hasSuffix("]"), let bracket = rest.lastIndex(of: "["), bracket > rest.startIndex,
                let index = Int(rest[rest.index(after: bracket)...].dropLast()), index >= 0
            {
                indices.insert("[\(index)]", at: 0)
                rest = rest[..<bracket]
            }
            steps.append(String(rest))
            steps += indices
        }
        return steps
    }

    fileprivate var node: Node {
        switch self {
        case .object(let members):
            Node(members.sorted { $0.key < $1.key }.map { (SettingsTree.text($0.key), $0.value.node) }, Tag(.map))
        case .list(let elements): Node(elements.map(\.node), Tag(.seq))
        case .value(.text(let text)): SettingsTree.text(text)
        case .value(.whole(let number)): Node(String(number), Tag(.int))
        case .value(.decimal(let number)): Node(String(number), Tag(.float))
        case .value(.flag(let flag)): Node(String(flag), Tag(.bool))
        }
    }

    /// In quotes where it would be read as something else than a text.
    private static func text(_ text: String) -> Node {
        let plain = Node(text)
        let isPlain = plain.tag.rawValue == Tag.Name.str.rawValue && !text.isEmpty
        return Node(text, Tag(.str), isPlain ? .any : .singleQuoted)
    }
}

extension SettingsTree: Encodable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        switch self {
        case .value(let value): try value.encode(to: encoder)
        case .object(let members):
            var container = encoder.container(keyedBy: Key.self)
            for (name, value) in members { try container.encode(value, forKey: Key(name)) }
        case .list(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        }
    }
}

extension SettingsAddress.Form {
    var contentType: String {
        switch self {
        case .yml, .yaml, .properties: "text/plain;charset=UTF-8"
        case .json: "application/json"
        }
    }

    func render(_ values: [String: SettingValue]) throws -> [UInt8] {
        switch self {
        case .json: return try JSON.bytes(of: SettingsTree(values))
        case .yml, .yaml:
            guard !values.isEmpty else { return Array("{}\n".utf8) }
            return Array(try Yams.serialize(node: SettingsTree(values).node, allowUnicode: true).utf8)
        case .properties:
            let lines = values.sorted { $0.key < $1.key }.map { key, value in
                "\(escaped(key, isKey: true)): \(escaped(value.text, isKey: false))\n"
            }
            return Array(lines.joined().utf8)
        }
    }

    private func escaped(_ text: String, isKey: Bool) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\r\n": result += "\\r\\n"
            case "\t": result += "\\t"
            case " " where isKey || result.isEmpty: result += "\\ "
            case "=", ":", "#", "!":
                if isKey { result += "\\" }
                result.append(character)
            default: result.append(character)
            }
        }
        return result
    }
}
