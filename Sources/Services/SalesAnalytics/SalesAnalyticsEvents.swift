import Contracts
import Messaging
import Storage
import Values

/// What the projections are made of.
struct SalesAnalyticsEvents {
    private static let queue = "sales-analytics.projection"

    private let inbox: FactInbox<SaleFact>
    private let concurrency: Int

    init(database: Database, concurrency: Int) {
        inbox = FactInbox(of: SalesAnalyticsEvents.queue, in: database) { facts, tx in try SaleStore.take(facts, in: tx) }
        self.concurrency = concurrency
    }

    var consumers: [Consumer] {
        [
            Consumer(
                SalesAnalyticsEvents.queue, concurrency: concurrency,
                [
                    .on(OrderPaid.self) { envelope in try await take(.paid(Sale(envelope.body)), of: envelope.id) },
                    .on(OrderRefunded.self) { envelope in
                        try await take(.refunded(envelope.body.refundId, Sale(envelope.body)), of: envelope.id)
                    },
                    .on(EventChanged.self) { envelope in try await take(.event(envelope.body.event), of: envelope.id) },
                    .on(TicketTypeChanged.self) { envelope in try await take(.ticketType(envelope.body.ticketType), of: envelope.id) },
                ])
        ]
    }

    private func take(_ fact: SaleFact, of message: MessageID) async throws {
        try await inbox.take(fact, of: message, about: "\(fact.eventId)")
    }
}

/// What a message says.
enum SaleFact: Sendable {
    case paid(Sale)
    case refunded(RefundID, Sale)
    case event(Event)
    case ticketType(TicketType)

    /// What it is about.
    fileprivate var eventId: EventID {
        switch self {
        case .paid(let sale), .refunded(_, let sale): sale.eventId
        case .event(let event): event.id
        case .ticketType(let type): type.eventId
        }
    }
}
