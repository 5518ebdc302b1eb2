import Dispatch
import Synchronization

/// Wakes one waiter; signals that arrive while nobody waits count as one.
///
/// Waits are as frequent as events, so none has a timer of its own: `Task.sleep` keeps its timer until it is due also where it was
/// cancelled, and thousands of them cost more than the work. One clock for the process looks ten times a second for
/// waits that are over.
package final class Signal: Sendable {
    fileprivate struct State {
        var isSet = false
        var waiter: CheckedContinuation<Void, Never>?
        var end: ContinuousClock.Instant?
    }

    private let state = Mutex(State())

    package init() {
        SignalClock.shared.watch(self)
    }

    package func send() {
        let waiter = state.withLock { state in
            if state.waiter == nil { state.isSet = true }
            return state.takeWaiter()
        }
        waiter?.resume()
    }

    /// Returns at the next signal, about `limit` later, or when the task is cancelled.
    package func wait(atMost limit: Duration) async {
        let end = ContinuousClock.now + limit
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isSet || Task.isCancelled {
                        state.isSet = false
                        return true
                    }
                    state.waiter = continuation
                    state.end = end
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            send()
        }
    }

    fileprivate func endWait(before now: ContinuousClock.Instant) {
        let waiter = state.withLock { state in state.end.map { $0 <= now } == true ? state.takeWaiter() : nil }
        waiter?.resume()
    }
}

extension Signal.State {
    fileprivate mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
        defer {
            waiter = nil
            end = nil
        }
        return waiter
    }
}

/// Ends waits whose time is over.
private final class SignalClock: Sendable {
    static let shared = SignalClock()

    private struct Watched {
        weak var signal: Signal?
    }

    private let signals = Mutex<[Watched]>([])
    private let queue = DispatchQueue(label: "signal-clock")

    private init() {
        tick()
    }

    func watch(_ signal: Signal) {
        signals.withLock { signals in
            signals.removeAll { $0.signal == nil }
            signals.append(Watched(signal: signal))
        }
    }

    private func tick() {
        let now = ContinuousClock.now
        for watched in signals.withLock({ $0 }) { watched.signal?.endWait(before: now) }
        queue.asyncAfter(deadline: .now() + .milliseconds(100)) { [self] in tick() }
    }
}
