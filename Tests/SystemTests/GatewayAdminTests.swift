import Discovery
import Glibc
import HTTPTypes
import TestServers
import Testing

extension WholeSystem {
    /// What operators see of the gateway.
    @Suite struct GatewayAdminTests {
        @Test
        func `what operators ask is answered on a listener of its own, and not at the front`() async throws {
            let settings = [
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_SIGN_IN": "60/min burst 5",
                "TICKETFLOW_BORDER_GATEWAY_ROUTES":
                    #"[{"name": "<script>", "path": "/own/**", "to": ["http://127.0.0.1:1"], "streams": true, "bodyLimit": 7, "seconds": 9}]"#,
            ]
            try await withProgram(settings) { program in
                for path in ["/metrics", "/routes", "/upstreams", "/refresh.js"] {
                    #expect(try await program.send(.get, path).status == 404, "\(path)")
                }
                for path in ["/health/live", "/health/ready"] {
                    #expect(try await program.send(.get, path).status == 200)
                    #expect(try await program.ofOperators(path).status == 200)
                }
                for _ in 0..<3 { _ = try await program.send(.get, "/api/v1/events") }
                #expect(try await program.send(.get, "/own/x").status == 503)
                let metrics = try await program.ofOperators("/metrics").text
                #expect(metrics.contains(#"gateway_requests_total{route="GET /api/v1/events",status="2xx"} 3"#))

                let routes: Routes = try await program.ofOperators("/routes").json()
                #expect(
                    routes.items.first
                        == Routes.Item(
                            name: "<script>", methods: [], path: "/own/**", to: "http://127.0.0.1:1", bodyLimit: 7, seconds: 9,
                            isStream: true,
                            limits: [], requests: 1, failures: 1))
                #expect(
                    routes.items.contains(
                        Routes.Item(
                            name: "GET /api/v1/events", methods: ["GET"], path: "/api/v1/events", to: "event-manager", bodyLimit: 65_536,
                            seconds: 12,
                            isStream: false, limits: [], requests: 3, failures: 0)))
                let login = try #require(routes.items.first { $0.name == "POST /api/v1/auth/login" })
                #expect(login.limits == [Routes.Limit(name: "signIn", requests: 60, seconds: 60, burst: 5)])
                let upstreams: Upstreams = try await program.ofOperators("/upstreams").json()
                #expect(upstreams.items.contains { $0.service == "<script>" && $0.source == "route" })

                let page = try await program.ofOperators("/")
                #expect(page.headers["content-type"] == "text/html; charset=utf-8" && page.headers["cache-control"] == "no-store")
                #expect(page.headers["content-security-policy"]?.contains("default-src 'none'; script-src 'self'") ?? false)
                for part in [
                    "lang=\"en\"", "width=device-width", "color-scheme: light dark", "scope=\"row\"", "&lt;script&gt;", "/api/v1/events",
                    "http://127.0.0.1:1",
                ] {
                    #expect(page.text.contains(part), "\(part)")
                }
                #expect(!page.text.contains("<script>"))
                let script = try await program.ofOperators("/refresh.js")
                #expect(script.status == 200 && script.headers["content-type"] == "text/javascript; charset=utf-8")
                #expect(page.text.contains("<script src=\"refresh.js\" defer>"))

                let unknown = try await program.ofOperators("/api/v1/events")
                #expect(unknown.status == 404 && unknown.problem == "no-such-route")
                let changing = try await program.ofOperators("/routes", .post)
                #expect(changing.status == 405 && changing.headers["allow"] == "GET, HEAD")
                let head = try await program.ofOperators("/routes", .head)
                #expect(head.status == 200 && head.body.isEmpty)
            }
        }

        @Test
        func `it listens where it is told to, and otherwise next to the front door`() async throws {
            let ports = Set(try Ports.lasting(2_000))
            let port = try #require(ports.first { ports.contains($0 + 1) })
            let settings = ["TICKETFLOW_BORDER_GATEWAY_ADMIN_HOST": "127.0.0.2", "TICKETFLOW_BORDER_GATEWAY_ADMIN_PORT": "\(port)"]
            try await withProgram(settings) { program in
                #expect(program.parts.last?.operatorAddress == "http://127.0.0.2:\(port)")
                let live = try await program.ofOperators("/health/live")
                #expect(live.status == 200)
            }
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let output = "\(folder.path)/output"
            let process = try ChildProcess(
                RunningProgram.executable, ["serve", "--data", "\(folder.path)/data", "--port", "\(port)"],
                environment: ["PATH": "/usr/bin:/bin"], output: output, errors: "\(folder.path)/log")
            defer { process.send(SIGKILL) }
            try await eventually("it says where", within: .seconds(60)) {
                ChildProcess.text(of: output).contains("The gateway is watched at http://127.0.0.1:\(port + 1)\n")
            }
            process.send(SIGTERM)
            #expect(try await process.wait(atMost: .seconds(30)) == .exit(0))
        }

        @Test
        func `what is known of an instance is seen, and connections that nobody uses are closed`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, ports in
                func whole() async throws -> Upstreams.Place {
                    let upstreams: Upstreams = try await program.ofOperators("/upstreams").json()
                    return try #require(upstreams.items.first { $0.service == "whole" }?.instances.first)
                }
                #expect(try await whole().latencyMilliseconds == nil)
                async let slow = program.send(.get, "/whole/slow?seconds=1")
                try await eventually("it is seen in hand") { try await whole().inHand == 1 }
                #expect(try await slow.status == 200)
                let start = ContinuousClock.now
                let place = try await whole()
                #expect(place.address == "http://127.0.0.1:\(ports[0])" && place.inHand == 0 && place.idle == 1)
                #expect((1_000...1_900).contains(place.latencyMilliseconds ?? 0))
                try await eventually("the connection is closed", within: .seconds(12)) { try await whole().idle == 0 }
                #expect(ContinuousClock.now - start > .seconds(2), "it was not kept at all")
                #expect(try await program.send(.get, "/whole/status?code=200").status == 200)
            }
        }
    }
}

/// As `/routes` answers.
private struct Routes: Decodable {
    struct Limit: Decodable, Hashable {
        let name: String
        let requests: Int
        let seconds: Int
        let burst: Int
    }

    struct Item: Decodable, Hashable {
        let name: String
        let methods: [String]
        let path: String
        let to: String
        let bodyLimit: Int
        let seconds: Double
        let isStream: Bool
        let limits: [Limit]
        let requests: Int
        let failures: Int
    }

    let items: [Item]
}

/// As `/upstreams` answers.
struct Upstreams: Decodable {
    struct Place: Decodable {
        let address: String
        let inHand: Int
        let idle: Int
        let failuresInRow: Int
        let ejectedUntil: String?
        let latencyMilliseconds: Double?
    }

    struct Item: Decodable {
        let service: String
        let source: String
        let circuit: String
        let instances: [Place]
    }

    let items: [Item]
}
