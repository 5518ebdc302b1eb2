import Foundation
import Logging
import Messaging
import ServiceLifecycle
import Synchronization
import TestServers
import Testing
import Values

/// What only a server on the other side of a network does: it ends, it blocks, it refuses.
@Suite struct RabbitMQTests {
    static let queue = QueueDeclaration(name: "q.test", patterns: ["things.#"])
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func message(_ name: String = SomethingHappened.name, json: String = "{}") -> Message {
        Message(id: MessageID(), name: name, json: json)
    }

    static func broker(
        _ address: RabbitMQAddress, caFile: String = RabbitMQBroker.systemAuthorities, publishLimit: TimeSpan = .seconds(30),
        heartbeat: TimeSpan = .seconds(15)
    ) -> RabbitMQBroker {
        RabbitMQBroker(
            address, caFile: caFile, waits: [.milliseconds(1)], publishLimit: publishLimit, heartbeat: heartbeat, logger: logger)
    }

    /// Handles what is in the queue, and writes it down.
    static func consumer(of broker: RabbitMQBroker, _ journal: Journal) -> Task<Void, any Error> {
        Task {
            try await broker.consume(queue.name, concurrency: 8) { message in
                journal.add(message.id)
                return .handled
            }
        }
    }

    @Test func `nothing confirmed is lost when the server is killed, and consumers come back`() async throws {
        try await RabbitMQServer.with(alone: true) { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let journal = Journal()
            let consumer = RabbitMQTests.consumer(of: broker, journal)
            defer { consumer.cancel() }
            let publishers = Publishers(broker)
            defer { publishers.cancel() }
            for _ in 0..<2 {
                let before = publishers.confirmed.count
                try await eventually("much is confirmed") { publishers.confirmed.count > before + 1_000 }
                try await server.kill(onceOnDisk: [RabbitMQTests.queue.name], of: host)
                let failed = publishers.failures
                try await eventually("publishing fails") { publishers.failures > failed }
                await #expect(throws: RabbitMQError.self) { try await broker.check() }
                try await server.start()
            }
            let before = publishers.confirmed.count
            try await eventually("publishing goes on") { publishers.confirmed.count > before }
            try await broker.check()
            await publishers.stop()
            let all = publishers.confirmed.all
            try await eventually("all that was confirmed is handled") { all.isSubset(of: journal.all) }
            await broker.close()
        }
    }

    @Test func `a server short of memory holds publishers up no longer than their limit, and nothing is lost`() async throws {
        try await RabbitMQServer.with(alone: true) { server, host in
            let limit = TimeSpan.seconds(2)
            let broker = RabbitMQTests.broker(try server.address(host), publishLimit: limit)
            try await broker.declare([RabbitMQTests.queue])
            let first = RabbitMQTests.message()
            try await broker.publish([first])
            try await broker.check()
            try await server.control("set_vm_memory_high_watermark", "0.000001")
            // More than all buffers between here and there take.
            let big = (0..<500).map { _ in RabbitMQTests.message(json: "{\"text\":\"" + String(repeating: "x", count: 20_000) + "\"}") }
            let started = ContinuousClock.now
            let error = await #expect(throws: RabbitMQError.self) { try await broker.publish(big) }
            #expect(error?.description.contains("memory") == true)
            #expect(ContinuousClock.now - started < limit.duration + .seconds(3))
            let state = await #expect(throws: RabbitMQError.self) { try await broker.check() }
            #expect(state == error)
            // Who has more time waits.
            let patient = RabbitMQTests.broker(try server.address(host))
            let late = RabbitMQTests.message()
            let waiting = Task { try await patient.publish([late]) }
            defer { waiting.cancel() }
            // Consumers go on meanwhile.
            let journal = Journal()
            let consumer = RabbitMQTests.consumer(of: broker, journal)
            defer { consumer.cancel() }
            try await eventually("the first is handled") { journal.times(first.id) == 1 }
            try await server.control("set_vm_memory_high_watermark", "0.4")
            try await eventually("it takes messages") { (try? await broker.check()) != nil }
            try await waiting.value
            try await broker.publish(big)
            try await eventually("all are handled") { journal.all.isSuperset(of: big.map(\.id) + [late.id]) }
            await patient.close()
            await broker.close()
        }
    }

    @Test func `an event whose queue is gone is reported, and its queue is made again`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            try await broker.publish([RabbitMQTests.message()])
            try await server.control("delete_queue", "--vhost", host, "q.test")
            await #expect(throws: RabbitMQError.unroutable(event: SomethingHappened.name)) {
                try await broker.publish([RabbitMQTests.message("others.came.v1"), RabbitMQTests.message()])
            }
            try await broker.publish([RabbitMQTests.message()])
            #expect(try await broker.queues().map(\.ready) == [1])
            await broker.close()
        }
    }

    @Test func `an event that nobody wants is no error`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            try await broker.publish([RabbitMQTests.message("others.came.v1")])
            #expect(try await broker.queues().map(\.ready) == [0])
            await broker.close()
        }
    }

    @Test func `a wrong password, an unknown virtual host and no server are told apart, without the password`() async throws {
        try await RabbitMQServer.with { server, host in
            let wrong = RabbitMQTests.broker(try server.address(host, password: "not-it"))
            let error = await #expect(throws: RabbitMQError.self) { try await wrong.publish([RabbitMQTests.message()]) }
            guard case .denied(_, let reason)? = error else { throw ServerFailure("not denied: \(error as Any)") }
            #expect(reason.contains("ACCESS_REFUSED"))
            #expect(!"\(error as Any)".contains("not-it"))
            let nowhere = RabbitMQTests.broker(try server.address("nowhere"))
            let other = await #expect(throws: RabbitMQError.self) { try await nowhere.declare([]) }
            guard case .denied(_, let reason)? = other else { throw ServerFailure("not denied: \(other as Any)") }
            #expect(reason.contains("nowhere"))
        }
        let port = try Ports.free()
        let absent = RabbitMQTests.broker(try #require(RabbitMQAddress("amqp://someone:secret@127.0.0.1:\(port)/")))
        let error = await #expect(throws: RabbitMQError.self) { try await absent.publish([RabbitMQTests.message()]) }
        guard case .unreachable(let address, _)? = error else { throw ServerFailure("reached: \(error as Any)") }
        #expect(address == "amqp://someone@127.0.0.1:\(port)")
    }

    @Test func `a message in the hand of a consumer that loses its connection goes to another`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let message = RabbitMQTests.message()
            let tries = Journal()
            let (release, releaseNow) = AsyncStream.makeStream(of: Never.self)
            let consumers = (0..<2).map { _ in
                Task {
                    try await broker.consume("q.test", concurrency: 1) { message in
                        if tries.add(message.id) == 1 { for await _ in release {} }
                        return .handled
                    }
                }
            }
            defer { consumers.forEach { $0.cancel() } }
            try await broker.publish([message])
            try await eventually("one has it in hand") { tries.count == 1 }
            try await server.control("close_all_connections", "--vhost", host, "a test")
            try await eventually("the other gets it") { tries.count == 2 }
            releaseNow.finish()
            // Whoever was late acknowledges nothing that is not its own, and goes on.
            let next = RabbitMQTests.message()
            try await eventually("publishing goes on") { (try? await broker.publish([next])) != nil }
            try await eventually("the next is handled") { tries.times(next.id) > 0 }
            try await eventually("nothing is left") {
                try await broker.queues().map { $0.ready + $0.waiting + $0.dead } == [0]
            }
            await broker.close()
        }
    }

    @Test func `consumers of one queue share its messages`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let messages = (0..<400).map { _ in RabbitMQTests.message() }
            let journals = [Journal(), Journal()]
            let consumers = journals.map { journal in
                Task {
                    try await broker.consume("q.test", concurrency: 4) { message in
                        journal.add(message.id)
                        // Until the other has begun, one of both keeps what it has in hand.
                        while journals.contains(where: { $0.all.isEmpty }) { await Task.yield() }
                        return .handled
                    }
                }
            }
            defer { consumers.forEach { $0.cancel() } }
            for message in messages { try await broker.publish([message]) }
            try await eventually("all are handled") {
                journals[0].all.union(journals[1].all) == Set(messages.map(\.id))
            }
            #expect(messages.allSatisfy { journals[0].times($0.id) + journals[1].times($0.id) == 1 })
            await broker.close()
        }
    }

    @Test func `messages that are sent at once share letters, and one that fails is tried again alone`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let messages = (0..<120).map { RabbitMQTests.message(json: "{\"number\":\($0),\"text\":\"two\\nlines\"}") }
            let other = RabbitMQTests.message("things.ended.v1")
            let large = RabbitMQTests.message(json: "{\"text\":\"" + String(repeating: "x", count: 64 * 1_024) + "\"}")
            try await broker.publish(messages + [other, large])
            #expect(try await broker.queues().map(\.ready) == [5])
            let journal = Journal()
            let received = Mutex<[MessageID: Message]>([:])
            let consumer = Task {
                try await broker.consume("q.test", concurrency: 8) { message in
                    received.withLock { $0[message.id] = message }
                    journal.add(message.id)
                    return message.id == messages[70].id && journal.times(message.id) == 1 ? .failed(reason: "not yet") : .handled
                }
            }
            defer { consumer.cancel() }
            try await eventually("the one is tried again") { journal.times(messages[70].id) == 2 }
            try await eventually("nothing is left") { try await broker.queues().map { $0.ready + $0.waiting + $0.dead } == [0] }
            #expect((messages + [other, large]).allSatisfy { journal.times($0.id) == ($0.id == messages[70].id ? 2 : 1) })
            #expect((messages + [other, large]).allSatisfy { received.withLock { $0 }[$0.id]?.json == $0.json })
            #expect(received.withLock { $0[other.id]?.name } == other.name)
            await broker.close()
        }
    }

    @Test func `a message that ends its consumers takes no other with it for good`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let messages = (0..<3).map { _ in RabbitMQTests.message() }
            let fatal = messages[1].id
            let journal = Journal()
            let (release, releaseNow) = AsyncStream.makeStream(of: Never.self)
            let rounds = 6
            // One that is lost with it in hand does not come back.
            let consumers = (0..<2 * rounds).map { _ in
                Task {
                    try await broker.consume("q.test", concurrency: 8) { message in
                        journal.add(message.id)
                        if message.id == fatal { for await _ in release {} }
                        return .handled
                    }
                }
            }
            defer { consumers.forEach { $0.cancel() } }
            try await eventually("it is published") { (try? await broker.publish(messages)) != nil }
            for round in 1...rounds {
                try await eventually("it is in hand for the \(round)th time") { journal.times(fatal) >= round }
                if round < rounds { try await server.control("close_all_connections", "--vhost", host, "a test") }
            }
            // The others came with it in one letter at first, then in letters of their own, which were acknowledged.
            #expect(journal.times(messages[0].id) < journal.times(fatal))
            #expect(journal.times(messages[2].id) < journal.times(fatal))
            releaseNow.finish()
            try await eventually("nothing is left") { try await broker.queues().map { $0.ready + $0.waiting + $0.dead } == [0] }
            await broker.close()
        }
    }

    @Test func `at a stop what is in hand is finished and acknowledged, the rest stays in the queue`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            // Fewer than a consumer takes in hand: what is published later stays there only once it takes no more.
            for _ in 0..<20 { try await broker.publish([RabbitMQTests.message()]) }
            let begun = Mutex(0)
            let ended = Mutex(0)
            let (release, releaseNow) = AsyncStream.makeStream(of: Never.self)
            let consumer = Consuming(broker: broker) { _ in
                begun.withLock { $0 += 1 }
                for await _ in release {}
                ended.withLock { $0 += 1 }
                return .handled
            }
            let group = ServiceGroup(services: [consumer], logger: RabbitMQTests.logger)
            let running = Task { try await group.run() }
            try await eventually("three are in hand") { begun.withLock { $0 } == 3 }
            await group.triggerGracefulShutdown()
            var published = 20
            try await eventually("nothing more is handed out") {
                try await broker.publish([RabbitMQTests.message()])
                published += 1
                return try await broker.queues().map(\.ready) != [0]
            }
            #expect(ended.withLock { $0 } == 0)
            releaseNow.finish()
            try await running.value
            #expect(begun.withLock { $0 } == 3)
            #expect(ended.withLock { $0 } == 3)
            let left = published - 3
            try await eventually("the rest is in the queue") { try await broker.queues().map(\.ready) == [left] }
            await broker.close()
        }
    }

    @Test func `at a stop a letter that was begun is finished`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.declare([RabbitMQTests.queue])
            let messages = (0..<10).map { _ in RabbitMQTests.message() }
            try await broker.publish(messages)
            let journal = Journal()
            let (release, releaseNow) = AsyncStream.makeStream(of: Never.self)
            let consumer = Consuming(broker: broker) { message in
                journal.add(message.id)
                for await _ in release {}
                return .handled
            }
            let group = ServiceGroup(services: [consumer], logger: RabbitMQTests.logger)
            let running = Task { try await group.run() }
            try await eventually("three are in hand") { journal.count == 3 }
            await group.triggerGracefulShutdown()
            try await eventually("nothing more is handed out") {
                try await broker.publish([RabbitMQTests.message()])
                return try await broker.queues().map(\.ready) != [0]
            }
            let left = try await broker.queues()[0].ready
            releaseNow.finish()
            try await running.value
            #expect(messages.allSatisfy { journal.times($0.id) == 1 })
            #expect(try await broker.queues()[0].ready >= left)
            await broker.close()
        }
    }

    private struct Consuming: Service {
        let broker: RabbitMQBroker
        let handle: @Sendable (Message) async -> Messaging::Outcome

        func run() async throws {
            try await broker.consume("q.test", concurrency: 3, handle: handle)
        }
    }

    @Test func `TLS wants a certificate that a trusted authority has given to this host`() async throws {
        try await RabbitMQServer.with { server, host in
            let address = try server.address(host, isEncrypted: true)
            let trusting = RabbitMQTests.broker(address, caFile: server.caFile)
            try await trusting.declare([RabbitMQTests.queue])
            try await trusting.publish((0..<100).map { _ in RabbitMQTests.message() })
            // In two letters.
            #expect(try await trusting.queues().map(\.ready) == [2])
            await trusting.close()
            let distrusting = RabbitMQTests.broker(address)
            let error = await #expect(throws: RabbitMQError.self) { try await distrusting.declare([]) }
            guard case .unreachable? = error else { throw ServerFailure("trusted: \(error as Any)") }
            let other = try #require(
                RabbitMQAddress("\(address)".replacing("tester@localhost", with: "tester:any@127.0.0.1")))
            let mistaken = await #expect(throws: RabbitMQError.self) {
                try await RabbitMQTests.broker(other, caFile: server.caFile).declare([])
            }
            guard case .unreachable? = mistaken else { throw ServerFailure("trusted: \(mistaken as Any)") }
        }
    }

    @Test func `a broker that was closed publishes nothing more`() async throws {
        try await RabbitMQServer.with { server, host in
            let broker = RabbitMQTests.broker(try server.address(host))
            try await broker.publish([RabbitMQTests.message()])
            await broker.close()
            await #expect(throws: RabbitMQError.stopped) { try await broker.publish([RabbitMQTests.message()]) }
        }
    }

    @Test(arguments: [
        ("amqp://me:pass@queue.example:5673/shop", "amqp://me@queue.example:5673/shop"),
        ("amqps://me:p%40ss@queue.example", "amqps://me@queue.example:5671"),
        ("amqp://me:pass@[::1]/%2F", "amqp://me@[::1]:5672"), ("amqp://queue", "amqp://guest@queue:5672"),
    ])
    func `an address shows all but its password`(text: String, shown: String) throws {
        let address = try #require(RabbitMQAddress(text))
        #expect("\(address)" == shown)
        #expect(String(reflecting: address) == shown)
        var dumped = ""
        dump(address, to: &dumped)
        #expect(!dumped.contains("pass") && !dumped.contains("p@ss"))
    }

    @Test(arguments: [
        "", "queue.example", "http://queue", "amqp://", "amqp://queue:70000", "amqp://queue/a/b", "amqp://queue/?heartbeat=1",
    ])
    func `what is no address is refused`(text: String) {
        #expect(RabbitMQAddress(text) == nil)
    }
}
