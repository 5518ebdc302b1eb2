import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Tells Sales of captures, again and again until it has said what became of them.
struct Announcements: Sendable {
    /// How long Sales may take for one.
    private static let patience = TimeSpan.seconds(10)

    let database: Database
    let sales: SalesManagerClient
    let configuration: LiveSettings<PaymentProcessingConfiguration>
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

    /// Settles those whose time has come and whose orders are fulfilled: nearly all, for who buys waits for it. Sales is asked once
    /// for all of them.
    /// - Returns: how many were due, and those that Sales has to be told of. They have another appointment before Sales is called, so
    ///   that none is told twice in a row.
    func settleDue(limit: Int) async throws -> (due: Int, left: [Payment]) {
        let interval = configuration.announceInterval
        let due = try await database.read { tx in try PaymentStore.dueForAnnouncement(limit: limit, in: tx) }
        guard !due.isEmpty else { return (0, []) }
        var fulfilled: Set<OrderID> = []
        do {
            fulfilled = Set(try await sales.fulfilled(due.map { Capture(order: $0.orderID, version: $0.version) }))
        } catch {
            logger.warning("Sales could not be asked about captures", metadata: ["error": "\(error)"])
            // Where it does not answer it would not hear of them either. Where it refuses the question it is told of each.
            guard let problem = error as? Problem, problem.status != 503 else { return (0, []) }
        }
        let settled = due.filter { fulfilled.contains($0.orderID) }.map(\.id)
        let open = due.filter { !fulfilled.contains($0.orderID) }
        let left = try await database.write { tx in
            try PaymentStore.settleFulfilled(settled, in: tx)
            try PaymentStore.announceAgain(open.map(\.id), after: interval, in: tx)
            return try open.map { try PaymentStore.view($0, in: tx) }
        }
        return (due.count, left)
    }
}
