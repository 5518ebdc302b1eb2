import NIOCore

/// A request all of whose bytes but an `Idempotency-Key` are known before: written to a connection by copying.
struct Request: Sendable {
    private let beforeKey: String
    private let afterKey: String

    /// - Parameter fields: further header fields, each with its line's end.
    init(_ method: String, _ path: String, token: String? = nil, fields: String = "", body: String = "") {
        beforeKey = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let content = body.isEmpty ? "" : "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
        afterKey = "\(authorization)\(fields)\(content)\r\n\(body)"
    }

    func write(to out: inout ByteBuffer, key: String? = nil) {
        out.writeString(beforeKey)
        if let key {
            out.writeString("Idempotency-Key: ")
            out.writeString(key)
            out.writeString("\r\n")
        }
        out.writeString(afterKey)
    }
}
