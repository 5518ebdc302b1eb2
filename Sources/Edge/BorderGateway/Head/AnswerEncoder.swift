package import NIOCore
package import NIOHTTP1

/// Writes answers of HTTP/1 (RFC 9112). What is small it keeps together: an answer that is whole goes out with one call of the system.
package struct AnswerEncoder {
    /// A larger piece of a body goes out by itself, without a copy.
    private static let largestCopied = 16 * 1024
    private static let usualLength = 1_024

    /// What was not sent yet.
    private var pending = ByteBuffer()
    private var isChunked = false

    package init() {}

    /// Says itself how the body is delimited where its length is not known: in chunks, which HTTP/1.0 does not know, or by the end of the
    /// connection.
    package mutating func begin(_ head: HTTPResponseHead) {
        var head = head
        if !head.status.mayHaveResponseBody { head.headers.remove(name: "content-length") }
        isChunked = head.status.mayHaveResponseBody && head.version == .http1_1 && !head.headers.contains(name: "content-length")
        pending.reserveCapacity(minimumWritableBytes: AnswerEncoder.usualLength)
        pending.writeStaticString(head.version == .http1_0 ? "HTTP/1.0 " : "HTTP/1.1 ")
        pending.writeString(String(head.status.code))
        pending.writeStaticString(" ")
        pending.writeString(head.status.reasonPhrase)
        pending.writeStaticString("\r\n")
        pending.write(head.headers)
        if isChunked { pending.writeStaticString("transfer-encoding: chunked\r\n") }
        pending.writeStaticString("\r\n")
    }

    /// - Parameter send: is given what goes out at once, in this order.
    package mutating func add(_ body: ByteBuffer, _ send: (ByteBuffer) -> Void) {
        // A chunk of no length would be the last.
        guard body.readableBytes > 0 else { return }
        if isChunked {
            pending.writeString(String(body.readableBytes, radix: 16))
            pending.writeStaticString("\r\n")
        }
        if body.readableBytes <= AnswerEncoder.largestCopied {
            pending.writeImmutableBuffer(body)
        } else {
            if let before = take() { send(before) }
            send(body)
        }
        if isChunked { pending.writeStaticString("\r\n") }
    }

    package mutating func end() {
        if isChunked { pending.writeStaticString("0\r\n\r\n") }
    }

    /// What was not sent yet; nil where there is nothing.
    package mutating func take() -> ByteBuffer? {
        guard pending.readableBytes > 0 else { return nil }
        defer { pending = ByteBuffer() }
        return pending
    }
}

extension ByteBuffer {
    /// Each field on a line of its own.
    mutating func write(_ fields: HTTPHeaders) {
        let length = fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
        writeWithUnsafeMutableBytes(minimumWritableBytes: length) { target in
            var rest = target
            for (name, value) in fields {
                rest.take(name)
                rest.take(": ")
                rest.take(value)
                rest.take("\r\n")
            }
            return length
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Puts a text at the front, and goes on behind it.
    fileprivate mutating func take(_ text: String) {
        var text = text
        let count = text.withUTF8 { bytes in
            copyMemory(from: UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
        self = UnsafeMutableRawBufferPointer(rebasing: self[count...])
    }
}
