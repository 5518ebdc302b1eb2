import BorderGateway
import NIOCore
import NIOHTTP1
import Testing

@Suite struct AnswerEncoderTests {
    /// What goes out, in the parts in which it does.
    private static func write(_ head: HTTPResponseHead, _ bodies: [ByteBuffer]) -> [String] {
        var encoder = AnswerEncoder()
        var sent: [String] = []
        encoder.begin(head)
        for body in bodies { encoder.add(body) { sent.append(String(buffer: $0)) } }
        encoder.end()
        if let rest = encoder.take() { sent.append(String(buffer: rest)) }
        #expect(encoder.take() == nil)
        return sent
    }

    private static func head(
        _ status: HTTPResponseStatus, _ version: HTTPVersion = .http1_1, _ fields: [(String, String)] = []
    ) -> HTTPResponseHead {
        HTTPResponseHead(version: version, status: status, headers: HTTPHeaders(fields))
    }

    @Test func `a whole answer goes out as one`() {
        let sent = AnswerEncoderTests.write(
            AnswerEncoderTests.head(.ok, .http1_1, [("content-length", "5"), ("x-name", "Zo\u{eb} \u{1f3ab}")]),
            [ByteBuffer(string: "he"), ByteBuffer(), ByteBuffer(string: "llo")])
        #expect(sent == ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-name: Zo\u{eb} \u{1f3ab}\r\n\r\nhello"])
    }

    @Test func `a body whose length is not said goes in chunks`() {
        let sent = AnswerEncoderTests.write(
            AnswerEncoderTests.head(.notFound), [ByteBuffer(string: "0123456789abcdef"), ByteBuffer(), ByteBuffer(string: "x")])
        #expect(
            sent == ["HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n"])
    }

    @Test func `HTTP 1_0 knows no chunks`() {
        let sent = AnswerEncoderTests.write(AnswerEncoderTests.head(.ok, .http1_0), [ByteBuffer(string: "abc")])
        #expect(sent == ["HTTP/1.0 200 OK\r\n\r\nabc"])
    }

    @Test(arguments: [HTTPResponseStatus.noContent, .notModified, .switchingProtocols, .continue])
    func `an answer that has no body says nothing of one`(status: HTTPResponseStatus) {
        let sent = AnswerEncoderTests.write(AnswerEncoderTests.head(status, .http1_1, [("content-length", "0"), ("etag", "a")]), [])
        #expect(sent == ["HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\netag: a\r\n\r\n"])
    }

    @Test func `a large piece goes out as it is, in its place`() {
        let large = ByteBuffer(repeating: UInt8(ascii: "a"), count: 100_000)
        let text = String(buffer: large)
        #expect(
            AnswerEncoderTests.write(
                AnswerEncoderTests.head(.ok, .http1_1, [("content-length", "100002")]),
                [ByteBuffer(string: "b"), large, ByteBuffer(string: "c")])
                == ["HTTP/1.1 200 OK\r\ncontent-length: 100002\r\n\r\nb", text, "c"])
        #expect(
            AnswerEncoderTests.write(AnswerEncoderTests.head(.ok), [large])
                == ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n", text, "\r\n0\r\n\r\n"])
    }
}
