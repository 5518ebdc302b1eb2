import Logging
import ServiceKit
import Storage
import Values

/// What goes on without anybody asking. Every query is by the partial index of its appointments and bounded; one that
/// fails is logged, has its next appointment, and does not stop the others.
struct PaymentProcessingJobs: Sendable {
    /// How many of a kind are taken at once.
    private static let batch = 100
    /// Bounds one run of a job; what is left is for the next.
    private static let mostBatches = 50
    /// How many providers' answers are waited for side by side.
    private static let width = 8

    let database: Database
    let attempts: Attempts
    let refunds: RefundFlow
    let events: ProviderEvents
    let announcements: Announcements
    let configuration: LiveSettings<PaymentProcessingConfiguration>
    let sandbox: SandboxWebhooks?
    let logger: Logger

    var jobs: [Job] {
        let jobs = [
            Job("payments.lookups", every: .seconds(1), lookUp),
            Job("payments.events", every: .seconds(2), applyEvents),
            Job("payments.announcements", every: .seconds(1), announce),
            Job("payments.refunds", every: .seconds(1), finishRefunds),
        ]
        guard let sandbox else { return jobs }
        return jobs + [Job("sandbox.webhooks", every: .milliseconds(500), sandbox.deliverDue)]
    }

    @Sendable private func lookUp() async throws {
        let database = database
        let configuration = configuration.current
        try await drain(AttemptStore.due, "an attempt could not be looked up; it is tried again") { id in
            do {
                let change = try await attempts.resolve(id)
                if change.isCapture { await announcements.tell(change.payment) }
            } catch {
                try await database.write { tx in
                    // Under the payment's lock, so that nothing is written back that another has changed meanwhile.
                    guard try PaymentStore.lock(ofAttempt: id, in: tx) != nil, var attempt = try AttemptStore.find(id, in: tx),
                        attempt.isLive
                    else { return }
                    attempt.checkAt = configuration.nextCheck(after: attempt.checks, from: try tx.now)
                    attempt.checks += 1
                    try AttemptStore.save(attempt, in: tx)
                }
                throw error
            }
        }
    }

    @Sendable private func applyEvents() async throws {
        try await drain(ProviderEventStore.due, "a provider's event was not applied; it is tried again") {
            try await events.applyDue($0)
        }
    }

    @Sendable private func announce() async throws {
        for _ in 0..<PaymentProcessingJobs.mostBatches {
            let (due, left) = try await announcements.settleDue(limit: PaymentProcessingJobs.batch)
            await each(left, "a capture was not announced") { await announcements.tell($0) }
            if due < PaymentProcessingJobs.batch { return }
        }
    }

    @Sendable private func finishRefunds() async throws {
        let database = database
        let configuration = configuration.current
        try await drain(RefundStore.due, "a refund was not finished; it is tried again") { id in
            do {
                _ = try await refunds.submit(id)
            } catch {
                try await database.write { tx in
                    guard try PaymentStore.lock(ofRefund: id, in: tx) != nil, var refund = try RefundStore.find(id, in: tx),
                        refund.checkAt != nil
                    else { return }
                    refund.checkAt = configuration.nextCheck(after: refund.checks, from: try tx.now)
                    refund.checks += 1
                    try RefundStore.save(refund, in: tx)
                }
                throw error
            }
        }
    }

    /// Works off what is due, a batch at a time. Each item has another appointment, or none, once it was worked on.
    private func drain<Item: Sendable>(
        _ due: @escaping @Sendable (Int, Transaction) throws -> [Item], _ complaint: String,
        _ work: @escaping @Sendable (Item) async throws -> Void
    ) async throws {
        for _ in 0..<PaymentProcessingJobs.mostBatches {
            let items = try await database.read { tx in try due(PaymentProcessingJobs.batch, tx) }
            await each(items, complaint, work)
            if items.count < PaymentProcessingJobs.batch { return }
        }
    }

    private func each<Item: Sendable>(
        _ items: [Item], _ complaint: String, _ work: @escaping @Sendable (Item) async throws -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for (index, item) in items.enumerated() {
                if index >= PaymentProcessingJobs.width { await group.next() }
                group.addTask {
                    do {
                        try await work(item)
                    } catch {
                        logger.warning("\(complaint)", metadata: ["item": "\(item)", "error": "\(error)"])
                    }
                }
            }
        }
    }
}
