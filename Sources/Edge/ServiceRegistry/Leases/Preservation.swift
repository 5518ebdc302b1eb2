import Values

/// Whether instances stay listed although their leases have ended: where so many stop renewing at once, the network is a likelier
/// reason than they are.
struct Preservation: Sendable {
    struct Rule: Sendable {
        var isEnabled = true
        /// Of a small registry each single instance would be a large part.
        var fewestInstances = 20
        /// How long an instance stays so at most: those that were taken away for good shall not stay for ever.
        var longest = TimeSpan.minutes(30)
    }

    /// Of the renewals that are expected in a minute, the part that must arrive.
    static let share = 0.85

    let rule: Rule
    private var seconds = [Int](repeating: 0, count: 60)
    private var second: Int64 = 0

    init(_ rule: Rule) {
        self.rule = rule
    }

    mutating func renewed(at now: Instant) {
        forget(before: now)
        seconds[Int(now.seconds % 60)] += 1
    }

    /// How many renewals there were in the last minute.
    mutating func renewalsOfLastMinute(at now: Instant) -> Int {
        forget(before: now)
        return seconds.reduce(0, +)
    }

    private mutating func forget(before now: Instant) {
        let passed = now.seconds - second
        guard passed > 0 else { return }
        for offset in 1...min(passed, 60) { seconds[Int((second + offset) % 60)] = 0 }
        second = now.seconds
    }

    /// What there is to see of it.
    struct State: Sendable {
        var isEnabled: Bool
        /// Whether the registry is large enough.
        var isWatching: Bool
        /// Whether instances are kept at the moment.
        var isActive: Bool
        var renewals: Int
        /// How many must arrive in a minute; fewer begin it.
        var threshold: Int
    }

    mutating func state(expected: Double, instances: Int, at now: Instant) -> State {
        let renewals = renewalsOfLastMinute(at: now)
        let threshold = Int((expected * Preservation.share).rounded(.up))
        let isWatching = rule.isEnabled && instances >= rule.fewestInstances
        return State(
            isEnabled: rule.isEnabled, isWatching: isWatching, isActive: isWatching && renewals < threshold, renewals: renewals,
            threshold: threshold)
    }
}
