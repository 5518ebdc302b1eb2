import Contracts
import Values

/// A chargeback: `opened -> won | lost`.
struct DisputeRecord: Sendable {
    let id: DisputeID
    let paymentID: PaymentID
    let attemptID: AttemptID
    let provider: String
    /// The provider's own name for it.
    let reference: String
    let amount: Money
    private(set) var state: DisputeState
    let createdAt: Instant

    init(
        id: DisputeID, paymentID: PaymentID, attemptID: AttemptID, provider: String, reference: String, amount: Money,
        state: DisputeState, createdAt: Instant
    ) {
        self.id = id
        self.paymentID = paymentID
        self.attemptID = attemptID
        self.provider = provider
        self.reference = reference
        self.amount = amount
        self.state = state
        self.createdAt = createdAt
    }

    /// What the provider says, twice or in any order: how it ended stays.
    /// - Returns: whether anything changed.
    mutating func hear(_ state: DisputeState) -> Bool {
        guard self.state == .opened, state != .opened else { return false }
        self.state = state
        return true
    }
}
