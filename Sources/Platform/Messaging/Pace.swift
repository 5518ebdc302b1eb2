/// Keeps a loop from turning for every single message: under load what arrives meanwhile shares a turn, its reads and its commit.
/// The first turn after a quiet moment waits for nothing.
struct Pace {
    private let interval: Duration
    private var next = ContinuousClock.now

    init(every interval: Duration = .milliseconds(200)) {
        self.interval = interval
    }

    /// Returns when the next turn may begin.
    mutating func turn() async throws {
        let now = ContinuousClock.now
        if now < next { try await Task.sleep(until: next) }
        next = max(now, next) + interval
    }

    /// Whether the next turn may begin now. If so, it has.
    mutating func begins() -> Bool {
        let now = ContinuousClock.now
        guard now >= next else { return false }
        next = now + interval
        return true
    }
}
