import Foundation
import Logging
import Messaging
import ServiceLifecycle
import Storage
import Synchronization
import Testing
import Values

struct SomethingHappened: DomainEvent, Equatable {
    static let name = "things.happened.v1"
    var text: String
}

/// Each broker, fresh.
enum BrokerKind: String, CaseIterable, Sendable {
    case embedded

    /// - Parameter waits: between the tries of a message that fails.
    func withBroker<Result>(
        waits: [TimeSpan] = [.milliseconds(1), .milliseconds(1)], _ body: (any Broker) async throws -> Result
    ) async throws -> Result {
        try await Engine.sqlite.withDatabase { database, _ in
            try await database.migrate(EmbeddedBroker.migrations)
            return try await body(EmbeddedBroker(database: database, waits: waits))
        }
    }
}

/// Polls until the condition holds; fails the test after ten seconds.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(10)
    while try await !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("never: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

@Suite struct MessagingTests {
    private static func message(_ name: String = SomethingHappened.name, id: MessageID = MessageID()) -> Message {
        Message(id: id, name: name, json: "{}")
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
    func `a message that is published twice while it waits is there once`(kind: BrokerKind) async throws {
        try await kind.withBroker { broker in
            try await broker.declare([QueueDeclaration(name: "q.test", patterns: ["#"])])
            let message = MessagingTests.message()
            try await broker.publish([message])
            try await broker.publish([message])
            #expect(try await broker.queues().first?.ready == 1)
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
