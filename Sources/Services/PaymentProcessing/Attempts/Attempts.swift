import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Takes attempts through their providers. The row is durable before the provider is called, an unknown outcome is looked up and
/// never guessed, and what the provider says is written down in a transaction of its own.
struct Attempts: Sendable {
    let database: Database
    let providers: Providers
    let books: Bookkeeping
    let faults: Faults
    let logger: Logger

    /// Calls the provider for an attempt whose row is committed. An outcome that stays unknown leaves it live, for the look-up.
    func begin(_ attempt: AttemptRecord, of payment: PaymentRecord) async throws -> Change {
        try await faults.point("payments.attempt-committed")
        let details = ProviderAttempt(attempt, of: payment)
        let outcome: ProviderOutcome
        do {
            outcome = try await providers.ask(attempt.provider) { try await $0.begin(details) }
        } catch {
            logger.warning(
                "the outcome of a payment attempt is unknown; it is looked up",
                metadata: ["attempt": "\(attempt.id)", "provider": "\(attempt.provider)", "error": "\(error)"])
            outcome = .pending
        }
        try await faults.point("payments.provider-called")
        return try await record(outcome, for: attempt)
    }

    /// Finds out how a live attempt stands, and ends what must not go on: finishes one that never reached its provider,
    /// cancels one whose payment was paid otherwise or is being closed. Throws if the provider cannot be asked.
    func resolve(_ id: AttemptID) async throws -> Change {
        let (attempt, payment) = try await load(id)
        guard attempt.isLive else { return try await record(.pending, for: attempt) }
        // Not by its expiry: only Sales says that an order's time is over.
        guard payment.state == .open, payment.closing == nil else { return try await cancel(attempt, of: payment) }
        let details = ProviderAttempt(attempt, of: payment)
        let outcome = try await providers.ask(attempt.provider) { try await $0.lookUp(details) }
        if outcome == .notFound, attempt.state == .created { return try await begin(attempt, of: payment) }
        return try await record(outcome, for: attempt)
    }

    /// Sees to it that the attempt is never charged; the change says whether it had been. Throws if the provider cannot be asked.
    func cancel(_ id: AttemptID) async throws -> Change {
        let (attempt, payment) = try await load(id)
        return try await cancel(attempt, of: payment)
    }

    private func cancel(_ attempt: AttemptRecord, of payment: PaymentRecord) async throws -> Change {
        let details = ProviderAttempt(attempt, of: payment)
        // One whose outcome is unknown may have been charged: that is asked before it is canceled, for a provider may cancel
        // only what it has not charged, or give the money back where it was meant to be kept.
        if attempt.state == .created {
            let outcome = try await providers.ask(attempt.provider) { try await $0.lookUp(details) }
            if case .captured = outcome { return try await record(outcome, for: attempt) }
        }
        let outcome = try await providers.ask(attempt.provider) { try await $0.cancel(details) }
        return try await record(outcome, for: attempt)
    }

    /// Writes down what a provider said. The caller may have gone by now; the outcome is written all the same.
    private func record(_ outcome: ProviderOutcome, for attempt: AttemptRecord) async throws -> Change {
        let books = books
        let refund = RefundID()
        let change = try await Deadline.$current.withValue(nil) {
            try await database.write { tx in
                try books.record(outcome, for: attempt.id, from: attempt.provider, refund: refund, in: tx)
            }
        }
        guard let change else { throw Problem.notFound("payment") }
        change.log(to: logger)
        return change
    }

    private func load(_ id: AttemptID) async throws -> (AttemptRecord, PaymentRecord) {
        let found = try await database.read { tx -> (AttemptRecord, PaymentRecord)? in
            guard let attempt = try AttemptStore.find(id, in: tx), let payment = try PaymentStore.find(attempt.paymentID, in: tx)
            else { return nil }
            return (attempt, payment)
        }
        guard let found else { throw Problem.notFound("payment") }
        return found
    }
}

extension ProviderAttempt {
    fileprivate init(_ attempt: AttemptRecord, of payment: PaymentRecord) {
        self.init(
            id: attempt.id, orderID: payment.orderID, amount: attempt.amount, method: attempt.method, returnURL: attempt.returnURL,
            description: payment.description, buyerEmail: payment.buyerEmail)
    }
}

extension Change {
    func log(to logger: Logger) {
        let payment: Logger.Metadata = ["payment": "\(payment.id)", "order": "\(payment.orderId)"]
        func metadata(_ name: String, _ value: String) -> Logger.Metadata { payment.merging([name: "\(value)"]) { $1 } }
        for note in notes {
            switch note {
            case .captured: logger.info("a payment was captured", metadata: payment)
            case .surplus(let money):
                logger.warning("a surplus capture goes back by itself", metadata: metadata("amount", "\(money)"))
            case .mismatched(let money):
                logger.error("a capture of another amount goes back by itself", metadata: metadata("amount", "\(money)"))
            case .attemptFailed(let code): logger.info("a payment attempt failed", metadata: metadata("failure", code))
            case .refundSucceeded(let id): logger.info("a refund succeeded", metadata: metadata("refund", "\(id)"))
            case .refundFailed(let id, let code):
                logger.error("a refund failed", metadata: metadata("refund", "\(id)").merging(["failure": "\(code)"]) { $1 })
            case .disputed(let state): logger.warning("a payment is disputed", metadata: metadata("dispute", state.rawValue))
            }
        }
    }
}
