import Contracts
import Discovery
import Logging
import ServiceKit
import Storage

/// Carries out that an event is canceled: no ticket may be sold any more, then its orders are dealt with.
///
/// The state and a row of what is to be done have been committed. Each step may be repeated, so that it can be stopped and
/// started at any point.
struct Cancellations: Sendable {
    private static let batch = 100

    let database: Database
    let tickets: TicketManagerClient
    let sales: SalesManagerClient
    let faults: Faults
    let logger: Logger

    func carryOut(_ id: EventID) async throws {
        try await faults.point("events.cancellation-committed")
        guard let pending = try await database.write({ tx in try CancellationStore.attempt(id, in: tx) }) else { return }
        if !pending.isClosed {
            // First, so that nothing is sold behind the back of what SalesManager looks for.
            try await tickets.close(id, reason: pending.reason ?? "The event was canceled.")
            try await database.write { tx in try CancellationStore.close(id, in: tx) }
        }
        try await faults.point("events.pools-closed")
        try await sales.cancel(id, EventCancellation(refund: pending.refund, reason: pending.reason))
        try await database.write { tx in try CancellationStore.settle(id, refund: pending.refund, in: tx) }
        logger.info("a cancellation was carried out", metadata: ["event": "\(id)", "refund": "\(pending.refund)"])
    }

    @Sendable func carryOutPending() async throws {
        let pending = try await database.read { tx in try CancellationStore.unsettled(limit: Cancellations.batch, in: tx) }
        for id in pending {
            do {
                try await carryOut(id)
            } catch {
                logger.warning(
                    "a cancellation is not carried out yet; it is tried again", metadata: ["event": "\(id)", "error": "\(error)"])
            }
        }
    }
}
