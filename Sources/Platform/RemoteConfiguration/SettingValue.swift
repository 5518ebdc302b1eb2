/// A setting's value as files and JSON hold it.
package enum SettingValue: Hashable, Sendable {
    case text(String)
    case whole(Int)
    case decimal(Double)
    case flag(Bool)

    /// As it would be written in a text.
    package var text: String {
        switch self {
        case .text(let text): text
        case .whole(let number): String(number)
        case .decimal(let number): String(number)
        case .flag(let flag): String(flag)
        }
    }
}

extension SettingValue: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .text("")
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Int.self) {
            self = .whole(number)
        } else if let number = try? container.decode(Double.self) {
            self = .decimal(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .whole(let number): try container.encode(number)
        case .decimal(let number): try container.encode(number)
        case .flag(let flag): try container.encode(flag)
        }
    }
}
