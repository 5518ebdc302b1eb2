import Contracts
import Storage
import Values

/// The sums, as they are written.
enum SaleStore {
    /// Five statements, however large the order.
    static func add(_ sale: Sale, in tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO event (id, organizer_id, currency, version)
            VALUES (\(sale.eventId), \(sale.organizerId), \(sale.currency), 0) ON CONFLICT DO NOTHING
            """)
        try tx.execute(
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
        try tx.execute("INSERT INTO ticket_type (id, event_id, name, version) VALUES \(names) ON CONFLICT DO NOTHING")
        let sums = SQL.joined(
            shares.map { share in
                """
                (\(share.ticketTypeId), \(sale.hour), \(sale.currency), \(sale.eventId), \(sale.organizerId), \(share.tickets),
                \(share.gross), \(share.refunded))
                """ as SQL
            }, by: ", ")
        try tx.execute(
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
        try tx.execute(
            """
            INSERT INTO event (id, organizer_id, name, currency, version)
            VALUES (\(event.id), \(event.organizerId), \(event.name), \(event.currency), \(event.version))
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, currency = excluded.currency, version = excluded.version
            WHERE excluded.version > event.version OR event.name IS NULL
            """)
    }

    static func describe(_ type: TicketType, in tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO ticket_type (id, event_id, name, version)
            VALUES (\(type.id), \(type.eventId), \(type.name), \(type.version))
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version
            WHERE excluded.version > ticket_type.version
            """)
    }
}
