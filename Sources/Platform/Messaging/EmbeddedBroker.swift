import ServiceLifecycle
package import Storage
import Synchronization
package import Values

/// A broker within the process, durable in a database of its own.
///
/// A published message goes to the consumers that want it, and whoever published it waits for them. What is not handled at once is one
/// row per queue: the queue has no consumer, or one that takes its time, or one that failed. A row that was handled is deleted, a failed
/// one waits, a hopeless one is kept as a dead letter. A message that is published again is handed out again, and kept once.
package final class EmbeddedBroker: Broker {
    package static let migrations = [
        Migration(
            "0001-deliveries",
            """
            CREATE TABLE queue (name TEXT PRIMARY KEY, patterns TEXT NOT NULL);
            CREATE TABLE delivery (
                queue TEXT NOT NULL REFERENCES queue (name),
                event_id TEXT NOT NULL,
                name TEXT NOT NULL,
                json TEXT NOT NULL,
                published_at BIGINT NOT NULL,
                available_at BIGINT NOT NULL,
                attempts BIGINT NOT NULL DEFAULT 0,
                is_dead BOOLEAN NOT NULL DEFAULT FALSE,
                reason TEXT,
                PRIMARY KEY (queue, event_id)
            );
            CREATE INDEX delivery_available ON delivery (queue, is_dead, available_at);
            """)
    ]

    /// How long dead letters are kept.
    package static let deadLetterRetention = TimeSpan.days(30)

    /// How many messages a consumer takes at once.
    private static let largestBatch = 256

    private let database: Database
    private let waits: [TimeSpan]
    private let patience: Duration
    private let queues = Mutex<[String: Queue]>([:])

    private struct Queue: Sendable {
        let patterns: [String]
        let desk: Desk
    }

    /// - Parameter patience: how long a publisher waits for a consumer before it keeps its messages.
    package init(database: Database, waits: [TimeSpan] = RetryPolicy.waits, patience: Duration = .seconds(1)) {
        self.database = database
        self.waits = waits
        self.patience = patience
    }

    package func declare(_ queues: [QueueDeclaration]) async throws {
        try await database.write { tx in
            for queue in queues {
                let patterns = queue.patterns.joined(separator: " ")
                try tx.execute(
                    """
                    INSERT INTO queue (name, patterns) VALUES (\(queue.name), \(patterns))
                    ON CONFLICT (name) DO UPDATE SET patterns = excluded.patterns
                    """)
            }
        }
        self.queues.withLock { known in
            for queue in queues {
                known[queue.name] = Queue(patterns: queue.patterns, desk: known[queue.name]?.desk ?? Desk(patience: patience))
            }
        }
    }

    package func publish(_ messages: [Message]) async throws {
        let names = Set(messages.map(\.name))
        let queues = queues.withLock { $0 }
        let deliveries = await withTaskGroup(of: Delivery.self) { group in
            for (name, queue) in queues {
                let wanted = names.filter { name in queue.patterns.contains { topic($0, matches: name) } }
                guard !wanted.isEmpty else { continue }
                group.addTask { Delivery(queue: name, parcel: await queue.desk.handOver(messages.filter { wanted.contains($0.name) })) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let late = deliveries.filter { !$0.left.isEmpty }
        guard !late.isEmpty else { return }
        try await database.write { [self] tx in
            let now = try tx.now
            // What was handled while this waited for its turn is left out.
            try tx.insert(
                "INSERT INTO delivery (queue, event_id, name, json, published_at, available_at, attempts, is_dead, reason) VALUES",
                late.flatMap { delivery in delivery.left.map { (delivery.queue, $0, $1) } }, "ON CONFLICT DO NOTHING"
            ) { rows, left in
                let (queue, message, failure) = left
                let attempts = failure == nil ? 0 : 1
                let (isDead, next) = fate(after: attempts, at: now)
                rows.append(queue, message.id, message.name, message.json, now, next, attempts, isDead, failure)
            }
        }
        for delivery in late { queues[delivery.queue]?.desk.signal.send() }
    }

    /// What was handed over to the consumer of a queue.
    private struct Delivery: Sendable {
        let queue: String
        let parcel: Parcel

        /// What has to be kept for it, by now, and why it failed; nil where it was not tried.
        var left: [(message: Message, failure: String?)] {
            guard let outcomes = parcel.outcomes else { return parcel.messages.map { ($0, nil) } }
            return zip(parcel.messages, outcomes).compactMap { message, outcome in
                switch outcome {
                case .handled: nil
                case .failed(let reason): (message, reason)
                }
            }
        }
    }

    /// What becomes of a message that was tried so often: whether it is a dead letter, and since when; else when it is to be tried again.
    private func fate(after attempts: Int, at now: Instant) -> (isDead: Bool, next: Instant) {
        guard attempts > 0 else { return (false, now) }
        return attempts > waits.count ? (true, now) : (false, now + waits[attempts - 1])
    }

    package func consume(
        _ queue: String, concurrency: Int, handle: @escaping @Sendable (Message) async -> Outcome
    ) async throws {
        guard let desk = queues.withLock({ $0[queue]?.desk }) else { preconditionFailure("queue \(queue) was never declared") }
        try await withGracefulShutdownHandler {
            desk.open()
            defer { desk.close() }
            var rows = Pace()
            var wasFull = false
            var oldDeadLetters = Pace(every: .seconds(3_600))
            while !Task.isCancelled, !Task.isShuttingDownGracefully {
                if oldDeadLetters.begins() { try await forgetOldDeadLetters(in: queue) }
                let parcel = desk.next()
                if let parcel {
                    let outcomes = await handleAll(parcel.messages, concurrency: concurrency, handle)
                    if !desk.finish(parcel, outcomes) {
                        try await record(outcomes, of: parcel.messages.map { (message: $0, attempts: 0) }, in: queue)
                    }
                }
                let looks = wasFull || rows.begins()
                if looks {
                    let batch = try await due(in: queue, limit: EmbeddedBroker.largestBatch)
                    wasFull = batch.count == EmbeddedBroker.largestBatch
                    if !batch.isEmpty {
                        let outcomes = await handleAll(batch.map(\.message), concurrency: concurrency, handle)
                        try await record(outcomes, of: batch, in: queue)
                        continue
                    }
                }
                // Also without a signal: waits that end, and what an operator replayed from another process.
                if parcel == nil { await desk.signal.wait(atMost: .milliseconds(looks ? 500 : 200)) }
            }
        } onGracefulShutdown: {
            desk.signal.send()
        }
    }

    private func due(in queue: String, limit: Int) async throws -> [(message: Message, attempts: Int)] {
        try await database.read { tx in
            try tx.rows(
                """
                SELECT event_id, name, json, attempts FROM delivery
                WHERE queue = \(queue) AND is_dead = FALSE AND available_at <= \(tx.now)
                ORDER BY available_at LIMIT \(limit)
                """
            ).map { row in
                (Message(id: try row["event_id"], name: try row["name"], json: try row["json"]), try row["attempts"])
            }
        }
    }

    private func handleAll(
        _ messages: [Message], concurrency: Int, _ handle: @escaping @Sendable (Message) async -> Outcome
    ) async -> [Outcome] {
        await withTaskGroup(of: (Int, Outcome).self) { group in
            var outcomes = [Outcome?](repeating: nil, count: messages.count)
            var next = 0
            func start() {
                guard next < messages.count else { return }
                let index = next
                group.addTask { (index, await handle(messages[index])) }
                next += 1
            }
            for _ in 0..<concurrency { start() }
            while let (index, outcome) = await group.next() {
                outcomes[index] = outcome
                start()
            }
            return outcomes.map { $0! }
        }
    }

    private func record(
        _ outcomes: [Outcome], of batch: [(message: Message, attempts: Int)], in queue: String
    ) async throws {
        try await database.write { [self] tx in
            let now = try tx.now
            var handled: [MessageID] = []
            for ((message, attempts), outcome) in zip(batch, outcomes) {
                switch outcome {
                case .handled: handled.append(message.id)
                case .failed(let reason):
                    let (isDead, next) = fate(after: attempts + 1, at: now)
                    try tx.execute(
                        """
                        UPDATE delivery SET attempts = \(attempts + 1), reason = \(reason), is_dead = \(isDead), available_at = \(next)
                        WHERE queue = \(queue) AND event_id = \(message.id) AND attempts = \(attempts) AND is_dead = FALSE
                        """)
                }
            }
            try tx.inChunks(handled) { ids in
                _ = try tx.execute("DELETE FROM delivery WHERE queue = \(queue) AND event_id IN \(list: ids)")
            }
        }
    }

    private func forgetOldDeadLetters(in queue: String) async throws {
        _ = try await database.write { tx in
            try tx.execute(
                """
                DELETE FROM delivery WHERE queue = \(queue) AND is_dead = TRUE
                    AND available_at < \(tx.now - EmbeddedBroker.deadLetterRetention)
                """)
        }
    }
}

extension EmbeddedBroker {
    package func deadLetters(in queue: String?, limit: Int) async throws -> [DeadLetter] {
        try await database.read { tx in
            let condition: SQL = if let queue { "AND queue = \(queue)" } else { "" }
            return try tx.rows(
                """
                SELECT queue, event_id, name, json, reason, attempts, published_at FROM delivery
                WHERE is_dead = TRUE \(condition) ORDER BY published_at LIMIT \(limit)
                """
            ).map { row in
                DeadLetter(
                    queue: try row["queue"],
                    message: Message(id: try row["event_id"], name: try row["name"], json: try row["json"]),
                    reason: try row["reason"] ?? "", attempts: try row["attempts"], published: try row["published_at"])
            }
        }
    }

    package func replay(_ ids: [MessageID]?, in queue: String) async throws -> Int {
        let replayed = try await database.write { tx in
            try tx.execute(
                """
                UPDATE delivery SET is_dead = FALSE, attempts = 0, available_at = \(tx.now)
                WHERE queue = \(queue) AND is_dead = TRUE \(EmbeddedBroker.condition(ids))
                """)
        }
        queues.withLock { $0[queue]?.desk.signal.send() }
        return replayed
    }

    package func discard(_ ids: [MessageID]?, in queue: String) async throws -> Int {
        try await database.write { tx in
            try tx.execute(
                "DELETE FROM delivery WHERE queue = \(queue) AND is_dead = TRUE \(EmbeddedBroker.condition(ids))")
        }
    }

    package func queues() async throws -> [QueueState] {
        try await database.read { tx in
            let now = try tx.now
            return try tx.rows(
                """
                SELECT name,
                    (SELECT COUNT(*) FROM delivery WHERE delivery.queue = queue.name AND is_dead = FALSE AND available_at <= \(now)) AS ready,
                    (SELECT COUNT(*) FROM delivery WHERE delivery.queue = queue.name AND is_dead = FALSE AND available_at > \(now)) AS waiting,
                    (SELECT COUNT(*) FROM delivery WHERE delivery.queue = queue.name AND is_dead = TRUE) AS dead
                FROM queue ORDER BY name
                """
            ).map { row in
                QueueState(name: try row["name"], ready: try row["ready"], waiting: try row["waiting"], dead: try row["dead"])
            }
        }
    }

    private static func condition(_ ids: [MessageID]?) -> SQL {
        guard let ids else { return "" }
        return "AND event_id IN \(list: ids)"
    }
}
