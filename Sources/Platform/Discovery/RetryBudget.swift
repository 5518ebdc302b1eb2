import Synchronization
package import Values

/// How many requests may be sent once more: a fifth of all, and a hundred at once after a time without failures. Where everything
/// fails, repeating it would only be more load.
package final class RetryBudget: Sendable {
    private static let share = 0.2
    private static let most = 100.0

    private let balance = Mutex(RetryBudget.most)

    package init() {}

    package func requestIsSent() {
        balance.withLock { $0 = min(RetryBudget.most, $0 + RetryBudget.share) }
    }

    /// Whether there is still one to be had.
    package func take() -> Bool {
        balance.withLock { balance in
            guard balance >= 1 else { return false }
            balance -= 1
            return true
        }
    }
}

/// How long to wait before another instance is tried: a moment by chance, so that what failed together does not come again together.
package enum RetryPause {
    package static let longest = TimeSpan.milliseconds(20)

    package static func random() -> TimeSpan { TimeSpan(microseconds: .random(in: 1_000...longest.microseconds)) }
}
