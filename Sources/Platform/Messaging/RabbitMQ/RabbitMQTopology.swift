import Values

/// What there is on the server: one exchange for all events, and for each queue the queues in which its failed messages wait, and
/// the one in which its dead letters are kept.
///
/// All is durable, replicated where there are several servers, and declared with every argument said, so that versions with other
/// defaults behave alike.
struct RabbitMQTopology: Sendable {
    static let exchange = "ticketflow.events"
    /// How often a message is handed out to consumers that end without an answer, before it is a dead letter.
    static let mostDeliveries = 50
    /// The server's default exchange, which brings a message to the queue that its routing key names.
    static let direct = ""

    let waits: [TimeSpan]

    func waitingRoom(of queue: String, after attempts: Int) -> String {
        "\(queue).wait.\(waits[attempts].microseconds / 1_000)ms"
    }

    /// Two waits that are alike share a queue.
    func waitingRooms(of queue: String) -> [String] {
        Set(waits.indices.map { waitingRoom(of: queue, after: $0) }).sorted()
    }

    static func deadLetters(of queue: String) -> String { "\(queue).dead" }

    /// Makes what is missing. Bindings that are no longer wanted stay: a consumer lets their messages pass.
    func declare(_ queues: [QueueDeclaration], on connection: AMQPConnection) throws {
        try connection.declareExchange(RabbitMQTopology.exchange)
        for queue in queues {
            let dead = RabbitMQTopology.deadLetters(of: queue.name)
            try connection.declareQueue(
                dead,
                [
                    "x-queue-type": .text("quorum"),
                    "x-message-ttl": .integer(EmbeddedBroker.deadLetterRetention.microseconds / 1_000),
                    // Each look at the dead letters is a delivery.
                    "x-delivery-limit": .integer(1_000_000_000),
                ])
            for wait in waits.indices {
                try connection.declareQueue(
                    waitingRoom(of: queue.name, after: wait),
                    passingOn(to: queue.name).merging(["x-message-ttl": .integer(waits[wait].microseconds / 1_000)]) { $1 })
            }
            try connection.declareQueue(
                queue.name,
                passingOn(to: dead).merging(["x-delivery-limit": .integer(Int64(RabbitMQTopology.mostDeliveries))]) { $1 })
            for pattern in queue.patterns {
                try connection.bind(queue.name, to: RabbitMQTopology.exchange, pattern)
            }
        }
    }

    /// What a queue gives up goes to another, and is not forgotten before it is there.
    private func passingOn(to queue: String) -> [String: AMQPValue] {
        [
            "x-queue-type": .text("quorum"),
            "x-dead-letter-exchange": .text(RabbitMQTopology.direct),
            "x-dead-letter-routing-key": .text(queue),
            "x-dead-letter-strategy": .text("at-least-once"),
            "x-overflow": .text("reject-publish"),
        ]
    }
}
