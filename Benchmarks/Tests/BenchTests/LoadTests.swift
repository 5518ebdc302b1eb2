import NIOCore
import Testing

@testable import ticketflow_bench

@Suite struct `What the load client reads` {
    private let whole = "HTTP/1.1 201 Created\r\ncontent-length: 5\r\nX: y\r\n\r\nhelloHTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"

    @Test func `answers arrive whole in whatever parts they come`() throws {
        for size in 1...whole.utf8.count {
            var reader = AnswerReader()
            var answers: [String] = []
            let bytes = Array(whole.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                reader.append(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
                while let answer = try reader.next() { answers.append("\(answer.status) \(String(buffer: answer.body))") }
            }
            #expect(answers == ["201 hello", "204 "])
        }
    }

    @Test(arguments: [
        "HTTP/1.1 2x1 Created\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ])
    func `what is no answer of this server is an error`(text: String) {
        var reader = AnswerReader()
        reader.append(ByteBuffer(string: text))
        #expect(throws: AnswerReader.Malformed.self) { try reader.next() }
    }

    @Test func `a value is found by its place, whatever stands before it`() {
        let json = JSONText(
            Array(#"{"a":{"id":"no","x":[{"id":"}\"]"}]},"e":[],"id":"yes", "n": 12,"t":[{"code":"A"},{"code":"B"}],"last":true}"#.utf8))
        #expect(json["id"]?.string == "yes")
        #expect(json["a"]?["id"]?.string == "no")
        #expect(json["n"]?.integer == 12)
        #expect(json["t"]?.elements.compactMap { $0["code"]?.string } == ["A", "B"])
        #expect(json["e"]?.elements.isEmpty == true)
        #expect(json["missing"] == nil)
        #expect(json["id"]?["id"] == nil)
    }

    @Test func `broken JSON gives nonsense or nothing, and no trap`() {
        let text = Array(#"{"a":{"b":["c",{"d":"e\""}],"f":-1}}"#.utf8)
        for length in 0...text.count {
            for hole in 0..<max(length, 1) {
                var bytes = Array(text.prefix(length))
                if hole < bytes.count { bytes[hole] = UInt8(ascii: "\"") }
                let json = JSONText(bytes)
                _ = json["a"]?["b"]?.elements.map { ($0.string, $0["d"]?.string, $0.integer) }
                _ = json["a"]?["f"]?.integer
            }
        }
    }

    @Test func `percentiles are values that occurred`() {
        let latencies = Latencies((1...100).map { Int64($0) * 1_000_000 })
        #expect([50, 99, 100].map { latencies.percentile($0) } == [50, 99, 100])
        #expect(Latencies([]).percentile(50) == 0)
        #expect([3.0, 1.0, 2.0].median == 2)
        #expect([1.0, 2.0].median == 1.5)
    }
}
