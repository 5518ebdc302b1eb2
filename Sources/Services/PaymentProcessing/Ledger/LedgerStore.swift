import Contracts
import Storage
import Values

enum LedgerStore {
    /// The primary key refuses a movement that is booked already, and with it the whole transaction.
    static func book(_ movement: LedgerMovement, of payment: PaymentRecord, in tx: Transaction) throws {
        try tx.insert(
            "INSERT INTO ledger_entry (movement_id, account, payment_id, order_id, amount, currency, kind, at) VALUES",
            movement.entries(at: try tx.now)
        ) { rows, entry in
            rows.append(
                entry.movementId, entry.account, payment.id, payment.orderID, entry.amount.amount, entry.amount.currency, entry.kind,
                entry.at)
        }
    }

    /// Oldest first. Bounded by how many attempts, refunds and disputes a payment may have.
    static func entries(of order: OrderID, in tx: Transaction) throws -> [LedgerEntry] {
        try tx.rows(
            """
            SELECT movement_id, account, amount, currency, kind, at FROM ledger_entry
            WHERE order_id = \(order) ORDER BY at, movement_id, account
            """
        ).map { row in
            LedgerEntry(
                movementId: try row["movement_id"], account: try row["account"],
                amount: Money(try row["amount"], try row["currency"]), kind: try row["kind"], at: try row["at"])
        }
    }
}
