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
    /// A line with the size of a chunk, and whatever extensions follow it.
    private static let longestChunkLine = 256
    private static let largestTrailers = 4 * 1024

    private enum State {
        case head
        case body(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailers(seen: Int)
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
        while true {
            switch state {
            case .failed: return nil
            case .head: return try head(&buffer)
            case .body(let left):
                guard left > 0 else {
                    state = .head
                    return .end(nil)
                }
                guard let part = buffer.readSlice(length: min(left, buffer.readableBytes)), part.readableBytes > 0 else { return nil }
                state = .body(left: left - part.readableBytes)
                return .body(part)
            case .chunkSize:
                guard let line = try line(&buffer, atMost: RequestDecoder.longestChunkLine) else { return nil }
                let size = try RequestDecoder.chunkSize(line)
                state = size == 0 ? .trailers(seen: 0) : .chunk(left: size)
            case .chunk(let left):
                guard left > 0 else {
                    state = .chunkEnd
                    continue
                }
                guard let part = buffer.readSlice(length: min(left, buffer.readableBytes)), part.readableBytes > 0 else { return nil }
                state = .chunk(left: left - part.readableBytes)
                return .body(part)
            case .chunkEnd:
                guard let line = try line(&buffer, atMost: 2) else { return nil }
                guard line.isEmpty else { throw .malformed("A chunk of the body is longer than it says.") }
                state = .chunkSize
            case .trailers(let seen):
                guard let line = try line(&buffer, atMost: RequestDecoder.largestTrailers - seen) else { return nil }
                guard !line.isEmpty else {
                    state = .head
                    return .end(nil)
                }
                state = .trailers(seen: seen + line.count + 2)
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
        guard let length = try RequestDecoder.lengthOfHead(buffer, from: &scanned) else {
            guard buffer.readableBytes <= RequestDecoder.largestHead else { throw .headTooLarge }
            try RequestDecoder.checkEarly(buffer)
            return nil
        }
        guard length <= RequestDecoder.largestHead else { throw .headTooLarge }
        scanned = 0
        hasForgiven = false
        guard let bytes = buffer.readSlice(length: length) else { return nil }
        let (head, framing) = try RequestDecoder.parse(bytes)
        switch framing {
        case .none: state = .body(left: 0)
        case .length(let length): state = .body(left: length)
        case .chunked: state = .chunkSize
        }
        return .head(head)
    }

    private static func parse(_ head: ByteBuffer) throws(Refusal) -> (HTTPRequestHead, Framing) {
        let result: Result<(HTTPRequestHead, Framing), Refusal> = head.withUnsafeReadableBytes { bytes in
            var parser = HeadParser(bytes)
            return Result { () throws(Refusal) in try parser.parse() }
        }
        return try result.get()
    }

    /// - Parameter scanned: how much is known not to hold the end; moved on.
    /// - Returns: the length with the empty line that ends it; nil if that has not come.
    private static func lengthOfHead(_ buffer: ByteBuffer, from scanned: inout Int) throws(Refusal) -> Int? {
        let bareLineFeed = -1
        let length: Int? = buffer.withUnsafeReadableBytes { bytes in
            for index in scanned..<bytes.count where bytes[index] == .lf {
                guard index > 0, bytes[index - 1] == .cr else { return bareLineFeed }
                if index >= 3, bytes[index - 2] == .lf { return index + 1 }
            }
            scanned = bytes.count
            return nil
        }
        guard length != bareLineFeed else { throw .malformed("A line must end with CR LF.") }
        return length
    }

    /// What can never become a request is refused before its end has come: others would wait for it in vain.
    private static func checkEarly(_ buffer: ByteBuffer) throws(Refusal) {
        let view = buffer.readableBytesView
        if let first = view.first, !first.isTokenByte, first != .cr { throw .malformed("The request line is malformed.") }
        guard view.count <= longestTarget + 64 || view.prefix(longestTarget + 64).contains(.lf) else { throw .targetTooLong }
    }

    private func line(_ buffer: inout ByteBuffer, atMost most: Int) throws(Refusal) -> [UInt8]? {
        let view = buffer.readableBytesView
        guard let end = view.prefix(most + 2).firstIndex(of: .lf) else {
            guard view.count <= most else { throw .malformed("A line of the body is too long.") }
            return nil
        }
        guard end > view.startIndex, view[end - 1] == .cr else { throw .malformed("A line of the body must end with CR LF.") }
        let line = Array(view[view.startIndex..<end - 1])
        guard !line.contains(where: { $0 == .cr || $0 == 0 }) else { throw .malformed("A line of the body is malformed.") }
        buffer.moveReaderIndex(forwardBy: line.count + 2)
        return line
    }

    private static func chunkSize(_ line: [UInt8]) throws(Refusal) -> Int {
        let digits = line.prefix { $0.hexValue != nil }
        let rest = line.dropFirst(digits.count)
        // What follows is an extension, which nobody here understands.
        guard (1...15).contains(digits.count), rest.isEmpty || rest.first == UInt8(ascii: ";") else {
            throw .malformed("The size of a chunk is malformed.")
        }
        return digits.reduce(0) { $0 << 4 | Int($1.hexValue ?? 0) }
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
