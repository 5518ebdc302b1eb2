import Contracts
import ServiceKit
import ServiceLifecycle
import Storage
import Synchronization
import Values

/// Where holds are asked for: requests for one event that arrive while its transaction runs are decided together in the next.
///
/// An idle event's request is decided at once; under load one commit carries hundreds of holds. Several instances may work
/// side by side: the pools' row locks order their batches. A lane for each event was chosen over one for each pool,
/// because a hold may need several pools, and all of one cart belong to one event.
///
/// A lane is drained by a task of `run()` and not by one of its requests, so that every request can leave at its deadline.
final class HoldDesk: Service {
    private final class Pending: Sendable {
        let request: HoldQuestion
        let deadline: Instant
        private let continuation: Mutex<CheckedContinuation<Reply, any Error>?>

        init(_ request: HoldQuestion, deadline: Instant, _ continuation: CheckedContinuation<Reply, any Error>) {
            self.request = request
            self.deadline = deadline
            self.continuation = Mutex(continuation)
        }

        func resume(with result: Result<Reply, any Error>) {
            let continuation = continuation.withLock { continuation in
                defer { continuation = nil }
                return continuation
            }
            continuation?.resume(with: result)
        }
    }

    private struct Lane {
        var waiting: [Pending] = []
        var running: [Pending] = []
    }

    /// How many requests one transaction decides at most: bounds how long the first of them waits.
    private static let largestBatch = 256

    private let database: Database
    private let holdTime: TimeSpan
    private let faults: Faults
    /// Lanes that are not idle.
    private let lanes = Mutex<[EventID: Lane]>([:])
    private let busy: AsyncStream<EventID>
    private let start: AsyncStream<EventID>.Continuation

    init(database: Database, holdTime: TimeSpan, faults: Faults) {
        self.database = database
        self.holdTime = holdTime
        self.faults = faults
        (busy, start) = AsyncStream.makeStream(of: EventID.self)
    }

    func decide(_ request: HoldQuestion) async throws -> Reply {
        let deadline = Deadline.current ?? .now + .seconds(10)
        return try await withCheckedThrowingContinuation { continuation in
            let pending = Pending(request, deadline: deadline, continuation)
            let event = request.request.eventId
            let wasIdle = lanes.withLock { lanes in
                let wasIdle = lanes[event] == nil
                lanes[event, default: Lane()].waiting.append(pending)
                return wasIdle
            }
            if wasIdle { start.yield(event) }
        }
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.dismissLate() }
                for await event in busy {
                    group.addTask { await self.drain(event) }
                }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.start.finish()
        }
    }

    private func drain(_ event: EventID) async {
        while true {
            let batch = lanes.withLock { lanes -> [Pending] in
                guard var lane = lanes[event], !lane.waiting.isEmpty else {
                    lanes[event] = nil
                    return []
                }
                lane.running = Array(lane.waiting.prefix(HoldDesk.largestBatch))
                lane.waiting.removeFirst(lane.running.count)
                lanes[event] = lane
                return lane.running
            }
            if batch.isEmpty { return }
            do {
                try await faults.point("tickets.hold(\(event))")
                let questions = batch.map(\.request)
                let holdTime = holdTime
                let replies = try await database.write { tx in
                    try HoldBatch(event: event, questions: questions, holdTime: holdTime).decide(in: tx)
                }
                for (pending, reply) in zip(batch, replies) { pending.resume(with: reply.mapError { $0 }) }
            } catch {
                for pending in batch { pending.resume(with: .failure(error)) }
            }
        }
    }

    /// Ten times a second, tells those whose time is over.
    private func dismissLate() async {
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let now = Instant.now
            let (waiting, running) = lanes.withLock { lanes in
                var late: (waiting: [Pending], running: [Pending]) = ([], [])
                for event in lanes.keys {
                    late.waiting += lanes[event]!.waiting.filter { $0.deadline <= now }
                    lanes[event]!.waiting.removeAll { $0.deadline <= now }
                    late.running += lanes[event]!.running.filter { $0.deadline <= now }
                }
                return late
            }
            for pending in waiting { pending.resume(with: .failure(StorageError.deadline(begun: false))) }
            for pending in running { pending.resume(with: .failure(StorageError.deadline(begun: true))) }
        }
    }
}
