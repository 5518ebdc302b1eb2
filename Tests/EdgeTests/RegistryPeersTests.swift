import Configuration
import Discovery
import HTTPTypes
import ServiceKit
import TestServers
import Testing
import Values

@Suite(.serialized) struct RegistryPeersTests {
    private func peers(_ ports: Int...) -> [AbsoluteConfigKey: ConfigValue] {
        ["peers": ConfigValue(.stringArray(ports.map { "http://127.0.0.1:\($0)/eureka" }), isSecret: false)]
    }

    @Test func `what one registry hears the other knows: registration, renewal, status, metadata, end`() async throws {
        let ports = try Ports.lasting(2)
        // Both lists are the same: each finds out which one it is.
        let settings = peers(ports[0], ports[1])
        try await withListeningRegistry(port: ports[0], settings) { a, _ in
            try await withListeningRegistry(port: ports[1], settings) { b, _ in
                await a.register(.example())
                try await eventually("it is known", within: .seconds(5)) { try await b.instance() != nil }
                let first = try #require(try await b.instance()).lease.lastRenewedAt
                _ = await a.call(.put, "/eureka/apps/SHOP/a/status?value=OUT_OF_SERVICE")
                try await eventually("the status is known") { try await b.instance()?.status == .outOfService }
                _ = await b.call(.delete, "/eureka/apps/SHOP/a/status?value=UP")
                try await eventually("that it is taken back is known") { try await a.instance()?.status == .up }
                _ = await b.call(.put, "/eureka/apps/SHOP/a/metadata?k=v")
                try await eventually("metadata is known") { try await a.instance()?.metadata == ["k": "v"] }
                try await eventually("renewals are known") {
                    _ = await a.call(.put, "/eureka/apps/SHOP/a")
                    return try #require(try await b.instance()).lease.lastRenewedAt > first + 100
                }
                try await eventually("that it is gone is known") {
                    // Once more where a renewal that was still on its way has brought it back.
                    _ = await b.call(.delete, "/eureka/apps/SHOP/a")
                    return try await a.instance() == nil
                }
                #expect(await a.call(.get, "/").text.contains("this registry itself"))
            }
        }
    }

    @Test func `a registry that starts takes over what its peers have before it tells anybody, and missed ones are told again`()
        async throws
    {
        let ports = try Ports.lasting(2)
        try await withListeningRegistry(port: ports[0], peers(ports[1])) { a, _ in
            await a.register(.example("early"))
            try await withListeningRegistry(port: ports[1], peers(ports[0])) { b, _ in
                #expect(try await b.everything().instances.map(\.id) == ["early"])
                // What was told while the other was away crosses with an end no more once something later has come.
                await a.register(.example("marker"))
                try await eventually("all was told") { try await b.instance("SHOP", "marker") != nil }
                _ = await a.call(.delete, "/eureka/apps/SHOP/marker")
                try await eventually("the end is told") { try await b.instance("SHOP", "marker") == nil }
                _ = await b.call(.delete, "/eureka/apps/SHOP/early")
                try await eventually("it is gone") { try await a.instance("SHOP", "early") == nil }
            }
            // While the other is away.
            await a.register(.example("late"))
            try await withListeningRegistry(port: ports[1], peers(ports[0])) { b, _ in
                #expect(try await b.everything().instances.map(\.id) == ["late"])
                // One that the other has lost comes back with its next renewal.
                _ = await b.call(.delete, "/eureka/apps/SHOP/late", .fromPeer)
                #expect(try await b.instance("SHOP", "late") == nil)
                _ = await a.call(.put, "/eureka/apps/SHOP/late")
                try await eventually("it is registered again") { try await b.instance("SHOP", "late") != nil }
            }
        }
    }

    @Test func `what was replicated is not replicated again`() async throws {
        let ports = try Ports.lasting(3)
        try await withListeningRegistry(port: ports[2]) { c, _ in
            try await withListeningRegistry(port: ports[1], peers(ports[2])) { b, _ in
                try await withListeningRegistry(port: ports[0], peers(ports[1])) { a, _ in
                    await a.register(.example("a"))
                    await b.register(.example("b"))
                    try await eventually("both have come") {
                        let (atB, atC) = (try await b.instance("SHOP", "a"), try await c.instance("SHOP", "b"))
                        return atB != nil && atC != nil
                    }
                    // What is sent later comes later: had the first been sent on, it would be there.
                    _ = await a.call(.put, "/eureka/apps/SHOP/a")
                    await b.register(.example("last"))
                    try await eventually("the last has come") { try await c.instance("SHOP", "last") != nil }
                    #expect(try await c.instance("SHOP", "a") == nil)
                }
            }
        }
    }

    @Test func `of two words about an instance the later is adopted`() async throws {
        let ports = try Ports.lasting(2)
        try await withListeningRegistry(port: ports[0], peers(ports[1])) { a, _ in
            try await withListeningRegistry(port: ports[1]) { b, _ in
                await a.register(.example())
                try await eventually("it is known") { try await b.instance() != nil }
                var later = RegisteredInstance.example()
                later.hostName = "moved"
                later.lastDirtyAt = 5_000
                await b.register(later)
                // The renewal meets what is later, and brings it home.
                _ = await a.call(.put, "/eureka/apps/SHOP/a?lastDirtyTimestamp=1000")
                try await eventually("it is adopted") { try await a.instance()?.hostName == "moved" }
            }
        }
    }

    @Test func `a registry whose peer is not there begins without it`() async throws {
        try await withListeningRegistry(peers(try Ports.lasting(1)[0])) { desk, _ in
            await desk.register(.example())
            #expect(try await desk.instance() != nil)
            try await eventually("it is shown") { await desk.call(.get, "/").text.contains("not reached") }
        }
    }
}
