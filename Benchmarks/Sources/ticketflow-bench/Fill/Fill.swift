import Foundation
import NIOCore

/// Puts tickets that were sold in the past into a PostgreSQL database: events, orders with their carts, holds, units and tickets,
/// payments with the ledger, reports, mails, scans; all that a sale leaves behind in the services' schemas, by SQL.
///
/// Event after event, each in one transaction together with the mark that it is done: whoever is interrupted goes on where that was.
/// The same seed makes the same rows.
struct Fill {
    /// Of an event. Orders have one to four tickets in turn: 8,000 orders.
    private static let ticketsOfEvent = 20_000
    private static let ordersOfTen = 4

    let url: String
    let tickets: Int
    let seed: Int

    /// Ends when as many are there as are wanted, and the server knows how many rows its tables have.
    func run() throws {
        try checkSchema()
        try begin()
        let started = NIODeadline.now()
        let before = try count("SELECT COALESCE(SUM(tickets), 0) FROM bench.filled")
        var done = before
        if done > 0, done < tickets { note("\(done) tickets are there already") }
        for number in 0..<(tickets + Fill.ticketsOfEvent - 1) / Fill.ticketsOfEvent {
            guard try count("SELECT COUNT(*) FROM bench.filled WHERE event = \(number)") == 0 else { continue }
            let size = min(Fill.ticketsOfEvent, tickets - number * Fill.ticketsOfEvent)
            try PostgreSQL.query(event(number, tickets: size), at: url)
            done += size
            let perSecond = Double(done - before) / (Double((NIODeadline.now() - started).nanoseconds) / 1e9)
            note("\(done) of \(tickets) tickets, \(perSecond.text)/s, \((Double(tickets - done) / perSecond / 60).text) minutes left")
        }
        for table in FilledTable.all { try PostgreSQL.query("VACUUM (ANALYZE) \(table.name)", at: url) }
    }

    /// - Throws: where a table is another than the one that is filled here, with what is different.
    private func checkSchema() throws {
        var columns: [String: Set<String>] = [:]
        let rows = try PostgreSQL.query("SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns", at: url)
        for row in rows.split(separator: "\n") {
            let parts = row.split(separator: "|")
            if parts.count == 2 { columns[String(parts[0]), default: []].insert(String(parts[1])) }
        }
        let differences = FilledTable.all.compactMap { $0.difference(to: columns[$0.name] ?? []) }
        guard differences.isEmpty else {
            throw ChildProcess.Failure(
                description: """
                    the database is not one that this can fill; start the program on it once, and if it is the schema that has changed, \
                    change FilledTable too:
                    \(differences.joined(separator: "\n"))
                    """)
        }
    }

    /// What is the same for all events; nothing where it is there.
    private func begin() throws {
        try PostgreSQL.query(
            """
            BEGIN;
            CREATE SCHEMA IF NOT EXISTS bench;
            -- `until`: when the last ticket was sold, in microseconds.
            CREATE TABLE IF NOT EXISTS bench.plan (seed BIGINT PRIMARY KEY, tickets BIGINT NOT NULL, until BIGINT NOT NULL);
            CREATE TABLE IF NOT EXISTS bench.filled (event BIGINT PRIMARY KEY, tickets BIGINT NOT NULL);
            INSERT INTO bench.plan SELECT \(seed), \(tickets), EXTRACT(EPOCH FROM date_trunc('day', now()))::BIGINT * 1000000
                WHERE NOT EXISTS (SELECT 1 FROM bench.plan);
            -- 50 bits as ten digits of Crockford's base 32.
            CREATE OR REPLACE FUNCTION bench.digits(number BIGINT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS $$
                SELECT \((0..<10).map { "substr('0123456789abcdefghjkmnpqrstvwxyz', (number >> \(45 - 5 * $0) & 31)::INT + 1, 1)" }.joined(separator: " || "))
            $$;
            -- A TypeID: a UUIDv7 of a time, and of what `number` makes of the seed.
            CREATE OR REPLACE FUNCTION bench.id(prefix TEXT, stamp TEXT, number BIGINT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS $$
                SELECT prefix || '_' || stamp || 'e' || overlay(left(md5(prefix || \(seed) || number), 15) PLACING '9' FROM 3 FOR 1)
            $$;
            INSERT INTO event_manager.organizer (id, name, slug, search_text, creator_id, is_owner_confirmed, created_at)
                SELECT bench.id('org', bench.digits(until / 1000), 0), 'Past Nights', 'past-nights', 'past nights',
                    bench.id('user', bench.digits(until / 1000), 0), TRUE, until FROM bench.plan
                ON CONFLICT DO NOTHING;
            COMMIT;
            """, at: url)
        guard try PostgreSQL.query("SELECT seed, tickets FROM bench.plan", at: url) == "\(seed)|\(tickets)" else {
            throw ChildProcess.Failure(description: "the database was filled with another seed or another number; take a new database")
        }
    }

    private func event(_ number: Int, tickets size: Int) -> String {
        let orders = size * Fill.ordersOfTen / 10
        let first = number * Fill.ticketsOfEvent * Fill.ordersOfTen / 10
        // Sold over the year before, one event after the other.
        let all = tickets * Fill.ordersOfTen / 10
        return """
            BEGIN;
            -- Nobody waits for this commit, and the rows refer to each other as they must: `ticketflow check` says so.
            SET LOCAL synchronous_commit = off;
            SET LOCAL session_replication_role = replica;
            SET LOCAL jit = off;
            CREATE TEMPORARY TABLE filled_event ON COMMIT DROP AS
                SELECT *, bench.id('event', stamp, \(number)) AS id, bench.id('pool', stamp, \(number)) AS pool,
                    bench.id('type', stamp, \(number)) AS ticket_type, at + 30 * 86400000000 AS starts_at,
                    at + 31 * 86400000000 < until AS is_over
                FROM (SELECT \(number) AS number, 'Past Night ' || \(number) AS name, \(size) AS tickets, at, until, organizer,
                        bench.digits(at / 1000) AS stamp
                    FROM (SELECT until - 366 * 86400000000 + \(first)::BIGINT * (365 * 86400000000 / \(all)) AS at, until,
                        bench.id('org', bench.digits(until / 1000), 0) AS organizer FROM bench.plan) AS planned) AS stamped;
            CREATE TEMPORARY TABLE filled_order ON COMMIT DROP AS
                SELECT n, (n % 4 + 1)::BIGINT AS quantity, sold.at, stamp, event.id AS event, event.name AS event_name, organizer, pool,
                    ticket_type, starts_at, is_over,
                    bench.id('order', stamp, n) AS id, bench.id('cart', stamp, n) AS cart, bench.id('hold', stamp, n) AS hold,
                    bench.id('oline', stamp, n) AS order_line, bench.id('pay', stamp, n) AS payment,
                    bench.id('attempt', stamp, n) AS attempt, 'ch_' || md5('charge' || \(seed) || n) AS charge,
                    overlay(upper(bench.digits((n + \(seed)) * 1099511627689 & 1125899906842623)) PLACING '-' FROM 6 FOR 0) AS number,
                    'Buyer ' || buyer AS name, 'buyer-' || buyer || '@example.org' AS email
                FROM (SELECT n, at, bench.digits(at / 1000) AS stamp, n * 2654435761 % \(all / 2 + 1) AS buyer
                    FROM (SELECT n, (SELECT until FROM bench.plan) - 366 * 86400000000 + n * (365 * 86400000000 / \(all)) AS at
                        FROM generate_series(\(first)::BIGINT, \(first + orders - 1)) AS n) AS numbered
                    -- Else the digits of the time would be worked out anew for each id.
                    OFFSET 0) AS sold,
                    (SELECT id, name, organizer, pool, ticket_type, starts_at, is_over FROM filled_event) AS event;
            CREATE TEMPORARY TABLE filled_unit ON COMMIT DROP AS
                SELECT filled_order.*, position, bench.id('unit', stamp, n * 10 + position) AS unit,
                    bench.id('ticket', stamp, n * 10 + position) AS ticket
                FROM filled_order, generate_series(0, quantity - 1) AS position;
            \(FilledTable.all.map(\.insert).joined(separator: "\n"))
            INSERT INTO bench.filled VALUES (\(number), \(size));
            COMMIT;
            """
    }

    private func count(_ sql: String) throws -> Int {
        let text = try PostgreSQL.query(sql, at: url)
        guard let count = Int(text) else { throw ChildProcess.Failure(description: "\(sql) was answered \(text)") }
        return count
    }
}
