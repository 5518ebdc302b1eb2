import Dispatch
import Synchronization
import Values

/// Wakes one waiter; signals that arrive while nobody waits count as one.
///
/// Waits are as frequent as events, so none has a timer of its own: `Task.sleep` keeps its timer until it is due also where it was
/// cancelled, and thousands of them cost more than the work. One clock for the process looks ten times a second for
/// waits that are over.
package final class Signal: Sendable {
    fileprivate struct State {
        var isSet = false
        var waiter: CheckedContinuation<Void, Never>?
        var end = Instant(microseconds: .max)
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
        let (seconds, attoseconds) = limit.components
        let end = Instant.now + TimeSpan(microseconds: min(seconds, 1_000_000) * 1_000_000 + attoseconds / 1_000_000_000_000)
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

    fileprivate func endWait(before now: Instant) {
        let waiter = state.withLock { state in state.end <= now ? state.takeWaiter() : nil }
        waiter?.resume()
    }
}

extension Signal.State {
    fileprivate mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
        defer {
            waiter = nil
            end = Instant(microseconds: .max)
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
        let now = Instant.now
        for watched in signals.withLock({ $0 }) { watched.signal?.endWait(before: now) }
        queue.asyncAfter(deadline: .now() + .milliseconds(100)) { [self] in tick() }
    }
}
