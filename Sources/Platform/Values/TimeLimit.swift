import Dispatch
import Synchronization

/// What had to end by then had not.
public struct TimeIsOver: Error {}

/// Does something that is cancelled when its time is over.
/// - Throws: `TimeIsOver`, up to a tenth of a second after the limit, and not before the work has ended by its cancellation.
public func within<Value: Sendable>(_ limit: TimeSpan, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let end = Instant.now + limit
    return try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            await TimeLimitClock.shared.wait(until: end)
            return nil
        }
        defer { group.cancelAll() }
        if let first = try await group.next(), let value = first { return value }
        try Task.checkCancellation()
        throw TimeIsOver()
    }
}

/// Limits are as frequent as requests, so none has a timer of its own: `Task.sleep` keeps its timer until it is due also where it was
/// cancelled. One clock for the process looks ten times a second for what is over, and stands still while nothing waits.
private final class TimeLimitClock: Sendable {
    static let shared = TimeLimitClock()

    private struct State {
        var last: UInt64 = 0
        var waiting: [UInt64: (end: Instant, waiter: CheckedContinuation<Void, Never>)] = [:]
        var isTicking = false
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "time-limits")

    /// Returns about then, or when the task is cancelled.
    func wait(until end: Instant) async {
        let id = state.withLock { state in
            state.last += 1
            return state.last
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let (isOver, begins) = state.withLock { state in
                    if Task.isCancelled { return (true, false) }
                    state.waiting[id] = (end, waiter)
                    defer { state.isTicking = true }
                    return (false, !state.isTicking)
                }
                if isOver { waiter.resume() }
                if begins { tickLater() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.waiter.resume()
        }
    }

    private func tickLater() {
        queue.asyncAfter(deadline: .now() + .milliseconds(100)) { [self] in tick() }
    }

    private func tick() {
        let now = Instant.now
        let (due, goesOn) = state.withLock { state in
            let due = state.waiting.filter { $0.value.end <= now }
            for id in due.keys { state.waiting[id] = nil }
            state.isTicking = !state.waiting.isEmpty
            return (due.values.map(\.waiter), state.isTicking)
        }
        for waiter in due { waiter.resume() }
        if goesOn { tickLater() }
    }
}
