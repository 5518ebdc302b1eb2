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

    let database: Database
    let purchase: Purchase
    let refunds: Refunds
    let payments: PaymentProcessingClient
    let coupons: CouponManagerClient
    let logger: Logger

    @Sendable func orders() async throws {
        let due = try await database.read { tx in try OrderStore.due(at: try tx.now, limit: Reconciler.batch, in: tx) }
        for id in due {
            // Put off first, so that one that cannot be brought further does not stand in the way of others.
            try await database.write { tx in try OrderStore.lookAgain(id, at: try tx.now + Reconciler.pause, in: tx) }
            await attempt("an order could not be brought further", "\(id)") { try await look(at: try await purchase.find(id)) }
        }
    }

    private func look(at order: OrderRecord) async throws {
        switch order.status {
        case .draft, .awaitingPayment:
            if order.expiresAt <= .now {
                try await purchase.close(order, .expired)
            } else if order.status == .draft {
                if let use = order.couponUseID {
                    _ = try? await coupons.bind(use, order.couponBinding(margin: purchase.configuration.holdMargin))
                }
                _ = try await purchase.advance(order)
            } else if let payment = try await payments.payment(of: order.id) {
                try await purchase.paymentChanged(order.id, payment)
            }
        case .paid:
            let payment = order.choice == nil ? nil : try await payments.payment(of: order.id)
            try await purchase.settle(order, payment)
        case .expired, .canceled:
            if order.choice != nil, let payment = try await payments.payment(of: order.id), payment.state == .captured {
                try await purchase.paymentChanged(order.id, payment)
            }
            if let use = order.couponUseID { try await coupons.release(use) }
            try await database.write { tx in
                guard let now = try OrderStore.lock(order.id, in: tx), now.status == order.status else { return }
                try OrderStore.setSettled(order.id, in: tx)
            }
        }
    }

    @Sendable func openRefunds() async throws {
        let due = try await database.read { tx in try RefundStore.due(at: try tx.now, limit: Reconciler.batch, in: tx) }
        for (order, cause) in due {
            try await database.write { tx in try RefundStore.lookAgain(order, cause, at: try tx.now + Reconciler.pause, in: tx) }
            await attempt("a refund could not be brought further", "\(order) \(cause)") { try await refunds.advance(order, cause) }
        }
    }

    /// Orders of events that were canceled with refunds: each is refunded once, until none is left.
    @Sendable func canceledEvents() async throws {
        let events: [EventID] = try await database.read { tx in
            try tx.rows("SELECT id FROM event WHERE is_refunding = TRUE ORDER BY id LIMIT \(Reconciler.batch)").map { try $0["id"] }
        }
        for event in events {
            let orders = try await database.read { tx in
                try OrderStore.list(
                    where: "event_id = \(event) AND status IN ('draft', 'awaitingPayment', 'paid')", before: nil, limit: Reconciler.batch,
                    in: tx)
            }
            for order in orders {
                await attempt("an order of a canceled event could not be refunded", "\(order.id)") { try await refund(order) }
            }
            if orders.isEmpty {
                try await database.write { tx in _ = try tx.execute("UPDATE event SET is_refunding = FALSE WHERE id = \(event)") }
            }
        }
    }

    private func refund(_ order: OrderRecord) async throws {
        guard order.status == .paid else { return try await purchase.close(order, .canceled) }
        let payment = order.choice == nil ? nil : try await payments.payment(of: order.id)
        try await refunds.refundAll(order.id, payment, cause: "event-canceled")
        try await purchase.cancelPaid(order.id, reason: "event-canceled")
    }

    private func attempt(_ message: Logger.Message, _ subject: String, _ work: () async throws -> some Any) async {
        do {
            _ = try await work()
        } catch {
            logger.warning(message, metadata: ["subject": "\(subject)", "error": "\(error)"])
        }
    }
}
