import Contracts
import Logging
import Storage
import Values

/// Tells Sales of captures, again and again until it has said what became of them. The same goes out as an event; nothing
/// waits for that to be heard.
struct Announcements: Sendable {
    /// How long Sales may take for one.
    private static let patience = TimeSpan.seconds(10)

    let database: Database
    let sales: SalesManagerClient
    let interval: TimeSpan
    let logger: Logger

    /// Once, as well as it goes: if Sales does not hear it, the job tells it again.
    func tell(_ payment: Payment) async {
        do {
            try await Deadline.$current.withValue(.now + Announcements.patience) {
                try await sales.paymentChanged(payment.orderId, payment)
            }
        } catch {
            logger.warning(
                "Sales did not hear of a payment; it is told again",
                metadata: ["payment": "\(payment.id)", "order": "\(payment.orderId)", "error": "\(error)"])
        }
    }

    /// Those whose time has come. They have another appointment before Sales is called, so that none is told twice in a row.
    func due(limit: Int) async throws -> [Payment] {
        let interval = interval
        let due = try await database.read { tx in
            try PaymentStore.dueForAnnouncement(limit: limit, in: tx).map { try PaymentStore.view($0, in: tx) }
        }
        guard !due.isEmpty else { return [] }
        try await database.write { tx in try PaymentStore.announceAgain(due.map(\.id), after: interval, in: tx) }
        return due
    }
}
