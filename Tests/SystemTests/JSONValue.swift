import Values

/// JSON to be spoilt.
indirect enum JSONValue: Codable, Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])
    /// Goes into the text as it is, whether it is JSON or not.
    case literal(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        case .literal(let text): try container.encode(JSONValue.mark + text + JSONValue.mark)
        }
    }

    private static let mark = "@@literal@@"

    var text: String {
        get throws {
            try JSON.text(of: self).replacing("\"\(JSONValue.mark)", with: "").replacing("\(JSONValue.mark)\"", with: "")
        }
    }

    /// The paths to all values that hold no others.
    var leaves: [[String]] {
        switch self {
        case .object(let members): members.sorted { $0.key < $1.key }.flatMap { key, value in value.leaves.map { [key] + $0 } }
        case .array(let items): items.first.map { $0.leaves.map { ["0"] + $0 } } ?? [[]]
        default: [[]]
        }
    }

    subscript(path: some Collection<String>) -> JSONValue {
        get {
            guard let first = path.first else { return self }
            return switch self {
            case .object(let members): members[first]?[path.dropFirst()] ?? .null
            case .array(let items): items[Int(first)!][path.dropFirst()]
            default: self
            }
        }
        set {
            guard let first = path.first else {
                self = newValue
                return
            }
            switch self {
            case .object(var members):
                members[first, default: .null][path.dropFirst()] = newValue
                self = .object(members)
            case .array(var items):
                items[Int(first)!][path.dropFirst()] = newValue
                self = .array(items)
            default: break
            }
        }
    }
}
