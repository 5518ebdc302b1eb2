import Contracts
import Messaging
import ServiceKit
import Storage
import Values

/// What became of the books, to be logged and told once it is durable.
struct Change: Sendable {
    enum Note: Hashable, Sendable {
        case captured
        case surplus(Money)
        case mismatched(Money)
        case attemptFailed(String)
        case refundSucceeded(RefundID)
        case refundFailed(RefundID, String)
        case disputed(DisputeState)
    }

    var payment: Payment
    var notes: [Note] = []

    var isCapture: Bool { notes.contains(.captured) }
}

/// Writes down what providers say: the one place where money enters or leaves the books.
///
/// Every function takes the open transaction, locks the payment first, and may be told the same thing twice.
struct Bookkeeping: Sendable {
    let outbox: Outbox
    let providers: Providers
    let configuration: LiveSettings<PaymentProcessingConfiguration>

    /// Nil if there is no such attempt with this provider.
    /// - Parameter refund: the id of the refund that is made if the money must go back by itself.
    func record(
        _ outcome: ProviderOutcome, for id: AttemptID, from provider: String, refund: RefundID, in tx: Transaction
    ) throws -> Change? {
        guard var payment = try PaymentStore.lock(ofAttempt: id, in: tx) else { return nil }
        var attempts = try AttemptStore.all(of: payment.id, in: tx)
        guard let place = attempts.firstIndex(where: { $0.id == id }), attempts[place].provider == provider else { return nil }
        var attempt = attempts[place]
        let hadMoney = attempts.contains { $0.received != nil }
        let rival = attempts.first { $0.isLive && $0.id != id }
        var notes: [Change.Note] = []
        let effect = attempt.hear(outcome)
        switch effect {
        case .none: break
        case .changed:
            payment.touch()
            if let failure = attempt.failure { notes.append(.attemptFailed(failure)) }
        case .captured:
            try LedgerStore.book(.capture(id, attempt.amount, heldBy: holder(provider)), of: payment, in: tx)
            let announceAt = try tx.now + configuration.announceInterval
            if payment.capture(by: id, announceAt: announceAt) {
                notes.append(.surplus(attempt.amount))
                try giveBack(attempt.amount, of: attempt, payment, as: refund, isCounted: true, "surplus capture", in: tx)
            } else {
                notes.append(.captured)
                // Another attempt that may still capture is canceled at its provider by the next look-up.
                if var rival {
                    rival.checkAt = try tx.now
                    try AttemptStore.save(rival, in: tx)
                }
            }
        case .mismatched(let money):
            notes.append(.mismatched(money))
            payment.touch()
            if money.amount > 0 {
                try LedgerStore.book(.capture(id, money, heldBy: holder(provider)), of: payment, in: tx)
                try giveBack(money, of: attempt, payment, as: refund, isCounted: false, AttemptRecord.amountMismatch, in: tx)
            }
        }
        if payment.closing != nil, !attempt.isLive, rival == nil { payment.finishClosing() }
        try schedule(&attempt, of: payment, after: outcome, in: tx)
        try AttemptStore.save(attempt, in: tx)
        attempts[place] = attempt
        // The first money that comes in has been given back by nobody, unless just now.
        let hasRefunds = hadMoney || !(notes.isEmpty || notes == [.captured])
        let view = try PaymentStore.view(payment, attempts, hasRefunds: hasRefunds, in: tx)
        guard effect != .none else { return Change(payment: view) }
        try PaymentStore.save(payment, in: tx)
        // Sales is told of a capture by calls, until it has settled it.
        if notes != [.captured] { try tell(view, of: payment, in: tx) }
        return Change(payment: view, notes: notes)
    }

    /// Nil if there is no such refund with this provider.
    func record(
        _ outcome: RefundOutcome, for id: RefundID, submission: Int64, from provider: String, in tx: Transaction
    ) throws -> Change? {
        guard var payment = try PaymentStore.lock(ofRefund: id, in: tx), var refund = try RefundStore.find(id, in: tx),
            let attempt = try AttemptStore.find(refund.attemptID, in: tx), attempt.provider == provider
        else { return nil }
        var notes: [Change.Note] = []
        let isNew = refund.hear(outcome, submission: submission)
        if isNew, refund.state == .succeeded {
            try LedgerStore.book(.refund(id, refund.amount, heldBy: holder(provider)), of: payment, in: tx)
            if refund.isCounted { payment.refunded(refund.amount.amount) } else { payment.touch() }
            notes.append(.refundSucceeded(id))
        } else if isNew {
            payment.touch()
            notes.append(.refundFailed(id, refund.failure ?? ""))
        }
        if refund.state == .submitted || (refund.state == .failed && refund.isAutomatic) {
            refund.checks += 1
            refund.checkAt = configuration.current.nextCheck(after: refund.checks - 1, from: try tx.now)
        } else {
            refund.checkAt = nil
        }
        try RefundStore.save(refund, in: tx)
        guard isNew else { return Change(payment: try PaymentStore.view(payment, in: tx)) }
        try PaymentStore.save(payment, in: tx)
        return Change(payment: try publish(payment, in: tx), notes: notes)
    }

    /// Nil if there is no such attempt with this provider.
    func record(
        _ state: DisputeState, dispute reference: String, of money: Money, attempt id: AttemptID, from provider: String,
        as newID: DisputeID, in tx: Transaction
    ) throws -> Change? {
        guard var payment = try PaymentStore.lock(ofAttempt: id, in: tx), let attempt = try AttemptStore.find(id, in: tx),
            attempt.provider == provider
        else { return nil }
        var dispute: DisputeRecord
        if var known = try DisputeStore.find(reference, of: provider, in: tx) {
            guard known.hear(state) else { return Change(payment: try PaymentStore.view(payment, in: tx)) }
            dispute = known
            try DisputeStore.save(dispute, in: tx)
        } else {
            // A bank may dispute in its own currency. What may be refunded is then reckoned with the whole amount.
            dispute = DisputeRecord(
                id: newID, paymentID: payment.id, attemptID: id, provider: provider, reference: reference,
                amount: money.currency == payment.amount.currency ? money : payment.amount, state: state, createdAt: try tx.now)
            try DisputeStore.insert(dispute, in: tx)
        }
        if dispute.state == .lost, dispute.amount.amount > 0 {
            try LedgerStore.book(.lostDispute(dispute.id, dispute.amount, heldBy: holder(provider)), of: payment, in: tx)
        }
        payment.touch()
        try PaymentStore.save(payment, in: tx)
        return Change(payment: try publish(payment, in: tx), notes: [.disputed(dispute.state)])
    }

    /// Tells everybody how the payment stands after this transaction.
    func publish(_ payment: PaymentRecord, in tx: Transaction) throws -> Payment {
        let view = try PaymentStore.view(payment, in: tx)
        try tell(view, of: payment, in: tx)
        return view
    }

    private func tell(_ view: Payment, of payment: PaymentRecord, in tx: Transaction) throws {
        try outbox.append(PaymentChanged(payment: view), of: "\(payment.id)", version: payment.version, in: tx)
    }

    /// Makes a refund that nobody has to ask for; a job submits it until it succeeds. One for each attempt, by its cause.
    func giveBack(
        _ money: Money, of attempt: AttemptRecord, _ payment: PaymentRecord, as id: RefundID, isCounted: Bool, _ reason: String,
        in tx: Transaction
    ) throws {
        let now = try tx.now
        _ = try RefundStore.insert(
            RefundRecord(
                id: id, paymentID: payment.id, orderID: payment.orderID, attemptID: attempt.id,
                causeID: "\(RefundRecord.automaticCause)\(attempt.id)", amount: money, reason: reason, isAutomatic: true,
                isCounted: isCounted, checkAt: now, createdAt: now), in: tx)
    }

    private func schedule(
        _ attempt: inout AttemptRecord, of payment: PaymentRecord, after outcome: ProviderOutcome, in tx: Transaction
    ) throws {
        let isUnwanted = payment.paidBy != nil || payment.closing != nil
        let canTellMore = attempt.state == .created || isUnwanted || providers.find(attempt.provider)?.tellsOutcomes ?? true
        guard attempt.isLive, canTellMore else {
            attempt.checkAt = nil
            return
        }
        attempt.checkAt = configuration.current.nextCheck(after: attempt.checks, from: try tx.now)
        attempt.checks += 1
    }

    private func holder(_ provider: String) -> LedgerAccount {
        providers.find(provider)?.holder ?? .provider
    }
}
