import Contracts
import Storage
import Values

/// The sums, as reports read them: whole hours, each by index.
struct ReportStore {
    /// Whose sales.
    enum Scope: Hashable, Sendable {
        case organizers([OrganizerID])
        /// For platform administrators.
        case everything

        fileprivate func condition(_ column: SQL) -> SQL {
            switch self {
            case .organizers(let ids): "AND \(column) IN \(list: ids)"
            case .everything: ""
            }
        }
    }

    /// Where a page begins: after this many tickets, and of those that have as many, after this id.
    struct Cursor: Hashable, Sendable, LosslessStringConvertible {
        let tickets: Int64
        let id: String

        init(tickets: Int64, id: String) {
            self.tickets = tickets
            self.id = id
        }

        init?(_ description: String) {
            let parts = description.split(separator: ".", maxSplits: 1)
            guard parts.count == 2, let tickets = Int64(parts[0]), parts[1].utf8.count <= 64 else { return nil }
            self.init(tickets: tickets, id: String(parts[1]))
        }

        var description: String { "\(tickets).\(id)" }
    }

    let scope: Scope
    let period: ReportPeriod
    let tx: Transaction

    func popularEvents(after cursor: Cursor?, limit: Int) throws -> [PopularEvent] {
        try tx.rows(
            """
            SELECT s.event_id, s.currency, e.name, CAST(SUM(s.orders) AS BIGINT) AS orders,
                CAST(SUM(s.tickets) AS BIGINT) AS tickets, CAST(SUM(s.gross - s.refunded) AS BIGINT) AS revenue
            FROM event_hour s LEFT JOIN event e ON e.id = s.event_id
            WHERE s.hour >= \(period.firstHour) AND s.hour < \(period.to) \(scope.condition("s.organizer_id"))
            GROUP BY s.event_id, s.currency, e.name
            \(ReportStore.following(cursor, "s.event_id"))
            ORDER BY tickets DESC, s.event_id LIMIT \(limit)
            """
        ).map { row in
            let id: EventID = try row["event_id"]
            return PopularEvent(
                eventId: id, name: try row["name"] ?? "\(id)", orders: try row["orders"], ticketsSold: try row["tickets"],
                revenue: Money(try row["revenue"], try row["currency"]))
        }
    }

    func topTickets(after cursor: Cursor?, limit: Int) throws -> [TopTicket] {
        try tx.rows(
            """
            SELECT s.ticket_type_id, s.event_id, s.currency, t.name, e.name AS event_name,
                CAST(SUM(s.tickets) AS BIGINT) AS tickets, CAST(SUM(s.gross - s.refunded) AS BIGINT) AS revenue
            FROM ticket_type_hour s
            LEFT JOIN ticket_type t ON t.id = s.ticket_type_id LEFT JOIN event e ON e.id = s.event_id
            WHERE s.hour >= \(period.firstHour) AND s.hour < \(period.to) \(scope.condition("s.organizer_id"))
            GROUP BY s.ticket_type_id, s.event_id, s.currency, t.name, e.name
            \(ReportStore.following(cursor, "s.ticket_type_id"))
            ORDER BY tickets DESC, s.ticket_type_id LIMIT \(limit)
            """
        ).map { try ReportStore.topTicket($0) }
    }

    /// Intervals in which something happened, the oldest first, a row for each currency.
    /// - Parameter limit: how many intervals.
    func revenue(by interval: Interval, after: Instant?, limit: Int) throws -> [RevenuePoint] {
        let hour: Int64 = 3_600_000_000
        // Longer intervals are made of days: SQL has no calendar that both engines share.
        let unit = interval == .hour ? hour : 24 * hour
        let start = after.map { max($0, period.firstHour) } ?? period.firstHour
        let rows = try tx.rows(
            """
            SELECT s.hour / \(unit) AS unit, s.currency, CAST(SUM(s.orders) AS BIGINT) AS orders,
                CAST(SUM(s.tickets) AS BIGINT) AS tickets, CAST(SUM(s.gross) AS BIGINT) AS gross,
                CAST(SUM(s.refunded) AS BIGINT) AS refunded
            FROM event_hour s
            WHERE s.hour >= \(start) AND s.hour < \(period.to) \(scope.condition("s.organizer_id"))
            GROUP BY unit, s.currency ORDER BY unit, s.currency
            """)
        var points: [RevenuePoint] = []
        var intervals = 0
        for row in rows {
            let from = Instant(microseconds: try row["unit"] * unit).beginning(of: interval)
            if points.last?.from != from { intervals += 1 }
            if intervals > limit { break }
            let currency: Currency = try row["currency"]
            let added = RevenuePoint(
                from: from, orders: try row["orders"], ticketsSold: try row["tickets"], gross: Money(try row["gross"], currency),
                refunded: Money(try row["refunded"], currency), net: Money(0, currency))
            if let index = points.lastIndex(where: { $0.from == from && $0.gross.currency == currency }) {
                points[index].add(added)
            } else {
                points.append(added)
            }
        }
        return points.map { $0.withNet }
    }

    /// All of the event's time.
    static func event(_ id: EventID, in tx: Transaction) throws -> (organizer: OrganizerID, report: EventReport)? {
        guard
            let row = try tx.row(
                """
                SELECT e.organizer_id, e.name, e.currency, CAST(COALESCE(SUM(s.orders), 0) AS BIGINT) AS orders,
                    CAST(COALESCE(SUM(s.tickets), 0) AS BIGINT) AS tickets, CAST(COALESCE(SUM(s.gross), 0) AS BIGINT) AS gross,
                    CAST(COALESCE(SUM(s.refunded), 0) AS BIGINT) AS refunded
                FROM event e LEFT JOIN event_hour s ON s.event_id = e.id AND s.currency = e.currency
                WHERE e.id = \(id) GROUP BY e.organizer_id, e.name, e.currency
                """)
        else { return nil }
        let currency: Currency = try row["currency"]
        let types = try tx.rows(
            """
            SELECT t.id AS ticket_type_id, t.event_id, e.currency, t.name, e.name AS event_name,
                CAST(COALESCE(SUM(s.tickets), 0) AS BIGINT) AS tickets,
                CAST(COALESCE(SUM(s.gross - s.refunded), 0) AS BIGINT) AS revenue
            FROM ticket_type t JOIN event e ON e.id = t.event_id
            LEFT JOIN ticket_type_hour s ON s.ticket_type_id = t.id AND s.currency = e.currency
            WHERE t.event_id = \(id) GROUP BY t.id, t.event_id, e.currency, t.name, e.name
            ORDER BY tickets DESC, t.id LIMIT 200
            """
        ).map { try topTicket($0) }
        let gross: Int64 = try row["gross"]
        let refunded: Int64 = try row["refunded"]
        let report = EventReport(
            eventId: id, name: try row["name"] ?? "\(id)", orders: try row["orders"], ticketsSold: try row["tickets"],
            gross: Money(gross, currency), refunded: Money(refunded, currency), net: Money(gross - refunded, currency),
            ticketTypes: types)
        return (try row["organizer_id"], report)
    }

    private static func following(_ cursor: Cursor?, _ id: SQL) -> SQL {
        guard let cursor else { return "" }
        return """
            HAVING CAST(SUM(s.tickets) AS BIGINT) < \(cursor.tickets)
                OR (CAST(SUM(s.tickets) AS BIGINT) = \(cursor.tickets) AND \(id) > \(cursor.id))
            """
    }

    private static func topTicket(_ row: Row) throws -> TopTicket {
        let id: TicketTypeID = try row["ticket_type_id"]
        let event: EventID = try row["event_id"]
        return TopTicket(
            ticketTypeId: id, eventId: event, name: try row["name"] ?? "\(id)", eventName: try row["event_name"] ?? "\(event)",
            ticketsSold: try row["tickets"], revenue: Money(try row["revenue"], try row["currency"]))
    }
}

/// From when to when, in whole hours: the hour that `from` lies in counts, the hour that begins at `to` or later does not.
struct ReportPeriod: Hashable, Sendable {
    let from: Instant
    let to: Instant

    var firstHour: Instant { from.beginning(of: .hour) }
}

extension RevenuePoint {
    fileprivate mutating func add(_ other: RevenuePoint) {
        orders += other.orders
        ticketsSold += other.ticketsSold
        gross.amount += other.gross.amount
        refunded.amount += other.refunded.amount
    }

    fileprivate var withNet: RevenuePoint {
        var point = self
        point.net.amount = gross.amount - refunded.amount
        return point
    }
}
