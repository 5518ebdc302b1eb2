import Contracts
import HTTPTypes
import Values

/// Who moves the money: the sandbox, the organizer's own hands, a company on the net.
///
/// Throwing always means that the outcome is unknown. What is known, be it a refusal, is returned.
protocol PaymentProvider: Sendable {
    var name: String { get }
    /// In whose account the money is once it was captured.
    var holder: LedgerAccount { get }
    /// Whether asking it later can tell more than it said at first.
    var tellsOutcomes: Bool { get }

    /// What is wrong with a reference for a means of payment; nil if nothing is.
    func mistake(in method: String?) -> String?

    /// Tries to charge. The attempt's id is the idempotency key: begun again, an attempt is answered and never charged twice.
    func begin(_ attempt: ProviderAttempt) async throws -> ProviderOutcome

    /// How the attempt stands; `notFound` if it was never begun here.
    func lookUp(_ attempt: ProviderAttempt) async throws -> ProviderOutcome

    /// Sees to it that the attempt is never charged, also if it is yet to be begun. If it was charged before, says so.
    func cancel(_ attempt: ProviderAttempt) async throws -> ProviderOutcome

    /// Gives money of a captured attempt back. The refund's id is the idempotency key; after a failure the next `submission` tries anew.
    func refund(_ refund: ProviderRefund) async throws -> RefundOutcome

    func lookUpRefund(_ refund: ProviderRefund) async throws -> RefundOutcome

    /// The events in a webhook. Throws `Problem` 400 if it was not signed with the secret, or not lately.
    func verifyWebhook(_ headers: HTTPFields, _ body: [UInt8], now: Instant) throws -> [ProviderEvent]
}

/// An attempt as its provider is told of it.
struct ProviderAttempt: Sendable {
    let id: AttemptID
    let orderID: OrderID
    let amount: Money
    let method: String?
    let returnURL: String?
    let description: String
    let buyerEmail: String
}

struct ProviderRefund: Sendable {
    let id: RefundID
    /// Which try of this refund it is.
    let submission: Int64
    let attempt: AttemptID
    let amount: Money
}

/// What a provider says of an attempt.
enum ProviderOutcome: Codable, Hashable, Sendable {
    case captured(Money, reference: String)
    case authorized(isPayLater: Bool)
    case requiresAction(PaymentAction)
    /// With the code that the buyer is told.
    case failed(String)
    case canceled
    /// Begun and not decided yet.
    case pending
    /// Never begun.
    case notFound
}

/// What a provider says of a refund.
enum RefundOutcome: Codable, Hashable, Sendable {
    case succeeded
    case failed(String)
    case pending
    case notFound
}

/// What a provider tells on its own account.
struct ProviderEvent: Codable, Hashable, Sendable {
    enum Fact: Codable, Hashable, Sendable {
        case charge(AttemptID, ProviderOutcome)
        case refund(RefundID, submission: Int64, RefundOutcome)
        case dispute(reference: String, attempt: AttemptID, DisputeState, Money)
        /// Kept, but of no consequence here.
        case other(String)
    }

    /// The provider's own, unique with it.
    let id: String
    let fact: Fact
}
