import Contracts
import Messaging
import Storage

/// What people are told of. Only a row is written here; the mail itself is made and sent by the sender.
struct NotificationEvents {
    private static let queue = "notification.deliveries"

    private let inbox: FactInbox<Delivery>

    init(database: Database, newDeliveries: Signal) {
        inbox = FactInbox(of: NotificationEvents.queue, in: database) { deliveries, tx in
            try DeliveryStore.insert(deliveries, in: tx)
            tx.onCommit { newDeliveries.send() }
        }
    }

    var consumers: [Consumer] {
        [
            Consumer(
                NotificationEvents.queue, concurrency: 64,
                [
                    .on(OrderPaid.self) { envelope in try await record(Delivery(envelope.body), envelope.id) },
                    .on(OrderEnded.self) { envelope in try await record(Delivery(envelope.body), envelope.id) },
                    .on(OrderRefunded.self) { envelope in try await record(Delivery(envelope.body), envelope.id) },
                    .on(TicketTransferred.self) { envelope in try await record(Delivery(envelope.body), envelope.id) },
                    .on(UserRegistered.self) { envelope in try await record(Delivery(envelope.body), envelope.id) },
                ])
        ]
    }

    private func record(_ delivery: Delivery?, _ id: MessageID) async throws {
        if let delivery { try await inbox.take(delivery, of: id) }
    }
}
