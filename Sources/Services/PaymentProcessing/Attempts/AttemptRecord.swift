import Contracts
import Values

/// One try of a payment: `created -> requiresAction -> authorized -> captured | failed | canceled`.
///
/// What a provider says may come twice and in any order. Money that was captured stays captured, whatever is heard before or after,
/// so every order of arrival ends in the same state.
struct AttemptRecord: Sendable {
    /// What an outcome meant for the attempt.
    enum Effect: Equatable {
        case none
        case changed
        case captured
        /// Money came, but not what was asked for.
        case mismatched(Money)
    }

    static let amountMismatch = "amount-mismatch"

    let id: AttemptID
    let paymentID: PaymentID
    let provider: String
    let method: String?
    let returnURL: String?
    let amount: Money
    private(set) var state: AttemptState
    private(set) var failure: String?
    private(set) var action: PaymentAction?
    private(set) var isPayLater: Bool
    /// The provider's own name for it, or what staff wrote down.
    private(set) var reference: String?
    /// What the provider says that it captured.
    private(set) var received: Money?
    /// When to ask the provider again.
    var checkAt: Instant?
    var checks: Int64
    let createdAt: Instant

    init(
        id: AttemptID, paymentID: PaymentID, provider: String, method: String?, returnURL: String?, amount: Money,
        state: AttemptState = .created, failure: String? = nil, action: PaymentAction? = nil, isPayLater: Bool = false,
        reference: String? = nil, received: Money? = nil, checkAt: Instant? = nil, checks: Int64 = 0, createdAt: Instant
    ) {
        self.id = id
        self.paymentID = paymentID
        self.provider = provider
        self.method = method
        self.returnURL = returnURL
        self.amount = amount
        self.state = state
        self.failure = failure
        self.action = action
        self.isPayLater = isPayLater
        self.reference = reference
        self.received = received
        self.checkAt = checkAt
        self.checks = checks
        self.createdAt = createdAt
    }

    /// Whether money may yet be captured by it, as far as is known.
    var isLive: Bool {
        switch state {
        case .created, .requiresAction, .authorized: true
        case .captured, .failed, .canceled: false
        }
    }

    var view: PaymentAttempt {
        PaymentAttempt(id: id, provider: provider, status: state, failure: failure, createdAt: createdAt)
    }

    mutating func hear(_ outcome: ProviderOutcome) -> Effect {
        switch outcome {
        case .captured(let money, let reference):
            guard received == nil else { return .none }
            received = money
            self.reference = reference
            action = nil
            guard money == amount else {
                end(.failed, failure: AttemptRecord.amountMismatch)
                return .mismatched(money)
            }
            end(.captured)
            return .captured
        case .failed(let code):
            guard isLive else { return .none }
            end(.failed, failure: code)
            return .changed
        case .canceled:
            guard isLive else { return .none }
            end(.canceled)
            return .changed
        case .requiresAction(let action):
            guard state == .created || (state == .requiresAction && self.action != action) else { return .none }
            state = .requiresAction
            self.action = action
            return .changed
        case .authorized(let isPayLater):
            guard state == .created || state == .requiresAction else { return .none }
            state = .authorized
            action = nil
            self.isPayLater = isPayLater
            return .changed
        case .pending, .notFound:
            return .none
        }
    }

    private mutating func end(_ state: AttemptState, failure: String? = nil) {
        self.state = state
        self.failure = failure
        action = nil
    }
}
