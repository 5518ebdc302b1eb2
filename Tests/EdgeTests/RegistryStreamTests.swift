import Discovery
import HTTPTypes
import ServiceKit
import Testing
import Values

@Suite struct RegistryStreamTests {
    /// Reads a stream of changes event by event.
    private struct Reader {
        private var parser = ServerSentEventParser()
        private var iterator: AsyncStream<[UInt8]>.Iterator
        private var events: [ServerSentEvent]

        init(_ desk: RegistryDesk, after id: String? = nil) async throws {
            let reply = await desk.call(.get, "/eureka/changes", id.map { [HTTPField.Name("Last-Event-ID")!: $0] } ?? [:])
            #expect(reply.status == .ok && reply.headers[.contentType] == "text/event-stream")
            iterator = try #require(reply.rest).makeAsyncIterator()
            events = try parser.take(reply.body)
        }

        mutating func next() async throws -> ServerSentEvent {
            while events.isEmpty { events = try parser.take(try await piece()) }
            return events.removeFirst()
        }

        /// The next piece as it is sent.
        mutating func piece() async throws -> [UInt8] {
            guard let piece = await iterator.next(isolation: #isolation) else { throw NeverCame(description: "the stream has ended") }
            return piece
        }
    }

    private func change(_ event: ServerSentEvent) throws -> RegisteredInstance {
        #expect(event.name == "change")
        return try JSON.value(EnclosedInstance.self, from: event.data).instance
    }

    @Test func `a stream begins with everything, and goes on with each change`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example("a"))
        var reader = try await Reader(desk)
        let all = try await reader.next()
        #expect(all.name == "all")
        #expect(try JSON.value(RegistryListing.self, from: all.data).instances.map(\.id) == ["a"])
        await desk.register(.example("b"))
        #expect(try change(try await reader.next()).id == "b")
        _ = await desk.call(.put, "/eureka/apps/SHOP/b/status?value=OUT_OF_SERVICE")
        _ = await desk.call(.delete, "/eureka/apps/SHOP/a")
        #expect(try change(try await reader.next()).status == .outOfService)
        #expect(try change(try await reader.next()).action == .deleted)
    }

    @Test func `who comes back gets what was missed, and everything where that is not known`() async throws {
        let desk = try RegistryDesk()
        var reader = try await Reader(desk)
        let id = try #require(try await reader.next().id)
        await desk.register(.example("a"))
        await desk.register(.example("b"))
        var again = try await Reader(desk, after: id)
        #expect(try change(try await again.next()).id == "a")
        #expect(try change(try await again.next()).id == "b")
        for unknown in ["nonsense", "other:1", "\(id)9", id.split(separator: ":")[0] + ":-1"] {
            var fresh = try await Reader(desk, after: unknown)
            #expect(try await fresh.next().name == "all", "after \(unknown)")
        }
    }

    @Test func `where nothing happens something is said all the same`() async throws {
        let desk = try RegistryDesk()
        var reader = try await Reader(desk)
        _ = try await reader.next()
        let begin = ContinuousClock.now
        #expect(try await reader.piece() == ServerSentEvent.heartbeat)
        #expect(ContinuousClock.now - begin < .seconds(60))
        // A renewal is no change.
        await desk.register(.example("a"))
        #expect(try change(try await reader.next()).id == "a")
    }

    @Test func `events are taken from whatever pieces they arrive in`() throws {
        let event = ServerSentEvent(id: "x:1", name: "change", data: Array("{}".utf8))
        let bytes = Array(":\n\n".utf8) + event.bytes + Array("data:a\r\ndata: b\r\nretry: 7\r\n\r\n".utf8)
        for size in 1...bytes.count {
            var parser = ServerSentEventParser()
            var events: [ServerSentEvent] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += try parser.take(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(events == [event, ServerSentEvent(data: Array("a\nb".utf8))])
        }
    }

    @Test func `what has no end is no event`() throws {
        var parser = ServerSentEventParser()
        let piece = Array(repeating: UInt8(ascii: "x"), count: 1 << 20)
        for _ in 0..<4 { #expect(try parser.take(piece).isEmpty) }
        #expect(throws: ServerSentEventParser.TooLong.self) { try parser.take(piece) }
    }
}
