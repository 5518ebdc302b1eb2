import BorderGateway
import NIOCore
import NIOHTTP1
import Testing

@Suite struct AnswerDecoderTests {
    /// What an answer is, in few words: status, fields, body, and whether its end was seen; then what was left.
    private static func read(_ text: String, to method: HTTPMethod = .GET, piece: Int) throws -> String {
        var decoder = AnswerDecoder()
        decoder.begin(to: method)
        var buffer = ByteBuffer()
        var seen = ""
        for start in stride(from: 0, to: text.utf8.count, by: piece) {
            buffer.writeBytes(Array(text.utf8)[start..<min(start + piece, text.utf8.count)])
            while let part = try decoder.next(&buffer) {
                switch part {
                case .head(let head):
                    seen += "\(head.status.code)" + head.headers.map { " \($0.name)=\($0.value)" }.joined() + "|"
                case .body(let body): seen += String(buffer: body)
                case .end:
                    buffer.writeBytes(text.utf8.dropFirst(start + piece))
                    return seen + "|" + String(buffer: buffer)
                }
            }
        }
        return seen + (decoder.endsWithConnection ? "until its end" : "") + String(buffer: buffer)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", HTTPMethod.GET, "200 Content-Length=3|abc|d"),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", .GET, "200 Content-Length=0||"),
        ("HTTP/1.1 200 \r\nX-A: \u{e4} b \r\ncontent-length:1\r\n\r\nx", .GET, "200 X-A=\u{e4} b content-length=1|x|"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n", .GET,
            "200 Transfer-Encoding=chunked|abc0123456789|"
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", .HEAD, "200 Content-Length=3||"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .HEAD, "200 Transfer-Encoding=chunked||"),
        ("HTTP/1.1 204 No Content\r\n\r\n", .GET, "204||"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", .GET, "304 Content-Length=9||"),
        (
            "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", .POST,
            "201 Content-Length=1|x|"
        ),
        ("HTTP/1.0 200 OK\r\n\r\nabc", .GET, "200|abcuntil its end"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", .GET,
            "101 Upgrade=websocket|HTTP/1.1 200 OK\r\n\r\n"
        ),
    ])
    func `an answer is the same in whatever pieces it comes`(text: String, method: HTTPMethod, result: String) throws {
        for piece in [1, 2, 3, 7, 1_000] {
            #expect(try AnswerDecoderTests.read(text, to: method, piece: piece) == result)
        }
    }

    @Test(arguments: [
        "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 2\r\n\r\n",
        "HTTP/1.1 +20 x\r\n\r\n",
        "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\u{0}c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nA: " + String(repeating: "b", count: 140_000) + "\r\n\r\n",
    ])
    func `what is no answer is refused`(text: String) {
        for piece in [1, 1_000_000] {
            #expect(throws: Refusal.self) { _ = try AnswerDecoderTests.read(text, piece: piece) }
        }
    }
}
