import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// A provider that moves no money and otherwise behaves like a real one: it is idempotent, remembers, is slow on demand, and
/// sends signed webhooks, twice or in the wrong order if it is asked to. See `SandboxCard` for how to ask.
struct SandboxProvider: PaymentProvider {
    private static let lateness = TimeSpan.seconds(30)

    let database: Database
    let confirmationURL: String
    let signature: SandboxSignature

    var name: String { "sandbox" }
    var holder: LedgerAccount { .provider }
    var tellsOutcomes: Bool { true }

    func mistake(in method: String?) -> String? {
        SandboxCard(method) == nil
            ? "must be a test number: 4242424242424242, 4000000000000002, 4000000000009995 or 4000002500003155" : nil
    }

    func begin(_ attempt: ProviderAttempt) async throws -> ProviderOutcome {
        guard let card = SandboxCard(attempt.method) else { return .failed("card-declined") }
        let new = SandboxProvider.charge(attempt, card)
        let id = SandboxProvider.newID("evt")
        let charge = try await database.write { tx in
            if try SandboxStore.insert(new, in: tx) {
                try SandboxProvider.send(SandboxProvider.event(id, of: new), card, in: tx)
                return new
            }
            return try SandboxStore.find(attempt.id, in: tx) ?? new
        }
        try await wait(card.delay)
        if card.webhooks.contains(.only), charge.state == .captured || charge.state == .failed { return .pending }
        return outcome(of: charge)
    }

    func lookUp(_ attempt: ProviderAttempt) async throws -> ProviderOutcome {
        let charge = try await database.read { tx in try SandboxStore.find(attempt.id, in: tx) }
        try await wait(SandboxCard(attempt.method)?.delay ?? .zero)
        return charge.map(outcome) ?? .notFound
    }

    /// An attempt that was never begun leaves a canceled charge, so that its beginning, should it still come, charges nothing.
    func cancel(_ attempt: ProviderAttempt) async throws -> ProviderOutcome {
        let canceled = SandboxCharge(
            id: SandboxProvider.newID("ch"), attemptID: attempt.id, method: attempt.method ?? "", money: attempt.amount,
            returnURL: nil, state: .canceled)
        let charge = try await database.write { tx in
            if try SandboxStore.insert(canceled, in: tx) { return canceled }
            guard var charge = try SandboxStore.lock(attempt.id, in: tx) else { return canceled }
            charge.cancel()
            try SandboxStore.save(charge, in: tx)
            return charge
        }
        try await wait(SandboxCard(attempt.method)?.delay ?? .zero)
        return outcome(of: charge)
    }

    func refund(_ refund: ProviderRefund) async throws -> RefundOutcome {
        let id = SandboxProvider.newID("evt")
        return try await database.write { tx in
            guard let charge = try SandboxStore.lock(refund.attempt, in: tx), charge.state == .captured else {
                return .failed("nothing-captured")
            }
            if let known = try SandboxStore.refund(refund.id, in: tx), known.failure == nil || known.submission >= refund.submission {
                return known.outcome
            }
            let card = SandboxCard(charge.method)
            let (sum, overflow) = try SandboxStore.refunded(of: charge.id, in: tx).addingReportingOverflow(refund.amount.amount)
            let failure: String? =
                if refund.amount.currency != charge.money.currency || overflow || sum > charge.money.amount {
                    "exceeds-charge"
                } else if card?.refunds == .fail || (card?.refunds == .once && refund.submission == 1) {
                    "refused"
                } else {
                    nil
                }
            let made = SandboxRefund(
                id: refund.id, chargeID: charge.id, money: refund.amount, failure: failure, submission: refund.submission)
            try SandboxStore.save(made, in: tx)
            let event = SandboxEvent(
                id: id, type: failure == nil ? "refund.succeeded" : "refund.failed", chargeId: charge.id, refundId: refund.id,
                submission: refund.submission, amount: refund.amount, failure: failure)
            if let card { try SandboxProvider.send(event, card, in: tx) }
            return made.outcome
        }
    }

    func lookUpRefund(_ refund: ProviderRefund) async throws -> RefundOutcome {
        let known = try await database.read { tx in try SandboxStore.refund(refund.id, in: tx) }
        guard let known, known.failure == nil || known.submission >= refund.submission else { return .notFound }
        return known.outcome
    }

    func verifyWebhook(_ headers: HTTPFields, _ body: [UInt8], now: Instant) throws -> [ProviderEvent] {
        guard signature.accepts(headers[.sandboxSignature], for: body, at: now) else {
            throw Problem(
                400, "bad-signature", "The signature is wrong",
                detail: "Sign the body with the webhook's secret, not more than 5 minutes ago.")
        }
        guard let event = try? JSON.value(SandboxEvent.self, from: body), !event.id.isEmpty, let fact = event.fact else {
            throw Problem.badRequest("The body is not an event of the sandbox.")
        }
        return [ProviderEvent(id: event.id, fact: fact)]
    }

    /// The buyer's answer to a charge that asks for a confirmation. Nil if there is no such charge.
    func confirm(_ id: String, _ approves: Bool) async throws -> SandboxCharge? {
        let event = SandboxProvider.newID("evt")
        return try await database.write { tx in
            guard var charge = try SandboxStore.lock(charge: id, in: tx) else { return nil }
            if try charge.confirm(approves) {
                try SandboxStore.save(charge, in: tx)
                if let card = SandboxCard(charge.method) {
                    try SandboxProvider.send(SandboxProvider.event(event, of: charge), card, in: tx)
                }
            }
            return charge
        }
    }

    private func outcome(of charge: SandboxCharge) -> ProviderOutcome {
        switch charge.state {
        case .captured: .captured(charge.money, reference: charge.id)
        case .failed: .failed(charge.failure ?? "card-declined")
        case .canceled: .canceled
        case .awaitingConfirmation:
            .requiresAction(PaymentAction(type: .redirect, url: confirmationURL.replacing("{chargeId}", with: charge.id)))
        }
    }

    private func wait(_ delay: TimeSpan) async throws {
        if delay > .zero { try await Task.sleep(for: delay.duration) }
    }

    private static func charge(_ attempt: ProviderAttempt, _ card: SandboxCard) -> SandboxCharge {
        let money = Money(card.amount ?? attempt.amount.amount, attempt.amount.currency)
        let (state, failure): (SandboxCharge.State, String?) =
            switch card.behavior {
            case .captures: (.captured, nil)
            case .fails(let code): (.failed, code)
            case .asksForConfirmation: (.awaitingConfirmation, nil)
            }
        return SandboxCharge(
            id: newID("ch"), attemptID: attempt.id, method: attempt.method ?? "", money: money, returnURL: attempt.returnURL,
            state: state, failure: failure)
    }

    /// Nil while nothing is decided.
    private static func event(_ id: String, of charge: SandboxCharge) -> SandboxEvent? {
        switch charge.state {
        case .captured:
            SandboxEvent(
                id: id, type: "charge.succeeded", attemptId: charge.attemptID, chargeId: charge.id, amount: charge.money)
        case .failed:
            SandboxEvent(
                id: id, type: "charge.failed", attemptId: charge.attemptID, chargeId: charge.id, amount: charge.money,
                failure: charge.failure)
        case .awaitingConfirmation, .canceled: nil
        }
    }

    private static func send(_ event: SandboxEvent?, _ card: SandboxCard, in tx: Transaction) throws {
        guard let event, !card.webhooks.contains(.none) else { return }
        let at = try tx.now + (card.webhooks.contains(.late) ? lateness : .zero)
        try SandboxStore.send(event, at: at, in: tx)
        if card.webhooks.contains(.duplicate) { try SandboxStore.send(event, at: at, in: tx) }
        if card.webhooks.contains(.reorder), event.type == "charge.succeeded" {
            var failed = event
            failed.id += "-before"
            failed.type = "charge.failed"
            failed.failure = "card-declined"
            try SandboxStore.send(failed, at: at + TimeSpan(microseconds: 1), in: tx)
        }
    }

    /// New ones after older ones, so that their rows stand beside each other, and not to be guessed.
    private static func newID(_ prefix: String) -> String {
        "\(prefix)_\(CrockfordBase32.encode(SandboxWebhookID().bytes + Secrets.randomKey().prefix(14)))"
    }
}

extension HTTPField.Name {
    static let sandboxSignature = HTTPField.Name("Sandbox-Signature")!
}
