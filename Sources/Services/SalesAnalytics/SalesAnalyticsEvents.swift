import Contracts
import Messaging
import Storage

/// What the projections are made of.
struct SalesAnalyticsEvents {
    private static let queue = "sales-analytics.projection"

    private let inbox: Inbox
    private let concurrency: Int

    init(database: Database, concurrency: Int) {
        inbox = Inbox(of: SalesAnalyticsEvents.queue, in: database)
        self.concurrency = concurrency
    }

    var consumers: [Consumer] {
        [
            Consumer(
                SalesAnalyticsEvents.queue, concurrency: concurrency,
                [
                    .on(OrderPaid.self) { envelope in
                        let sale = Sale(envelope.body)
                        try await inbox.once(envelope.id, about: "\(sale.eventId)") { tx in try SaleStore.addPaid(sale, in: tx) }
                    },
                    .on(OrderRefunded.self) { envelope in
                        let sale = Sale(envelope.body)
                        let id = envelope.body.refundId
                        try await inbox.once(envelope.id, about: "\(sale.eventId)") { tx in try SaleStore.addRefund(id, sale, in: tx) }
                    },
                    .on(EventChanged.self) { envelope in
                        let event = envelope.body.event
                        try await inbox.once(envelope.id, about: "\(event.id)") { tx in try SaleStore.describe(event, in: tx) }
                    },
                    .on(TicketTypeChanged.self) { envelope in
                        let type = envelope.body.ticketType
                        try await inbox.once(envelope.id, about: "\(type.eventId)") { tx in try SaleStore.describe(type, in: tx) }
                    },
                ])
        ]
    }
}
