import Contracts
import Crypto
import Discovery
import Foundation
import Glibc
import HTTPTypes
import TestServers
import Testing
import Values

extension WholeSystem {
    /// The one door: what it refuses, and what it lets through.
    @Suite struct GatewayTests {
        private static let host = "Host: localhost\r\n"

        /// Each is refused with this status, and the connection closed.
        private static let malformed: [(String, Int)] = [
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)Host: other\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\nHost: a/b@c\r\n\r\n", 400),
            ("GET http://other/api/v1/events HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET /api/v1/events#a HTTP/1.1\r\n\(host)\r\n", 400),
            ("CONNECT localhost:80 HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET * HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET  /api/v1/events HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET /api/v1/events  HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET /api/..;/admin HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET /api/%2e%2e%2fadmin HTTP/1.1\r\n\(host)\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 0\r\n\r\nGET /x HTTP/1.1\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Content-Length: +5\r\n\r\nhello", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Content-Length : 5\r\n\r\nhello", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)X: a\r\n folded\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\n\(host)\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)X: a\u{0}b\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)X: a\rSet-Cookie: b\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)X_Forwarded_For: 1.2.3.4\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)X.Time.Left: 5\r\n\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400),
            ("POST /api/v1/events HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
            ("GET /\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\n\(host)\r\n", 414),
            (
                "GET /api/v1/events HTTP/1.1\r\n\(host)\(String(repeating: "X: \(String(repeating: "a", count: 500))\r\n", count: 80))\r\n",
                431
            ),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)\(String(repeating: "x: y\r\n", count: 120))\r\n", 431),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", 400), ("SSH-2.0-OpenSSH_9.2\r\n", 400),
            ("GET /api/v1/events HTTP/1.1\r\n\(host)Expect: miracles\r\n\r\n", 417),
        ]

        @Test
        func `what could be read in two ways is refused, ends the connection, and reaches no service`() async throws {
            try await withProgram { program in
                let asked = try await program.requestsOfServices()
                for (request, status) in GatewayTests.malformed {
                    // A second one behind it must not be taken for one.
                    let answer = try await RawConnection.exchange(
                        request + "GET /api/v1/events HTTP/1.1\r\n\(GatewayTests.host)\r\n", port: program.port)
                    let what = "\(request.prefix(120).debugDescription): \(answer.text.prefix(200))"
                    #expect(answer.isClosed && answer.text.hasPrefix("HTTP/1.1 \(status) "), "\(what)")
                    #expect(answer.text.matches(of: #/HTTP/1\.1 [0-9]{3} /#).count == 1, "\(what)")
                    #expect(answer.text.contains("application/problem+json") && answer.text.contains("requestId"), "\(what)")
                }
                let bytes = Array("GET /api/v1/events HTTP/1.1\r\n\(GatewayTests.host)X: ".utf8) + [0xff, 0xfe] + Array("\r\n\r\n".utf8)
                let answer = try await RawConnection.exchange([bytes], port: program.port)
                #expect(answer.isClosed && answer.text.hasPrefix("HTTP/1.1 400 "))
                #expect(try await program.requestsOfServices() == asked)
            }
        }

        @Test
        func `requests may come in one piece or in many, one behind the other, and of HTTP 1.0`() async throws {
            try await withProgram { program in
                let get = "GET /api/v1/events HTTP/1.1\r\n\(GatewayTests.host)\r\n"
                let many = try await RawConnection.exchange(String(repeating: get, count: 20), port: program.port, silence: .seconds(1))
                #expect(!many.isClosed && many.text.components(separatedBy: "HTTP/1.1 200 OK").count == 21)
                let pieces = get.utf8.map { [$0] }
                let slowly = try await RawConnection.exchange(pieces, port: program.port, pause: .milliseconds(2), silence: .seconds(1))
                #expect(slowly.text.hasPrefix("HTTP/1.1 200 OK"))
                let old = try await RawConnection.exchange("GET /api/v1/events HTTP/1.0\r\n\r\n", port: program.port)
                #expect(old.isClosed && old.text.hasPrefix("HTTP/1.1 200 OK") && !old.text.lowercased().contains("transfer-encoding"))
                let kept = try await RawConnection.exchange(
                    "GET /api/v1/events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", port: program.port, silence: .seconds(1))
                #expect(!kept.isClosed && kept.text.contains("connection: keep-alive"))
                let head = try await RawConnection.exchange(
                    "HEAD /api/v1/events HTTP/1.1\r\n\(GatewayTests.host)\r\n\(get)", port: program.port, silence: .seconds(1))
                #expect(head.text.components(separatedBy: "HTTP/1.1 200 OK").count == 3)
                #expect(head.text.components(separatedBy: "{\"items\"").count == 2)
                let login = "POST /api/v1/auth/login HTTP/1.1\r\n\(GatewayTests.host)Content-Type: application/json\r\n"
                let expecting = try await RawConnection.exchange(
                    [Array("\(login)Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".utf8), Array("{}".utf8)], port: program.port,
                    pause: .milliseconds(200), silence: .seconds(1))
                #expect(expecting.text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 "))
                let chunked = try await RawConnection.exchange(
                    "\(login)Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: a\r\n\r\n\(get)", port: program.port,
                    silence: .seconds(1))
                #expect(chunked.text.hasPrefix("HTTP/1.1 422 ") && chunked.text.contains("HTTP/1.1 200 OK"))
                let tooLarge = try await RawConnection.exchange("\(login)Content-Length: 70000\r\n\r\n{", port: program.port)
                #expect(tooLarge.isClosed && tooLarge.text.hasPrefix("HTTP/1.1 413 "))
            }
        }

        @Test
        func `who sends slowly is cut off, and nobody else waits for it`() async throws {
            let settings = [
                "TICKETFLOW_BORDER_GATEWAY_HEAD_SECONDS": "1", "TICKETFLOW_BORDER_GATEWAY_BODY_SECONDS": "1",
                "TICKETFLOW_BORDER_GATEWAY_IDLE_SECONDS": "4",
            ]
            try await withProgram(settings) { program in
                let port = program.port
                async let slow = atOnce(200) { index in
                    let start = ContinuousClock.now
                    let pieces =
                        index % 2 == 0
                        ? "GET /api/v1/events HTTP/1.1\r\n".utf8.map { [$0] }
                        : [Array("POST /api/v1/auth/login HTTP/1.1\r\n\(GatewayTests.host)Content-Length: 500\r\n\r\n".utf8)]
                            + (0..<30).map { _ in [32] }
                    let answer = try await RawConnection.exchange(pieces, port: port, pause: .milliseconds(100), silence: .seconds(10))
                    return (answer, ContinuousClock.now - start)
                }
                var longest = Duration.zero
                for _ in 0..<50 {
                    let start = ContinuousClock.now
                    #expect(try await program.send(.get, "/api/v1/events").status == 200)
                    longest = max(longest, ContinuousClock.now - start)
                }
                #expect(longest < .seconds(1))
                for (answer, time) in try await slow {
                    #expect(answer.isClosed && (answer.text.hasPrefix("HTTP/1.1 408 ") || answer.text.isEmpty), "\(answer.text)")
                    #expect(time < .seconds(8))
                }
                // Nothing happens on it for a while, first or last: not before the time of a head is counted, which begins with it.
                let request = Array("GET /api/v1/events HTTP/1.1\r\n\(GatewayTests.host)\r\n".utf8)
                let idle = try await RawConnection.exchange([[], request], port: port, pause: .seconds(2), silence: .seconds(8))
                #expect(idle.isClosed && idle.text.hasPrefix("HTTP/1.1 200 "))
            }
        }

        @Test
        func `a token that is not what Authentication has signed is nobody's`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let token = shop.owner.token
                let parts = token.split(separator: ".").map(String.init)
                let head = try #require(try JSONSerialization.jsonObject(with: Data(fromURL: parts[0])) as? [String: Any])
                let claims = try #require(try JSONSerialization.jsonObject(with: Data(fromURL: parts[1])) as? [String: Any])
                let known = try #require(head["kid"] as? String)
                let jwks = try await program.send(.get, "/.well-known/jwks.json")
                let own = P256.Signing.PrivateKey()
                func signed(_ head: [String: Any], _ claims: [String: Any]) throws -> String {
                    let text = "\(try head.base64URL).\(try claims.base64URL)"
                    return "\(text).\(try own.signature(for: Data(text.utf8)).rawRepresentation.base64URL)"
                }
                func hashed(_ head: [String: Any], _ key: [UInt8]) throws -> String {
                    let text = "\(try head.base64URL).\(parts[1])"
                    let code = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: SymmetricKey(data: key))
                    return "\(text).\(Data(code).base64URL)"
                }
                let jwk: [String: Any] = [
                    "kty": "EC", "crv": "P-256", "x": own.publicKey.rawRepresentation.prefix(32).base64URL,
                    "y": own.publicKey.rawRepresentation.suffix(32).base64URL,
                ]
                var later = claims
                later["exp"] = 4_000_000_000
                var other = claims
                other["sub"] = "user_00000000000000000000000000"
                let tokens: [String: String] = [
                    "none": "\(try ["alg": "none", "typ": "JWT"].base64URL).\(parts[1]).",
                    "None with a key id": "\(try ["alg": "None", "kid": known].base64URL).\(parts[1]).\(parts[2])",
                    "without a signature": "\(parts[0]).\(parts[1]).",
                    "hashed with the public keys": try hashed(["alg": "HS256", "kid": known], jwks.body),
                    "hashed with nothing": try hashed(["alg": "HS256", "kid": known], [0]),
                    "another algorithm": "\(try ["alg": "RS256", "kid": known].base64URL).\(parts[1]).\(parts[2])",
                    "unknown key": try signed(["alg": "ES256", "kid": "unknown"], claims),
                    "another's key under a known id": try signed(["alg": "ES256", "kid": known], claims),
                    "a key id that is a path": try signed(["alg": "ES256", "kid": "../../../../dev/null"], claims),
                    "a key id that is a query": try signed(["alg": "ES256", "kid": "x' UNION SELECT 'a"], claims),
                    "brings its own key": try signed(["alg": "ES256", "jwk": jwk], claims),
                    "brings its own key under a known id": try signed(["alg": "ES256", "kid": known, "jwk": jwk], claims),
                    "names a place of keys": try signed(["alg": "ES256", "kid": known, "jku": "http://127.0.0.1:1/keys"], claims),
                    "names a certificate": try signed(["alg": "ES256", "kid": known, "x5u": "http://127.0.0.1:1/"], claims),
                    "critical": try signed(["alg": "ES256", "kid": known, "crit": ["exp"]], claims),
                    "another's claims": "\(parts[0]).\(try other.base64URL).\(parts[2])",
                    "a later end": "\(parts[0]).\(try later.base64URL).\(parts[2])",
                    "too long": token + "A", "too short": String(token.dropLast(4)), "two parts": "\(parts[0]).\(parts[1])", "empty": "",
                ]
                for (what, token) in tokens {
                    let answer = try await program.send(.get, "/api/v1/auth/me", as: .bearer(token))
                    #expect(answer.status == 401, "\(what): \(answer.status)")
                }
                for scheme in ["Basic YTpi", "Bearer", "bearer  \(token)", token, "Token \(token)", "Digest \(token)"] {
                    let answer = try await program.send(.get, "/api/v1/auth/me", as: Caller(fields: ["Authorization": scheme]))
                    #expect(answer.status == 401, "\(scheme.prefix(20))")
                }
                #expect(try await program.send(.get, "/api/v1/auth/me", as: .bearer(token)).status == 200)
                // Who one is is said by the token alone.
                for name in ["X-User-Id", "X-Forwarded-User", "X-Remote-User", "X-Original-URL", "X-Rewrite-URL"] {
                    let answer = try await program.send(.get, "/api/v1/auth/me", headers: [name: "\(shop.owner.token)"])
                    #expect(answer.status == 401, "\(name)")
                }
            }
        }

        @Test
        func `a program comes in by its key, and does no more than the key is good for`() async throws {
            try await withProgram(["TICKETFLOW_BORDER_GATEWAY_LIMITS_KEY": "1/min burst 8"]) { program in
                let shop = try await program.shop()
                func key(_ scopes: [KeyScope]) async throws -> (MadeApiKey, Caller) {
                    let made: MadeApiKey = try await program.ask(
                        AuthenticationRoutes.makeApiKey, as: shop.owner.caller, body: NewApiKey(name: "Till", scopes: scopes))
                    return (made, .bearer(made.key))
                }
                let (made, reader) = try await key([.read])
                let (_, writer) = try await key([.write])
                #expect(try await program.ask(AuthenticationRoutes.me, as: reader, for: User.self).id == shop.owner.user.id)
                let organizer = NewOrganizer(name: "New", email: "new@example.org")
                for (caller, read, written) in [(reader, 200, 403), (writer, 403, 201)] {
                    #expect(try await program.call(SalesManagerRoutes.orders, as: caller).status == read)
                    #expect(try await program.call(EventManagerRoutes.createOrganizer, as: caller, body: organizer).status == written)
                    // Never good for another key, or for letting somebody in.
                    let more = NewApiKey(name: "More", scopes: [.write])
                    #expect(try await program.call(AuthenticationRoutes.makeApiKey, as: caller, body: more).status == 403)
                    let member = NewMember(email: shop.owner.user.email, role: .owner)
                    let id = "\(shop.organizer.id)"
                    #expect(try await program.call(AuthenticationRoutes.addMember, [id], as: caller, body: member).status == 403)
                }
                // It has its own limit, and takes nothing of its user's.
                var statuses: [Int] = []
                for _ in 0..<8 { statuses.append(try await program.call(SalesManagerRoutes.orders, as: reader).status) }
                #expect(statuses.last == 429 && statuses.first == 200, "\(statuses)")
                #expect(try await program.call(SalesManagerRoutes.orders, as: shop.owner.caller).status == 200)

                let another = String(made.key.dropLast()) + (made.key.hasSuffix("A") ? "B" : "A")
                #expect(try await program.send(.get, "/api/v1/auth/me", as: .bearer(another)).problem == "api-key-invalid")
                try await program.done(AuthenticationRoutes.revokeApiKey, ["\(made.apiKey.id)"], as: shop.owner.caller)
                try await program.restart([:])
                let refused = try await program.send(.get, "/api/v1/auth/me", as: reader)
                #expect(refused.status == 401 && refused.problem == "api-key-invalid")
            }
        }

        @Test
        func `too many requests are told when to come again, each sender by itself`() async throws {
            let settings = [
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": "20/s burst 20", "TICKETFLOW_BORDER_GATEWAY_LIMITS_SIGN_IN": "60/min burst 5",
                "TICKETFLOW_BORDER_GATEWAY_TRUSTED_PROXIES": "127.0.0.0/8",
            ]
            try await withProgram(settings) { program in
                func status(_ client: String) async throws -> Int {
                    try await program.send(.get, "/api/v1/events", headers: ["X-Forwarded-For": client]).status
                }
                let start = ContinuousClock.now
                var passed = 0
                while ContinuousClock.now - start < .seconds(6) {
                    if try await status("203.0.113.1") == 200 { passed += 1 }
                }
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                let allowed = 20 + 20 * seconds
                #expect(abs(Double(passed) - allowed) <= max(2, allowed * 0.02), "\(passed) of \(allowed)")
                #expect(try await status("203.0.113.2") == 200)
                for _ in 0..<5 {
                    let answer = try await program.send(
                        .post, "/api/v1/auth/login", headers: ["X-Forwarded-For": "203.0.113.3", "Content-Type": "application/json"],
                        bytes: Array("{}".utf8))
                    #expect(answer.status == 422 && answer.headers["ratelimit"] != nil)
                }
                let refused = try await program.send(
                    .post, "/api/v1/auth/login", headers: ["X-Forwarded-For": "203.0.113.3", "Content-Type": "application/json"],
                    bytes: Array("{}".utf8))
                #expect(refused.status == 429 && refused.problem == "too-many-requests")
                #expect(refused.headers["retry-after"] == "1" && refused.headers["ratelimit-policy"]?.contains("q=60;w=60") ?? false)
            }
        }
    }
}

extension RunningProgram {
    /// Of the front door.
    var port: Int { address.split(separator: ":").last.flatMap { Int($0) } ?? 0 }

    /// How many requests reached a service so far.
    func requestsOfServices() async throws -> Int {
        let metrics = try await ofOperators("/metrics").text
        return metrics.split(separator: "\n").filter { $0.hasPrefix("http_request_duration_seconds_count") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
    }
}

extension Data {
    var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    init(fromURL text: String) throws {
        let padded = text.replacing("-", with: "+").replacing("_", with: "/") + String(repeating: "=", count: (4 - text.count % 4) % 4)
        guard let data = Data(base64Encoded: padded) else { throw RawConnection.Failure() }
        self = data
    }
}

extension [String: Any] {
    fileprivate var base64URL: String {
        get throws { try JSONSerialization.data(withJSONObject: self).base64URL }
    }
}
