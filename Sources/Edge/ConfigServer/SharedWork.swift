import Synchronization

/// Work that many may ask for at once, and that is then done once for all of them.
final class SharedWork<Result: Sendable>: Sendable {
    private struct State {
        var running: Task<Result, any Error>?
        var next: Task<Result, any Error>?
    }

    private let state = Mutex(State())
    /// The result of work that began after this call: what runs already may have looked too early.
    func fresh(_ work: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let task = state.withLock { state in
            if let next = state.next { return next }
            let before = state.running
            let task = Task {
                _ = await before?.result
                begin()
                return try await work()
            }
            state.next = task
            return task
        }
        return try await task.value
    }

    private func begin() {
        state.withLock { state in
            state.running = state.next
            state.next = nil
        }
    }
}
