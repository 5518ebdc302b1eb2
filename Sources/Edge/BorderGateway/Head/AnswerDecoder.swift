package import NIOCore
package import NIOHTTP1

/// Reads answers of HTTP/1.0 and 1.1 (RFC 9112), each to a request that it was told of. Those that only say that another follows, as 103
/// does, are dropped.
package struct AnswerDecoder {
    static let largestHead = 128 * 1024
    static let mostFields = 256

    private enum State {
        case head
        case body(BodyDecoder, isUntilClose: Bool)
        /// After 101 what comes is another protocol.
        case over
    }

    private var state = State.head
    private var method = HTTPMethod.GET
    private var scanned = 0

    package init() {}

    /// - Parameter method: of the request whose answer comes next.
    package mutating func begin(to method: HTTPMethod) {
        self.method = method
        state = .head
        scanned = 0
    }

    /// Whether the end of the connection is the end of the answer.
    package var endsWithConnection: Bool {
        if case .body(_, isUntilClose: true) = state { true } else { false }
    }

    /// The next part, or nil until more has come. Takes what it has read from the buffer. Throws for what is no answer.
    package mutating func next(_ buffer: inout ByteBuffer) throws(Refusal) -> HTTPClientResponsePart? {
        while true {
            switch state {
            case .over: return nil
            case .head:
                guard let length = try buffer.lengthOfHead(from: &scanned) else {
                    guard buffer.readableBytes <= AnswerDecoder.largestHead else { throw .headTooLarge }
                    return nil
                }
                scanned = 0
                guard length <= AnswerDecoder.largestHead else { throw .headTooLarge }
                guard let bytes = buffer.readSlice(length: length) else { return nil }
                let (head, framing) = try AnswerDecoder.parse(bytes, to: method)
                if head.status.code == 101 {
                    state = .over
                } else if head.status.code < 200 {
                    continue
                } else {
                    state = .body(BodyDecoder(framing), isUntilClose: framing == .untilClose)
                }
                return .head(head)
            case .body(var body, let isUntilClose):
                switch try body.next(&buffer) {
                case .piece(let piece):
                    state = .body(body, isUntilClose: isUntilClose)
                    return .body(piece)
                case .end:
                    state = .head
                    return .end(nil)
                case nil:
                    state = .body(body, isUntilClose: isUntilClose)
                    return nil
                }
            }
        }
    }

    private static func parse(_ head: ByteBuffer, to method: HTTPMethod) throws(Refusal) -> (HTTPResponseHead, Framing) {
        let result: Result<(HTTPResponseHead, Framing), Refusal> = head.withUnsafeReadableBytes { bytes in
            var parser = HeadParser(bytes)
            return Result { () throws(Refusal) in try parser.parseAnswer(to: method) }
        }
        return try result.get()
    }
}
