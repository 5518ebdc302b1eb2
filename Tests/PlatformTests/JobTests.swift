import Logging
import ServiceKit
import Synchronization
import Testing
import Values

@Suite struct JobTests {
    private final class Watched: Sendable {
        let interval = Mutex(TimeSpan.hours(1))
        let runs = Mutex(0)
    }

    @Test func `a changed interval is in force soon, and not after the old one`() async throws {
        let watched = Watched()
        let job = Job("example", every: watched.interval.withLock { $0 }) { watched.runs.withLock { $0 += 1 } }
        let runner = JobRunner(job, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await runner.run() }
            func wait(for runs: Int) async throws {
                let end = ContinuousClock.now + .seconds(60)
                while watched.runs.withLock({ $0 }) < runs {
                    try #require(ContinuousClock.now < end)
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            try await wait(for: 1)
            watched.interval.withLock { $0 = .milliseconds(50) }
            try await wait(for: 3)
            group.cancelAll()
        }
    }
}
