import Storage
import Synchronization
import Testing
import Values

@testable import Messaging

/// How the embedded broker hands messages to consumers in the same process.
@Suite struct HandOverTests {
    /// A consumer that does what a test says, and what it was handed.
    private final class Worker: Sendable {
        let journal = Journal()
        private let heldUp = Mutex<Set<MessageID>>([])
        private let failing = Mutex(false)

        func holdUp(_ ids: [MessageID]) { heldUp.withLock { $0.formUnion(ids) } }
        func letGo() { heldUp.withLock { $0 = [] } }
        func fail() { failing.withLock { $0 = true } }

        /// Counts a message when it comes.
        @Sendable func handle(_ message: Message) async -> Outcome {
            journal.add(message.id)
            while heldUp.withLock({ $0.contains(message.id) }) { try? await Task.sleep(for: .milliseconds(5)) }
            return failing.withLock { $0 } ? .failed(reason: "as asked") : .handled
        }
    }

    private static func message(_ id: MessageID = MessageID()) -> Message {
        Message(id: id, name: SomethingHappened.name, json: "{}")
    }

    /// Runs a test beside a consumer of each queue that has begun.
    private func withWorkers(
        _ queues: [String] = ["q.test"], waits: [TimeSpan] = [], patience: Duration = .seconds(60),
        _ body: (_ broker: any Broker, _ workers: [Worker]) async throws -> Void
    ) async throws {
        try await BrokerKind.embedded.withBroker(waits: waits, patience: patience) { broker in
            try await broker.declare(queues.map { QueueDeclaration(name: $0, patterns: ["#"]) })
            let workers = queues.map { _ in Worker() }
            let consumers = zip(queues, workers).map { queue, worker in
                Task { try await broker.consume(queue, concurrency: 4, handle: worker.handle) }
            }
            defer { consumers.forEach { $0.cancel() } }
            try await broker.publish([HandOverTests.message()])
            try await eventually("all have begun") { workers.allSatisfy { $0.journal.count == 1 } }
            try await eventually("nothing is left of it") { try await broker.queues().allSatisfy { $0.ready == 0 } }
            try await body(broker, workers)
        }
    }

    @Test func `whoever publishes waits for the consumer, and nothing is kept`() async throws {
        try await withWorkers { broker, workers in
            let ids = (0..<600).map { _ in MessageID() }
            try await broker.publish(ids.map(HandOverTests.message))
            #expect(ids.allSatisfy { workers[0].journal.times($0) == 1 })
            #expect(try await broker.queues().allSatisfy { $0.ready == 0 && $0.waiting == 0 })
        }
    }

    @Test func `a failure counts as the first try`() async throws {
        try await withWorkers { broker, workers in
            workers[0].fail()
            let id = MessageID()
            try await broker.publish([HandOverTests.message(id)])
            let letters = try await broker.deadLetters(in: "q.test", limit: 10)
            #expect(letters.map(\.message.id) == [id] && letters.map(\.attempts) == [1] && letters.map(\.reason) == ["as asked"])
            #expect(workers[0].journal.times(id) == 1)
        }
    }

    @Test func `a consumer that is held up keeps one publisher waiting once, and no other consumer`() async throws {
        try await withWorkers(["a.test", "b.test"], patience: .milliseconds(500)) { broker, workers in
            let ids = (0..<10).map { _ in MessageID() }
            workers[0].holdUp([ids[0]])
            let begin = ContinuousClock.now
            for id in ids { try await broker.publish([HandOverTests.message(id)]) }
            #expect(ContinuousClock.now - begin < .seconds(3))
            try await eventually("the other has all") { workers[1].journal.all.isSuperset(of: ids) }
            #expect(try await broker.queues().first { $0.name == "a.test" }?.ready == 10, "what is in hand is kept as well")
            workers[0].letGo()
            try await eventually("all are handled") { workers[0].journal.all.isSuperset(of: ids) }
            try await eventually("nothing is left") { try await broker.queues().allSatisfy { $0.ready == 0 } }
            #expect(workers[0].journal.times(ids[0]) == 1, "it was handled, if late")
        }
    }

    @Test func `a consumer that is held up by what was kept keeps one publisher waiting once`() async throws {
        try await BrokerKind.embedded.withBroker(patience: .milliseconds(500)) { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            let (worker, old) = (Worker(), MessageID())
            worker.holdUp([old])
            try await broker.publish([HandOverTests.message(old)])
            let consumer = Task { try await broker.consume("q.test", concurrency: 4, handle: worker.handle) }
            defer { consumer.cancel() }
            try await eventually("it is in hand") { worker.journal.count == 1 }
            let begin = ContinuousClock.now
            for _ in 0..<10 { try await broker.publish([HandOverTests.message()]) }
            #expect(ContinuousClock.now - begin < .seconds(3))
            worker.letGo()
            try await eventually("all are handled") { worker.journal.all.count == 11 }
        }
    }

    @Test func `a failure that comes late is written down`() async throws {
        try await withWorkers(patience: .milliseconds(1)) { broker, workers in
            let id = MessageID()
            workers[0].fail()
            workers[0].holdUp([id])
            try await broker.publish([HandOverTests.message(id)])
            #expect(try await broker.queues().first?.ready == 1)
            workers[0].letGo()
            try await eventually("it is a dead letter") { try await broker.queues().first?.dead == 1 }
            #expect(try await broker.deadLetters(in: nil, limit: 1).first?.attempts == 1)
            #expect(workers[0].journal.times(id) == 1)
        }
    }

    @Test func `what a consumer has not taken when it stops is kept at once`() async throws {
        let desk = Desk(patience: .seconds(600))
        let isReturned = Mutex(false)
        desk.open()
        let publisher = Task {
            let parcel = await desk.handOver([HandOverTests.message()])
            isReturned.withLock { $0 = true }
            return parcel.outcomes
        }
        try await eventually("it is given back") {
            desk.close()
            desk.open()
            return isReturned.withLock { $0 }
        }
        #expect(await publisher.value == nil)
    }

    @Test func `what is handled after its publisher gave up is known to both`() async throws {
        let desk = Desk(patience: .seconds(600))
        desk.open()
        let publisher = Task { await desk.handOver([HandOverTests.message()]) }
        var taken: Parcel?
        try await eventually("it is there") {
            taken = desk.next()
            return taken != nil
        }
        // Who is cancelled waits no longer.
        publisher.cancel()
        let parcel = await publisher.value
        #expect(parcel === taken && parcel.outcomes == nil)
        #expect(!desk.finish(parcel, [.handled]), "the consumer has to record it")
        #expect(parcel.outcomes?.count == 1, "the publisher leaves it out of what it keeps")
    }

    @Test func `dead letters are forgotten when they are old`() async throws {
        try await Engine.sqlite.withDatabase { database, _ in
            try await database.migrate(EmbeddedBroker.migrations)
            let broker = EmbeddedBroker(database: database, waits: [])
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            let (old, young) = (HandOverTests.message(), HandOverTests.message())
            try await broker.publish([old, young])
            let longAgo = Instant.now - EmbeddedBroker.deadLetterRetention - .hours(1)
            try await database.write { tx in
                try tx.execute("UPDATE delivery SET is_dead = TRUE")
                try tx.execute("UPDATE delivery SET available_at = \(longAgo) WHERE event_id = \(old.id)")
            }
            let consumer = Task { try await broker.consume("q.test", concurrency: 1) { _ in .handled } }
            defer { consumer.cancel() }
            try await eventually("the old one is gone") {
                try await broker.deadLetters(in: nil, limit: 10).map(\.message.id) == [young.id]
            }
        }
    }
}
