import Logging
import Synchronization
import Values

/// Publishes over one connection, which a thread of its own keeps and makes again when it was lost.
///
/// A batch is confirmed as a whole, fails with the connection, or ends when its time is over; what becomes of it is always told. The
/// thread never waits in a send for a server that takes nothing in: it sends while the socket has room, and reads meanwhile.
final class RabbitMQPublisher: Sendable {
    /// How many messages may wait for their confirmation.
    private static let mostInFlight = 1_000

    private struct State {
        var arrived: [Batch] = []
        var hasThread = false
        var isStopped = false
        /// Why there is no connection, if the last attempt has failed.
        var trouble: (any Error)?
        var whenEnded: [CheckedContinuation<Void, Never>] = []
    }

    private let connect: @Sendable () throws -> AMQPConnection
    private let declare: @Sendable (AMQPConnection) throws -> Void
    private let limit: Duration
    private let logger: Logger
    private let state = Mutex(State())
    private let bell = WakePipe()

    /// - Parameters:
    ///   - declare: makes the topology, after each connection and when a message found no queue.
    ///   - limit: how long a batch may take.
    init(
        connect: @escaping @Sendable () throws -> AMQPConnection, declare: @escaping @Sendable (AMQPConnection) throws -> Void,
        limit: Duration, logger: Logger
    ) {
        self.connect = connect
        self.declare = declare
        self.limit = limit
        self.logger = logger
    }

    /// Returns when the server has all of them durably.
    func publish(_ letters: [OutgoingLetter]) async throws {
        guard !letters.isEmpty else { return }
        try await finish(Batch(letters, end: .now + limit))
    }

    /// Throws if nothing could be published now.
    func check() async throws {
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        try await finish(Batch([], end: .now + limit))
    }

    private func finish(_ batch: Batch) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                batch.begin(continuation)
                add(batch)
            }
        } onCancel: {
            batch.end(.failure(CancellationError()))
        }
    }

    private func add(_ batch: Batch) {
        let (isStopped, needsThread) = state.withLock { state in
            defer { if !state.isStopped { state.hasThread = true } }
            if !state.isStopped { state.arrived.append(batch) }
            return (state.isStopped, !state.isStopped && !state.hasThread)
        }
        if isStopped { return batch.end(.failure(RabbitMQError.stopped)) }
        if needsThread { OwnThread.start { [self] in run() } }
        bell.wake()
    }

    /// Lets nothing more be published. Whatever is not confirmed fails.
    func stop() {
        state.withLock { $0.isStopped = true }
        bell.wake()
    }

    /// Returns when the connection is closed after `stop()`.
    func ended() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.hasThread { state.whenEnded.append(continuation) }
                return !state.hasThread
            }
            if isOver { continuation.resume() }
        }
    }
}

/// On the thread.
extension RabbitMQPublisher {
    private func run() {
        var backoff = Backoff()
        while !state.withLock({ $0.isStopped }) {
            do {
                let connection = try connect()
                try declare(connection)
                try connection.selectConfirms()
                backoff.reset()
                turn(to: nil)
                try serve(connection)
            } catch {
                turn(to: error)
                for batch in takeArrived() { batch.end(.failure(error)) }
                wait(backoff.wait())
            }
        }
        for batch in takeArrived() { batch.end(.failure(RabbitMQError.stopped)) }
        let waiting = state.withLock { state in
            state.hasThread = false
            defer { state.whenEnded = [] }
            return state.whenEnded
        }
        for continuation in waiting { continuation.resume() }
    }

    private func turn(to trouble: (any Error)?) {
        let had = state.withLock { state in
            defer { state.trouble = trouble }
            return state.trouble
        }
        if let trouble, had == nil {
            logger.warning("no connection to RabbitMQ for publishing; trying again", metadata: ["error": "\(trouble)"])
        } else if trouble == nil, had != nil {
            logger.notice("the connection to RabbitMQ for publishing is there again")
        }
    }

    private func takeArrived() -> [Batch] {
        state.withLock { state in
            defer { state.arrived = [] }
            return state.arrived
        }
    }

    /// Also while others ring; only a stop ends it early.
    private func wait(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !state.withLock({ $0.isStopped }) {
            bell.wait(atMost: end - .now)
            bell.drain()
            // Who comes now need not wait to hear that there is no connection.
            guard let trouble = state.withLock({ $0.trouble }) else { continue }
            for batch in takeArrived() { batch.end(.failure(trouble)) }
        }
    }

    /// Until it is stopped, or the connection is lost.
    private func serve(_ connection: AMQPConnection) throws {
        var work = PublisherWork(room: RabbitMQPublisher.mostInFlight)
        do {
            while !state.withLock({ $0.isStopped }) {
                work.add(takeArrived())
                work.dropLate()
                while work.isReadyToSend, connection.isWritable, let letter = work.next() {
                    try connection.publish(
                        letter.letter, to: letter.exchange, key: letter.key, isMandatory: letter.isMandatory)
                }
                while let event = try connection.nextEvent() { work.take(event) }
                if work.takeLackOfQueue() { try declare(connection) }
                connection.wait(for: bell, orToWrite: work.isReadyToSend, atMost: work.untilLate)
            }
            work.end(RabbitMQError.stopped)
            // One that takes nothing in would not hear it.
            if !work.isBlocked { connection.close() }
        } catch {
            work.end(error)
            throw error
        }
    }
}

/// A message and where it goes.
struct OutgoingLetter: Sendable {
    let letter: RabbitMQLetter
    let exchange: String
    let key: String
    let isMandatory: Bool
}

/// Messages that are confirmed together, and who waits for that.
final class Batch: Sendable {
    private struct State {
        var unconfirmed: Int
        var error: (any Error)?
        var outcome: Result<Void, any Error>?
        var continuation: CheckedContinuation<Void, any Error>?
    }

    let letters: [OutgoingLetter]
    /// When it is late.
    let end: ContinuousClock.Instant
    private let state: Mutex<State>

    init(_ letters: [OutgoingLetter], end: ContinuousClock.Instant) {
        self.letters = letters
        self.end = end
        state = Mutex(State(unconfirmed: letters.count))
    }

    var isOver: Bool { state.withLock { $0.outcome != nil } }

    func begin(_ continuation: CheckedContinuation<Void, any Error>) {
        let outcome = state.withLock { state in
            if state.outcome == nil { state.continuation = continuation }
            return state.outcome
        }
        if let outcome { continuation.resume(with: outcome) }
    }

    /// Tells the outcome, unless one was told before.
    func end(_ outcome: Result<Void, any Error>) {
        let continuation = state.withLock { state in
            if state.outcome == nil { state.outcome = outcome }
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(with: outcome)
    }

    /// One of its messages is settled; after the last one the outcome is told.
    func settle(_ error: (any Error)?) {
        let outcome: Result<Void, any Error>? = state.withLock { state in
            state.unconfirmed -= 1
            state.error = state.error ?? error
            guard state.unconfirmed == 0 else { return nil }
            return state.error.map { .failure($0) } ?? .success(())
        }
        if let outcome { end(outcome) }
    }
}
