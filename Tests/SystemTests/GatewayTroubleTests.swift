import Discovery
import Foundation
import Glibc
import HTTPTypes
import Synchronization
import TestServers
import Testing

extension WholeSystem {
    /// The gateway among instances, clients and limits that fail it.
    @Suite struct GatewayTroubleTests {
        @Test
        func `a service that answers nobody is asked by one at a time, and everybody else is told so at once`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                func circuit() async throws -> String? {
                    let upstreams: Upstreams = try await program.ofOperators("/upstreams").json()
                    return upstreams.items.first { $0.service == "whole" }?.circuit
                }
                #expect(try await program.send(.get, "/whole/status?code=200").status == 200)
                // As many as it has patience, and each is waited for.
                let slow = try await atOnce(Balancer.patience) { _ in try await program.send(.get, "/whole/slow?seconds=10").status }
                #expect(slow.allSatisfy { $0 == 504 })
                #expect(try await circuit() == "open")
                let start = ContinuousClock.now
                let refused = try await program.send(.get, "/whole/slow?seconds=10")
                #expect(refused.status == 503 && refused.problem == "unavailable" && refused.headers["retry-after"] == "1")
                #expect(ContinuousClock.now - start < .milliseconds(800))
                // Others are not concerned.
                #expect(try await program.send(.get, "/api/v1/events").status == 200)
                try await eventually("it is asked again", within: .seconds(5)) {
                    try await program.send(.get, "/whole/status?code=200").status == 200
                }
                #expect(try await circuit() == "closed")
                let again = try await atOnce(20) { _ in try await program.send(.get, "/whole/status?code=200").status }
                #expect(again.allSatisfy { $0 == 200 }, "\(again)")
            }
        }

        @Test
        func `where this process has no descriptor left, no instance is blamed for it`() async throws {
            try await GatewayStreamTests.withUpstream { program, _, _ in
                func place() async throws -> Upstreams.Place? {
                    let upstreams: Upstreams = try await program.ofOperators("/upstreams").json()
                    return upstreams.items.first { $0.service == "whole" }?.instances.first
                }
                let process = try #require(program.parts.last?.process)
                func limit(_ text: String) async throws {
                    let run = try await ChildProcess.run("/usr/bin/prlimit", ["--pid", "\(process.id)", "--nofile=\(text)"])
                    #expect(run.end == .exit(0), "\(run.errors)")
                }
                let before = try await ChildProcess.run(
                    "/usr/bin/prlimit", ["--pid", "\(process.id)", "--nofile", "--output", "SOFT", "--noheadings"])
                // The connections of this test to both listeners are open, and the firewall has read its rules.
                #expect(try await program.send(.get, "/api/v1/events?query=it%27s").status == 200)
                #expect(try await place()?.failuresInRow == 0)
                try await limit("3:")
                let answer = try await program.send(.get, "/whole/status?code=200")
                let after = try await place()
                try await limit("\(before.output.trimmingCharacters(in: .whitespacesAndNewlines)):")
                #expect(answer.status == 503 && answer.headers["retry-after"] != nil, "\(answer.text)")
                #expect(after?.ejectedUntil == nil && after?.failuresInRow == 0 && after?.inHand == 0)
                #expect(try await program.send(.get, "/whole/status?code=200").status == 200)
            }
        }

        @Test
        func `a tunnel lives as long as something comes through it, and not much longer`() async throws {
            try await GatewayStreamTests.withUpstream(["TICKETFLOW_BORDER_GATEWAY_TUNNEL_IDLE_SECONDS": "2"]) { program, _, _ in
                let start = ContinuousClock.now
                let head = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                let pieces = [head] + (1...4).map { "piece \($0);" }
                let answer = try await RawConnection.exchange(
                    pieces.map { Array($0.utf8) }, port: program.port, pause: .seconds(1), silence: .seconds(20))
                let time = ContinuousClock.now - start
                #expect(
                    answer.text.hasPrefix("HTTP/1.1 101 ") && answer.text.hasSuffix("piece 1;piece 2;piece 3;piece 4;"), "\(answer.text)")
                // The last came after four seconds.
                #expect(answer.isClosed && time > .seconds(5) && time < .seconds(10), "\(time)")
            }
        }

        @Test
        func `settings change again and again, and no request is lost`() async throws {
            let first = "borderGateway: {idleSeconds: 75}\n"
            try await ConfigServerProcess.with(["border-gateway.yml": first]) { server in
                // The environment would be stronger.
                let settings = server.clientSettings.merging(["TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": ""]) { $1 }
                try await withProgram(settings) { program in
                    let goesOn = Mutex(true)
                    let statuses = Mutex<[Int: Int]>([:])
                    async let load: [Void] = atOnce(8) { index in
                        while goesOn.withLock({ $0 }) {
                            let status =
                                try? await program.send(
                                    index % 2 == 0 ? .get : .post, index % 2 == 0 ? "/api/v1/events" : "/api/v1/auth/login",
                                    headers: ["Content-Type": "application/json"], bytes: index % 2 == 0 ? nil : Array("{}".utf8)
                                ).status
                            statuses.withLock { $0[status ?? 0, default: 0] += 1 }
                        }
                    }
                    let rounds = 20
                    do {
                        for round in 1...rounds {
                            let routes =
                                #"[{"name": "r\#(round)", "path": "/r\#(round)", "to": ["event-manager"], "rewrite": {"path": "/api/v1/events"}}]"#
                            try await server.repository.commit([
                                "border-gateway.yml":
                                    "borderGateway: {idleSeconds: \(60 + round), limits: {address: 100000/s burst \(100_000 + round)}, routes: '\(routes)'}\n"
                            ])
                            try await server.post("/monitor", "path=border-gateway.yml")
                            try await eventually("round \(round) is in force", within: .seconds(10), every: .milliseconds(5)) {
                                try await program.send(.get, "/r\(round)").status == 200
                            }
                            // All of it or nothing.
                            let report = try await program.ofOperators("/routes").text
                            #expect(
                                report.contains("\"burst\":\(100_000 + round)") && !report.contains("\"r\(round - 1)\""),
                                "\(report.prefix(500))")
                        }
                        goesOn.withLock { $0 = false }
                    } catch {
                        goesOn.withLock { $0 = false }
                        _ = try? await load
                        throw error
                    }
                    _ = try await load
                    let seen = statuses.withLock { $0 }
                    print("measured: \(rounds) changes of settings, and answers \(seen)")
                    #expect(Set(seen.keys) == [200, 422] && seen.values.reduce(0, +) > rounds * 8)
                }
            }
        }

        /// A client that keeps connections and the server busy by doing everything slowly; of Debian.
        enum Slow: String, CaseIterable {
            case heads, bodies, reads

            func arguments(_ address: String) -> [String] {
                switch self {
                case .heads: ["-H", "-i", "1", "-x", "8", "-u", "\(address)/api/v1/events"]
                case .bodies: ["-B", "-i", "1", "-x", "8", "-s", "4096", "-f", "application/json", "-u", "\(address)/api/v1/auth/login"]
                case .reads: ["-X", "-n", "1", "-w", "512", "-y", "1024", "-z", "32", "-k", "3", "-u", "\(address)/api/openapi.json"]
                }
            }
        }

        @Test(arguments: Slow.allCases)
        func `whoever does everything slowly makes nobody else wait`(slow: Slow) async throws {
            let settings = [
                "TICKETFLOW_BORDER_GATEWAY_HEAD_SECONDS": "2", "TICKETFLOW_BORDER_GATEWAY_BODY_SECONDS": "2",
                "TICKETFLOW_BORDER_GATEWAY_IDLE_SECONDS": "4",
            ]
            try await withProgram(settings) { program in
                /// The 99th of a hundred.
                func slowestButOne(while goesOn: () -> Bool) async throws -> Duration {
                    var times: [Duration] = []
                    while goesOn() || times.count < 200 {
                        let start = ContinuousClock.now
                        #expect(try await program.send(.get, "/api/v1/events").status == 200)
                        times.append(ContinuousClock.now - start)
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    return times.sorted()[times.count * 99 / 100]
                }
                let alone = try await slowestButOne { false }
                let memory = try program.memory
                async let run = ChildProcess.run(
                    "/usr/bin/slowhttptest", slow.arguments(program.address) + ["-c", "400", "-r", "200", "-l", "15", "-p", "3"],
                    atMost: .seconds(60))
                let end = ContinuousClock.now + .seconds(15)
                let among = try await slowestButOne { ContinuousClock.now < end }
                let tool = try await run
                let grown = (try program.memory - memory) >> 20
                print("measured: p99 \(among) among slow \(slow), \(alone) without, \(grown) MB more")
                #expect(among < max(alone * 10, .milliseconds(250)))
                #expect(grown < 150)
                // The tool tells of what it saw: that connections were made, and that a request beside them was answered all the time.
                let text = tool.output.replacing(/\u{1b}\[[0-9;]*m/, with: "")
                #expect(text.contains("service available:   YES") && !text.contains("service available:   NO"), "\(text.suffix(3_000))")
                try await eventually("no slow client is left", within: .seconds(15)) {
                    try openConnections(to: program.port) <= 50
                }
            }
        }

        /// How many connections a port of this machine has.
        private func openConnections(to port: Int) throws -> Int {
            let text = try String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)
            let hex = String(format: "%04X", port)
            return text.split(separator: "\n").count { line in
                let words = line.split(separator: " ")
                return words.count > 3 && words[1].hasSuffix(":\(hex)") && words[3] == "01"
            }
        }
    }
}
