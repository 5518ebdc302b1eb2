import Contracts
import Values

/// What one message adds to the sums.
struct Sale: Codable, Hashable, Sendable {
    struct TicketTypeShare: Codable, Hashable, Sendable {
        let ticketTypeId: TicketTypeID
        let name: String
        var tickets: Int64 = 0
        var gross: Int64 = 0
        var refunded: Int64 = 0
    }

    let orderId: OrderID
    let eventId: EventID
    let organizerId: OrganizerID
    let currency: Currency
    /// When its hour begins, in UTC.
    let hour: Instant
    var orders: Int64 = 0
    var tickets: Int64 = 0
    var gross: Int64 = 0
    var refunded: Int64 = 0
    var ticketTypes: [TicketTypeShare]

    init(_ paid: OrderPaid) {
        self.init(paid.order, at: paid.paidAt)
        orders = 1
        tickets = paid.order.lines.reduce(0) { $0 + $1.quantity }
        gross = paid.order.totals.total.amount
        add(paid.order.lines.map { ($0.quantity, $0.total.amount, 0) }, to: paid.order.lines)
    }

    init(_ refunded: OrderRefunded) {
        self.init(refunded.order, at: refunded.refundedAt)
        self.refunded = refunded.amount.amount
        // What a unit cost says how much of the refund is its own. A refund by amount alone is for all of them.
        let named = Set(refunded.units)
        let weights = refunded.order.lines.map { line in
            line.units.filter { named.isEmpty || named.contains($0.id) }.reduce(0) { $0 + $1.total }
        }
        let parts = apportion(refunded.amount.amount, by: weights)
        add(parts.map { (0, 0, $0) }, to: refunded.order.lines)
    }

    private init(_ order: OrderFacts, at time: Instant) {
        orderId = order.id
        eventId = order.eventId
        organizerId = order.organizerId
        currency = order.totals.total.currency
        hour = time.beginning(of: .hour)
        ticketTypes = []
    }

    private mutating func add(_ shares: [(tickets: Int64, gross: Int64, refunded: Int64)], to lines: [OrderLine]) {
        for (line, share) in zip(lines, shares) {
            var sum = TicketTypeShare(ticketTypeId: line.ticketTypeId, name: line.name)
            if let index = ticketTypes.firstIndex(where: { $0.ticketTypeId == line.ticketTypeId }) { sum = ticketTypes.remove(at: index) }
            sum.tickets += share.tickets
            sum.gross += share.gross
            sum.refunded += share.refunded
            ticketTypes.append(sum)
        }
    }

    /// When the order was made, as its id tells to the millisecond (UUIDv7).
    var orderedAt: Instant {
        Instant(microseconds: 1_000 * orderId.bytes.prefix(6).reduce(0) { $0 << 8 | Int64($1) })
    }
}

extension Instant {
    /// When the hour, day, week (from Monday) or month of this instant begins, in UTC.
    func beginning(of interval: Interval) -> Instant {
        let hour: Int64 = 3_600_000_000
        let day = 24 * hour
        switch interval {
        case .hour: return Instant(microseconds: microseconds.flooredDivision(by: hour) * hour)
        case .day: return Instant(microseconds: microseconds.flooredDivision(by: day) * day)
        case .week:
            // 1970-01-01 was a Thursday.
            let days = microseconds.flooredDivision(by: day)
            return Instant(microseconds: ((days + 3).flooredDivision(by: 7) * 7 - 3) * day)
        case .month:
            let civil = civil
            return Instant(year: civil.year, month: civil.month, day: 1) ?? self
        }
    }
}
