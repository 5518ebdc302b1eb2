import Contracts
import Storage
import Values

enum TicketManagerMigrations {
    static let all = [
        Migration(
            "0001-inventory",
            """
            CREATE TABLE event (
                id TEXT PRIMARY KEY,
                organizer_id TEXT NOT NULL,
                currency TEXT NOT NULL,
                time_zone TEXT NOT NULL,
                closed_at BIGINT,
                closed_reason TEXT
            );
            CREATE TABLE pool (
                id TEXT PRIMARY KEY,
                event_id TEXT NOT NULL REFERENCES event (id),
                name TEXT NOT NULL,
                capacity BIGINT NOT NULL,
                held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0),
                sold BIGINT NOT NULL DEFAULT 0 CHECK (sold >= 0),
                allocated BIGINT NOT NULL DEFAULT 0 CHECK (allocated >= 0),
                last_seen_at BIGINT NOT NULL DEFAULT 0,
                version BIGINT NOT NULL DEFAULT 1,
                CHECK (held + sold + allocated <= capacity)
            );
            CREATE INDEX pool_event ON pool (event_id, id);
            CREATE INDEX pool_held ON pool (id) WHERE held > 0;
            CREATE TABLE allocation (
                id TEXT PRIMARY KEY,
                pool_id TEXT NOT NULL REFERENCES pool (id),
                name TEXT NOT NULL,
                quantity BIGINT NOT NULL CHECK (quantity > 0)
            );
            CREATE INDEX allocation_pool ON allocation (pool_id);
            CREATE TABLE ticket_type (
                id TEXT PRIMARY KEY,
                event_id TEXT NOT NULL REFERENCES event (id),
                name TEXT NOT NULL,
                description TEXT,
                price BIGINT NOT NULL CHECK (price >= 0),
                currency TEXT NOT NULL,
                sales_start BIGINT,
                sales_start_local TEXT,
                sales_end BIGINT,
                sales_end_local TEXT,
                min_per_order BIGINT NOT NULL,
                max_per_order BIGINT NOT NULL,
                max_per_buyer BIGINT,
                is_hidden BOOLEAN NOT NULL,
                access_code TEXT,
                tax_rate BIGINT NOT NULL,
                fee BIGINT NOT NULL CHECK (fee >= 0),
                is_fee_included BOOLEAN NOT NULL,
                was_held BOOLEAN NOT NULL DEFAULT FALSE,
                is_archived BOOLEAN NOT NULL DEFAULT FALSE,
                valid_from BIGINT,
                valid_until BIGINT,
                max_entries BIGINT,
                version BIGINT NOT NULL DEFAULT 1
            );
            CREATE INDEX ticket_type_event ON ticket_type (event_id, id);
            CREATE TABLE ticket_type_pool (
                ticket_type_id TEXT NOT NULL REFERENCES ticket_type (id),
                pool_id TEXT NOT NULL REFERENCES pool (id),
                PRIMARY KEY (ticket_type_id, pool_id)
            ) CLUSTERED;
            CREATE INDEX ticket_type_pool_pool ON ticket_type_pool (pool_id);
            """),
        Migration(
            "0002-holds",
            """
            CREATE TABLE hold (
                id TEXT PRIMARY KEY,
                event_id TEXT NOT NULL,
                state TEXT NOT NULL,
                expires_at BIGINT NOT NULL,
                order_id TEXT,
                version BIGINT NOT NULL DEFAULT 1,
                created_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE UNIQUE INDEX hold_order ON hold (order_id) WHERE order_id IS NOT NULL;
            CREATE TABLE hold_line (
                hold_id TEXT NOT NULL,
                ticket_type_id TEXT NOT NULL,
                name TEXT NOT NULL,
                quantity BIGINT NOT NULL CHECK (quantity > 0),
                price BIGINT NOT NULL,
                currency TEXT NOT NULL,
                tax_rate BIGINT NOT NULL,
                fee BIGINT NOT NULL,
                is_fee_included BOOLEAN NOT NULL,
                pool_ids TEXT NOT NULL,
                PRIMARY KEY (hold_id, ticket_type_id)
            ) CLUSTERED;
            CREATE TABLE hold_claim (
                hold_id TEXT NOT NULL,
                pool_id TEXT NOT NULL,
                quantity BIGINT NOT NULL CHECK (quantity >= 0),
                state TEXT NOT NULL,
                expires_at BIGINT NOT NULL,
                seat_id TEXT,
                PRIMARY KEY (hold_id, pool_id)
            ) CLUSTERED;
            CREATE INDEX hold_claim_expiry ON hold_claim (pool_id, expires_at) WHERE state = 'held';
            """),
        Migration(
            "0003-tickets",
            """
            CREATE TABLE fulfilment (
                order_id TEXT PRIMARY KEY,
                hold_id TEXT,
                outcome TEXT NOT NULL,
                created_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE TABLE ticket (
                id TEXT PRIMARY KEY,
                event_id TEXT NOT NULL,
                order_id TEXT NOT NULL,
                order_unit_id TEXT NOT NULL UNIQUE,
                hold_id TEXT NOT NULL,
                ticket_type_id TEXT NOT NULL,
                ticket_type_name TEXT NOT NULL,
                seat_id TEXT,
                attendee_name TEXT,
                attendee_email TEXT,
                state TEXT NOT NULL,
                code TEXT NOT NULL,
                code_version BIGINT NOT NULL DEFAULT 1,
                is_transferred BOOLEAN NOT NULL DEFAULT FALSE,
                checked_in_at BIGINT,
                checked_in_gate TEXT,
                checked_in_nonce TEXT,
                checked_out_at BIGINT,
                checked_out_gate TEXT,
                checked_out_nonce TEXT,
                entries BIGINT NOT NULL DEFAULT 0,
                valid_from BIGINT,
                valid_until BIGINT,
                max_entries BIGINT,
                issued_at BIGINT NOT NULL
            );
            CREATE INDEX ticket_order ON ticket (order_id);
            CREATE UNIQUE INDEX ticket_seat ON ticket (event_id, seat_id) WHERE seat_id IS NOT NULL AND state <> 'void';
            CREATE TABLE ticket_block (
                id TEXT NOT NULL,
                ticket_id TEXT NOT NULL REFERENCES ticket (id),
                reason TEXT NOT NULL,
                is_lifted BOOLEAN NOT NULL DEFAULT FALSE,
                created_at BIGINT NOT NULL,
                PRIMARY KEY (id, ticket_id)
            );
            CREATE INDEX ticket_block_ticket ON ticket_block (ticket_id) WHERE is_lifted = FALSE;
            CREATE TABLE scan (
                id TEXT PRIMARY KEY,
                ticket_id TEXT NOT NULL,
                direction TEXT NOT NULL,
                result TEXT NOT NULL,
                reason TEXT,
                nonce TEXT NOT NULL,
                gate TEXT,
                device TEXT,
                scanned_by TEXT NOT NULL,
                scanned_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE TABLE history (
                id TEXT PRIMARY KEY,
                subject_id TEXT NOT NULL,
                action TEXT NOT NULL,
                actor TEXT NOT NULL,
                reason TEXT,
                at BIGINT NOT NULL
            );
            CREATE INDEX history_subject ON history (subject_id, id);
            """),
        // What is not known to be public is asked again.
        Migration("0004-drafts", "ALTER TABLE event ADD COLUMN is_public BOOLEAN NOT NULL DEFAULT FALSE;"),
        // Nothing asks for one line: they are read and written with their hold.
        Migration(
            "0005-lines-of-holds",
            """
            ALTER TABLE hold ADD COLUMN lines TEXT NOT NULL DEFAULT '[]';
            ALTER TABLE ticket ADD COLUMN pool_ids TEXT NOT NULL DEFAULT '';
            UPDATE ticket SET pool_ids = COALESCE((
                SELECT hold_line.pool_ids FROM hold_line
                WHERE hold_line.hold_id = ticket.hold_id AND hold_line.ticket_type_id = ticket.ticket_type_id
            ), '');
            """, conversion: gatherLines),
    ]
}

extension TicketManagerMigrations {
    /// Moves lines into their holds' rows, and takes their table away in the same transaction: an older process that has waited for it
    /// finds none to write to, instead of lines that nobody reads.
    private static func gatherLines(in tx: Transaction) throws {
        var last = ""
        while true {
            let holds = try tx.rows("SELECT id FROM hold WHERE id > \(last) ORDER BY id LIMIT 500")
            guard let end: String = try holds.last?["id"] else { break }
            let rows = try tx.rows(
                "SELECT * FROM hold_line WHERE hold_id > \(last) AND hold_id <= \(end) ORDER BY hold_id, ticket_type_id")
            let lines = try Dictionary(grouping: rows) { try $0["hold_id"] as String }
            for (hold, rows) in lines {
                let lines = JSONText(try rows.map(line))
                try tx.queue("UPDATE hold SET lines = \(lines) WHERE id = \(hold)")
            }
            last = end
        }
        try tx.execute("DROP TABLE hold_line")
    }

    private static func line(_ row: Row) throws -> HoldRecord.Line {
        let pools: String = try row["pool_ids"]
        return HoldRecord.Line(
            line: HoldLine(
                ticketTypeId: try row["ticket_type_id"], name: try row["name"], quantity: try row["quantity"],
                price: Money(try row["price"], try row["currency"]), taxRate: try row["tax_rate"], fee: try row["fee"],
                feeIncluded: try row["is_fee_included"]),
            pools: pools.split(separator: " ").compactMap { PoolID(String($0)) })
    }
}
