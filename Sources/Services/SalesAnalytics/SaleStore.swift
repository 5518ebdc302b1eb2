import Contracts
import Storage
import Values

/// The sums, as they are written.
enum SaleStore {
    /// How long it is known which orders were paid. An older one was.
    static let memory = TimeSpan.days(60)

    /// Counts a paid order, once, with the refunds that were heard of before it.
    static func addPaid(_ sale: Sale, in tx: Transaction) throws {
        try lockEvent(of: sale, in: tx)
        let inserted = try tx.execute(
            "INSERT INTO paid_order (order_id, seen_at) VALUES (\(sale.orderId), \(tx.now)) ON CONFLICT DO NOTHING")
        guard inserted == 1 else { return }
        try add(sale, in: tx)
        let waiting = try tx.rows("SELECT sale FROM waiting_refund WHERE order_id = \(sale.orderId)")
        guard !waiting.isEmpty else { return }
        for row in waiting { try add(try JSON.value(from: try row["sale"] as String), in: tx) }
        try tx.queue("DELETE FROM waiting_refund WHERE order_id = \(sale.orderId)")
    }

    /// Counts a refund if its order was counted; otherwise it waits. Money also goes back of orders that never had their tickets
    /// (paid too late, or for a canceled event): that is no revenue lost, and nothing in the message tells them apart.
    static func addRefund(_ id: RefundID, _ sale: Sale, in tx: Transaction) throws {
        try lockEvent(of: sale, in: tx)
        let now = try tx.now
        let isCounted = try tx.row("SELECT order_id FROM paid_order WHERE order_id = \(sale.orderId)") != nil
        if isCounted || sale.orderedAt < now - .days(30) { return try add(sale, in: tx) }
        try tx.queue(
            """
            INSERT INTO waiting_refund (refund_id, order_id, sale, seen_at)
            VALUES (\(id), \(sale.orderId), \(try JSON.text(of: sale)), \(now)) ON CONFLICT DO NOTHING
            """)
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
        _ = try tx.rows("SELECT id FROM event WHERE id = \(sale.eventId) \(SQL.Difference.forUpdate)")
    }

    /// Three statements, however large the order.
    private static func add(_ sale: Sale, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO event_hour (event_id, hour, currency, organizer_id, orders, tickets, gross, refunded)
            VALUES (\(sale.eventId), \(sale.hour), \(sale.currency), \(sale.organizerId), \(sale.orders), \(sale.tickets),
                \(sale.gross), \(sale.refunded))
            ON CONFLICT (event_id, hour, currency) DO UPDATE SET
                orders = event_hour.orders + excluded.orders, tickets = event_hour.tickets + excluded.tickets,
                gross = event_hour.gross + excluded.gross, refunded = event_hour.refunded + excluded.refunded
            """)
        // In one order for all, so that two messages cannot wait for each other's rows.
        let shares = sale.ticketTypes.sorted { $0.ticketTypeId < $1.ticketTypeId }
        guard !shares.isEmpty else { return }
        let names = SQL.joined(
            shares.map { "(\($0.ticketTypeId), \(sale.eventId), \($0.name), 0)" as SQL }, by: ", ")
        try tx.queue("INSERT INTO ticket_type (id, event_id, name, version) VALUES \(names) ON CONFLICT DO NOTHING")
        let sums = SQL.joined(
            shares.map { share in
                """
                (\(share.ticketTypeId), \(sale.hour), \(sale.currency), \(sale.eventId), \(sale.organizerId), \(share.tickets),
                \(share.gross), \(share.refunded))
                """ as SQL
            }, by: ", ")
        try tx.queue(
            """
            INSERT INTO ticket_type_hour (ticket_type_id, hour, currency, event_id, organizer_id, tickets, gross, refunded)
            VALUES \(sums)
            ON CONFLICT (ticket_type_id, hour, currency) DO UPDATE SET
                tickets = ticket_type_hour.tickets + excluded.tickets, gross = ticket_type_hour.gross + excluded.gross,
                refunded = ticket_type_hour.refunded + excluded.refunded
            """)
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
