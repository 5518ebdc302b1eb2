import Contracts
import Values

enum LedgerAccount: String, Sendable {
    case buyer, provider, organizer
}

/// Money that went from one account to another: two entries that sum to zero.
///
/// Its id is derived from what moved the money, and unique: the schema refuses to book the same movement twice.
struct LedgerMovement: Sendable {
    let id: String
    let kind: String
    let money: Money
    let from: LedgerAccount
    let to: LedgerAccount

    static func capture(_ attempt: AttemptID, _ money: Money, heldBy holder: LedgerAccount) -> LedgerMovement {
        LedgerMovement(id: "capture:\(attempt)", kind: "capture", money: money, from: .buyer, to: holder)
    }

    static func refund(_ refund: RefundID, _ money: Money, heldBy holder: LedgerAccount) -> LedgerMovement {
        LedgerMovement(id: "refund:\(refund)", kind: "refund", money: money, from: holder, to: .buyer)
    }

    static func lostDispute(_ dispute: DisputeID, _ money: Money, heldBy holder: LedgerAccount) -> LedgerMovement {
        LedgerMovement(id: "dispute:\(dispute)", kind: "dispute", money: money, from: holder, to: .buyer)
    }

    func entries(at instant: Instant) -> [LedgerEntry] {
        [(from, -money.amount), (to, money.amount)].map { account, amount in
            LedgerEntry(
                movementId: id, account: account.rawValue, amount: Money(amount, money.currency), kind: kind, at: instant)
        }
    }
}
