import Discovery
import Values

/// Turns what the decoder has to say into what the sender can mend.
enum JSONBody {
    static func decode<Body: Decodable>(_ type: Body.Type, from bytes: [UInt8]) throws -> Body {
        guard !bytes.isEmpty else {
            throw Problem.badRequest("The body is empty; send a JSON object.")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Problem.badRequest("The body is not UTF-8.")
        }
        guard !holdsNUL(bytes) else {
            throw Problem.badRequest("The body holds the character NUL (\\u0000), which no text may hold.")
        }
        do {
            return try JSON.value(type, from: bytes)
        } catch let error as DecodingError {
            throw problem(error)
        }
    }

    /// No database stores NUL in text faithfully.
    private static func holdsNUL(_ bytes: [UInt8]) -> Bool {
        if bytes.contains(0) { return true }
        guard bytes.contains(UInt8(ascii: "\\")) else { return false }
        var isEscaped = false
        for (index, byte) in bytes.enumerated() {
            if isEscaped {
                if byte == UInt8(ascii: "u"), bytes.dropFirst(index + 1).prefix(4).elementsEqual("0000".utf8) { return true }
                isEscaped = false
            } else {
                isEscaped = byte == UInt8(ascii: "\\")
            }
        }
        return false
    }

    private static func problem(_ error: DecodingError) -> Problem {
        switch error {
        case .keyNotFound(let key, let context):
            .invalid(path(context.codingPath + [key]), "is missing")
        case .typeMismatch(let type, let context):
            .invalid(path(context.codingPath), "must be \(name(of: type))")
        case .valueNotFound(let type, let context):
            .invalid(path(context.codingPath), "must be \(name(of: type)), not null")
        case .dataCorrupted(let context) where context.codingPath.isEmpty: .badRequest("The body is not valid JSON.")
        case .dataCorrupted(let context):
            .invalid(path(context.codingPath), reason(context.debugDescription))
        @unknown default:
            .badRequest("The body is not what is expected here.")
        }
    }

    /// Only our own words reach the sender.
    private static func reason(_ description: String) -> String {
        description.hasPrefix("must ") ? description : "is not a value that is known here"
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        var text = ""
        for key in keys {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return text.isEmpty ? "body" : text
    }

    private static func name(of type: Any.Type) -> String {
        switch type {
        case is String.Type: "a text"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is Double.Type: "a number"
        case is [String: Any].Type: "an object"
        case is [Any].Type: "a list"
        default: "of another type"
        }
    }
}
