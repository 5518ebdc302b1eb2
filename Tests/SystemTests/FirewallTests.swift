import Foundation
import HTTPTypes
import TestServers
import Testing

extension WholeSystem {
    /// What carries an attack is held back by the one door.
    @Suite struct FirewallTests {
        private static let script = "/api/v1/events?query=%3Cscript%3Ealert(1)%3C/script%3E"

        private func count(_ verdict: String, _ program: RunningProgram) async throws -> Double {
            let door = try #require(program.parts.last)
            return try await program.metric("gateway_firewall_total{verdict=\"\(verdict)\"}", of: door) ?? 0
        }

        @Test func `an attack is refused, logged without what it was, and reaches no service`() async throws {
            try await withProgram { program in
                let asked = try await program.requestsOfServices()
                let attacks: [(HTTPRequest.Method, String, [String: String], String)] = [
                    (.get, FirewallTests.script, [:], ""),
                    (.get, "/api/v1/events?city=1%20union%20select%20secret%20from%20users", [:], ""),
                    (.get, "/api/v1/events", ["User-Agent": "sqlmap/1.7"], ""),
                    (.get, "/api/v1/events", ["Cookie": "a=<script>secret</script>"], ""),
                    (.post, "/api/v1/carts", [:], #"{"eventId": "'; exec xp_cmdshell('secret')--"}"#),
                    (.post, "/api/v1/auth/login", [:], #"{"email": "<img src=x onerror=secret>", "password": "12345678"}"#),
                ]
                for (method, path, headers, body) in attacks {
                    let type = body.isEmpty ? [:] : ["Content-Type": "application/json"]
                    let answer = try await program.send(
                        method, path, headers: headers.merging(type) { $1 }, bytes: body.isEmpty ? nil : Array(body.utf8))
                    #expect(answer.status == 403 && answer.problem == "refused-by-firewall", "\(path): \(answer.status) \(answer.text)")
                    let id = answer.text.split(separator: "\"requestId\":\"").last?.prefix { $0 != "\"" } ?? ""
                    let line = program.log.split(separator: "\n").first { $0.contains("the firewall refused a request") && $0.contains(id) }
                    #expect(line?.contains("\"rules\":\"9") ?? false, "\(path): \(line ?? "nothing") is logged")
                }
                #expect(!program.log.contains("secret") && !program.log.contains("alert(1)"))
                #expect(try await program.requestsOfServices() == asked)
                #expect(try await count("refused", program) == Double(attacks.count))
                // The connection goes on.
                let get = "Host: localhost\r\n\r\n"
                let both = try await RawConnection.exchange(
                    "GET \(FirewallTests.script) HTTP/1.1\r\n\(get)GET /api/v1/events HTTP/1.1\r\n\(get)", port: program.port,
                    silence: .seconds(1))
                #expect(both.text.hasPrefix("HTTP/1.1 403 ") && both.text.contains("HTTP/1.1 200 OK") && !both.isClosed, "\(both.text)")
            }
        }

        @Test func `a browser's head is judged once, and a request of plain values not at all`() async throws {
            try await withProgram { program in
                let before = (try await count("fast", program), try await count("allowed", program))
                let browser = ["User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"]
                for _ in 0..<5 { #expect(try await program.send(.get, "/api/v1/events?limit=5", headers: browser).status == 200) }
                let fast = try await count("fast", program) - before.0
                let asked = try await count("allowed", program) - before.1
                #expect(asked == 1)
                // The metrics themselves are asked for.
                #expect(fast >= 4)
            }
        }

        @Test func `while very many have to be judged, who is plain is answered at once, and who waits too long is told to come again`()
            async throws
        {
            try await withProgram { program in
                // Each value takes a little longer, and a line of each of the many may stand in a query.
                let search = "/api/v1/events?" + (0..<100).map { "p\($0)=it%27s%20not" }.joined(separator: "&") + "&query="
                _ = try await program.send(.get, search)
                let end = ContinuousClock.now + .seconds(5)
                async let flood = atOnce(150) { index in
                    var statuses: [Int: Int] = [:]
                    repeat {
                        let answer = try await program.send(.get, "\(search)\(index)")
                        statuses[answer.status, default: 0] += 1
                        guard answer.status == 503 else { continue }
                        #expect(answer.problem == "unavailable" && answer.headers["retry-after"] != nil)
                        try await Task.sleep(for: .milliseconds(200))
                    } while ContinuousClock.now < end
                    return statuses
                }
                var times: [Duration] = []
                while ContinuousClock.now < end {
                    let start = ContinuousClock.now
                    #expect(try await program.send(.get, "/health/live").status == 200)
                    times.append(ContinuousClock.now - start)
                    try await Task.sleep(for: .milliseconds(5))
                }
                let told = try await flood.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
                print("measured: plain requests took \(times.sorted()[times.count / 2]) among 150 clients who were told \(told)")
                #expect(Set(told.keys).isSubset(of: [200, 503]) && told[200] ?? 0 > 0 && told[503] ?? 0 > 0, "\(told)")
                #expect(times.sorted()[times.count / 2] < .seconds(1))
            }
        }

        @Test func `the mode may change while it runs, and one that only reports lets everything pass`() async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let file = "\(folder.path)/settings.yml"
            func write(_ mode: String) throws {
                try "borderGateway: {firewall: {mode: '\(mode)'}}\n".write(toFile: file, atomically: true, encoding: .utf8)
            }
            try write("off")
            try await withProgram(["TICKETFLOW_CONFIG": file], shape: .together) { program in
                func status() async throws -> Int { try await program.send(.get, FirewallTests.script).status }
                #expect(try await status() == 200)
                try write("on")
                try await eventually("attacks are refused") { try await status() == 403 }
                try write("report")
                try await eventually("attacks pass") { try await status() == 200 }
                try await eventually("they are counted") { try await count("reported", program) > 0 }
                #expect(program.log.contains("the firewall would refuse a request"))
                try write("sometimes")
                try await eventually("it is said that this is no mode") { program.log.contains("say on, report or off") }
                #expect(try await status() == 200)
            }
        }

        @Test func `other rules that cannot be read do not take the place of those that judge, and ones that can do`() async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let file = "\(folder.path)/settings.yml"
            func copy(_ name: String, adding line: String) throws -> String {
                let path = "\(folder.path)/\(name)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                try FileManager.default.copyItem(atPath: "/usr/share/modsecurity-crs/rules", toPath: "\(path)/rules")
                try line.write(
                    toFile: "\(path)/rules/REQUEST-911-METHOD-ENFORCEMENT.conf", atomically: true, encoding: .utf8)
                return path
            }
            func use(_ rules: String) throws {
                try "borderGateway: {firewall: {rules: '\(rules)'}}\n".write(toFile: file, atomically: true, encoding: .utf8)
            }
            try use("/usr/share/modsecurity-crs")
            try await withProgram(["TICKETFLOW_CONFIG": file], shape: .together) { program in
                func status(_ target: String) async throws -> Int { try await program.send(.get, target).status }
                let ours = "/api/v1/events?query=ours%27s"
                #expect(try await status(ours) == 200)
                try use(try copy("broken", adding: "SecNonsense On\n"))
                try await eventually("it is said that they cannot be read") {
                    let told = [try await status(FirewallTests.script), try await status(ours)]
                    #expect(told == [403, 200])
                    return program.log.contains("the firewall's new rules cannot be read")
                }
                try use(try copy("ours", adding: "SecRule ARGS \"@contains ours's\" \"id:10900,phase:2,deny,status:403,log,msg:'Ours'\"\n"))
                try await eventually("the new ones judge") { try await status(ours) == 403 }
                #expect(try await status(FirewallTests.script) == 403)
            }
        }

        @Test func `without the rules nothing starts, and it is said how to go on`() async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            func start(_ settings: [String: String]) async throws -> (end: ChildProcess.End, output: String, errors: String) {
                try await ChildProcess.run(
                    RunningProgram.executable, ["serve", "--data", "\(folder.path)/data", "--port", "0"],
                    environment: settings.merging(["PATH": "/usr/bin:/bin", "HOME": folder.path]) { $1 })
            }
            let missing = try await start(["TICKETFLOW_BORDER_GATEWAY_FIREWALL_RULES": "/nowhere"])
            #expect(missing.end != .exit(0))
            #expect(missing.errors.contains("modsecurity-crs") && missing.errors.contains("/nowhere"), "\(missing.errors)")

            let rules = "\(folder.path)/crs/rules"
            try FileManager.default.createDirectory(atPath: "\(folder.path)/crs", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: "/usr/share/modsecurity-crs/rules", toPath: rules)
            try "SecNonsense On\n".write(
                toFile: "\(rules)/REQUEST-944-APPLICATION-ATTACK-JAVA.conf", atomically: true, encoding: .utf8)
            let broken = try await start(["TICKETFLOW_BORDER_GATEWAY_FIREWALL_RULES": "\(folder.path)/crs"])
            #expect(broken.end != .exit(0))
            #expect(broken.errors.contains("REQUEST-944-APPLICATION-ATTACK-JAVA.conf cannot be used"), "\(broken.errors)")

            try await withProgram(
                ["TICKETFLOW_BORDER_GATEWAY_FIREWALL_RULES": "/nowhere", "TICKETFLOW_BORDER_GATEWAY_FIREWALL_MODE": "off"]
            ) { program in
                let status = try await program.send(.get, FirewallTests.script).status
                #expect(status == 200)
            }
        }
    }
}
