package import Logging
import Messaging
import ServiceLifecycle
package import Values

/// What a service does on a timer. One that fails is logged and tried again at its next time.
package struct Job: Sendable {
    package let name: String
    /// Asked again while it passes, for it may be a setting that changes.
    let interval: @Sendable () -> TimeSpan
    package let work: @Sendable () async throws -> Void

    package init(
        _ name: String, every interval: @autoclosure @escaping @Sendable () -> TimeSpan, _ work: @escaping @Sendable () async throws -> Void
    ) {
        self.name = name
        self.interval = interval
        self.work = work
    }

    /// Whether work that is long ends here, for the process stops. What is left is for the next start, or for another instance.
    package static var isToStop: Bool { Task.isCancelled || Task.isShuttingDownGracefully }
}

package struct JobRunner: Service {
    /// So long after it was changed an interval is in force.
    private static let longestWait = Duration.seconds(1)

    private let job: Job
    private let logger: Logger

    package init(_ job: Job, logger: Logger) {
        self.job = job
        self.logger = logger
    }

    package func run() async throws {
        let stop = Signal()
        await withGracefulShutdownHandler {
            while !Job.isToStop {
                do {
                    try await Correlation.$current.withValue(Correlation(id: "job:\(job.name)")) { try await job.work() }
                } catch {
                    logger.warning("a job failed; it is tried again", metadata: ["job": "\(job.name)", "error": "\(error)"])
                }
                let begin = ContinuousClock.now
                while !Job.isToStop {
                    let left = job.interval().duration - (ContinuousClock.now - begin)
                    guard left > .zero else { break }
                    // The signal's clock ticks ten times a second; what is wanted more often sleeps.
                    if left < .milliseconds(100) {
                        try? await Task.sleep(for: left)
                    } else {
                        await stop.wait(atMost: min(left, JobRunner.longestWait))
                    }
                }
            }
        } onGracefulShutdown: {
            stop.send()
        }
    }
}
