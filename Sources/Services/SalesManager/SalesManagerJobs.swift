import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Looks at everything that has not ended, asks those who know, and brings it further. Because of it no order waits for a
/// message to be heard, and every order ends within its deadline plus one turn.
struct Reconciler: Sendable {
    private static let batch = 100
    /// How long something that was looked at is left alone.
    private static let pause = TimeSpan.seconds(5)
    /// The same for what only a person can bring further.
    private static let longPause = TimeSpan.hours(1)

    let database: Database
    let purchase: Purchase
    let refunds: Refunds
    let payments: PaymentProcessingClient
    let logger: Logger

    /// One turn looks at all that was due when it began, however many there are.
    @Sendable func orders() async throws {
        let begin = try await database.read { tx in try tx.now }
        while !Task.isCancelled {
            let due = try await database.read { tx in try OrderStore.due(at: begin, limit: Reconciler.batch, in: tx) }
            if due.isEmpty { return }
            for id in due {
                // Put off first, so that one that cannot be brought further does not stand in the way of others.
                try await database.write { tx in try OrderStore.lookAgain(id, at: try tx.now + Reconciler.pause, in: tx) }
                await attempt("an order could not be brought further", "\(id)") { try await look(at: try await purchase.find(id), begin) }
            }
        }
    }

    private func look(at order: OrderRecord, _ now: Instant) async throws {
        switch order.status {
        case .draft, .awaitingPayment:
            if order.expiresAt <= now {
                try await purchase.close(order, .expired)
            } else if order.status == .draft {
                guard try await bindCoupon(of: order) else {
                    // As it is now: the buyer's own request may have withdrawn it for the same reason.
                    return try await purchase.close(try await purchase.find(order.id), .canceled)
                }
                _ = try await purchase.advance(order)
            } else if let payment = try await payments.payment(of: order.id) {
                try await purchase.paymentChanged(order.id, payment)
            }
        case .paid:
            let payment = order.choice == nil ? nil : try await payments.payment(of: order.id)
            let known = if let payment { try await purchase.remember(payment, of: order) } else { order }
            try await purchase.followDisputes(of: known)
            try await purchase.settle(known, payment)
            if payment?.state == .open {
                // To be paid at the door. Payments tells when that is done; until then there is no hurry.
                try await database.write { tx in try OrderStore.lookAgain(order.id, at: try tx.now + Reconciler.longPause, in: tx) }
            }
        case .expired, .canceled:
            try await purchase.clear(order)
        }
    }

    /// False where the buyer has used the coupon up: an order whose payment was not begun is not made at that price.
    private func bindCoupon(of order: OrderRecord) async throws -> Bool {
        do {
            try await purchase.bindCoupon(of: order)
            return true
        } catch let problem as Problem where problem.status == 409 || problem.status == 422 {
            return false
        }
    }

    @Sendable func openRefunds() async throws {
        let begin = try await database.read { tx in try tx.now }
        while !Task.isCancelled {
            let due = try await database.read { tx in try RefundStore.due(at: begin, limit: Reconciler.batch, in: tx) }
            if due.isEmpty { return }
            for (order, cause) in due {
                try await database.write { tx in try RefundStore.lookAgain(order, cause, at: try tx.now + Reconciler.pause, in: tx) }
                await attempt("a refund could not be brought further", "\(order) \(cause)") { try await refunds.advance(order, cause) }
            }
        }
    }

    /// Orders of events that were canceled with refunds: each is refunded once, until none is left.
    @Sendable func canceledEvents() async throws {
        let events: [EventID] = try await database.read { tx in
            try tx.rows("SELECT id FROM event WHERE is_refunding = TRUE ORDER BY id LIMIT \(Reconciler.batch)").map { try $0["id"] }
        }
        for event in events {
            // Through all of them, so that those which cannot be refunded yet do not stand in the way of others.
            var last: OrderID?
            while !Task.isCancelled {
                let orders = try await database.read { [last] tx in
                    try OrderStore.list(
                        of: event, where: "status IN ('draft', 'awaitingPayment', 'paid')", before: last,
                        limit: Reconciler.batch, in: tx)
                }
                for order in orders {
                    await attempt("an order of a canceled event could not be refunded", "\(order.id)") { try await refund(order) }
                }
                if orders.isEmpty { break }
                last = orders.last?.id
            }
            try await database.write { tx in
                _ = try tx.execute(
                    """
                    UPDATE event SET is_refunding = FALSE WHERE id = \(event) AND NOT EXISTS
                        (SELECT 1 FROM sales_order WHERE event_id = \(event) AND status IN ('draft', 'awaitingPayment', 'paid'))
                    """)
            }
        }
    }

    private func refund(_ order: OrderRecord) async throws {
        guard order.status == .paid else { return try await purchase.close(order, .canceled) }
        let payment = order.choice == nil ? nil : try await payments.payment(of: order.id)
        guard try await refunds.refundAll(order.id, payment, cause: "event-canceled") else { return }
        _ = try await purchase.cancelPaid(order.id, reason: "event-canceled")
    }

    private func attempt(_ message: Logger.Message, _ subject: String, _ work: () async throws -> some Any) async {
        do {
            _ = try await work()
        } catch {
            logger.warning(message, metadata: ["subject": "\(subject)", "error": "\(error)"])
        }
    }
}
