import NIOHTTP1

/// How a body is delimited.
enum Framing: Hashable, Sendable {
    case none
    case length(Int)
    case chunked
    /// Of an answer, by the end of the connection.
    case untilClose
}

/// Reads one whole head of a request or an answer, strictly (RFC 9112).
struct HeadParser {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    /// Names of a request's fields are given in lower case, as HTTP/2 has them, and its values must be UTF-8.
    private var isAnswer = false

    /// - Parameter bytes: with the empty line at the end; valid while `parse` runs.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    mutating func parse() throws(Refusal) -> (HTTPRequestHead, Framing) {
        let method = try token(until: UInt8(ascii: " "), "The method is malformed.")
        let target = try requestTarget()
        let version = try version()
        let (fields, framing) = try fields()
        let head = HTTPRequestHead(version: version, method: HTTPMethod(rawValue: method), uri: target, headers: fields)
        return (head, try framing.ofRequest(version))
    }

    /// - Parameter method: that it was asked with.
    mutating func parseAnswer(to method: HTTPMethod) throws(Refusal) -> (HTTPResponseHead, Framing) {
        isAnswer = true
        let start = index
        while bytes[index] > 0x20 { index += 1 }
        let version: HTTPVersion
        switch bytes[start..<index] {
        case let text where text.elementsEqual("HTTP/1.1".utf8): version = .http1_1
        case let text where text.elementsEqual("HTTP/1.0".utf8): version = .http1_0
        default: throw .malformed("The status line must begin with HTTP/1.1 or HTTP/1.0.")
        }
        let status = bytes[index...].prefix(4)
        guard status.count == 4, status.first == 0x20, let code = Int(String(decoding: status.dropFirst(), as: UTF8.self)),
            (100...999).contains(code)
        else { throw .malformed("The status is malformed.") }
        index += 4
        // What it says beside the number nobody needs, and after the number there may be nothing.
        _ = try value()
        let (fields, framing) = try fields()
        let head = HTTPResponseHead(version: version, status: HTTPResponseStatus(statusCode: code), headers: fields)
        return (head, try framing.ofAnswer(code, to: method))
    }

    /// All up to the empty line at the end.
    private mutating func fields() throws(Refusal) -> (HTTPHeaders, BodyFraming) {
        var fields = HTTPHeaders()
        fields.reserveCapacity(16)
        var framing = BodyFraming()
        var count = 0
        while bytes[index] != .cr {
            count += 1
            guard count <= (isAnswer ? AnswerDecoder.mostFields : RequestDecoder.mostFields) else { throw .headTooLarge }
            let name = try fieldName()
            let value = try value()
            try framing.take(name, value)
            fields.add(name: name, value: value)
        }
        guard index + 2 == bytes.count, bytes[index + 1] == .lf else { throw .malformed("A line must end with CR LF.") }
        return (fields, framing)
    }

    private mutating func token(until end: UInt8, _ complaint: String) throws(Refusal) -> String {
        let start = index
        while bytes[index].isTokenByte { index += 1 }
        guard index > start, bytes[index] == end else { throw .malformed(complaint) }
        defer { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func fieldName() throws(Refusal) -> String {
        let start = index
        while bytes[index].isTokenByte { index += 1 }
        let count = index - start
        guard count > 0, bytes[index] == UInt8(ascii: ":") else { throw .malformed("The name of a field is malformed.") }
        defer { index += 1 }
        guard !isAnswer else { return String(decoding: bytes[start..<index], as: UTF8.self) }
        return String(unsafeUninitializedCapacity: count) { [bytes] target in
            for offset in 0..<count {
                let byte = bytes[start + offset]
                target[offset] = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
            }
            return count
        }
    }

    /// What it means is looked at later; here only that it ends where it says.
    private mutating func requestTarget() throws(Refusal) -> String {
        let start = index
        while (0x21...0x7e).contains(bytes[index]) { index += 1 }
        guard index > start, bytes[index] == UInt8(ascii: " ") else { throw .malformed("The address in the request line is malformed.") }
        guard index - start <= RequestDecoder.longestTarget else { throw .targetTooLong }
        defer { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func version() throws(Refusal) -> HTTPVersion {
        let start = index
        while bytes[index] > 0x20 { index += 1 }
        let text = bytes[start..<index]
        guard bytes[index] == .cr, bytes[index + 1] == .lf else { throw .malformed("The request line is malformed.") }
        index += 2
        if text.elementsEqual("HTTP/1.1".utf8) { return .http1_1 }
        if text.elementsEqual("HTTP/1.0".utf8) { return .http1_0 }
        throw .malformed("The request line must end with HTTP/1.1 or HTTP/1.0.")
    }

    private mutating func value() throws(Refusal) -> String {
        while bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
        let start = index
        var isASCII = true
        // Most of a long value, such as a token: eight at a time as long as all of them are plain.
        while index + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self).isPlainText { index += 8 }
        while true {
            let byte = bytes[index]
            if byte == .cr { break }
            guard byte >= 0x20 || byte == 0x09, byte != 0x7f else { throw .malformed("The value of a field has a control character.") }
            if byte >= 0x80 { isASCII = false }
            index += 1
        }
        var end = index
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        guard bytes[index + 1] == .lf else { throw .malformed("A line must end with CR LF.") }
        index += 2
        // A line that begins with a blank would go on with this one (obs-fold).
        guard bytes[index] != 0x20, bytes[index] != 0x09 else { throw .malformed("A field must be on one line.") }
        if isASCII || isAnswer { return String(decoding: bytes[start..<end], as: UTF8.self) }
        guard let text = String(validating: bytes[start..<end], as: UTF8.self) else {
            throw .malformed("The value of a field is not UTF-8.")
        }
        return text
    }
}

extension UInt64 {
    /// Whether each of its eight bytes is of ASCII and stands for something to be read. In doubt it says no.
    fileprivate var isPlainText: Bool {
        let (ones, highs) = (0x0101_0101_0101_0101 as UInt64, 0x8080_8080_8080_8080 as UInt64)
        let isDelete = self ^ 0x7f7f_7f7f_7f7f_7f7f
        return (self | (self &- ones &* 0x20) | (isDelete &- ones)) & highs == 0
    }
}

/// What the fields of a head say about the length of its body. Whatever two readers could take in two ways is refused.
private struct BodyFraming {
    private var length: Int?
    private var isChunked = false

    mutating func take(_ name: String, _ value: String) throws(Refusal) {
        // Of most names the length tells that they are none of the two.
        guard name.utf8.count == 14 || name.utf8.count == 17 else { return }
        switch name.lowercased() {
        case "content-length":
            guard length == nil else { throw .malformed("There are two Content-Length fields.") }
            guard (1...18).contains(value.utf8.count), value.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(value) else {
                throw .malformed("Content-Length is malformed.")
            }
            length = number
        case "transfer-encoding":
            guard !isChunked else { throw .malformed("There are two Transfer-Encoding fields.") }
            guard value.lowercased() == "chunked" else { throw .malformed("Transfer-Encoding can only be chunked.") }
            isChunked = true
        default: break
        }
    }

    func ofAnswer(_ status: Int, to method: HTTPMethod) throws(Refusal) -> Framing {
        guard !isChunked || length == nil else { throw .malformed("There are both Content-Length and Transfer-Encoding.") }
        if method == .HEAD || status < 200 || status == 204 || status == 304 { return .none }
        return isChunked ? .chunked : length.map { .length($0) } ?? .untilClose
    }

    func ofRequest(_ version: HTTPVersion) throws(Refusal) -> Framing {
        guard isChunked else { return length.map { .length($0) } ?? .none }
        guard length == nil else { throw .malformed("There are both Content-Length and Transfer-Encoding.") }
        guard version == .http1_1 else { throw .malformed("HTTP/1.0 has no Transfer-Encoding.") }
        return .chunked
    }
}
