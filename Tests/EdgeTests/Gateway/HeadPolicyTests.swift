import BorderGateway
import Discovery
import NIOHTTP1
import Testing

@Suite struct HeadPolicyTests {
    private static func head(
        _ method: HTTPMethod = .GET, _ target: String = "/", version: HTTPVersion = .http1_1, fields: [(String, String)] = []
    ) -> HTTPRequestHead {
        HTTPRequestHead(version: version, method: method, uri: target, headers: HTTPHeaders([("host", "example.org")] + fields))
    }

    private static func status(_ head: HTTPRequestHead) -> Int? {
        do {
            _ = try HeadPolicy.check(head)
            return nil
        } catch {
            return error.problem.status
        }
    }

    @Test(arguments: [
        ("/", "/"), ("/a/b", "/a/b"), ("/a//b///c", "/a/b/c"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/.", "/a/"),
        ("/a/", "/a/"), ("/%61%2D%7e", "/a-~"), ("/a%20b", "/a%20b"), ("/%c3%a4", "/%C3%A4"), ("/a%2e%2e/b", "/a../b"),
        ("/a/%2e%2e/b", "/b"), ("/a/%2E/b", "/a/b"), ("/%2525", "/%2525"), ("/a;x=1/b", "/a;x=1/b"), ("/a?b=/../c", "/a?b=/../c"),
        ("/a?", "/a?"), ("//example.org/a", "/example.org/a"), ("/.well-known/x", "/.well-known/x"), ("/...", "/..."),
        ("http://example.org/a?b", "/a?b"), ("HTTPS://EXAMPLE.org/a", "/a"),
    ])
    func `a path has one form`(_ text: String, _ expected: String) throws {
        let target = try RequestTarget(text)
        #expect(target.text == expected)
        #expect(try RequestTarget(target.text).text == expected)
    }

    @Test(arguments: [
        "", "a", "*", "?a", "example.org:80", "/a b", "/a#b", "/a?b#c", "/a\\b", "/%2f", "/a%2Fb", "/a%5cb", "/%00", "/a%0ab", "/%7f", "/%",
        "/%4", "/%zz", "/a/%2e%2e/%2e%2e/b", "/..", "/../a", "/a/../../b", "/api/..;/admin", "/api/.;/admin", "/api/%2e%2e;/admin", "/ä",
        "/a\"b", "/<a>", "/{a}", "/a|b", "/a^b", "/a?b=%", "/a?b=%0", "/a?b=%00", "http://", "http://example.org", "ftp://example.org/a",
        "http:///a", "/a\u{7f}", "/a\tb",
    ])
    func `a path that could be read in two ways is refused`(_ text: String) {
        #expect(throws: Refusal.self) { try RequestTarget(text) }
    }

    @Test func `what is normalised once stays as it is, whatever it was`() {
        var random = SeededNumbers(seed: 11)
        let pieces = [
            "/", "//", ".", "..", "%2e", "%2E", "%2f", "%25", "%252e", "a", "A", "%41", ";", "..;", "?", "&", "=", "%00", "%c3", "%a4", "#",
            "\\",
            "%5c", " ", "~", "%7e", ":", "@", "*", "http://", "x.y", "\u{1}",
        ]
        var accepted = 0
        for _ in 0..<Cases.count(20_000) {
            let text = "/" + (0..<Int.random(in: 0...8, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            guard let target = try? RequestTarget(text) else { continue }
            accepted += 1
            #expect((try? RequestTarget(target.text)) == target, "\(text)")
            let segments = target.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            #expect(!segments.contains { $0 == "." || $0 == ".." || $0.hasPrefix("..;") }, "\(text)")
            #expect(!segments.dropLast().contains(""), "\(text)")
            #expect(!target.path.uppercased().contains("%2F") && !target.path.contains("%00") && !target.path.uppercased().contains("%2E"))
        }
        #expect(accepted > 1_000)
    }

    @Test func `a request has one host, and its address agrees with it`() {
        func status(_ hosts: [String], _ target: String = "/", _ version: HTTPVersion = .http1_1) -> Int? {
            HeadPolicyTests.status(
                HTTPRequestHead(version: version, method: .GET, uri: target, headers: HTTPHeaders(hosts.map { ("host", $0) })))
        }
        #expect(status(["example.org"]) == nil)
        #expect(status(["example.org:8080"]) == nil)
        #expect(status(["[::1]:8080"]) == nil)
        #expect(status([]) == 400)
        #expect(status([], "/", .http1_0) == nil)
        #expect(status(["a", "a"]) == 400)
        for host in ["", "a/b@c", "a b", "a:b", "a:99999", "a:", "user@a", "[::1", "[]", "[g]", "a,b", "a#b", "a?b", "ä"] {
            #expect(status([host]) == 400, "\(host)")
        }
        #expect(status(["example.org"], "http://example.org/a") == nil)
        #expect(status(["example.org"], "http://other.org/a") == 400)
        #expect(status(["example.org"], "http://user@example.org/a") == 400)
    }

    @Test func `what is no request of this API is refused`() {
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(.CONNECT, "example.org:443")) == 400)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(.OPTIONS, "*")) == 400)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(.GET, "*")) == 400)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(fields: [("upgrade", "h2c")])) == 400)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(fields: [("expect", "200-ok")])) == 417)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(fields: [("expect", "100-Continue")])) == nil)
        #expect(
            HeadPolicyTests.status(HeadPolicyTests.head(fields: [("authorization", "Bearer a"), ("authorization", "Bearer b")])) == 400)
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(fields: [("idempotency-key", "a"), ("idempotency-key", "b")])) == 400)
    }

    @Test(arguments: [
        "x_user_id", "x.user.id", "x_forwarded_for", "X-Forwarded_For".lowercased(), "content_length", "transfer_encoding", "x_time_left",
    ])
    func `a field that looks like another is refused`(_ name: String) {
        #expect(HeadPolicyTests.status(HeadPolicyTests.head(fields: [(name, "a")])) == 400)
    }

    @Test func `what only the inside may say does not come from outside`() {
        let fields = HTTPHeaders([
            ("host", "example.org"), ("connection", "close, X-Secret, Authorization"), ("x-secret", "1"), ("keep-alive", "1"),
            ("te", "trailers"),
            ("trailer", "x"), ("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("proxy-authorization", "a"),
            ("x-user-id", "root"),
            ("x-time-left", "999999"), ("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4"), ("x-real-ip", "1.2.3.4"),
            ("authorization", "Bearer a"), ("accept", "x"), ("x_custom", "stays"), ("content-length", "5"),
        ])
        #expect(HeadPolicy.forwarded(fields).map { "\($0): \($1)" } == ["authorization: Bearer a", "accept: x", "x_custom: stays"])
        let answer = HTTPHeaders([
            ("content-type", "a"), ("connection", "X-Hop"), ("x-hop", "1"), ("keep-alive", "1"), ("content-length", "3"),
            ("set-cookie", "b"),
        ])
        #expect(HeadPolicy.returned(answer).map(\.name) == ["content-type", "content-length", "set-cookie"])
    }
}
