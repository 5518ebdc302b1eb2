package import Logging
import ServiceLifecycle
import Storage
import Values

/// A queue of a service and what it does with each event.
package struct Consumer: Sendable {
    /// One kind of event, and what it causes.
    package struct Handler: Sendable {
        let event: String
        let handle: @Sendable (Message) async throws -> Void

        /// - Parameter handle: makes the effect, once for each id (see `Inbox`). Throwing means: try again later.
        package static func on<Body: DomainEvent>(
            _ type: Body.Type, _ handle: @escaping @Sendable (Envelope<Body>) async throws -> Void
        ) -> Handler {
            Handler(event: Body.name) { message in
                let envelope = try message.envelope(of: Body.self)
                try await Correlation.$current.withValue(Correlation(id: "\(message.id)", traceparent: envelope.traceparent)) {
                    try await handle(envelope)
                }
            }
        }
    }

    /// `<service>.<purpose>`.
    package let queue: String
    let concurrency: Int
    let handlers: [Handler]

    package init(_ queue: String, concurrency: Int = 16, _ handlers: [Handler]) {
        self.queue = queue
        self.concurrency = concurrency
        self.handlers = handlers
    }

    package var declaration: QueueDeclaration {
        QueueDeclaration(name: queue, patterns: handlers.map(\.event))
    }

    /// What the runner does with each message.
    package func handle(_ message: Message) async throws {
        for handler in handlers where handler.event == message.name {
            try await handler.handle(message)
        }
    }
}

/// Takes a consumer's messages from the broker, one task for each queue.
package struct ConsumerRunner: Service {
    private let consumer: Consumer
    private let broker: any Broker
    private let logger: Logger

    package init(consumer: Consumer, broker: any Broker, logger: Logger) {
        self.consumer = consumer
        self.broker = broker
        self.logger = logger
    }

    package func run() async throws {
        while !isToStop {
            do {
                try await broker.consume(consumer.queue, concurrency: consumer.concurrency) { message in
                    await handle(message)
                }
            } catch is CancellationError {
                return
            } catch {
                logger.warning(
                    "a queue cannot be read; trying again", metadata: ["queue": "\(consumer.queue)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Where the consumer's database is away, the message is kept in hand and no try is spent: as many as come meanwhile would be dead
    /// letters though nothing is wrong with them.
    private func handle(_ message: Message) async -> Outcome {
        var pause = ConsumerRunner.firstPause
        while true {
            do {
                try await consumer.handle(message)
                return .handled
            } catch {
                if pause == ConsumerRunner.firstPause {
                    logger.warning(
                        "a message was not handled",
                        metadata: [
                            "queue": "\(consumer.queue)", "event": "\(message.name)", "id": "\(message.id)", "error": "\(error)",
                        ])
                }
                let next = ContinuousClock.now + pause
                while ConsumerRunner.isOutage(error), !isToStop, ContinuousClock.now < next {
                    try? await Task.sleep(for: .milliseconds(100))
                }
                guard ConsumerRunner.isOutage(error), !isToStop else { return .failed(reason: "\(error)") }
                pause = min(pause * 2, ConsumerRunner.longestPause)
            }
        }
    }

    private var isToStop: Bool { Task.isCancelled || Task.isShuttingDownGracefully }

    private static let firstPause = Duration.milliseconds(500)
    private static let longestPause = Duration.seconds(5)

    private static func isOutage(_ error: any Error) -> Bool {
        switch error {
        case StorageError.unavailable, StorageError.outcomeUnknown: true
        default: false
        }
    }
}
