package import Logging
import ServiceLifecycle
import Synchronization
package import Values

/// A broker on a RabbitMQ server, through librabbitmq.
///
/// Events go to a topic exchange, and from there to a quorum queue for each consumer. A failed message waits in a queue whose messages
/// expire back into its own; a hopeless one is kept in a queue of dead letters. Publishing has one connection, each consumer another:
/// a server that is short of memory stops reading from those that publish, and acknowledgements must go on.
///
/// A message may arrive twice; the consumers' inbox notices.
package final class RabbitMQBroker: Broker {
    /// Where Debian keeps the authorities that it trusts.
    package static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    let topology: RabbitMQTopology
    let connect: @Sendable () throws -> AMQPConnection
    private let declared: Declared
    private let publisher: RabbitMQPublisher
    private let logger: Logger

    /// - Parameters:
    ///   - caFile: a PEM file of the authorities that a server's certificate may come from, for `amqps`.
    ///   - publishLimit: how long publishing may take before it fails.
    ///   - heartbeat: a server that is silent for twice as long is gone; whole seconds.
    package init(
        _ address: RabbitMQAddress, caFile: String = RabbitMQBroker.systemAuthorities, waits: [TimeSpan] = RetryPolicy.waits,
        publishLimit: TimeSpan = .seconds(30), heartbeat: TimeSpan = .seconds(15), logger: Logger
    ) {
        let topology = RabbitMQTopology(waits: waits)
        let declared = Declared()
        let connect = { @Sendable () throws -> AMQPConnection in
            try AMQPConnection(address, caFile: caFile, heartbeat: heartbeat)
        }
        self.topology = topology
        self.declared = declared
        self.connect = connect
        self.logger = logger
        publisher = RabbitMQPublisher(
            connect: connect, declare: { connection in try topology.declare(declared.all, on: connection) },
            limit: publishLimit.duration, logger: logger)
    }

    deinit {
        publisher.stop()
    }

    /// Closes the connection for publishing. To be called when nobody consumes or publishes any more.
    package func close() async {
        publisher.stop()
        await publisher.ended()
    }

    /// Throws, saying why, if nothing could be published now.
    package func check() async throws {
        try await publisher.check()
    }

    package func declare(_ queues: [QueueDeclaration]) async throws {
        let topology = topology
        // First: where the server cannot be reached now, whoever connects later declares them.
        declared.add(queues)
        try await withConnection { connection in try topology.declare(queues, on: connection) }
    }

    package func publish(_ messages: [Message]) async throws {
        let patterns = declared.all.flatMap(\.patterns)
        let wanted = Set(messages.map(\.name)).filter { name in patterns.contains { topic($0, matches: name) } }
        try await publisher.publish(
            RabbitMQLetter.letters(of: messages).map { letter in
                OutgoingLetter(
                    letter: letter, exchange: RabbitMQTopology.exchange, key: letter.name, isMandatory: wanted.contains(letter.name))
            })
    }

    /// The queues that were declared, by name.
    var queueNames: [String] { declared.all.map(\.name).sorted() }

    /// Runs `body` with a connection of its own, on a thread of its own.
    func withConnection<Result: Sendable>(_ body: @escaping @Sendable (AMQPConnection) throws -> Result) async throws -> Result {
        let connect = connect
        return try await OwnThread.run {
            let connection = try connect()
            let result = try body(connection)
            connection.close()
            return result
        }
    }
}

/// Which queues there are to be.
private final class Declared: Sendable {
    private let queues = Mutex<[String: QueueDeclaration]>([:])

    var all: [QueueDeclaration] { queues.withLock { Array($0.values) } }

    func add(_ declarations: [QueueDeclaration]) {
        queues.withLock { queues in
            for queue in declarations { queues[queue.name] = queue }
        }
    }

    subscript(_ name: String) -> QueueDeclaration? { queues.withLock { $0[name] } }
}

extension RabbitMQBroker {
    package func consume(
        _ queue: String, concurrency: Int, handle: @escaping @Sendable (Message) async -> Outcome
    ) async throws {
        guard let declaration = declared[queue] else { preconditionFailure("queue \(queue) was never declared") }
        var backoff = Backoff()
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            let session = RabbitMQSession()
            do {
                try await run(session, declaration, concurrency: concurrency, handle)
            } catch {
                logger.warning(
                    "no connection to RabbitMQ for a queue; trying again", metadata: ["queue": "\(queue)", "error": "\(error)"])
                if session.wasConnected { backoff.reset() }
                let wait = backoff.wait()
                await cancelWhenGracefulShutdown { try? await Task.sleep(for: wait) }
            }
        }
    }

    /// Until the process is asked to stop, or the connection is lost; what is in hand is finished in both cases.
    private func run(
        _ session: RabbitMQSession, _ queue: QueueDeclaration, concurrency: Int,
        _ handle: @escaping @Sendable (Message) async -> Outcome
    ) async throws {
        let (connect, topology) = (connect, topology)
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                async let reading: Void = OwnThread.run {
                    try session.run(queue.name, prefetch: min(300, max(32, concurrency * 2))) {
                        let connection = try connect()
                        try topology.declare([queue], on: connection)
                        return connection
                    }
                }
                await withTaskGroup(of: Void.self) { group in
                    var running = 0
                    for await delivery in session.deliveries {
                        guard let letter = delivery.letter else { continue }
                        let tasks = tasks(for: letter, in: queue.name, session, handle)
                        let unsettled = Unsettled(tasks.count)
                        for (place, task) in tasks.enumerated() {
                            if running == concurrency {
                                await group.next()
                                running -= 1
                            }
                            // A letter that was begun is finished, unless nobody can be told of it any more.
                            if place == 0 ? session.isEnding : session.isOver { break }
                            group.addTask {
                                if unsettled.isLast(settled: await task()) { session.acknowledge(delivery.tag) }
                            }
                            running += 1
                        }
                    }
                }
                session.finish()
                try await reading
            } onGracefulShutdown: {
                session.stop()
            }
        } onCancel: {
            session.stop()
        }
    }

    /// What is to be done with a letter. Each says whether its part of it is no longer needed.
    private func tasks(
        for letter: RabbitMQLetter, in queue: String, _ session: RabbitMQSession,
        _ handle: @escaping @Sendable (Message) async -> Outcome
    ) -> [@Sendable () async -> Bool] {
        if letter.messages.count > 1, letter.returns > 1 {
            // One of them may be what ends whoever takes it in hand. The others shall not share its lot.
            return [{ [self] in await isPutAside(letter.unpacked, in: queue, session) }]
        }
        return letter.messages.map { message in
            { [self] in await isSettled(letter, message, await handle(message), in: queue, session) }
        }
    }

    /// Whether a message of the letter in hand is no longer needed: it was handled, or waits or rests in another queue.
    private func isSettled(
        _ letter: RabbitMQLetter, _ message: Message, _ outcome: Outcome, in queue: String, _ session: RabbitMQSession
    ) async -> Bool {
        guard case .failed(let reason) = outcome else { return true }
        let isDead = letter.attempts >= topology.waits.count
        return await isPutAside(
            [letter.failed(message, reason)],
            in: isDead ? RabbitMQTopology.deadLetters(of: queue) : topology.waitingRoom(of: queue, after: letter.attempts), session)
    }

    /// Whether the server has these letters in another place than the one that is in hand.
    private func isPutAside(_ letters: [RabbitMQLetter], in queue: String, _ session: RabbitMQSession) async -> Bool {
        let next = letters.map { OutgoingLetter(letter: $0, exchange: RabbitMQTopology.direct, key: queue, isMandatory: true) }
        while true {
            // Of one whose handler was canceled nobody knows whether it fails.
            if Task.isCancelled { return false }
            do {
                try await publisher.publish(next)
                return true
            } catch {
                logger.warning(
                    "a failed message cannot be put aside; it stays in hand",
                    metadata: ["queue": "\(queue)", "id": "\(letters[0].id)", "error": "\(error)"])
            }
            if session.isEnding { return false }
            try? await Task.sleep(for: .seconds(1))
        }
    }
}

/// What of a letter in hand is not settled yet.
private final class Unsettled: Sendable {
    private let left: Mutex<(count: Int, isWhole: Bool)>

    init(_ count: Int) {
        left = Mutex((count, true))
    }

    /// To be called once for each part. True at the last one if all of them are settled.
    func isLast(settled isSettled: Bool) -> Bool {
        left.withLock { left in
            left.count -= 1
            left.isWhole = left.isWhole && isSettled
            return left.count == 0 && left.isWhole
        }
    }
}
