import Discovery
import Foundation
import Glibc
import HTTPTypes
import TestServers
import Testing

extension WholeSystem {
    /// What passes through the gateway to a server that an operator's route names.
    @Suite struct GatewayStreamTests {
        private static let gigabyte = 1 << 30

        /// The program with a route to a server of another make.
        static func withUpstream(
            _ settings: [String: String] = [:], count: Int = 1, _ body: (RunningProgram, [ChildProcess], [Int]) async throws -> Void
        ) async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let ports = try Ports.lasting(count)
            let upstreams = try ports.map { port in
                try ChildProcess(
                    "\(RunningProgram.repository)/.venv/bin/python",
                    ["\(RunningProgram.repository)/Tests/SystemTests/upstream.py", "\(port)"],
                    environment: ["PATH": "/usr/bin:/bin"], output: "\(folder.path)/output-\(port)", errors: "\(folder.path)/errors-\(port)"
                )
            }
            defer { for upstream in upstreams { upstream.send(SIGKILL) } }
            let to = ports.map { "\"http://127.0.0.1:\($0)\"" }.joined(separator: ",")
            let routes = """
                [{"name": "echo", "path": "/echo", "to": [\(to)], "streams": true},
                 {"name": "streams", "path": "/streams/**", "to": [\(to)], "rewrite": {"path": "/x", "set": {"x-set": "1"}, "remove": ["x-removed"]},
                  "bodyLimit": 2000000000, "seconds": 5, "streams": true},
                 {"name": "limited", "path": "/limited/**", "to": [\(to)], "bodyLimit": 1000, "seconds": 5, "streams": true},
                 {"name": "whole", "path": "/whole/**", "to": [\(to)], "seconds": 2}]
                """
            try await withProgram(settings.merging(["TICKETFLOW_BORDER_GATEWAY_ROUTES": routes]) { $1 }) { program in
                for port in ports {
                    try await eventually("the server listens") {
                        (try? await RawConnection.exchange("", port: port, silence: .zero)) != nil
                    }
                }
                try await body(program, upstreams, ports)
            }
        }

        private func curl(_ arguments: String..., atMost limit: Duration = .seconds(60)) async throws -> String {
            let run = try await ChildProcess.run("/usr/bin/curl", ["-sS", "--max-time", "50"] + arguments, atMost: limit)
            #expect(run.end == .exit(0), "\(run.errors)")
            return run.output
        }

        @Test
        func `a gigabyte goes up and down, and memory stays as it was`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                _ = try await program.send(.get, "/streams/echo")
                let before = try program.memory
                let down = try await curl(
                    "-o", "/dev/null", "-w", "%{size_download}", "\(program.address)/streams/down?size=\(GatewayStreamTests.gigabyte)")
                #expect(down == "\(GatewayStreamTests.gigabyte)")
                let file = try TemporaryFolder()
                defer { file.remove() }
                #expect(FileManager.default.createFile(atPath: "\(file.path)/large", contents: nil))
                #expect(truncate("\(file.path)/large", GatewayStreamTests.gigabyte) == 0)
                for encoding in ["Content-Type: application/octet-stream", "Transfer-Encoding: chunked"] {
                    let up = try await curl("-T", "\(file.path)/large", "-X", "POST", "-H", encoding, "\(program.address)/streams/up")
                    #expect(up.hasPrefix("\(GatewayStreamTests.gigabyte) "), "\(up)")
                }
                let after = try program.memory
                #expect(after < before + (48 << 20), "\(before >> 20) MB before, \(after >> 20) MB after")
            }
        }

        @Test
        func `events come as they happen`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                let text = try await curl("-N", "\(program.address)/streams/events?count=10")
                let events = text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
                #expect(events.count == 10)
                // The last is two seconds younger than the first; one that waited for the others would not be.
                let run = try await ChildProcess.run(
                    "/bin/sh",
                    [
                        "-c",
                        "curl -sSN '\(program.address)/streams/events?count=10' | while read -r a b c; do [ -z \"$c\" ] || echo \"$c $(date +%s.%N)\"; done",
                    ])
                #expect(run.output.split(separator: "\n").count == 10)
                for line in run.output.split(separator: "\n") {
                    let times = line.split(separator: " ").compactMap { Double($0) }
                    #expect(times.count == 2 && times[1] - times[0] < 0.5, "\(line)")
                }
            }
        }

        @Test
        func `WebSocket goes through, for a client and a server of another make`() async throws {
            let port = try Ports.lasting(1)[0]
            let routes =
                "[{\"name\": \"echo\", \"path\": \"/echo\", \"to\": [\"http://127.0.0.1:\(port)\"], \"streams\": true, \"seconds\": 5}]"
            try await withProgram(["TICKETFLOW_BORDER_GATEWAY_ROUTES": routes]) { program in
                let run = try await ChildProcess.run(
                    "\(RunningProgram.repository)/.venv/bin/python",
                    ["\(RunningProgram.repository)/Tests/SystemTests/websocket.py", "ws://127.0.0.1:\(program.port)", "\(port)"])
                #expect(run.end == .exit(0) && run.output.contains("closed with 1000"), "\(run.output)\(run.errors)")
                // A route that does not stream has no other protocol.
                let answer = try await RawConnection.exchange(
                    "GET /api/v1/events HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", port: program.port,
                    silence: .seconds(1))
                #expect(answer.text.hasPrefix("HTTP/1.1 200 "))
            }
        }

        @Test
        func `a stream knows its limit, old clients, and clients that send all they have to say`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                // Ten thousand chunks of one byte in one piece.
                let chunks = String(repeating: "1\r\n{\r\n", count: 10_000)
                let chunked = "Host: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                let small = try await RawConnection.exchange(
                    "POST /api/v1/auth/login HTTP/1.1\r\n\(chunked)\(chunks)0\r\n\r\n", port: program.port, silence: .seconds(2))
                #expect(small.text.hasPrefix("HTTP/1.1 400 "), "\(small.text)")
                let refused = try await RawConnection.exchange(
                    "POST /api/v1/nothing HTTP/1.1\r\n\(chunked)\(chunks)0\r\n\r\n", port: program.port, silence: .seconds(4))
                #expect(refused.text.hasPrefix("HTTP/1.1 404 ") && refused.isClosed, "\(refused.text)")
                let many = String(repeating: "GET /api/v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n", count: 300)
                let answers = try await RawConnection.exchange(many, port: program.port, silence: .seconds(2))
                #expect(answers.text.components(separatedBy: "HTTP/1.1 404 ").count == 301)
                // Over its limit without having said how long it is.
                let limited = try await RawConnection.exchange(
                    "POST /limited/up HTTP/1.1\r\n\(chunked)\(chunks)0\r\n\r\n", port: program.port, silence: .seconds(4))
                #expect(limited.text.hasPrefix("HTTP/1.1 413 "), "\(limited.text)")
                // An answer in chunks, for a client that does not know them.
                let old = try await RawConnection.exchange(
                    "GET /streams/events?count=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", port: program.port, silence: .seconds(4))
                #expect(old.isClosed && old.text.hasPrefix("HTTP/1.0 200 ") && !old.text.lowercased().contains("chunked"), "\(old.text)")
                #expect(old.text.contains("data: 1 "))
                for method in ["TRACE", "CONNECT"] {
                    let answer = try await RawConnection.exchange(
                        "\(method) /streams/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nGET /streams/secret HTTP/1.1\r\nHost: a\r\n\r\n",
                        port: program.port)
                    #expect(answer.isClosed && answer.text.hasPrefix("HTTP/1.1 400 "), "\(method)")
                }
            }
        }

        @Test
        func `fields of one connection stay on it, and routes change what they are told to`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                let answer = try await curl(
                    "-i", "-H", "Connection: X-Secret", "-H", "X-Secret: 1", "-H", "X-Removed: 1", "-H", "X-User-Id: root", "-H",
                    "X-Forwarded-For: 1.2.3.4", "-H", "X-Kept: 1", "\(program.address)/streams/a%2Db/../c?d=e")
                #expect(answer.contains("GET /x/c?d=e\n"))
                for there in [
                    "x-set: 1\n", "x-kept: 1\n", "x-forwarded-for: 127.0.0.1\n", "x-forwarded-proto: http\n", "x-stays: 1",
                    "x-request-id: ",
                ] {
                    #expect(answer.lowercased().contains(there), "\(there)")
                }
                for gone in ["x-secret: ", "x-removed: ", "root", "1.2.3.4", "x-hop: 1"] {
                    #expect(!answer.lowercased().contains(gone), "\(gone)")
                }
                let range = try await curl("-i", "-H", "Range: bytes=65-67", "\(program.address)/streams/range")
                #expect(range.hasPrefix("HTTP/1.1 206") && range.hasSuffix("ABC"))
                let head = try await curl("-I", "\(program.address)/streams/status?code=200")
                #expect(head.hasPrefix("HTTP/1.1 200") && head.lowercased().contains("content-length: 8"))
            }
        }

        @Test
        func `an instance that breaks, is slow or fails costs no request that may be repeated, and the others little time`() async throws {
            try await GatewayStreamTests.withUpstream(count: 2) { program, upstreams, _ in
                // All of one instance and of one route: the other has nothing to be tried for.
                await #expect(throws: (any Error).self) { try await program.send(.get, "/streams/break") }
                let start = ContinuousClock.now
                let slow = try await program.send(.get, "/whole/slow?seconds=10")
                #expect(slow.status == 504 && slow.problem == "gateway-timeout")
                #expect(ContinuousClock.now - start < .seconds(4))
                #expect(try await program.send(.get, "/whole/status?code=500").status == 500)
                upstreams[0].send(SIGKILL)
                try await eventually("it is dead") { upstreams[0].end != nil }
                for _ in 0..<200 {
                    #expect(try await program.send(.get, "/whole/status?code=200").status == 200)
                }
                upstreams[1].send(SIGKILL)
                try await eventually("it is dead") { upstreams[1].end != nil }
                let gone = ContinuousClock.now
                let answer = try await program.send(.get, "/whole/status?code=200")
                #expect(answer.status == 503 && answer.headers["retry-after"] != nil)
                #expect(ContinuousClock.now - gone < .seconds(3))
            }
        }

        @Test
        func `TLS and HTTP 2 are spoken at the front, and a new certificate is taken without a restart`() async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            try Certificate.make(in: folder.path, for: "DNS:localhost")
            let settings = [
                "TICKETFLOW_BORDER_GATEWAY_TLS_CERTIFICATE": "\(folder.path)/certificate.pem",
                "TICKETFLOW_BORDER_GATEWAY_TLS_KEY": "\(folder.path)/key.pem", "TICKETFLOW_HOST": "localhost",
            ]
            try await withProgram(settings) { program in
                func serial() async throws -> String {
                    let run = try await ChildProcess.run(
                        "/bin/sh",
                        ["-c", "openssl s_client -connect 127.0.0.1:\(program.port) </dev/null 2>/dev/null | openssl x509 -noout -serial"])
                    return run.output
                }
                let address = "https://localhost:\(program.port)/api/v1/events"
                let trusting = ["--cacert", "\(folder.path)/certificate.pem"]
                for version in ["--http1.1", "--http2"] {
                    let run = try await ChildProcess.run("/usr/bin/curl", ["-sSi", version] + trusting + [address, address])
                    #expect(run.end == .exit(0), "\(run.errors)")
                    #expect(
                        run.output.components(separatedBy: version == "--http2" ? "HTTP/2 200" : "HTTP/1.1 200 OK").count == 3,
                        "\(run.output)")
                    #expect(run.output.contains("{\"items\":"))
                    let post = try await ChildProcess.run(
                        "/usr/bin/curl",
                        ["-sSi", version] + trusting + [
                            "-H", "Content-Type: application/json", "-d", "{}", "https://localhost:\(program.port)/api/v1/auth/login",
                        ])
                    #expect(post.output.contains(" 422"), "\(post.output)\(post.errors)")
                    let head = try await ChildProcess.run("/usr/bin/curl", ["-sSI", version] + trusting + [address])
                    #expect(head.end == .exit(0) && head.output.contains(" 200"), "\(head.output)\(head.errors)")
                    // Its token is looked at for the first time.
                    let session = try await program.account("Somebody New").token
                    let me = try await ChildProcess.run(
                        "/usr/bin/curl",
                        ["-sSi", version] + trusting
                            + ["-H", "Authorization: Bearer \(session)", "https://localhost:\(program.port)/api/v1/auth/me"])
                    #expect(me.end == .exit(0) && me.output.contains(" 200"), "\(me.output)\(me.errors)")
                    let large = try await ChildProcess.run(
                        "/bin/sh",
                        [
                            "-c",
                            "head -c 100000 /dev/zero | curl -sSi \(version) --cacert \(folder.path)/certificate.pem -H 'Content-Type: application/json' --data-binary @- https://localhost:\(program.port)/api/v1/auth/login",
                        ])
                    #expect(large.output.contains(" 413"), "\(large.output)\(large.errors)")
                }
                let old = try await serial()
                try Certificate.make(in: folder.path, for: "DNS:localhost")
                try await eventually("the new certificate is shown", within: .seconds(20)) { try await serial() != old }
                let run = try await ChildProcess.run("/usr/bin/curl", ["-sSi"] + trusting + [address])
                #expect(run.end == .exit(0), "\(run.errors)")
            }
        }
    }
}

extension RunningProgram {
    /// Resident, of the first process, in bytes.
    var memory: Int {
        get throws {
            let id = try #require(parts.first?.process?.id)
            let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
            return (Int(line.split(separator: " ")[1].trimmingCharacters(in: .whitespaces)) ?? 0) << 10
        }
    }
}
