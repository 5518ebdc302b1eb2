package import Configuration
import FoundationEssentials

/// Settings as a Config Server gave them, at one time.
package struct RemoteSnapshot: ConfigSnapshot, Hashable {
    package static let providerName = "config-server"

    private let values: [String: SettingValue]
    private let lists: [String: [SettingValue]]

    /// - Parameter values: by flat keys, with their placeholders filled in.
    package init(_ values: [String: SettingValue] = [:]) {
        self.values = values
        var lists: [String: [Int: SettingValue]] = [:]
        for (key, value) in values where key.hasSuffix("]") {
            guard let bracket = key.lastIndex(of: "["), let index = Int(key[key.index(after: bracket)...].dropLast()) else { continue }
            lists[String(key[..<bracket]), default: [:]][index] = value
        }
        self.lists = lists.mapValues { list in list.sorted { $0.key < $1.key }.map(\.value) }
    }

    package var providerName: String { RemoteSnapshot.providerName }

    /// Nil for a key that is missing; throws for a value of another type.
    package func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        let name = key.components.joined(separator: ".")
        guard let content = try content(name, type) else { return LookupResult(encodedKey: name, value: nil) }
        return LookupResult(encodedKey: name, value: ConfigValue(content, isSecret: false))
    }

    private func content(_ key: String, _ type: ConfigType) throws -> ConfigContent? {
        func scalar<Value>(_ read: (SettingValue) -> Value?) throws -> Value? {
            guard let value = values[key] else {
                guard lists[key] == nil else { throw WrongType(key: key, type: type) }
                return nil
            }
            guard let result = read(value) else { throw WrongType(key: key, type: type) }
            return result
        }
        func list<Value>(_ read: (SettingValue) -> Value?) throws -> [Value]? {
            guard let elements = elements(key) else { return nil }
            return try elements.map { element in
                guard let result = read(element) else { throw WrongType(key: key, type: type) }
                return result
            }
        }
        return switch type {
        case .string: try scalar(\.text).map { .string($0) }
        case .int: try scalar(\.int).map { .int($0) }
        case .double: try scalar(\.double).map { .double($0) }
        case .bool: try scalar(\.bool).map { .bool($0) }
        case .bytes: try scalar(\.bytes).map { .bytes($0) }
        case .stringArray: try list(\.text).map { .stringArray($0) }
        case .intArray: try list(\.int).map { .intArray($0) }
        case .doubleArray: try list(\.double).map { .doubleArray($0) }
        case .boolArray: try list(\.bool).map { .boolArray($0) }
        case .byteChunkArray: try list(\.bytes).map { .byteChunkArray($0) }
        }
    }

    /// Of a list, or of a text with commas between its elements, as the environment has them; an empty text is an empty list.
    private func elements(_ key: String) -> [SettingValue]? {
        if let list = lists[key] { return list }
        guard let value = values[key] else { return nil }
        guard case .text(let text) = value else { return [value] }
        return text.split(separator: ",").map { .text(String($0.trimmed)) }
    }

    private struct WrongType: Error, CustomStringConvertible {
        let key: String
        let type: ConfigType

        var description: String { "The setting \(key) of the Config Server is no \(type)." }
    }
}

extension SettingValue {
    fileprivate var int: Int? {
        switch self {
        case .whole(let number): number
        case .decimal(let number): Int(exactly: number)
        case .text(let text): Int(text.trimmed)
        case .flag: nil
        }
    }

    fileprivate var double: Double? {
        switch self {
        case .whole(let number): Double(number)
        case .decimal(let number): number
        case .text(let text): Double(text.trimmed)
        case .flag: nil
        }
    }

    fileprivate var bool: Bool? {
        switch self {
        case .flag(let flag): flag
        case .whole(1): true
        case .whole(0): false
        case .text(let text):
            switch text.trimmed.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        default: nil
        }
    }

    fileprivate var bytes: [UInt8]? {
        Data(base64Encoded: text).map { [UInt8]($0) }
    }
}

extension StringProtocol {
    fileprivate var trimmed: SubSequence {
        var rest = self[...]
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return rest
    }
}
