import Contracts
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import Storage
import Values

/// What providers tell on their own account: stored first, answered, then applied; what matches nothing yet is tried again.
struct ProviderEvents: Sendable {
    /// After this an event that never matched anything is given up, and stays in the table.
    private static let patience = TimeSpan.days(3)

    let database: Database
    let providers: Providers
    let books: Bookkeeping
    let configuration: LiveSettings<PaymentProcessingConfiguration>
    let announcements: Announcements
    let faults: Faults
    let logger: Logger

    /// Returns when every event is durable. Throws 404 for an unknown provider, 400 for a wrong signature.
    func receive(_ name: String, _ headers: HTTPFields, _ body: [UInt8]) async throws {
        guard let provider = providers.find(name) else { throw Problem.notFound("provider") }
        let events = try provider.verifyWebhook(headers, body, now: .now)
        let configuration = configuration.current
        let waiting = try await database.write { tx in
            let applyAt = configuration.nextCheck(after: 0, from: try tx.now)
            return try events.filter { event in
                let isNews = try ProviderEvents.isNews(event, in: tx)
                return try ProviderEventStore.insert(event, from: name, applyAt: isNews ? applyAt : nil, in: tx) && isNews
            }
        }
        // From here on the sender has its answer: whatever goes wrong, the events are there and a job applies them.
        for event in waiting {
            do {
                try await faults.point("payments.event-stored")
                _ = try await apply(event, from: name)
            } catch {
                logger.warning(
                    "a provider's event was not applied yet; it is tried again",
                    metadata: ["provider": "\(name)", "event": "\(event.id)", "error": "\(error)"])
            }
        }
    }

    /// The usual webhook tells of a capture that the call has told already. That is seen by one look and costs nothing more.
    private static func isNews(_ event: ProviderEvent, in tx: Transaction) throws -> Bool {
        switch event.fact {
        case .charge(let id, .captured):
            // Also a mismatched capture has been received, and has its refund.
            try tx.row("SELECT received_amount FROM payment_attempt WHERE id = \(id) AND received_amount IS NOT NULL") == nil
        case .charge, .refund, .dispute: true
        case .other: false
        }
    }

    /// For the job.
    func applyDue(_ waiting: ProviderEventStore.Waiting) async throws {
        do {
            if try await apply(waiting.event, from: waiting.provider) { return }
        } catch {
            try await postpone(waiting)
            throw error
        }
        if Instant.now < waiting.receivedAt + ProviderEvents.patience { return try await postpone(waiting) }
        try await database.write { tx in
            try ProviderEventStore.postpone(waiting.event.id, from: waiting.provider, until: nil, in: tx)
        }
        logger.error(
            "a provider's event matches nothing", metadata: ["provider": "\(waiting.provider)", "event": "\(waiting.event.id)"])
    }

    /// - Returns: false if it matches nothing yet.
    private func apply(_ event: ProviderEvent, from provider: String) async throws -> Bool {
        let books = books
        let refund = RefundID()
        let dispute = DisputeID()
        let change = try await database.write { tx -> Change? in
            let change: Change?
            switch event.fact {
            case .charge(let id, let outcome):
                change = try books.record(outcome, for: id, from: provider, refund: refund, in: tx)
            case .refund(let id, let submission, let outcome):
                change = try books.record(outcome, for: id, submission: submission, from: provider, in: tx)
            case .dispute(let reference, let attempt, let state, let money):
                change = try books.record(
                    state, dispute: reference, of: money, attempt: attempt, from: provider, as: dispute, in: tx)
            case .other:
                change = nil
            }
            if change != nil { try ProviderEventStore.markApplied(event.id, from: provider, in: tx) }
            return change
        }
        guard let change else { return false }
        change.log(to: logger)
        if change.isCapture { await announcements.tell(change.payment) }
        return true
    }

    private func postpone(_ waiting: ProviderEventStore.Waiting) async throws {
        let configuration = configuration.current
        try await database.write { tx in
            try ProviderEventStore.postpone(
                waiting.event.id, from: waiting.provider,
                until: configuration.nextCheck(after: waiting.tries, from: try tx.now), in: tx)
        }
    }
}
