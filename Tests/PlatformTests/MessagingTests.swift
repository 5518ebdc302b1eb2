import Foundation
import Logging
import Messaging
import ServiceLifecycle
import Storage
import Synchronization
import TestServers
import Testing
import Values

struct SomethingHappened: DomainEvent, Equatable {
    static let name = "things.happened.v1"
    var text: String
}

/// Each broker, fresh.
enum BrokerKind: String, CaseIterable, Sendable {
    case embedded, rabbitMQ

    /// - Parameters:
    ///   - waits: between the tries of a message that fails.
    ///   - patience: of publishers with a consumer in the same process.
    func withBroker<Result>(
        waits: [TimeSpan] = [.milliseconds(1), .milliseconds(1)], patience: Duration = .seconds(1),
        _ body: (any Broker) async throws -> Result
    ) async throws -> Result {
        switch self {
        case .embedded:
            try await Engine.sqlite.withDatabase { database, _ in
                try await database.migrate(EmbeddedBroker.migrations)
                return try await body(EmbeddedBroker(database: database, waits: waits, patience: patience))
            }
        case .rabbitMQ:
            try await RabbitMQServer.with { server, host in
                let broker = RabbitMQBroker(try server.address(host), waits: waits, logger: Logger(label: "test"))
                let result = try await body(broker)
                await broker.close()
                return result
            }
        }
    }
}

/// Polls until the condition holds; fails the test after a minute.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try await !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("never: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Which messages were seen, and how often.
final class Journal: Sendable {
    private let seen = Mutex<(times: [MessageID: Int], count: Int)>(([:], 0))

    /// Returns how many were seen by now.
    @discardableResult
    func add(_ id: MessageID) -> Int {
        seen.withLock { seen in
            seen.times[id, default: 0] += 1
            seen.count += 1
            return seen.count
        }
    }

    func times(_ id: MessageID) -> Int { seen.withLock { $0.times[id] ?? 0 } }
    var all: Set<MessageID> { seen.withLock { Set($0.times.keys) } }
    var count: Int { seen.withLock { $0.count } }
}

@Suite struct MessagingTests {
    private static func message(_ name: String = SomethingHappened.name, id: MessageID = MessageID()) -> Message {
        Message(id: id, name: name, json: "{}")
    }

    @Test func `what a message causes belongs to its trace`() async throws {
        let seen = Mutex<[String?]>([])
        let consumer = Consumer(
            "q.test", [.on(SomethingHappened.self) { _ in seen.withLock { $0 = [Correlation.id, Correlation.traceparent] } }])
        let envelope = Envelope(
            id: MessageID(), time: .now, aggregateID: "a", aggregateVersion: 1, correlationID: "request-1", traceparent: "00-ab-cd-01",
            body: SomethingHappened(text: "a"))
        try await consumer.handle(Message(id: envelope.id, name: SomethingHappened.name, json: try JSON.text(of: envelope)))
        #expect(seen.withLock { $0 } == ["\(envelope.id)", "00-ab-cd-01"])
    }

    @Test(arguments: BrokerKind.allCases)
    func `every queue that wants a message gets it, others do not`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await broker.declare([
                QueueDeclaration(name: "a.all", patterns: ["#"]), QueueDeclaration(name: "b.things", patterns: ["things.*.v1"]),
                QueueDeclaration(name: "c.others", patterns: ["others.#"]),
            ])
            try await broker.publish([MessagingTests.message(), MessagingTests.message("others.came.and.went.v1")])
            let ready = Dictionary(uniqueKeysWithValues: try await broker.queues().map { ($0.name, $0.ready) })
            #expect(ready == ["a.all": 2, "b.things": 1, "c.others": 1])
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `a message that fails for ever becomes a dead letter, the others go on, and it can be replayed`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            let bad = MessageID()
            let good = (0..<20).map { _ in MessageID() }
            try await broker.publish([MessagingTests.message(id: bad)] + good.map { MessagingTests.message(id: $0) })
            let handled = Mutex<[MessageID]>([])
            let isMended = Mutex(false)
            let consumer = Task {
                try await broker.consume("q.test", concurrency: 4) { message in
                    if message.id == bad, !isMended.withLock({ $0 }) { return .failed(reason: "for ever") }
                    handled.withLock { $0.append(message.id) }
                    return .handled
                }
            }
            defer { consumer.cancel() }
            try await eventually("the others are handled") { handled.withLock { Set($0) } == Set(good) }
            try await eventually("it is a dead letter") { try await broker.deadLetters(in: "q.test", limit: 10).map(\.message.id) == [bad] }
            let dead = try #require(try await broker.deadLetters(in: nil, limit: 10).first)
            #expect(dead.reason == "for ever")
            #expect(dead.attempts == 3)
            isMended.withLock { $0 = true }
            #expect(try await broker.replay([bad], in: "q.test") == 1)
            try await eventually("it is handled") { handled.withLock { $0.contains(bad) } }
            #expect(try await broker.deadLetters(in: nil, limit: 10).isEmpty)
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `the waits between the tries of a message grow`(kind: BrokerKind) async throws {
        let waits: [TimeSpan] = [.milliseconds(500), .seconds(3)]
        try await kind.withBroker(waits: waits) { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            try await broker.publish([MessagingTests.message()])
            let tries = Mutex<[Instant]>([])
            let consumer = Task {
                try await broker.consume("q.test", concurrency: 1) { _ in
                    tries.withLock { $0.append(.now) }
                    return .failed(reason: "always")
                }
            }
            defer { consumer.cancel() }
            try await eventually("it waits") { try await broker.queues().first?.waiting == 1 }
            try await eventually("it is a dead letter") { try await broker.queues().first?.dead == 1 }
            let times = tries.withLock { $0 }
            try #require(times.count == 3)
            #expect(times[1] - times[0] >= waits[0])
            #expect(times[2] - times[1] >= waits[1])
            #expect(try await broker.queues().first?.waiting == 0)
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `dead letters are listed by queue, oldest first, and go when they are discarded`(kind: BrokerKind) async throws {
        try await kind.withBroker(waits: []) { broker in
            try await broker.declare([
                QueueDeclaration(name: "a.test", patterns: ["things.#"]), QueueDeclaration(name: "b.test", patterns: ["#"]),
            ])
            let ids = (0..<3).map { _ in MessageID() }
            for id in ids { try await broker.publish([MessagingTests.message(id: id)]) }
            let consumers = ["a.test", "b.test"].map { queue in
                Task { try await broker.consume(queue, concurrency: 2) { _ in .failed(reason: "not for \(queue)") } }
            }
            defer { consumers.forEach { $0.cancel() } }
            try await eventually("all are dead") { try await broker.queues().map(\.dead) == [3, 3] }
            #expect(try await broker.deadLetters(in: "a.test", limit: 10).map(\.message.id) == ids)
            #expect(try await broker.deadLetters(in: "a.test", limit: 2).map(\.message.id) == Array(ids.prefix(2)))
            let all = try await broker.deadLetters(in: nil, limit: 10)
            #expect(all.count == 6 && all.allSatisfy { $0.reason == "not for \($0.queue)" && $0.attempts == 1 })
            #expect(try await broker.discard([ids[1]], in: "a.test") == 1)
            #expect(try await broker.deadLetters(in: "a.test", limit: 10).map(\.message.id) == [ids[0], ids[2]])
            #expect(try await broker.discard(nil, in: "a.test") == 2)
            #expect(try await broker.discard(nil, in: "a.test") == 0)
            #expect(try await broker.queues().map(\.dead) == [0, 3])
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `a message that is published twice has its effect once`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await Engine.sqlite.withDatabase { database, _ in
                try await database.migrate([Outbox.migration])
                try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
                let (twice, last) = (MessagingTests.message(), MessagingTests.message())
                try await broker.publish([twice])
                try await broker.publish([twice, last])
                let effects = Mutex<[MessageID]>([])
                let consumer = Task {
                    try await broker.consume("q.test", concurrency: 4) { message in
                        let isNew = try? await database.write { tx in try Inbox.accept(message.id, by: "q.test", in: tx) }
                        if isNew == true { effects.withLock { $0.append(message.id) } }
                        return isNew == nil ? .failed(reason: "database") : .handled
                    }
                }
                defer { consumer.cancel() }
                try await eventually("both are handled") {
                    let queue = try await broker.queues().first
                    return queue?.ready == 0 && queue?.waiting == 0 && effects.withLock { $0.count } >= 2
                }
                #expect(Set(effects.withLock { $0 }) == [twice.id, last.id])
                #expect(effects.withLock { $0.count } == 2)
            }
        }
    }

    @Test func `the embedded broker notices a message that is published again while it waits`() async throws {
        try await BrokerKind.embedded.withBroker { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            let message = MessagingTests.message()
            try await broker.publish([message])
            try await broker.publish([message])
            #expect(try await broker.queues().first?.ready == 1)
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `each of several consumers gets every message that its queue wants`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            let queues = ["a.test", "b.test", "c.test"]
            try await broker.declare(queues.map { QueueDeclaration(name: $0, patterns: ["things.#"]) })
            let ids = (0..<500).map { _ in MessageID() }
            let journals = queues.map { _ in Journal() }
            let consumers = zip(queues, journals).map { queue, journal in
                Task {
                    try await broker.consume(queue, concurrency: 8) { message in
                        journal.add(message.id)
                        return .handled
                    }
                }
            }
            defer { consumers.forEach { $0.cancel() } }
            try await broker.publish(ids.map { MessagingTests.message(id: $0) })
            try await eventually("each has all") { journals.allSatisfy { $0.all == Set(ids) } }
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `queues get what their patterns match`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            let patterns = ["#", "*", "a.#", "a.*", "a.#.z", "*.b.*", "a", "#.z", "a.*.#"]
            let names = ["a", "a.z", "a.b", "a.b.z", "a.b.c.z", "b.b.b", "z"]
            try await broker.declare(patterns.enumerated().map { QueueDeclaration(name: "q\($0.offset).test", patterns: [$0.element]) })
            try await broker.publish(names.map { MessagingTests.message($0) })
            let ready = try await broker.queues().map(\.ready)
            #expect(ready == patterns.map { pattern in names.count { topic(pattern, matches: $0) } })
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `an event of a committed change is sent, one of a change that was rolled back is not`(kind: BrokerKind) async throws {
        struct Refused: Error {}
        try await kind.withBroker { broker in
            try await Engine.sqlite.withDatabase { database, _ in
                try await database.migrate([Outbox.migration])
                try await broker.declare([QueueDeclaration(name: "q.test", patterns: [SomethingHappened.name])])
                let signal = Signal()
                let outbox = Outbox(signal: signal)
                let relay = Task {
                    try await OutboxRelay(database: database, broker: broker, signal: signal, logger: Logger(label: "test")).run()
                }
                defer { relay.cancel() }
                try? await database.write { tx in
                    try outbox.append(SomethingHappened(text: "undone"), of: "x", version: 1, in: tx)
                    throw Refused()
                }
                try await database.write { tx in try outbox.append(SomethingHappened(text: "done"), of: "x", version: 2, in: tx) }
                let texts = Mutex<[String]>([])
                let consumer = Consumer(
                    "q.test", [.on(SomethingHappened.self) { envelope in texts.withLock { $0.append(envelope.body.text) } }])
                let running = Task { try await ConsumerRunner(consumer: consumer, broker: broker, logger: Logger(label: "test")).run() }
                defer { running.cancel() }
                try await eventually("it arrives") { !texts.withLock { $0 }.isEmpty }
                #expect(texts.withLock { $0 } == ["done"])
                try await eventually("the outbox is empty") {
                    try await database.read { tx in try tx.row("SELECT id FROM outbox") } == nil
                }
            }
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `a consumer whose database is away spends no try, however long it takes`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: [SomethingHappened.name])])
            let tries = Mutex(0)
            let consumer = Consumer(
                "q.test",
                [
                    .on(SomethingHappened.self) { _ in
                        let number = tries.withLock { tries in
                            tries += 1
                            return tries
                        }
                        if number < 4 { throw StorageError.unavailable("away") }
                    }
                ])
            let running = Task { try await ConsumerRunner(consumer: consumer, broker: broker, logger: Logger(label: "test")).run() }
            defer { running.cancel() }
            let envelope = Envelope(
                id: MessageID(), time: .now, aggregateID: "a", aggregateVersion: 1, correlationID: nil, traceparent: nil,
                body: SomethingHappened(text: "a"))
            try await broker.publish([Message(id: envelope.id, name: SomethingHappened.name, json: try JSON.text(of: envelope))])
            try await eventually("it is handled") { tries.withLock { $0 } == 4 }
            try await eventually("the queue is empty") {
                let state = try await broker.queues().first { $0.name == "q.test" }
                return state?.ready == 0 && state?.waiting == 0 && state?.dead == 0
            }
        }
    }

    @Test(arguments: BrokerKind.allCases)
    func `a relay sends all that has gathered, and those that were committed behind others`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await Engine.sqlite.withDatabase { database, _ in
                try await database.migrate([Outbox.migration])
                try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
                // More than a turn of the relay has.
                let ids = (0..<10_700).map { _ in MessageID() }
                let late = ids[0]
                func add(_ ids: ArraySlice<MessageID>) async throws {
                    try await database.write { tx in
                        try tx.insert("INSERT INTO outbox (id, name, json) VALUES", Array(ids)) {
                            $0.append($1, SomethingHappened.name, "{}")
                        }
                    }
                }
                try await add(ids.dropFirst())
                let signal = Signal()
                let relay = Task {
                    try await OutboxRelay(database: database, broker: broker, signal: signal, logger: Logger(label: "test")).run()
                }
                defer { relay.cancel() }
                let journal = Journal()
                let consumer = Task {
                    try await broker.consume("q.test", concurrency: 16) { message in
                        journal.add(message.id)
                        return .handled
                    }
                }
                defer { consumer.cancel() }
                try await eventually("the first are sent") { journal.count > 0 }
                try await add([late])
                try await eventually("all are handled") { journal.all == Set(ids) }
                try await eventually("the outbox is empty") {
                    try await database.read { tx in try tx.row("SELECT id FROM outbox") } == nil
                }
            }
        }
    }

    @Test func `the inbox accepts an event once for each consumer`() async throws {
        try await Engine.sqlite.withDatabase { database, _ in
            try await database.migrate([Outbox.migration])
            let id = MessageID()
            let answers = try await database.write { tx in
                [
                    try Inbox.accept(id, by: "a", in: tx), try Inbox.accept(id, by: "a", in: tx),
                    try Inbox.accept(id, by: "b", in: tx),
                ]
            }
            #expect(answers == [true, false, true])
        }
    }

    @Test(arguments: [
        ("orders.*.v1", "orders.paid.v1", true), ("orders.*.v1", "orders.paid.twice.v1", false), ("#", "a", true),
        ("a.#", "a", true), ("a.#.z", "a.z", true), ("a.#.z", "a.b.c.z", true), ("a.*", "a", false), ("a", "a.b", false),
    ])
    func `topics match as AMQP says`(pattern: String, name: String, matches: Bool) {
        #expect(topic(pattern, matches: name) == matches)
    }
}
