package import Logging
import ServiceLifecycle
package import Storage
import Values

/// The events of a service that wait to be sent: written in the transaction of the change that they tell of.
package struct Outbox: Sendable {
    private let signal: Signal

    /// - Parameter signal: wakes the relay when a transaction with events is durable.
    package init(signal: Signal) {
        self.signal = signal
    }

    package static let migration = Migration(
        "0000-messages",
        """
        CREATE TABLE outbox (id TEXT PRIMARY KEY, name TEXT NOT NULL, json TEXT NOT NULL);
        CREATE TABLE inbox (
            consumer TEXT NOT NULL, event_id TEXT NOT NULL, received_at BIGINT NOT NULL, PRIMARY KEY (consumer, event_id)
        ) CLUSTERED;
        CREATE INDEX inbox_received_at ON inbox (received_at);
        """)

    /// Adds an event to the transaction.
    /// - Parameter version: of the aggregate after this change.
    package func append<Body: DomainEvent>(_ body: Body, of aggregateID: String, version: Int64, in tx: Transaction) throws {
        let envelope = Envelope(
            id: MessageID(), time: try tx.now, aggregateID: aggregateID, aggregateVersion: version,
            correlationID: Correlation.id, traceparent: Correlation.traceparent, body: body)
        try tx.queue(
            "INSERT INTO outbox (id, name, json) VALUES (\(envelope.id), \(Body.name), \(try JSON.text(of: envelope)))")
        let signal = signal
        tx.onCommit { signal.send() }
    }
}

/// Sends what is in the outbox, and removes it once the broker has confirmed. Several may run side by side; a message
/// sent twice is the consumers' inbox to notice.
package struct OutboxRelay: Service {
    /// How many events go to the broker at once.
    private static let batch = 500
    /// How many batches a turn has at most. The next turn begins with the oldest event again.
    private static let turn = 20

    private let database: Database
    private let broker: any Broker
    private let signal: Signal
    private let logger: Logger

    package init(database: Database, broker: any Broker, signal: Signal, logger: Logger) {
        self.database = database
        self.broker = broker
        self.signal = signal
        self.logger = logger
    }

    package func run() async throws {
        await withGracefulShutdownHandler {
            var pace = Pace()
            while !Task.isCancelled, !Task.isShuttingDownGracefully {
                do {
                    try await pace.turn()
                    while try await relay(), !Task.isShuttingDownGracefully {}
                } catch is CancellationError {
                    return
                } catch {
                    logger.warning("events could not be sent; they stay in the outbox", metadata: ["error": "\(error)"])
                }
                // Also without a signal: events of an earlier run, of another process, or whose sending failed.
                await signal.wait(atMost: .seconds(1))
            }
        } onGracefulShutdown: {
            signal.send()
        }
    }

    /// Sends what waits now, from the oldest event on: one may be committed after others with higher ids. The next batch is read while
    /// one is sent.
    /// - Returns: whether more may wait.
    private func relay() async throws -> Bool {
        var batch = try await messages(after: nil)
        for _ in 0..<OutboxRelay.turn {
            guard let last = batch.last?.id else { return false }
            let isLast = batch.count < OutboxRelay.batch
            async let next = isLast ? [] : messages(after: last)
            try await send(batch)
            batch = try await next
        }
        return true
    }

    private func messages(after id: MessageID?) async throws -> [Message] {
        try await database.read { tx in
            let rows = try tx.rows(
                "SELECT id, name, json FROM outbox WHERE id > \(id?.description ?? "") ORDER BY id LIMIT \(OutboxRelay.batch)")
            return try rows.map { row in Message(id: try row["id"], name: try row["name"], json: try row["json"]) }
        }
    }

    private func send(_ messages: [Message]) async throws {
        try await broker.publish(messages)
        try await database.write { tx in
            try tx.inChunks(messages.map(\.id)) { ids in try tx.queue("DELETE FROM outbox WHERE id IN \(list: ids)") }
        }
    }
}
