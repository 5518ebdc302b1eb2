import Contracts
import Discovery
import ServiceKit
import Values

/// A payment as it is kept: what is asked for, and what came of it.
///
/// `open -> captured -> closed`. One that was closed unpaid becomes `captured` when money arrives after all: it is
/// there, and Sales decides what becomes of it.
struct PaymentRecord: Sendable {
    let id: PaymentID
    let orderID: OrderID
    let organizerID: OrganizerID
    let amount: Money
    let description: String
    let buyerEmail: String
    private(set) var state: PaymentState
    /// In minor units of `amount.currency`, surplus captures included, mismatched ones not.
    private(set) var captured: Int64
    private(set) var refunded: Int64
    /// The attempt that counts. All others that captured are surplus.
    private(set) var paidBy: AttemptID?
    /// Why no attempt may begin any more. Set before the provider is asked to cancel, so `state` may still be open.
    private(set) var closing: CloseReason?
    private(set) var settled: SettlementOutcome?
    /// When Sales is told of the capture again; nil once it has said what became of it.
    private(set) var announceAt: Instant?
    let expiresAt: Instant
    private(set) var version: Int64

    init(
        id: PaymentID, orderID: OrderID, organizerID: OrganizerID, amount: Money, description: String, buyerEmail: String,
        state: PaymentState = .open, captured: Int64 = 0, refunded: Int64 = 0, paidBy: AttemptID? = nil,
        closing: CloseReason? = nil, settled: SettlementOutcome? = nil, announceAt: Instant? = nil, expiresAt: Instant,
        version: Int64 = 1
    ) {
        self.id = id
        self.orderID = orderID
        self.organizerID = organizerID
        self.amount = amount
        self.description = description
        self.buyerEmail = buyerEmail
        self.state = state
        self.captured = captured
        self.refunded = refunded
        self.paidBy = paidBy
        self.closing = closing
        self.settled = settled
        self.announceAt = announceAt
        self.expiresAt = expiresAt
        self.version = version
    }

    /// Whether an attempt may begin, and money be asked for.
    func mayBegin(at now: Instant) -> Bool {
        state == .open && closing == nil && now < expiresAt
    }

    /// Throws what a buyer is told who wants to pay and cannot any more.
    func requireBeginnable(at now: Instant) throws(Problem) {
        if paidBy != nil { throw alreadyPaid }
        guard mayBegin(at: now) else {
            throw .conflict(
                "payment-closed", "This cannot be paid any more", "The time to pay for this order is over, or it was canceled; order again."
            )
        }
    }

    var alreadyPaid: Problem {
        var problem = Problem.conflict("already-paid", "This was paid already", "The money arrived; nothing more is to be paid.")
        problem.members = ["paymentId": "\(id)", "paymentState": state.rawValue]
        return problem
    }

    /// Books the capture of an attempt whose amount is right.
    /// - Returns: whether it is surplus, because another attempt had paid before.
    mutating func capture(by attempt: AttemptID, announceAt: Instant) -> Bool {
        captured += amount.amount
        version += 1
        guard paidBy == nil else { return true }
        paidBy = attempt
        state = .captured
        self.announceAt = announceAt
        return false
    }

    /// From now on no attempt may begin. Nothing changes for one that was paid or closed.
    mutating func beginClosing(_ reason: CloseReason) {
        guard state == .open, closing == nil else { return }
        closing = reason
        version += 1
    }

    /// When no attempt lives any more.
    mutating func finishClosing() {
        guard state == .open, closing != nil else { return }
        state = .closed
        version += 1
    }

    /// Sales has said what became of the capture.
    /// - Parameter isPayLater: nothing was captured yet, and the order did not wait for it: it stays open until the money comes or it
    ///   is closed.
    mutating func settle(_ outcome: SettlementOutcome, isPayLater: Bool) throws(IllegalTransition) {
        switch state {
        case .captured:
            state = .closed
            settled = outcome
            announceAt = nil
            version += 1
        case .closed: break
        case .open:
            guard isPayLater else {
                throw IllegalTransition(of: "payment", from: state.rawValue, to: PaymentState.closed.rawValue)
            }
        }
    }

    mutating func refunded(_ amount: Int64) {
        refunded += amount
        version += 1
    }

    /// Something that is shown with the payment changed: an attempt, a refund, a dispute.
    mutating func touch() {
        version += 1
    }
}
