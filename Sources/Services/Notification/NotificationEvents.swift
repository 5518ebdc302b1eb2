import Contracts
import Messaging
import Storage

/// What people are told of. Only a row is written here; the mail itself is made and sent by the sender.
struct NotificationEvents {
    private static let queue = "notification.deliveries"

    private let inbox: Inbox
    private let newDeliveries: Signal

    init(database: Database, newDeliveries: Signal) {
        inbox = Inbox(of: NotificationEvents.queue, in: database)
        self.newDeliveries = newDeliveries
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
        guard let delivery else { return }
        let newDeliveries = newDeliveries
        try await inbox.once(id) { tx in
            try DeliveryStore.insert(delivery, in: tx)
            tx.onCommit { newDeliveries.send() }
        }
    }
}
