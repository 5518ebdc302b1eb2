package import Logging
import Messaging
import ServiceLifecycle
package import Values

/// What a service does on a timer. One that fails is logged and tried again at its next time.
package struct Job: Sendable {
    package let name: String
    /// Asked before each wait, for it may be a setting that changes.
    let interval: @Sendable () -> TimeSpan
    package let work: @Sendable () async throws -> Void

    package init(
        _ name: String, every interval: @autoclosure @escaping @Sendable () -> TimeSpan, _ work: @escaping @Sendable () async throws -> Void
    ) {
        self.name = name
        self.interval = interval
        self.work = work
    }
}

package struct JobRunner: Service {
    private let job: Job
    private let logger: Logger

    package init(_ job: Job, logger: Logger) {
        self.job = job
        self.logger = logger
    }

    package func run() async throws {
        let stop = Signal()
        await withGracefulShutdownHandler {
            while !Task.isCancelled, !Task.isShuttingDownGracefully {
                do {
                    try await Correlation.$id.withValue("job:\(job.name)") { try await job.work() }
                } catch {
                    logger.warning("a job failed; it is tried again", metadata: ["job": "\(job.name)", "error": "\(error)"])
                }
                // The signal's clock ticks ten times a second; what is wanted more often sleeps.
                let interval = job.interval()
                if interval < .milliseconds(100) {
                    try? await Task.sleep(for: interval.duration)
                } else {
                    await stop.wait(atMost: interval.duration)
                }
            }
        } onGracefulShutdown: {
            stop.send()
        }
    }
}
