import Contracts
import ServiceKit
import Values

/// Money on its way back: `requested -> submitted -> succeeded | failed | canceled`; a failed one may be submitted again.
struct RefundRecord: Sendable {
    /// Of refunds that are not asked for by Sales, but go back by themselves.
    static let automaticCause = "surplus:"

    let id: RefundID
    let paymentID: PaymentID
    let orderID: OrderID
    /// Whose money it is.
    let attemptID: AttemptID
    let causeID: String
    let amount: Money
    let reason: String
    private(set) var state: RefundState
    private(set) var failure: String?
    /// Submitted by a job, and again until it succeeds.
    let isAutomatic: Bool
    /// Whether it is of money that counts as captured. A mismatched capture does not.
    let isCounted: Bool
    private(set) var submissions: Int64
    var checkAt: Instant?
    var checks: Int64
    let createdAt: Instant

    init(
        id: RefundID, paymentID: PaymentID, orderID: OrderID, attemptID: AttemptID, causeID: String, amount: Money, reason: String,
        state: RefundState = .requested, failure: String? = nil, isAutomatic: Bool = false, isCounted: Bool = true,
        submissions: Int64 = 0, checkAt: Instant? = nil, checks: Int64 = 0, createdAt: Instant
    ) {
        self.id = id
        self.paymentID = paymentID
        self.orderID = orderID
        self.attemptID = attemptID
        self.causeID = causeID
        self.amount = amount
        self.reason = reason
        self.state = state
        self.failure = failure
        self.isAutomatic = isAutomatic
        self.isCounted = isCounted
        self.submissions = submissions
        self.checkAt = checkAt
        self.checks = checks
        self.createdAt = createdAt
    }

    var answer: Refund {
        Refund(id: id, orderId: orderID, causeId: causeID, amount: amount, status: state, createdAt: createdAt)
    }

    mutating func submit() throws(IllegalTransition) {
        guard state == .requested || state == .failed else { throw illegal(.submitted) }
        state = .submitted
        failure = nil
        submissions += 1
    }

    mutating func cancel() throws(IllegalTransition) {
        guard !isAutomatic, state == .requested || state == .failed else { throw illegal(.canceled) }
        state = .canceled
    }

    /// What the provider says, twice or in any order. Money that went back went back; a failure counts for its own submission only.
    /// - Returns: whether anything changed.
    mutating func hear(_ outcome: RefundOutcome, submission: Int64) -> Bool {
        switch outcome {
        case .succeeded:
            guard state != .succeeded else { return false }
            state = .succeeded
            failure = nil
            return true
        case .failed(let code):
            guard state == .submitted, submission == submissions else { return false }
            state = .failed
            failure = code
            return true
        case .pending, .notFound:
            return false
        }
    }

    private func illegal(_ target: RefundState) -> IllegalTransition {
        IllegalTransition(of: "refund", from: state.rawValue, to: target.rawValue)
    }
}

/// How much of a payment can still go back.
struct Refundable: Sendable {
    let captured: Int64
    /// Requested, submitted or succeeded.
    let refunds: Int64
    /// Open or lost.
    let disputes: Int64

    var amount: Int64 { max(0, captured - refunds - disputes) }
    /// Whether more is on its way back, or gone, than came in.
    var isExceeded: Bool { captured - refunds - disputes < 0 }
}
