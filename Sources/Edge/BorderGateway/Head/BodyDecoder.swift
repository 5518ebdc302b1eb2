import Glibc
import NIOCore

/// Takes a body apart that is delimited in one of the ways of HTTP/1. Trailers are dropped.
struct BodyDecoder {
    /// A line with the size of a chunk, and whatever extensions follow it.
    private static let longestChunkLine = 256
    private static let largestTrailers = 4 * 1024

    enum Part {
        case piece(ByteBuffer)
        case end
    }

    private enum State {
        case counted(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailers(seen: Int)
    }

    private var state: State

    init(_ framing: Framing) {
        switch framing {
        case .none: state = .counted(left: 0)
        case .length(let length): state = .counted(left: length)
        case .chunked: state = .chunkSize
        case .untilClose: state = .counted(left: .max)
        }
    }

    /// The next part, or nil until more has come. Takes what it has read from the buffer.
    mutating func next(_ buffer: inout ByteBuffer) throws(Refusal) -> Part? {
        while true {
            switch state {
            case .counted(let left):
                guard left > 0 else { return .end }
                guard let piece = BodyDecoder.piece(of: &buffer, atMost: left) else { return nil }
                state = .counted(left: left - piece.readableBytes)
                return .piece(piece)
            case .chunkSize:
                guard let line = try line(&buffer, atMost: BodyDecoder.longestChunkLine) else { return nil }
                let size = try BodyDecoder.chunkSize(line)
                state = size == 0 ? .trailers(seen: 0) : .chunk(left: size)
            case .chunk(let left):
                guard left > 0 else {
                    state = .chunkEnd
                    continue
                }
                guard let piece = BodyDecoder.piece(of: &buffer, atMost: left) else { return nil }
                state = .chunk(left: left - piece.readableBytes)
                return .piece(piece)
            case .chunkEnd:
                guard let line = try line(&buffer, atMost: 2) else { return nil }
                guard line.isEmpty else { throw .malformed("A chunk of the body is longer than it says.") }
                state = .chunkSize
            case .trailers(let seen):
                guard let line = try line(&buffer, atMost: BodyDecoder.largestTrailers - seen) else { return nil }
                guard !line.isEmpty else { return .end }
                state = .trailers(seen: seen + line.count + 2)
            }
        }
    }

    private static func piece(of buffer: inout ByteBuffer, atMost most: Int) -> ByteBuffer? {
        buffer.readableBytes > 0 ? buffer.readSlice(length: min(most, buffer.readableBytes)) : nil
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

extension ByteBuffer {
    /// How much that was read is kept before the rest is moved to the front.
    private static let slack = 32 * 1024

    /// Puts what has arrived behind what was not read yet.
    mutating func take(_ arrived: ByteBuffer) {
        var arrived = arrived
        if readableBytes == 0 { self = arrived } else { writeBuffer(&arrived) }
    }

    /// Lets go of what was read, once it is much.
    mutating func forgetRead() {
        if readerIndex > ByteBuffer.slack { discardReadBytes() }
    }

    /// - Parameter scanned: how much is known not to hold the end; moved on.
    /// - Returns: the length with the empty line that ends it; nil if that has not come.
    func lengthOfHead(from scanned: inout Int) throws(Refusal) -> Int? {
        let bareLineFeed = -1
        let length: Int? = withUnsafeReadableBytes { bytes in
            while scanned < bytes.count, let found = memchr(bytes.baseAddress! + scanned, Int32(UInt8.lf), bytes.count - scanned) {
                let index = UnsafeRawPointer(found) - bytes.baseAddress!
                scanned = index + 1
                guard index > 0, bytes[index - 1] == .cr else { return bareLineFeed }
                if index >= 3, bytes[index - 2] == .lf { return index + 1 }
            }
            scanned = bytes.count
            return nil
        }
        guard length != bareLineFeed else { throw .malformed("A line must end with CR LF.") }
        return length
    }
}
