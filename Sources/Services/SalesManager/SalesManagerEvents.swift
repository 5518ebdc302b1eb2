import Contracts
import Discovery
import Messaging
import Storage

/// What SalesManager hears. Nothing waits for it: the reconciler asks about everything that is open.
struct SalesManagerEvents: Sendable {
    private static let events = "sales-manager.events"

    private let inbox: Inbox
    private let purchase: Purchase

    init(database: Database, purchase: Purchase) {
        inbox = Inbox(of: SalesManagerEvents.events, in: database)
        self.purchase = purchase
    }

    var consumers: [Consumer] {
        [
            Consumer("sales-manager.payments", [.on(PaymentChanged.self) { try await paymentChanged($0) }]),
            Consumer(
                SalesManagerEvents.events,
                [.on(EventChanged.self) { try await eventChanged($0) }, .on(EventCanceled.self) { try await eventCanceled($0) }]),
        ]
    }

    /// Looks at the order as it is now, so an older message does no harm.
    private func paymentChanged(_ envelope: Envelope<PaymentChanged>) async throws {
        let payment = envelope.body.payment
        do {
            try await purchase.paymentChanged(payment.orderId, payment)
        } catch let problem as Problem where problem.status == 404 {
            // A payment of an order that was never committed here cannot be; there is nothing to try again.
        }
    }

    private func eventChanged(_ envelope: Envelope<EventChanged>) async throws {
        try await inbox.once(envelope.id, about: "\(envelope.body.event.id)") { tx in
            try EventStore.save(envelope.body.event, in: tx)
        }
    }

    private func eventCanceled(_ envelope: Envelope<EventCanceled>) async throws {
        try await inbox.once(envelope.id, about: "\(envelope.body.eventId)") { tx in
            try EventStore.cancel(envelope.body.eventId, refund: envelope.body.refund, in: tx)
        }
    }
}
