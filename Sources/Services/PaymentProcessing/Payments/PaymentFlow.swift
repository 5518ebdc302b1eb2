import Contracts
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import Storage
import Values

/// From the wish to pay to the end of the payment.
struct PaymentFlow: Sendable {
    let database: Database
    let books: Bookkeeping
    let attempts: Attempts
    let announcements: Announcements
    let configuration: LiveSettings<PaymentProcessingConfiguration>
    let logger: Logger

    /// One payment per order. The payment and its first attempt are durable before the provider is called; a repeated call answers
    /// how things stand, and finishes a first attempt that never came back from its provider.
    /// - Returns: whether it is new.
    func create(_ new: NewPayment) async throws -> (payment: Payment, isNew: Bool) {
        let payment = PaymentRecord(
            id: PaymentID(), orderID: new.orderId, organizerID: new.organizerId, amount: new.amount, description: new.description,
            buyerEmail: new.buyerEmail, expiresAt: new.expiresAt)
        let id = AttemptID()
        let configuration = configuration.current
        let attempt = try await database.write { tx -> AttemptRecord? in
            guard try PaymentStore.insert(payment, in: tx) else { return nil }
            return try PaymentFlow.insert(id, of: payment, new.choice, configuration, in: tx)
        }
        if let attempt { return (try await attempts.begin(attempt, of: payment).payment, true) }
        return (try await present(new), false)
    }

    private func present(_ new: NewPayment) async throws -> Payment {
        let found = try await database.read { tx -> (payment: Payment, unfinished: AttemptID?)? in
            guard let payment = try PaymentStore.find(order: new.orderId, in: tx) else { return nil }
            let live = try AttemptStore.live(of: payment.id, in: tx)
            return (try PaymentStore.view(payment, in: tx), live?.state == .created ? live?.id : nil)
        }
        guard let (payment, unfinished) = found else { throw Problem.notFound("payment") }
        guard payment.amount == new.amount else {
            throw Problem.conflict(
                "payment-differs", "The order's payment asks for another amount", "It asks for \(payment.amount); an order has one payment."
            )
        }
        guard let unfinished else { return payment }
        return try await attempts.resolve(unfinished).payment
    }

    /// Another try. The old attempt is canceled at its provider first; if that finds it captured there is no new one.
    ///
    /// The key is remembered with the attempt that it made, so a repeated request resumes that one and makes no other.
    func tryAgain(_ id: PaymentID, _ choice: PaymentChoice, key: IdempotencyKey) async throws -> Change {
        for _ in 0..<3 {
            switch try await nextStep(id, choice, key) {
            case .resume(let attempt):
                return try await current(id, unfinished: attempt)
            case .cancelFirst(let old):
                let change = try await cancel(old)
                if change.isCapture { await announcements.tell(change.payment) }
                guard change.payment.attempts.first(where: { $0.id == old })?.isOver == true else {
                    throw Problem.unavailable("The payment provider has not decided about the attempt before; try again.", retryAfter: 5)
                }
            case .begin(let attempt, let payment):
                return try await attempts.begin(attempt, of: payment)
            }
        }
        throw Problem.conflict("attempt-in-progress", "Another attempt is being made", "Wait for its outcome.")
    }

    private enum Step: Sendable {
        case resume(AttemptID)
        case cancelFirst(AttemptID)
        case begin(AttemptRecord, of: PaymentRecord)
    }

    private func nextStep(_ id: PaymentID, _ choice: PaymentChoice, _ key: IdempotencyKey) async throws -> Step {
        let newID = AttemptID()
        let configuration = configuration.current
        return try await database.write { tx in
            guard let payment = try PaymentStore.lock(id, in: tx) else { throw Problem.notFound("payment") }
            if let remembered = try Idempotency.answer(to: key, in: tx) {
                return .resume(try JSON.value(AttemptID.self, from: remembered.body))
            }
            try payment.requireBeginnable(at: try tx.now)
            let all = try AttemptStore.all(of: id, in: tx)
            // Before the last one is canceled, which may succeed yet.
            guard all.count < configuration.mostAttempts else {
                throw Problem.conflict(
                    "too-many-attempts", "There were too many attempts", "A payment may be tried \(configuration.mostAttempts) times.")
            }
            if let live = all.last(where: \.isLive) { return .cancelFirst(live.id) }
            let attempt = try PaymentFlow.insert(newID, of: payment, choice, configuration, in: tx)
            try Idempotency.remember(Reply(status: .created, body: try JSON.bytes(of: newID)), for: key, in: tx)
            return .begin(attempt, of: payment)
        }
    }

    private func current(_ id: PaymentID, unfinished attempt: AttemptID) async throws -> Change {
        let (payment, isUnfinished) = try await database.read { tx in
            guard let payment = try PaymentStore.find(id, in: tx) else { throw Problem.notFound("payment") }
            return (try PaymentStore.view(payment, in: tx), try AttemptStore.find(attempt, in: tx)?.state == .created)
        }
        return isUnfinished ? try await attempts.resolve(attempt) : Change(payment: payment)
    }

    /// No attempt may begin any more, and the live one is canceled at its provider. If that finds it captured, the payment is
    /// captured and its state says so. Throws 503 while the provider cannot tell; it may be called again.
    func close(_ order: OrderID, _ reason: CloseReason) async throws -> Payment {
        let books = books
        let (view, live) = try await database.write { tx -> (Payment, AttemptID?) in
            guard var payment = try PaymentStore.lock(order: order, in: tx) else { throw Problem.notFound("payment") }
            guard payment.state == .open else { return (try PaymentStore.view(payment, in: tx), nil) }
            let live = try AttemptStore.live(of: payment.id, in: tx)?.id
            payment.beginClosing(reason)
            if live == nil { payment.finishClosing() }
            try PaymentStore.save(payment, in: tx)
            return (live == nil ? try books.publish(payment, in: tx) : try PaymentStore.view(payment, in: tx), live)
        }
        guard let live else { return view }
        let closed = try await cancel(live).payment
        guard closed.state != .open else {
            throw Problem.unavailable("The payment provider has not decided yet; try again.", retryAfter: 5)
        }
        return closed
    }

    private func cancel(_ attempt: AttemptID) async throws -> Change {
        do {
            return try await attempts.cancel(attempt)
        } catch {
            logger.warning(
                "an attempt could not be canceled at its provider yet", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            throw Problem.unavailable("The payment provider cannot be asked at the moment; try again.", retryAfter: 5)
        }
    }

    /// Sales has said what became of the capture, and is told of it no more.
    ///
    /// Money that came after the order had been canceled goes back by itself, unless Sales has asked for a refund of its own.
    func settle(_ order: OrderID, _ outcome: SettlementOutcome) async throws {
        let books = books
        let refund = RefundID()
        try await database.write { tx in
            guard var payment = try PaymentStore.lock(order: order, in: tx) else { throw Problem.notFound("payment") }
            let wasCaptured = payment.state == .captured
            let isPayLater = try AttemptStore.live(of: payment.id, in: tx)?.isPayLater ?? false
            try payment.settle(outcome, isPayLater: isPayLater)
            guard wasCaptured else { return }
            if outcome == .refunded, payment.closing == .canceled, let id = payment.paidBy,
                let attempt = try AttemptStore.find(id, in: tx),
                try RefundStore.all(of: payment.id, in: tx).allSatisfy(\.isAutomatic)
            {
                let left = try RefundStore.refundable(payment, in: tx).amount
                if left > 0 {
                    try books.giveBack(
                        Money(left, payment.amount.currency), of: attempt, payment, as: refund, isCounted: true,
                        "captured after the order was canceled", in: tx)
                }
            }
            try PaymentStore.save(payment, in: tx)
            // Who said that it is fulfilled knows it.
            if outcome == .refunded { _ = try books.publish(payment, in: tx) }
        }
    }

    /// Staff have the money in hand.
    /// - Returns: nil where the request was answered before.
    func recordReceipt(_ id: PaymentID, _ receipt: PaymentReceipt, key: IdempotencyKey) async throws -> (reply: Reply, change: Change?) {
        let books = books
        let refund = RefundID()
        return try await database.write { tx in
            var change: Change?
            let reply = try Idempotency.once(key, in: tx) {
                guard let payment = try PaymentStore.lock(id, in: tx) else { throw Problem.notFound("payment") }
                guard payment.paidBy == nil else { throw payment.alreadyPaid }
                guard receipt.amount == payment.amount else {
                    throw Problem.invalid("amount", "must be what the payment asks for: \(payment.amount)")
                }
                let all = try AttemptStore.all(of: id, in: tx)
                guard let attempt = all.last(where: { $0.provider == ManualProvider.name }) else {
                    throw Problem.conflict(
                        "no-manual-attempt", "This is not paid by hand",
                        "The buyer chose another way to pay; a receipt is for bank transfers and for money taken at the door.")
                }
                let recorded = try books.record(
                    .captured(receipt.amount, reference: receipt.reference ?? ""), for: attempt.id, from: ManualProvider.name,
                    refund: refund, in: tx)
                guard let recorded else { throw Problem.notFound("payment") }
                change = recorded
                return try .created(recorded.payment, at: "/api/v1/payments/\(id)")
            }
            return (reply, change)
        }
    }

    private static func insert(
        _ id: AttemptID, of payment: PaymentRecord, _ choice: PaymentChoice, _ configuration: PaymentProcessingConfiguration,
        in tx: Transaction
    ) throws -> AttemptRecord {
        let now = try tx.now
        // Beyond what the call itself may take, so that the look-up does not interfere with it.
        let checkAt = configuration.nextCheck(after: 0, from: now) + configuration.providerTime
        let attempt = AttemptRecord(
            id: id, paymentID: payment.id, provider: choice.provider, method: choice.method, returnURL: choice.returnURL,
            amount: payment.amount, checkAt: checkAt, createdAt: now)
        try AttemptStore.insert(attempt, in: tx)
        return attempt
    }
}

extension PaymentAttempt {
    /// Whether nothing can be captured by it any more.
    fileprivate var isOver: Bool {
        switch status {
        case .created, .requiresAction, .authorized: false
        case .captured, .failed, .canceled: true
        }
    }
}
