import Contracts
import Storage
import Values

/// The sums, as they are written.
enum SaleStore {
    /// How long it is known which orders were paid. An older one was.
    static let memory = TimeSpan.days(60)

    /// Takes in what was said about one event at the same time. The sums are written once for all.
    static func take(_ facts: [SaleFact], in tx: Transaction) throws {
        var paid: [Sale] = []
        var refunded: [(id: RefundID, sale: Sale)] = []
        for fact in facts {
            switch fact {
            case .paid(let sale): paid.append(sale)
            case .refunded(let id, let sale): refunded.append((id, sale))
            case .event(let event): try describe(event, in: tx)
            case .ticketType(let type): try describe(type, in: tx)
            }
        }
        guard let sale = paid.first ?? refunded.first?.sale else { return }
        try lockEvent(of: sale, in: tx)
        // First what was paid: a refund counts if its order does.
        try add(try count(paid, in: tx) + refunded.compactMap { try count($0, $1, in: tx) }, in: tx)
    }

    /// What paid orders add, each once, with the refunds that were heard of before them.
    private static func count(_ sales: [Sale], in tx: Transaction) throws -> [Sale] {
        let now = try tx.now
        var byOrder = Dictionary(sales.map { ($0.orderId, $0) }) { first, _ in first }
        var counted: [Sale] = []
        let fresh = try tx.insertNew(
            "INSERT INTO paid_order (order_id, seen_at) VALUES", byOrder.keys.sorted(), returning: "order_id"
        ) { $0.append($1, now) }
        for row in fresh { if let sale = byOrder.removeValue(forKey: try row["order_id"]) { counted.append(sale) } }
        var waiting: [Sale] = []
        try tx.inChunks(counted.map(\.orderId)) { orders in
            let rows = try tx.rows("SELECT sale FROM waiting_refund WHERE order_id IN \(list: orders)")
            for row in rows { waiting.append(try JSON.value(from: try row["sale"] as String)) }
        }
        try tx.inChunks(Set(waiting.map(\.orderId)).sorted()) { orders in
            try tx.queue("DELETE FROM waiting_refund WHERE order_id IN \(list: orders)")
        }
        return counted + waiting
    }

    /// What a refund takes away, if its order was counted; otherwise it waits, and this is nil. Money also goes back of orders that
    /// never had their tickets (paid too late, or for a canceled event): that is no revenue lost, and nothing in the message tells them
    /// apart.
    private static func count(_ id: RefundID, _ sale: Sale, in tx: Transaction) throws -> Sale? {
        let now = try tx.now
        let isCounted = try tx.row("SELECT order_id FROM paid_order WHERE order_id = \(sale.orderId)") != nil
        if isCounted || sale.orderedAt < now - .days(30) { return sale }
        try tx.queue(
            """
            INSERT INTO waiting_refund (refund_id, order_id, sale, seen_at)
            VALUES (\(id), \(sale.orderId), \(try JSON.text(of: sale)), \(now)) ON CONFLICT DO NOTHING
            """)
        return nil
    }

    static func forgetOld(in tx: Transaction) throws {
        let limit = try tx.now - memory
        try tx.queue("DELETE FROM paid_order WHERE seen_at < \(limit)")
        try tx.queue("DELETE FROM waiting_refund WHERE seen_at < \(limit)")
    }

    /// So that an order and its refund, taken in at the same time, see each other.
    private static func lockEvent(of sale: Sale, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO event (id, organizer_id, currency, version)
            VALUES (\(sale.eventId), \(sale.organizerId), \(sale.currency), 0) ON CONFLICT DO NOTHING
            """)
        try tx.lock("SELECT id FROM event WHERE id = \(sale.eventId) \(.forUpdate)")
    }

    /// Three statements for each hour in which something was sold, however many sales and however large.
    private static func add(_ sales: [Sale], in tx: Transaction) throws {
        // In one order for all, so that two transactions cannot wait for each other's rows.
        let sums = Dictionary(sales.map { (HourSums.Key($0), HourSums($0)) }) { $0 + $1 }.sorted { $0.key < $1.key }
        for (key, sum) in sums {
            try tx.queue(
                """
                INSERT INTO event_hour (event_id, hour, currency, organizer_id, orders, tickets, gross, refunded)
                VALUES (\(key.event), \(key.hour), \(key.currency), \(sum.organizer), \(sum.orders), \(sum.tickets), \(sum.gross),
                    \(sum.refunded))
                ON CONFLICT (event_id, hour, currency) DO UPDATE SET
                    orders = event_hour.orders + excluded.orders, tickets = event_hour.tickets + excluded.tickets,
                    gross = event_hour.gross + excluded.gross, refunded = event_hour.refunded + excluded.refunded
                """)
            let shares = sum.ticketTypes.values.sorted { $0.ticketTypeId < $1.ticketTypeId }
            try tx.insert("INSERT INTO ticket_type (id, event_id, name, version) VALUES", shares, "ON CONFLICT DO NOTHING") { rows, share in
                rows.append(share.ticketTypeId, key.event, share.name, 0)
            }
            try tx.insert(
                """
                INSERT INTO ticket_type_hour (ticket_type_id, hour, currency, event_id, organizer_id, tickets, gross, refunded) VALUES
                """, shares,
                """
                ON CONFLICT (ticket_type_id, hour, currency) DO UPDATE SET
                    tickets = ticket_type_hour.tickets + excluded.tickets, gross = ticket_type_hour.gross + excluded.gross,
                    refunded = ticket_type_hour.refunded + excluded.refunded
                """
            ) { rows, share in
                rows.append(
                    share.ticketTypeId, key.hour, key.currency, key.event, sum.organizer, share.tickets, share.gross, share.refunded)
            }
        }
    }

    /// Ignores what is older than what is known.
    static func describe(_ event: Event, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO event (id, organizer_id, name, currency, version)
            VALUES (\(event.id), \(event.organizerId), \(event.name), \(event.currency), \(event.version))
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, currency = excluded.currency, version = excluded.version
            WHERE excluded.version > event.version OR event.name IS NULL
            """)
    }

    static func describe(_ type: TicketType, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO ticket_type (id, event_id, name, version)
            VALUES (\(type.id), \(type.eventId), \(type.name), \(type.version))
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version
            WHERE excluded.version > ticket_type.version
            """)
    }
}

/// What several sales of one event, hour and currency add up to.
private struct HourSums {
    struct Key: Hashable, Comparable {
        let event: EventID
        let hour: Instant
        let currency: Currency

        init(_ sale: Sale) {
            (event, hour, currency) = (sale.eventId, sale.hour, sale.currency)
        }

        static func < (a: Key, b: Key) -> Bool {
            (a.event, a.hour, a.currency.description) < (b.event, b.hour, b.currency.description)
        }
    }

    let organizer: OrganizerID
    var orders: Int64
    var tickets: Int64
    var gross: Int64
    var refunded: Int64
    var ticketTypes: [TicketTypeID: Sale.TicketTypeShare]

    init(_ sale: Sale) {
        organizer = sale.organizerId
        (orders, tickets, gross, refunded) = (sale.orders, sale.tickets, sale.gross, sale.refunded)
        ticketTypes = Dictionary(sale.ticketTypes.map { ($0.ticketTypeId, $0) }) { $0 + $1 }
    }

    static func + (a: HourSums, b: HourSums) -> HourSums {
        var sum = a
        sum.orders += b.orders
        sum.tickets += b.tickets
        sum.gross += b.gross
        sum.refunded += b.refunded
        sum.ticketTypes.merge(b.ticketTypes) { $0 + $1 }
        return sum
    }
}

extension Sale.TicketTypeShare {
    fileprivate static func + (a: Self, b: Self) -> Self {
        var sum = a
        sum.tickets += b.tickets
        sum.gross += b.gross
        sum.refunded += b.refunded
        return sum
    }
}
