/// The one way in which JSON is written and read: camelCase as in Swift, keys sorted, slashes plain.
///
/// Its own coder instead of Foundation's: a purchase writes and reads some forty documents, and Foundation, which builds a tree of
/// boxes for each, took a fifth of its time. This one writes straight into the bytes, and reads from a flat index of them. It is
/// stricter as well: what RFC 8259 does not allow is not JSON here.
public enum JSON {
    public static func bytes(of value: some Encodable) throws -> [UInt8] {
        if let value = value as? any JSONWritable { return JSONText(value).bytes }
        return try JSONWriter.document(value)
    }

    public static func text(of value: some Encodable) throws -> String {
        String(decoding: try bytes(of: value), as: UTF8.self)
    }

    /// - Throws: `DecodingError`; `dataCorrupted` without a path for what is not JSON.
    public static func value<Value: Decodable>(_ type: Value.Type = Value.self, from bytes: [UInt8]) throws -> Value {
        try withUnsafePointer(to: try JSONDocument(bytes)) { document in
            try unsafe JSONValue(document: document, index: 0).decode(type)
        }
    }

    public static func value<Value: Decodable>(_ type: Value.Type = Value.self, from text: String) throws -> Value {
        try value(type, from: Array(text.utf8))
    }
}
