import ServiceLifecycle
package import Storage
import Synchronization
package import Values

/// A broker within the process, durable in a database of its own.
///
/// A published message is one row per queue that wants it; a handled one is deleted, a failed one waits, a hopeless one is
/// kept as a dead letter. A message that is published again while it waits is noticed by its id.
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
    private let queuesAndSignals = Mutex<[String: (patterns: [String], signal: Signal)]>([:])

    package init(database: Database, waits: [TimeSpan] = RetryPolicy.waits) {
        self.database = database
        self.waits = waits
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
        queuesAndSignals.withLock { known in
            for queue in queues { known[queue.name] = (queue.patterns, known[queue.name]?.signal ?? Signal()) }
        }
    }

    package func publish(_ messages: [Message]) async throws {
        let queues = queuesAndSignals.withLock { $0 }
        let deliveries = messages.flatMap { message in
            queues.filter { $0.value.patterns.contains { topic($0, matches: message.name) } }.map { (queue: $0.key, message: message) }
        }
        guard !deliveries.isEmpty else { return }
        try await database.write { tx in
            let now = try tx.now
            try tx.insert(
                "INSERT INTO delivery (queue, event_id, name, json, published_at, available_at) VALUES", deliveries,
                "ON CONFLICT DO NOTHING"
            ) { rows, delivery in
                let (queue, message) = delivery
                rows.append(queue, message.id, message.name, message.json, now, now)
            }
        }
        for queue in Set(deliveries.map(\.queue)) { queues[queue]?.signal.send() }
    }

    package func consume(
        _ queue: String, concurrency: Int, handle: @escaping @Sendable (Message) async -> Outcome
    ) async throws {
        guard let signal = queuesAndSignals.withLock({ $0[queue]?.signal }) else {
            preconditionFailure("queue \(queue) was never declared")
        }
        try await withGracefulShutdownHandler {
            var pace = Pace()
            var wasFull = false
            while !Task.isCancelled, !Task.isShuttingDownGracefully {
                if !wasFull { try await pace.turn() }
                let batch = try await due(in: queue, limit: EmbeddedBroker.largestBatch)
                wasFull = batch.count == EmbeddedBroker.largestBatch
                if batch.isEmpty {
                    // Also without a signal: waits that end, and what an operator replayed from another process.
                    await signal.wait(atMost: .milliseconds(500))
                    continue
                }
                let outcomes = await handleAll(batch.map(\.message), concurrency: concurrency, handle)
                try await record(outcomes, of: batch, in: queue)
            }
        } onGracefulShutdown: {
            signal.send()
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
        let waits = waits
        try await database.write { tx in
            let now = try tx.now
            var handled: [MessageID] = []
            for ((message, attempts), outcome) in zip(batch, outcomes) {
                switch outcome {
                case .handled: handled.append(message.id)
                case .failed(let reason):
                    let isDead = attempts >= waits.count
                    try tx.execute(
                        """
                        UPDATE delivery SET attempts = \(attempts + 1), reason = \(reason), is_dead = \(isDead),
                            available_at = \(isDead ? now : now + waits[attempts])
                        WHERE queue = \(queue) AND event_id = \(message.id)
                        """)
                }
            }
            try tx.inChunks(handled) { ids in
                _ = try tx.execute("DELETE FROM delivery WHERE queue = \(queue) AND event_id IN \(list: ids)")
            }
            try tx.execute(
                """
                DELETE FROM delivery WHERE queue = \(queue) AND is_dead = TRUE
                    AND available_at < \(now - EmbeddedBroker.deadLetterRetention)
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
        queuesAndSignals.withLock { $0[queue]?.signal.send() }
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
