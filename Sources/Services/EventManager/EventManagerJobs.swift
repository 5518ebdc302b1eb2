import Contracts
import Logging
import Messaging
import ServiceKit
import Storage
import Values

/// What EventManager does on timers.
struct EventManagerJobs: Sendable {
    private static let batch = 100

    let database: Database
    let outbox: Outbox
    let ownership: Ownership
    let cancellations: Cancellations
    let configuration: LiveSettings<EventManagerConfiguration>
    let logger: Logger

    var jobs: [Job] {
        [
            Job("owners", every: configuration.ownerRetry, ownership.confirmPending),
            Job("cancellations", every: configuration.cancellationRetry, cancellations.carryOutPending),
            Job("completions", every: configuration.completion, completeEvents),
        ]
    }

    @Sendable private func completeEvents() async throws {
        var count = 0
        repeat {
            let ids = try await database.read { tx in try EventStore.over(limit: EventManagerJobs.batch, in: tx) }
            count = ids.count
            for id in ids { try await complete(id) }
        } while count == EventManagerJobs.batch
    }

    private func complete(_ id: EventID) async throws {
        let outbox = outbox
        let isCompleted = try await database.write { tx in
            // It may have been moved, canceled or completed since it was found.
            guard let before = try EventStore.lock(id, in: tx), before.state == .published, before.isOver(at: try tx.now) else {
                return false
            }
            var event = before
            try event.complete()
            _ = try EventStore.save(event, over: before, by: "job:completions", outbox: outbox, in: tx)
            return true
        }
        if isCompleted { logger.info("an event was completed", metadata: ["event": "\(id)"]) }
    }
}
