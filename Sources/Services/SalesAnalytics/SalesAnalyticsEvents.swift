import Contracts
import Messaging
import Storage

/// What the projections are made of. One transaction for each message, which shares its commit with others.
struct SalesAnalyticsEvents {
    private static let queue = "sales-analytics.projection"

    let database: Database
    let concurrency: Int

    var consumers: [Consumer] {
        [
            Consumer(
                SalesAnalyticsEvents.queue, concurrency: concurrency,
                [
                    .on(OrderPaid.self) { envelope in
                        let sale = Sale(envelope.body)
                        try await once(envelope.id) { tx in try SaleStore.addPaid(sale, in: tx) }
                    },
                    .on(OrderRefunded.self) { envelope in
                        let sale = Sale(envelope.body)
                        let id = envelope.body.refundId
                        try await once(envelope.id) { tx in try SaleStore.addRefund(id, sale, in: tx) }
                    },
                    .on(EventChanged.self) { envelope in
                        try await once(envelope.id) { tx in try SaleStore.describe(envelope.body.event, in: tx) }
                    },
                    .on(TicketTypeChanged.self) { envelope in
                        try await once(envelope.id) { tx in try SaleStore.describe(envelope.body.ticketType, in: tx) }
                    },
                ])
        ]
    }

    private func once(_ id: MessageID, _ effect: @escaping @Sendable (Transaction) throws -> Void) async throws {
        try await database.write { tx in
            guard try Inbox.accept(id, by: SalesAnalyticsEvents.queue, in: tx) else { return }
            try effect(tx)
        }
    }
}
