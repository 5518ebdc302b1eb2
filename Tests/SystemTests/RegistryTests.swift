import AsyncHTTPClient
import Contracts
import Discovery
import Foundation
import Glibc
import NIOCore
import NIOHTTP1
import Synchronization
import TestServers
import Testing
import Values

extension WholeSystem {
    /// The registry as others use it, and the services that find each other in it.
    @Suite struct RegistryTests {
        /// Short leases, so that their end is near.
        private static let settings = CrashTests.settings.merging([
            "TICKETFLOW_REGISTRY_RENEW_SECONDS": "2", "TICKETFLOW_REGISTRY_LEASE_SECONDS": "6",
        ]) { $1 }

        // MARK: A client that no one here wrote

        @Test
        func `py-eureka-client registers, renews, looks up, is overridden, sees changes, outlives a restart and leaves`() async throws {
            try await withFolder { folder in
                let port = try Ports.lasting(1)[0]
                let first = try await RegistryProcess(port: port, folder: folder)
                let output = "\(folder)/client"
                let client = try ChildProcess(
                    "\(RunningProgram.repository)/.venv/bin/python",
                    ["\(RunningProgram.repository)/Tests/SystemTests/eureka_client.py", first.url, "\(folder)/restarted"],
                    environment: ["PATH": "/usr/bin:/bin", "HOME": folder], output: output, errors: "\(folder)/client-errors")
                func steps() -> [Substring] {
                    ChildProcess.text(of: output).split(separator: "\n").filter { $0.hasPrefix("ok ") || $0 == "restart" }
                }
                defer { client.send(SIGKILL) }
                try await eventually("the client wants the restart", within: .seconds(60)) {
                    if let end = client.end { throw ChildProcess.Failure(description: "it ended: \(end), after \(steps())") }
                    return steps().last == "restart"
                }
                try await first.end(SIGKILL)
                let second = try await RegistryProcess(port: port, folder: folder)
                try "".write(toFile: "\(folder)/restarted", atomically: true, encoding: .utf8)
                let end = try await client.wait(atMost: .seconds(60))
                #expect(end == .exit(0), "\(ChildProcess.text(of: "\(folder)/client-errors").suffix(2_000))")
                let all = [
                    "register", "heartbeat", "lookup", "override", "delta", "override-removed", "registered-again", "seen-by-another",
                    "stop", "end",
                ]
                #expect(steps().filter { $0 != "restart" } == all.map { "ok \($0)" })
                try await second.end(SIGTERM)
            }
        }

        // MARK: Two registries

        @Test
        func `a split of a minute between two registries heals, and nobody is lost`() async throws {
            try await withFolder { folder in
                let ports = try Ports.lasting(2)
                let networks = try ports.map { try FragileNetwork(to: $0) }
                // Each reaches the other through a network that can be cut.
                let a = try await RegistryProcess(port: ports[0], folder: folder, peers: [networks[1].port])
                let b = try await RegistryProcess(port: ports[1], folder: folder, peers: [networks[0].port])
                try await a.register("a1")
                try await b.register("b1")
                func agree(on ids: Set<String>) async throws -> Bool {
                    let (atA, atB) = (try await a.ids(), try await b.ids())
                    return atA == ids && atB == ids
                }
                try await eventually("both know both") { try await agree(on: ["a1", "b1"]) }
                for network in networks { network.swallow() }
                let begin = ContinuousClock.now
                try await a.register("a2")
                try await b.register("b2")
                try await b.cancel("b1")
                while ContinuousClock.now - begin < .seconds(60) {
                    for id in ["a1", "a2"] { try await a.renew(id) }
                    try await b.renew("b2")
                    try await Task.sleep(for: .seconds(5))
                }
                #expect(try await a.ids() == ["a1", "a2", "b1"])
                #expect(try await b.ids() == ["a1", "b2"])
                for network in networks { network.flow() }
                let healed = ContinuousClock.now
                try await eventually("both know all again", within: .seconds(20)) { try await agree(on: ["a1", "a2", "b2"]) }
                print("measured: a split of 60 s was healed after \(ContinuousClock.now - healed)")
                try await a.end(SIGTERM)
                try await b.end(SIGTERM)
            }
        }

        @Test
        func `one registry after the other is killed and comes back, and nobody notices`() async throws {
            try await withProgram(RegistryTests.settings, shape: .distributed) { program in
                let market = try await Market(program)
                try await market.open {
                    for part in program.parts(of: RunningProgram.registry) {
                        part.send(SIGKILL)
                        _ = try await part.ended()
                        // Longer than a renewal takes.
                        try await Task.sleep(for: .seconds(3))
                        try await program.start(part)
                        try await Task.sleep(for: .seconds(3))
                    }
                }
                #expect(market.failures == 0, "of \(market.orders) orders")
                for port in program.registries {
                    #expect(try await program.listed(at: port).count { $0.status == .up } == program.parts.count)
                }
                try await market.expectEverythingHasEnded()
            }
        }

        @Test
        func `with all registries down running services go on, starting ones start, and health says so`() async throws {
            try await withProgram(RegistryTests.settings, shape: .distributed) { program in
                let market = try await Market(program)
                try await market.open {
                    for part in program.parts(of: RunningProgram.registry) {
                        part.send(SIGKILL)
                        _ = try await part.ended()
                    }
                    let front = program.parts[program.parts.count - 1]
                    try await eventually("health says so") {
                        let health = try await program.health(of: front)
                        return health.status == 200 && health.text.contains(#""registry":"failed""#)
                    }
                    // Longer than all leases.
                    try await Task.sleep(for: .seconds(8))
                    for role in ["sales-manager", "ticket-manager"] {
                        for part in program.parts(of: role) {
                            part.send(SIGTERM)
                            #expect(try await part.ended() == .exit(0))
                            try await program.start(part)
                            let health = try await program.health(of: part)
                            #expect(health.status == 200 && health.text.contains(#""registry":"failed""#))
                        }
                    }
                }
                #expect(market.failures == 0, "of \(market.orders) orders")
                // They come back with nothing, and hear of everybody again.
                let begin = ContinuousClock.now
                try await program.start()
                for port in program.registries {
                    try await eventually("everybody is listed again") {
                        try await program.listed(at: port).count { $0.status == .up } == program.parts.count
                    }
                }
                print("measured: two empty registries were started and had everybody after \(ContinuousClock.now - begin)")
                try await market.expectEverythingHasEnded()
            }
        }

        @Test
        func `without the Config Server a part starts with its last settings, registers and is ready`() async throws {
            try await ConfigServerProcess.with(["application.yml": "log.level: info\n"]) { server in
                try await withProgram(RegistryTests.settings.merging(server.clientSettings) { $1 }, shape: .distributed) { program in
                    try await server.stop()
                    let part = program.parts(of: "event-manager")[0]
                    part.send(SIGTERM)
                    #expect(try await part.ended() == .exit(0))
                    try await program.start(part)
                    let health = try await program.health(of: part)
                    #expect(health.status == 200 && health.text.contains(#""config-server":"failed""#), "\(health.text)")
                    #expect(health.text.contains(#""registration":"ok""#))
                    try await eventually("it is listed") {
                        try await program.listed(at: program.registries[0]).contains { $0.port.number == part.port && $0.status == .up }
                    }
                }
            }
        }

        // MARK: Instances that come and go

        @Test
        func `a killed instance gets nothing after two seconds, a leaving one nothing at once, a new one something within one`()
            async throws
        {
            try await withProgram(RegistryTests.settings, shape: .distributed) { program in
                let shop = try await program.shop(capacity: 10)
                let readers = Readers(program, path: "/api/v1/events/\(shop.event.slug)")
                try await readers.read {
                    let part = program.parts(of: "event-manager")[0]
                    let front = program.parts[program.parts.count - 1]
                    let port = program.registries[0]
                    func own() async throws -> RegisteredInstance? {
                        try await program.listed(at: port).first { $0.port.number == part.port }
                    }
                    func known() async throws -> Double? { try await program.metric(#"peer_instances{peer="event-manager"}"#, of: front) }

                    // Killed.
                    let killed = ContinuousClock.now
                    part.send(SIGKILL)
                    _ = try await part.ended()
                    let last = try #require(try await own()).lease.lastRenewedAt
                    try await eventually("its lease ends") { try await own() == nil }
                    let lease = Instant.now.microseconds / 1_000 - last
                    print("measured: a killed instance was listed \(lease) ms after its last renewal, its lease being 6000 ms")
                    #expect((5_000...7_000).contains(lease))
                    let late = readers.troubles.filter { $0 - killed > .seconds(2) }
                    let slowest = readers.troubles.map { $0 - killed }.max() ?? .zero
                    print("measured: \(readers.troubles.count) of \(readers.count) requests failed, the last \(slowest) after the kill")
                    #expect(late.isEmpty)
                    try await eventually("it is not known any more") { try await known() == 1 }

                    // New.
                    try await program.start(part)
                    let ready = ContinuousClock.now
                    try await eventually("it gets requests", every: .milliseconds(5)) { try await program.requests(to: part) > 0 }
                    let wait = ContinuousClock.now - ready
                    print("measured: a new instance got its first request \(wait) after its readiness was seen")
                    #expect(wait < .seconds(1))

                    // Leaving.
                    let before = readers.troubles.count
                    part.send(SIGTERM)
                    let leaving = ContinuousClock.now
                    try await eventually("it is not known any more", every: .milliseconds(5)) { try await known() == 1 }
                    let gone = ContinuousClock.now - leaving
                    print("measured: a leaving instance was known for \(gone)")
                    #expect(gone < .seconds(1))
                    #expect(try await part.ended() == .exit(0))
                    #expect(readers.troubles.count == before)
                    try await program.start(part)
                }
            }
        }

        private func withFolder(_ body: (String) async throws -> Void) async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            try await body(folder.path)
        }
    }
}

/// A registry by itself.
private final class RegistryProcess: Sendable {
    let url: String
    private let process: ChildProcess
    private let http = HTTPClient.shared

    /// - Parameter peers: ports of this machine.
    init(port: Int, folder: String, peers: [Int] = []) async throws {
        url = "http://127.0.0.1:\(port)/eureka"
        let peers = peers.map { "http://127.0.0.1:\($0)/eureka" }.joined(separator: ",")
        process = try ChildProcess(
            RunningProgram.executable, ["serve", RunningProgram.registry, "--port", "\(port)", "--data", "\(folder)/data"],
            environment: ["PATH": "/usr/bin:/bin", "HOME": folder].merging(
                peers.isEmpty ? [:] : ["TICKETFLOW_SERVICE_REGISTRY_PEERS": peers]
            ) { $1 },
            output: "\(folder)/output-\(port)", errors: "\(folder)/log")
        try await eventually("the registry is ready") {
            let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/health/ready")
            return (try? await http.execute(request, timeout: .seconds(5)))?.status == .ok
        }
    }

    func end(_ signal: Int32) async throws {
        process.send(signal)
        #expect(try await process.wait(atMost: .seconds(20)) == (signal == SIGKILL ? .signal(SIGKILL) : .exit(0)))
    }

    func ids() async throws -> Set<String> {
        Set(try await RegistryListing(at: url).instances.map(\.id))
    }

    func register(_ id: String) async throws {
        let instance = RegisteredInstance(id: id, app: "SHOP", hostName: id, ipAddress: "10.0.0.1", port: 80, status: .up)
        var request = HTTPClientRequest(url: "\(url)/apps/SHOP")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: instance.document(.json)))
        #expect(try await http.execute(request, timeout: .seconds(5)).status == .noContent)
    }

    func renew(_ id: String) async throws {
        var request = HTTPClientRequest(url: "\(url)/apps/SHOP/\(id)")
        request.method = .PUT
        #expect(try await http.execute(request, timeout: .seconds(5)).status == .ok)
    }

    func cancel(_ id: String) async throws {
        var request = HTTPClientRequest(url: "\(url)/apps/SHOP/\(id)")
        request.method = .DELETE
        #expect(try await http.execute(request, timeout: .seconds(5)).status == .ok)
    }
}

extension RegistryListing {
    /// What a registry lists.
    fileprivate init(at url: String) async throws {
        var request = HTTPClientRequest(url: "\(url)/apps/")
        request.headers.add(name: "Accept", value: "application/json")
        // As it is at this moment.
        request.headers.add(name: "x-netflix-discovery-replication", value: "true")
        let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
        self = try JSON.value(from: Array(try await answer.body.collect(upTo: 1 << 22).readableBytesView))
    }
}

extension RunningProgram {
    fileprivate func listed(at port: Int) async throws -> [RegisteredInstance] {
        try await RegistryListing(at: "http://127.0.0.1:\(port)/eureka").instances
    }

    fileprivate func health(of part: Part) async throws -> (status: UInt, text: String) {
        let address = try #require(part.address)
        let answer = try await http.execute(HTTPClientRequest(url: "\(address)/health/ready"), timeout: .seconds(5))
        return (answer.status.code, String(buffer: try await answer.body.collect(upTo: 1 << 16)))
    }

    /// How many events a part was asked for.
    fileprivate func requests(to part: Part) async throws -> Double {
        try await metric(
            #"http_request_duration_seconds_count{method="GET",route="/api/v1/events/{id}",service="event-manager"}"#, of: part) ?? 0
    }
}

/// Clients that read one address again and again through the front door.
private final class Readers: Sendable {
    private let program: RunningProgram
    private let url: String
    private let seen = Mutex<(count: Int, troubles: [ContinuousClock.Instant])>((0, []))

    init(_ program: RunningProgram, path: String) {
        self.program = program
        url = program.address + path
    }

    /// When answers other than 200 came.
    var troubles: [ContinuousClock.Instant] { seen.withLock(\.troubles) }
    var count: Int { seen.withLock(\.count) }

    /// They read while something is done.
    func read(while work: () async throws -> Void) async throws {
        let isOpen = Mutex(true)
        async let reading: Void = read { isOpen.withLock { $0 } }
        do {
            try await work()
            isOpen.withLock { $0 = false }
        } catch {
            isOpen.withLock { $0 = false }
            _ = try? await reading
            throw error
        }
        try await reading
    }

    private func read(_ goesOn: @escaping @Sendable () -> Bool) async throws {
        _ = try await atOnce(8) { [self] _ in
            while goesOn() {
                let status = (try? await program.http.execute(HTTPClientRequest(url: url), timeout: .seconds(12)))?.status
                seen.withLock { seen in
                    seen.count += 1
                    if status != .ok { seen.troubles.append(.now) }
                }
            }
        }
    }
}
