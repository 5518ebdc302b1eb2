import Contracts
import ServiceKit
import Values

/// A charge as the sandbox keeps it: `awaitingConfirmation -> captured | failed | canceled`.
struct SandboxCharge: Sendable {
    enum State: String, Sendable {
        case awaitingConfirmation, captured, failed, canceled
    }

    /// Not to be guessed: who knows it may confirm it.
    let id: String
    let attemptID: AttemptID
    let method: String
    /// What it charges, or has charged.
    let money: Money
    let returnURL: String?
    private(set) var state: State
    private(set) var failure: String?

    init(
        id: String, attemptID: AttemptID, method: String, money: Money, returnURL: String?, state: State, failure: String? = nil
    ) {
        self.id = id
        self.attemptID = attemptID
        self.method = method
        self.money = money
        self.returnURL = returnURL
        self.state = state
        self.failure = failure
    }

    /// The buyer, at their bank. Said again, it stays what it was.
    /// - Returns: whether it is decided by this.
    mutating func confirm(_ approves: Bool) throws(IllegalTransition) -> Bool {
        let target: State = approves ? .captured : .failed
        guard state != target else { return false }
        guard state == .awaitingConfirmation else {
            throw IllegalTransition(of: "charge", from: state.rawValue, to: target.rawValue)
        }
        state = target
        if !approves { failure = "confirmation-refused" }
        return true
    }

    /// Money that was taken stays taken.
    mutating func cancel() {
        if state == .awaitingConfirmation { state = .canceled }
    }
}

/// A refund as the sandbox keeps it.
struct SandboxRefund: Sendable {
    let id: RefundID
    let chargeID: String
    let money: Money
    let failure: String?
    let submission: Int64

    var outcome: RefundOutcome { failure.map(RefundOutcome.failed) ?? .succeeded }
}
