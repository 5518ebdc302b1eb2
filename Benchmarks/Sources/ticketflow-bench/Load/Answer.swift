import NIOCore

/// A whole HTTP answer.
struct Answer: Sendable {
    let status: Int
    let body: ByteBuffer

    var json: JSONText { JSONText(Array(body.readableBytesView)) }

    /// - Throws: where the status is another.
    func expect(_ status: Int, _ request: StaticString) throws {
        guard self.status == status else { throw Unexpected(request: "\(request)", answer: self) }
    }
}

/// An answer that a benchmark cannot go on with: what it would measure then is not what it says.
struct Unexpected: Error, CustomStringConvertible {
    let request: String
    let answer: Answer

    var description: String {
        "\(request) was answered \(answer.status): \(String(decoding: answer.body.readableBytesView.prefix(500), as: UTF8.self))"
    }
}

/// Takes HTTP/1.1 answers with a `Content-Length` from the bytes of a connection. This server sends no others to these requests, and
/// a general parser would take a good part of the two cores that are shared with it.
struct AnswerReader {
    enum Malformed: Error {
        case statusLine, contentLength, chunked
    }

    private var bytes = ByteBuffer()

    mutating func append(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = more
        } else {
            bytes.writeImmutableBuffer(more)
        }
    }

    /// The next whole answer, if it has arrived.
    mutating func next() throws -> Answer? {
        guard let head = try bytes.withUnsafeReadableBytes(AnswerReader.head), bytes.readableBytes >= head.length + head.body else {
            return nil
        }
        bytes.moveReaderIndex(forwardBy: head.length)
        guard let body = bytes.readSlice(length: head.body) else { return nil }
        return Answer(status: head.status, body: body)
    }

    private static func head(_ bytes: UnsafeRawBufferPointer) throws -> (status: Int, length: Int, body: Int)? {
        var status: Int?
        var body = 0
        var line = 0
        for index in bytes.indices where bytes[index] == UInt8(ascii: "\n") {
            let end = index > line && bytes[index - 1] == UInt8(ascii: "\r") ? index - 1 : index
            let text = bytes[line..<end]
            if let status {
                if text.isEmpty { return (status, index + 1, body) }
                if let value = value(of: "content-length:", in: text) {
                    guard let length = number(value) else { throw Malformed.contentLength }
                    body = length
                } else if value(of: "transfer-encoding:", in: text) != nil {
                    throw Malformed.chunked
                }
            } else {
                guard text.count >= 12, text.starts(with: "HTTP/1.1 ".utf8), let code = number(text.dropFirst(9).prefix(3)) else {
                    throw Malformed.statusLine
                }
                status = code
            }
            line = index + 1
        }
        return nil
    }

    /// What stands behind a field's name, which is given in small letters.
    private static func value(of name: StaticString, in line: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer>? {
        guard line.count > name.utf8CodeUnitCount else { return nil }
        for offset in 0..<name.utf8CodeUnitCount {
            let byte = line[line.startIndex + offset]
            let small = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 32 : byte
            guard small == name.utf8Start[offset] else { return nil }
        }
        return line.dropFirst(name.utf8CodeUnitCount).drop { $0 == UInt8(ascii: " ") }
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...9).contains(digits.count) else { return nil }
        var number = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }
}
