import Configuration
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Synchronization
import TestServers
import Testing
import Values

/// A process's side, against the registry itself, and against one that has no stream, as any other server of Eureka's protocol.
@Suite(.serialized) struct RegistryClientTests {
    private static let service = ServiceName("shop")

    /// A process with one service.
    private final class Process: Sendable {
        let client: RegistryClient
        let known: Known

        final class Known: Sendable {
            let addresses = Mutex<[String: [Instance]]>([:])
            let isReady = Mutex(true)
        }

        init(_ registries: [String], port: Int? = 8_080, file: String? = nil, change: (inout RegistryClient.Settings) -> Void = { _ in }) {
            var settings = RegistryClient.Settings(
                registries: registries.map { RegistryAddress($0)! }, hostName: "here", machineAddress: "10.9.9.9")
            settings.renewal = .milliseconds(300)
            settings.lease = .seconds(3)
            settings.poll = .milliseconds(100)
            settings.file = file
            change(&settings)
            let known = Known()
            self.known = known
            client = RegistryClient(settings, logger: .silent, isReady: { known.isReady.withLock { $0 } }) { addresses in
                known.addresses.withLock { $0 = addresses }
            }
            client.remember()
            if let port { client.enter(RegistryClientTests.service, host: "10.0.0.1", port: port, outOf: 1) }
        }

        func addresses(_ app: String = "SHOP") -> [String] {
            known.addresses.withLock { $0[app, default: []].map(\.address) }
        }
    }

    private static let own = "http://10.0.0.1:8080"

    private static func url(_ port: Int) -> String { "http://127.0.0.1:\(port)/eureka/" }

    /// With and without the stream of changes.
    private func withRegistry(hasStream: Bool, _ body: (RegistryDesk, Int) async throws -> Void) async throws {
        try await withListeningRegistry(
            answer: { !hasStream && $0.target.hasPrefix("/eureka/changes") ? Reply(status: .notFound) : nil }, body)
    }

    @Test func `what takes HTTPS is registered so`() async throws {
        try await withRegistry(hasStream: true) { desk, port in
            let process = Process([RegistryClientTests.url(port)], port: nil)
            process.client.enter(RegistryClientTests.service, host: "10.0.0.1", port: 8_443, isEncrypted: true, outOf: 1)
            try await withRunning([process.client]) {
                try await eventually("it is registered") { try await desk.instance("SHOP", "10.0.0.1:shop:8443") != nil }
                let found = try #require(try await desk.instance("SHOP", "10.0.0.1:shop:8443"))
                #expect(found.securePort == .init(8_443, isEnabled: true) && !found.port.isEnabled)
                #expect(found.homePageURL == "https://10.0.0.1:8443/" && found.secureHealthCheckURL == "https://10.0.0.1:8443/health/ready")
            }
        }
    }

    @Test(arguments: [true, false])
    func `a process registers, renews, hears of others as they come, change and go, and is gone when it stops`(hasStream: Bool) async throws
    {
        try await withRegistry(hasStream: hasStream) { desk, port in
            let process = Process([RegistryClientTests.url(port)])
            try await withRunning([process.client]) {
                try await eventually("it is registered") { try await desk.instance("SHOP", "10.0.0.1:shop:8080") != nil }
                let found = try #require(try await desk.instance("SHOP", "10.0.0.1:shop:8080"))
                #expect(found.status == .up && found.hostName == "here" && found.lease.durationSeconds == 3 && found.vipAddress == "shop")
                try await eventually("it knows itself") { process.addresses() == [RegistryClientTests.own] }
                try await eventually("it is renewed") {
                    try #require(try await desk.instance("SHOP", found.id)).lease.lastRenewedAt > found.lease.lastRenewedAt
                }
                #expect(process.client.isConnected && process.client.hasIntroducedItself)

                await desk.register(.example("b", port: 81))
                let begin = ContinuousClock.now
                try await eventually("it hears of the other") { process.addresses().contains("http://10.0.0.7:81") }
                if hasStream { #expect(ContinuousClock.now - begin < .seconds(20)) }
                _ = await desk.call(.put, "/eureka/apps/SHOP/b/status?value=OUT_OF_SERVICE")
                try await eventually("it hears that the other wants nothing") { process.addresses() == [RegistryClientTests.own] }
                _ = await desk.call(.delete, "/eureka/apps/SHOP/b/status?value=UP")
                try await eventually("and again") { process.addresses().count == 2 }
                _ = await desk.call(.delete, "/eureka/apps/SHOP/b")
                try await eventually("it hears that the other is gone") { process.addresses() == [RegistryClientTests.own] }

                await process.client.drain()
                #expect(try await desk.instance("SHOP", found.id)?.status == .outOfService)
            }
            #expect(try await desk.instance("SHOP", "10.0.0.1:shop:8080") == nil)
        }
    }

    @Test func `what an earlier life has left does not keep a process from being up`() async throws {
        try await withRegistry(hasStream: true) { desk, port in
            await desk.register(.example("10.0.0.1:shop:8080"))
            _ = await desk.call(.put, "/eureka/apps/SHOP/10.0.0.1%3Ashop%3A8080/status?value=OUT_OF_SERVICE")
            let process = Process([RegistryClientTests.url(port)])
            try await withRunning([process.client]) {
                try await eventually("it is up") { process.addresses() == [RegistryClientTests.own] }
            }
        }
    }

    @Test func `nothing is registered that is not ready`() async throws {
        try await withRegistry(hasStream: true) { desk, port in
            let process = Process([RegistryClientTests.url(port)])
            process.known.isReady.withLock { $0 = false }
            try await withRunning([process.client]) {
                try await eventually("it hears of others") { process.client.isConnected }
                #expect(try await desk.everything().instances.isEmpty && !process.client.hasIntroducedItself)
                process.known.isReady.withLock { $0 = true }
                try await eventually("it is registered") { try await desk.everything().instances.count == 1 }
            }
        }
    }

    @Test(arguments: [true, false])
    func `a registry that has forgotten everything hears it again, and nobody loses their peers meanwhile`(hasStream: Bool) async throws {
        let port = try Ports.lasting(1)[0]
        let process = Process([RegistryClientTests.url(port)])
        // Of a process that only looks, and so of what a registry forgets.
        let looker = Process([RegistryClientTests.url(port)], port: nil)
        let refuse: @Sendable (IncomingRequest) -> Reply? = {
            !hasStream && $0.target.hasPrefix("/eureka/changes") ? Reply(status: .notFound) : nil
        }
        try await withRunning([looker.client]) {
            try await withRunning([process.client]) {
                for life in 1...2 {
                    try await withListeningRegistry(port: port, answer: refuse) { desk, _ in
                        try await eventually("it is registered in life \(life)") { try await desk.everything().instances.count == 1 }
                        try await eventually("it is known") { looker.client.isConnected && looker.addresses() == [RegistryClientTests.own] }
                    }
                    try await eventually("that no registry answers is seen") { !looker.client.isConnected }
                    #expect(looker.addresses() == [RegistryClientTests.own])
                }
            }
            // A registry that has never heard of it: it may be there all the same, for a while.
            try await withListeningRegistry(port: port, answer: refuse) { _, _ in
                try await eventually("it answers") { looker.client.isConnected }
                #expect(looker.addresses() == [RegistryClientTests.own])
            }
        }
    }

    @Test func `where one registry is gone the next is spoken to`() async throws {
        let ports = try Ports.lasting(2)
        let process = Process(ports.map(RegistryClientTests.url))
        try await withListeningRegistry(port: ports[1]) { second, _ in
            try await withRunning([process.client]) {
                try await withListeningRegistry(port: ports[0]) { first, _ in
                    try await eventually("it is registered somewhere") {
                        let counts = (try await first.everything().instances.count, try await second.everything().instances.count)
                        return counts.0 + counts.1 > 0
                    }
                }
                try await eventually("it is registered at the second") { try await second.everything().instances.count == 1 }
                await second.register(.example("b", port: 81))
                try await eventually("it hears from the second") { process.addresses().contains("http://10.0.0.7:81") }
            }
        }
    }

    @Test func `with no registry a process knows the instances that it knew when it last ran, and is not kept from starting`() async throws
    {
        let folder = NSTemporaryDirectory() + "registry-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = "\(folder)/known/instances.json"
        let port = try Ports.lasting(1)[0]
        let first = Process([RegistryClientTests.url(port)], file: file)
        try await withListeningRegistry(port: port) { _, _ in
            try await withRunning([first.client]) {
                try await eventually("it is written down") { FileManager.default.fileExists(atPath: file) }
            }
        }
        let second = Process([RegistryClientTests.url(port)], file: file)
        #expect(second.addresses() == [RegistryClientTests.own])
        try await withRunning([second.client]) {
            try await eventually("it goes on without") { second.client.hasIntroducedItself }
            #expect(!second.client.isConnected && second.addresses() == [RegistryClientTests.own])
        }
        // A registry that has begun anew need not have heard of everybody; of whom it has heard it is believed.
        let looker = Process([RegistryClientTests.url(port)], port: nil, file: file)
        try await withListeningRegistry(port: port) { desk, _ in
            try await withRunning([looker.client]) {
                await desk.register(.example("a", app: "BAR", port: 82))
                try await eventually("the registry has spoken") { looker.addresses("BAR") == ["http://10.0.0.7:82"] }
                #expect(looker.addresses() == [RegistryClientTests.own])
                await desk.register(.example("b", port: 81))
                try await eventually("the registry is believed") { looker.addresses() == ["http://10.0.0.7:81"] }
            }
        }
        try Data("nonsense".utf8).write(to: URL(filePath: file))
        #expect(Process([RegistryClientTests.url(port)], file: file).addresses().isEmpty)
    }

    @Test func `user and password of the URL are said`() async throws {
        try await withListeningRegistry(["user": "anna", "password": "s/e@c"]) { desk, port in
            let process = Process(["http://anna:s%2Fe%40c@127.0.0.1:\(port)/eureka"])
            try await withRunning([process.client]) {
                try await eventually("it is registered") { process.addresses() == [RegistryClientTests.own] }
            }
        }
    }

    @Test(arguments: ["", "host:1", "ftp://h:1", "http://", "http://:80", "http://a@b:1", "http://h:1/a b", "http://h:1/?a", "http://h/#a"])
    func `what is no URL of a registry is refused`(text: String) {
        #expect(RegistryAddress(text) == nil)
    }

    @Test func `a list of instances that changes keeps what is known of those that stay`() throws {
        let all = (1...3).map { Instance("10.0.0.\($0):80")! }
        let balancer = Balancer(Array(all[..<2]), of: RegistryClientTests.service)
        let now = Instant(seconds: 0)
        balancer.ended(all[0], .unreachable, at: now)
        balancer.replace(with: [all[0], all[2], all[2]])
        #expect(balancer.count == 2)
        #expect((0..<50).allSatisfy { _ in balancer.choose(at: now) == all[2] })
        // One that was taken away while it had a request in hand.
        balancer.replace(with: [])
        balancer.ended(all[2], .answered, at: now)
        #expect(balancer.choose(at: now) == nil)
    }
}
