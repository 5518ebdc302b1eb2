package import NIOCore
package import NIOHTTP1

/// Reads requests of HTTP/1.0 and 1.1 (RFC 9112) and refuses whatever two parties could read in two ways: NIO's own decoder lets some of
/// it pass, and what has passed a parser can no longer be told from what is right.
///
/// Gives head, body and end of each request; trailers are dropped. Throws `Refusal`; after that it reads no more.
package struct RequestDecoder: Sendable {
    package static let largestHead = 32 * 1024
    package static let longestTarget = 8 * 1024
    package static let mostFields = 100
    private enum State {
        case head
        case body(BodyDecoder)
        case failed
    }

    private var state = State.head
    /// How much of an incomplete head was looked at.
    private var scanned = 0
    private var hasForgiven = false

    package init() {}

    /// Whether what comes next is the head of a request, or the rest of it.
    package var isInHead: Bool {
        if case .head = state { true } else { false }
    }

    /// The next part, or nil until more has come. Takes what it has read from the buffer.
    package mutating func next(_ buffer: inout ByteBuffer) throws(Refusal) -> HTTPServerRequestPart? {
        do {
            return try part(&buffer)
        } catch {
            state = .failed
            throw error
        }
    }

    private mutating func part(_ buffer: inout ByteBuffer) throws(Refusal) -> HTTPServerRequestPart? {
        switch state {
        case .failed: return nil
        case .head: return try head(&buffer)
        case .body(var body):
            switch try body.next(&buffer) {
            case .piece(let piece):
                state = .body(body)
                return .body(piece)
            case .end:
                state = .head
                return .end(nil)
            case nil:
                state = .body(body)
                return nil
            }
        }
    }

    private mutating func head(_ buffer: inout ByteBuffer) throws(Refusal) -> HTTPServerRequestPart? {
        // One empty line before a request is forgiven (RFC 9112, section 2.2).
        if !hasForgiven, buffer.readableBytesView.starts(with: [UInt8.cr, UInt8.lf]) {
            buffer.moveReaderIndex(forwardBy: 2)
            hasForgiven = true
            scanned = 0
        }
        guard let length = try buffer.lengthOfHead(from: &scanned) else {
            guard buffer.readableBytes <= RequestDecoder.largestHead else { throw .headTooLarge }
            try RequestDecoder.checkEarly(buffer)
            return nil
        }
        guard length <= RequestDecoder.largestHead else { throw .headTooLarge }
        scanned = 0
        hasForgiven = false
        guard let bytes = buffer.readSlice(length: length) else { return nil }
        let (head, framing) = try RequestDecoder.parse(bytes)
        state = .body(BodyDecoder(framing))
        return .head(head)
    }

    private static func parse(_ head: ByteBuffer) throws(Refusal) -> (HTTPRequestHead, Framing) {
        let result: Result<(HTTPRequestHead, Framing), Refusal> = head.withUnsafeReadableBytes { bytes in
            var parser = HeadParser(bytes)
            return Result { () throws(Refusal) in try parser.parse() }
        }
        return try result.get()
    }

    /// What can never become a request is refused before its end has come: others would wait for it in vain.
    private static func checkEarly(_ buffer: ByteBuffer) throws(Refusal) {
        let view = buffer.readableBytesView
        if let first = view.first, !first.isTokenByte, first != .cr { throw .malformed("The request line is malformed.") }
        guard view.count <= longestTarget + 64 || view.prefix(longestTarget + 64).contains(.lf) else { throw .targetTooLong }
    }
}

extension UInt8 {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")

    /// Of names of methods and fields (RFC 9110, section 5.6.2).
    var isTokenByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"),
            UInt8(ascii: "."), UInt8(ascii: "^")...UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
