import Discovery
import Synchronization
import Values

/// Where requests wait for a password to be hashed: one at a time for each address, and not more than a bound in all.
///
/// One at a time, so that a hundred guesses sent at once are counted as exactly as a hundred sent in turn, and a hundred
/// right passwords are all let in. Bounded, so that a flood is refused at once instead of making everybody wait.
final class PasswordQueue: Sendable {
    private struct State {
        /// Addresses that someone is at, and who waits behind them.
        var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]
        var count = 0
    }

    private let largest: Int
    private let state = Mutex(State())

    init(largest: Int) {
        self.largest = largest
    }

    /// Does the work when it is this request's turn.
    func turn<Result>(of address: String, _ work: () async throws -> Result) async throws -> Result {
        try await enter(address)
        defer { leave(address) }
        if Deadline.isOver { throw Problem.unavailable("Too many people sign in at the moment. Try again.") }
        return try await work()
    }

    private func enter(_ address: String) async throws {
        let isAdmitted = state.withLock { state in
            guard state.count < largest else { return false }
            state.count += 1
            return true
        }
        guard isAdmitted else { throw Problem.unavailable("Too many people sign in at the moment. Try again.", retryAfter: 5) }
        await withCheckedContinuation { continuation in
            let isFirst = state.withLock { state in
                guard state.waiting[address] != nil else {
                    state.waiting[address] = []
                    return true
                }
                state.waiting[address]?.append(continuation)
                return false
            }
            if isFirst { continuation.resume() }
        }
    }

    private func leave(_ address: String) {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.count -= 1
            guard var waiting = state.waiting[address], !waiting.isEmpty else {
                state.waiting[address] = nil
                return nil
            }
            let next = waiting.removeFirst()
            state.waiting[address] = waiting
            return next
        }
        next?.resume()
    }
}
