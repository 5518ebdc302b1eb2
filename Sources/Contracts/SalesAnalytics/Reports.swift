package import Values

/// Currencies are never mixed: an event has one, and revenue is a list of them.
package struct PopularEvent: Codable, Hashable, Sendable {
    package var eventId: EventID
    package var name: String
    package var orders: Int64
    package var ticketsSold: Int64
    /// After refunds.
    package var revenue: Money

    package init(eventId: EventID, name: String, orders: Int64, ticketsSold: Int64, revenue: Money) {
        self.eventId = eventId
        self.name = name
        self.orders = orders
        self.ticketsSold = ticketsSold
        self.revenue = revenue
    }
}

package struct TopTicket: Codable, Hashable, Sendable {
    package var ticketTypeId: TicketTypeID
    package var eventId: EventID
    package var name: String
    package var eventName: String
    package var ticketsSold: Int64
    package var revenue: Money

    package init(
        ticketTypeId: TicketTypeID, eventId: EventID, name: String, eventName: String, ticketsSold: Int64,
        revenue: Money
    ) {
        self.ticketTypeId = ticketTypeId
        self.eventId = eventId
        self.name = name
        self.eventName = eventName
        self.ticketsSold = ticketsSold
        self.revenue = revenue
    }
}

package enum Interval: String, Codable, Sendable, CaseIterable {
    case hour, day, week, month
}

package struct RevenuePoint: Codable, Hashable, Sendable {
    /// When the interval begins, in UTC.
    package var from: Instant
    package var orders: Int64
    package var ticketsSold: Int64
    package var gross: Money
    package var refunded: Money
    package var net: Money

    package init(from: Instant, orders: Int64, ticketsSold: Int64, gross: Money, refunded: Money, net: Money) {
        self.from = from
        self.orders = orders
        self.ticketsSold = ticketsSold
        self.gross = gross
        self.refunded = refunded
        self.net = net
    }
}

package struct PopularEventsReport: Codable, Sendable {
    package var items: [PopularEvent]
    package var next: String?

    package init(items: [PopularEvent], next: String? = nil) {
        self.items = items
        self.next = next
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

package struct TopTicketsReport: Codable, Sendable {
    package var items: [TopTicket]
    package var next: String?

    package init(items: [TopTicket], next: String? = nil) {
        self.items = items
        self.next = next
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

package struct RevenueReport: Codable, Sendable {
    package var interval: Interval
    package var items: [RevenuePoint]
    package var next: String?

    package init(interval: Interval, items: [RevenuePoint], next: String? = nil) {
        self.interval = interval
        self.items = items
        self.next = next
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(interval, forKey: .interval)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

package struct EventReport: Codable, Sendable {
    package var eventId: EventID
    package var name: String
    package var orders: Int64
    package var ticketsSold: Int64
    package var gross: Money
    package var refunded: Money
    package var net: Money
    package var ticketTypes: [TopTicket]

    package init(
        eventId: EventID, name: String, orders: Int64, ticketsSold: Int64, gross: Money, refunded: Money, net: Money,
        ticketTypes: [TopTicket]
    ) {
        self.eventId = eventId
        self.name = name
        self.orders = orders
        self.ticketsSold = ticketsSold
        self.gross = gross
        self.refunded = refunded
        self.net = net
        self.ticketTypes = ticketTypes
    }
}
