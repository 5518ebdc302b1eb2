import ConfirmedPublish
import Foundation

extension Benchmark {
    /// Events from a service's outbox through RabbitMQ to a consumer that has done what they ask for, against a bare loop that publishes
    /// messages of the same size and waits for their confirmation, 500 at a time. The event is TicketManager's news of a ticket type,
    /// which SalesAnalytics takes in.
    static let messagesRabbitMQ = Benchmark(name: "messages-rabbitmq") { bench in
        try bench.withPostgreSQL { database in
            try bench.withRabbitMQ { broker in
                let settings = ["TICKETFLOW_DATABASE_URL": database.url(), "TICKETFLOW_BROKER_URL": broker.url]
                return try bench.withShop(settings) { program, shop in
                    let pattern = try Messages.pattern(shop, database)
                    var (published, handled): ([Double], [Double]) = ([], [])
                    for round in 0...bench.rounds {
                        let loop = try broker.confirmedPublish(length: pattern, seconds: bench.seconds)
                        // As many as keep it busy for about as long.
                        let perSecond = try Messages.handled(Int(loop / 2 * bench.seconds), round, database, program)
                        note("  \(loop.text) published a second by a bare loop; \(perSecond.text) a second from outbox to consumer")
                        // The first round warms up.
                        if round > 0 { (published, handled) = (published + [loop], handled + [perSecond]) }
                    }
                    return Outcome(handled.median, "messages/s", yardstick: published.median, atLeast: 0.5)
                }
            }
        }
    }
}

private enum Messages {
    /// Keeps one event that the program itself has written, to make more like it.
    /// - Returns: how many bytes it has.
    static func pattern(_ shop: Shop, _ database: PostgreSQL) throws -> Int {
        try database.query(
            """
            CREATE TABLE public.pattern (LIKE ticket_manager.outbox);
            CREATE FUNCTION keep() RETURNS TRIGGER LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO public.pattern VALUES (NEW.*); RETURN NULL; END $$;
            CREATE TRIGGER keep AFTER INSERT ON ticket_manager.outbox FOR EACH ROW EXECUTE FUNCTION keep();
            """)
        _ = try shop.offer(capacity: 1)
        let length = try database.query(
            """
            DROP TRIGGER keep ON ticket_manager.outbox;
            SELECT octet_length(json) FROM pattern WHERE name = 'ticket-types.changed.v1' LIMIT 1;
            """)
        guard let length = Int(length) else { throw Program.Failure(description: "a new ticket type was no event") }
        return length
    }

    /// Puts events into the outbox, each of another ticket type, and waits until all are handled.
    /// - Returns: how many a second, from the first to the last, by the consumer's own records.
    static func handled(_ count: Int, _ round: Int, _ database: PostgreSQL, _ program: Program) throws -> Double {
        let before = program.processorSeconds
        let ids = "overlay(pattern.id PLACING lpad(to_hex(\(round + 1)::BIGINT * 1000000000 + n), 12, '0') FROM length(pattern.id) - 11)"
        try database.query(
            """
            INSERT INTO ticket_manager.outbox (id, name, json)
            SELECT new, name, replace(replace(json, pattern.id, new), type, overlay(type PLACING right(new, 12) FROM length(type) - 11))
            FROM (SELECT * FROM pattern WHERE name = 'ticket-types.changed.v1' LIMIT 1) AS pattern,
                generate_series(1, \(count)) AS n,
                LATERAL (SELECT \(ids) AS new, substring(json FROM '(type_[0-9a-z]{26})') AS type) AS made
            """)
        let handled = """
            FROM sales_analytics.inbox WHERE event_id IN (
                SELECT \(ids) FROM pattern, generate_series(1, \(count)) AS n WHERE name = 'ticket-types.changed.v1')
            """
        // Seldom enough that to ask takes nothing of what is measured.
        for _ in 0..<120 {
            sleep(1)
            guard try database.query("SELECT COUNT(*) FROM ticket_manager.outbox") == "0",
                try database.query("SELECT COUNT(*) \(handled)") == "\(count)"
            else { continue }
            let seconds = try database.query("SELECT (MAX(received_at) - MIN(received_at)) / 1e6 \(handled)")
            guard let seconds = Double(seconds), seconds > 0 else { break }
            note("  \(((program.processorSeconds - before) / Double(count) * 1e6).text) µs of processor each")
            return Double(count) / seconds
        }
        throw Program.Failure(description: "of \(count) events not all were handled within two minutes")
    }
}

extension RabbitMQ {
    /// - Parameter length: of a message, in bytes.
    fileprivate func confirmedPublish(length: Int, seconds: Double) throws -> Double {
        var failure = [CChar](repeating: 0, count: 200)
        let perSecond = confirmed_publish(Int32(port), "guest", "guest", Int32(length), 500, seconds, &failure)
        guard perSecond > 0 else {
            throw Program.Failure(
                description:
                    "the bare loop failed: \(String(decoding: failure.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))")
        }
        return perSecond
    }
}
