import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Money back: asked for by Sales, or by itself where it was never owed.
struct RefundFlow: Sendable {
    /// Bounds what a payment shows.
    private static let mostRefunds: Int64 = 1_000

    let database: Database
    let providers: Providers
    let books: Bookkeeping
    let configuration: LiveSettings<PaymentProcessingConfiguration>
    let faults: Faults
    let logger: Logger

    /// Commits the refund as `requested`, if so much is left. One for each cause of an order.
    func request(_ new: NewRefund) async throws -> (refund: Refund, isNew: Bool) {
        let id = RefundID()
        return try await database.write { tx in
            guard let payment = try PaymentStore.lock(order: new.orderId, in: tx) else { throw Problem.notFound("payment") }
            if let known = try RefundStore.find(order: new.orderId, cause: new.causeId, in: tx) { return (known.answer, false) }
            guard new.amount.currency == payment.amount.currency else {
                throw Problem.invalid("amount.currency", "must be the payment's: \(payment.amount.currency)")
            }
            try RefundFlow.require(new.amount.amount, of: payment, in: tx)
            guard let attempt = payment.paidBy, try RefundStore.count(of: payment.id, in: tx) < RefundFlow.mostRefunds else {
                throw Problem.conflict(
                    "too-many-refunds", "There were too many refunds", "A payment may have \(RefundFlow.mostRefunds) of them.")
            }
            let refund = RefundRecord(
                id: id, paymentID: payment.id, orderID: new.orderId, attemptID: attempt, causeID: new.causeId, amount: new.amount,
                reason: new.reason, createdAt: try tx.now)
            _ = try RefundStore.insert(refund, in: tx)
            return (refund.answer, true)
        }
    }

    /// Hands a refund to the provider. One that was handed over before and never answered is looked up.
    func submit(_ id: RefundID) async throws -> Refund {
        let configuration = configuration.current
        let books = books
        let (refund, provider, wasSubmitted) = try await database.write { tx in
            guard let payment = try PaymentStore.lock(ofRefund: id, in: tx), var refund = try RefundStore.find(id, in: tx),
                let attempt = try AttemptStore.find(refund.attemptID, in: tx)
            else { throw Problem.notFound("refund") }
            let wasSubmitted = refund.state == .submitted
            if refund.state == .succeeded || wasSubmitted { return (refund, attempt.provider, wasSubmitted) }
            // While it had failed, its money counted as left and may have gone back under another cause.
            if refund.state == .failed, !refund.isAutomatic { try RefundFlow.require(refund.amount.amount, of: payment, in: tx) }
            let isDisputed =
                try refund.state == .requested && !refund.isAutomatic && RefundStore.refundable(payment, in: tx).isExceeded
            try refund.submit()
            refund.checkAt = configuration.nextCheck(after: 0, from: try tx.now) + configuration.providerTime
            try RefundStore.save(refund, in: tx)
            if isDisputed {
                // Since it was asked for: the payer has the money from the bank, or may get it.
                let change = try books.record(
                    .failed("disputed"), for: id, submission: refund.submissions, from: attempt.provider, in: tx)
                guard change != nil, let failed = try RefundStore.find(id, in: tx) else { throw Problem.notFound("refund") }
                refund = failed
            }
            return (refund, attempt.provider, false)
        }
        guard refund.state == .submitted else { return refund.answer }
        try await faults.point("payments.refund-submitted")
        let question = ProviderRefund(
            id: id, submission: refund.submissions, attempt: refund.attemptID, amount: refund.amount)
        var outcome = RefundOutcome.notFound
        do {
            if wasSubmitted { outcome = try await providers.ask(provider) { try await $0.lookUpRefund(question) } }
            if outcome == .notFound { outcome = try await providers.ask(provider) { try await $0.refund(question) } }
        } catch {
            logger.warning(
                "the outcome of a refund is unknown; it is looked up",
                metadata: ["refund": "\(id)", "provider": "\(provider)", "error": "\(error)"])
            outcome = .pending
        }
        try await faults.point("payments.refund-answered")
        return try await record(outcome, for: id, submission: refund.submissions, from: provider)
    }

    func cancel(_ id: RefundID) async throws -> Refund {
        let books = books
        return try await database.write { tx in
            guard var payment = try PaymentStore.lock(ofRefund: id, in: tx), var refund = try RefundStore.find(id, in: tx)
            else { throw Problem.notFound("refund") }
            guard refund.state != .canceled else { return refund.answer }
            try refund.cancel()
            refund.checkAt = nil
            try RefundStore.save(refund, in: tx)
            payment.touch()
            try PaymentStore.save(payment, in: tx)
            _ = try books.publish(payment, in: tx)
            return refund.answer
        }
    }

    private func record(
        _ outcome: RefundOutcome, for id: RefundID, submission: Int64, from provider: String
    ) async throws -> Refund {
        let books = books
        let recorded = try await Deadline.$current.withValue(nil) {
            try await database.write { tx -> (Change, Refund)? in
                guard let change = try books.record(outcome, for: id, submission: submission, from: provider, in: tx),
                    let refund = try RefundStore.find(id, in: tx)
                else { return nil }
                return (change, refund.answer)
            }
        }
        guard let (change, refund) = recorded else { throw Problem.notFound("refund") }
        change.log(to: logger)
        return refund
    }

    private static func require(_ amount: Int64, of payment: PaymentRecord, in tx: Transaction) throws {
        let left = try RefundStore.refundable(payment, in: tx).amount
        guard amount <= left else {
            var problem = Problem.conflict(
                "exceeds-refundable", "So much cannot be refunded",
                "\(Money(left, payment.amount.currency)) is left of what was paid, less refunds and disputes.")
            problem.members = ["refundable": "\(left)"]
            throw problem
        }
    }
}
