import Synchronization

/// Consuming from a queue over one connection, which a thread of its own reads: hands out deliveries, takes in acknowledgements.
final class RabbitMQSession: Sendable {
    private struct State {
        var acknowledged: [UInt64] = []
        /// Nothing more is wanted.
        var isStopping = false
        /// Whatever was in hand is acknowledged.
        var isFinished = false
        /// There is no connection any more.
        var isOver = false
        var wasConnected = false
    }

    let deliveries: AsyncStream<AMQPDelivery>
    private let source: AsyncStream<AMQPDelivery>.Continuation
    private let state = Mutex(State())
    private let bell = WakePipe()

    init() {
        (deliveries, source) = AsyncStream.makeStream()
    }

    /// Whether a delivery that nobody has begun with is to be left to whoever gets it next.
    var isEnding: Bool { state.withLock { $0.isStopping || $0.isOver } }
    /// Whether the connection is closed or lost.
    var isOver: Bool { state.withLock { $0.isOver } }
    var wasConnected: Bool { state.withLock { $0.wasConnected } }

    /// To be called when the effect is durable. Without a connection it does nothing: the message is delivered again.
    func acknowledge(_ tag: UInt64) {
        state.withLock { $0.acknowledged.append(tag) }
        bell.wake()
    }

    /// Lets no more deliveries come.
    func stop() {
        state.withLock { $0.isStopping = true }
        source.finish()
        bell.wake()
    }

    /// Closes the connection once all acknowledgements are sent.
    func finish() {
        state.withLock { $0.isFinished = true }
        bell.wake()
    }

    /// On the thread: until `finish()`, or until the connection is lost.
    func run(_ queue: String, prefetch: Int, connect: () throws -> AMQPConnection) throws {
        defer {
            state.withLock { $0.isOver = true }
            source.finish()
        }
        let connection = try connect()
        try connection.consume(queue, prefetch: prefetch)
        state.withLock { $0.wasConnected = true }
        var isCanceled = false
        var acknowledgements = Acknowledgements()
        while true {
            let now = state.withLock { state in
                defer { state.acknowledged = [] }
                return state
            }
            let words = acknowledgements.words(for: now.acknowledged)
            if let tag = words.upTo { try connection.acknowledge(tag, andAllBefore: true) }
            for tag in words.singly { try connection.acknowledge(tag) }
            if now.isFinished { break }
            if now.isStopping, !isCanceled {
                try connection.cancelConsumer()
                isCanceled = true
            }
            while let event = try connection.nextEvent() {
                switch event {
                case .delivered(let delivery):
                    if delivery.letter == nil {
                        try connection.reject(delivery.tag)
                        acknowledgements.skip(delivery.tag)
                    } else {
                        source.yield(delivery)
                    }
                case .consumerCanceled: throw RabbitMQError.consumerCanceled
                case .confirmed, .refused, .returned, .blocked, .unblocked: break
                }
            }
            connection.wait(for: bell, orToWrite: false, atMost: .seconds(60))
        }
        if !isCanceled { try connection.cancelConsumer() }
        try connection.release()
        connection.close()
    }
}
