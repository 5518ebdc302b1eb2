import Contracts
import Storage
import Values

/// A ticket as it is stored.
struct TicketRecord: Sendable {
    var ticket: Ticket
    var code: String
    var isTransferred: Bool
    /// The last entry and the last exit.
    var lastIn: Admission?
    var lastOut: Admission?
}

/// A reading that let somebody in or out.
struct Admission: Sendable {
    var at: Instant
    var gate: String?
    /// The reading's: one that comes again is the same reading.
    var nonce: String?
}

extension TicketState: SQLTextValue {}
extension FulfilmentOutcome: SQLTextValue {}
extension Direction: SQLTextValue {}

/// The SQL of fulfilments, tickets and their blocks.
enum TicketStore {
    // MARK: Fulfilments

    static func outcomes(of orders: [OrderID], in tx: Transaction) throws -> [OrderID: FulfilmentOutcome] {
        var outcomes: [OrderID: FulfilmentOutcome] = [:]
        try tx.inChunks(orders) { orders in
            for row in try tx.rows("SELECT order_id, outcome FROM fulfilment WHERE order_id IN \(list: orders)") {
                outcomes[try row["order_id"]] = try row["outcome"]
            }
        }
        return outcomes
    }

    /// False if an outcome of one of them is recorded already: the first is permanent.
    static func record(_ outcomes: [(OrderID, FulfilmentOutcome, HoldID?)], at now: Instant, in tx: Transaction) throws -> Bool {
        let new = try tx.insertNew(
            "INSERT INTO fulfilment (order_id, hold_id, outcome, created_at) VALUES", outcomes, returning: "order_id"
        ) { rows, decided in
            let (order, outcome, hold) = decided
            rows.append(order, hold, outcome, now)
        }
        return new.count == outcomes.count
    }

    // MARK: Tickets

    /// A ticket on its way into the table.
    struct Issue {
        var ticket: TicketRecord
        var hold: HoldID
        /// Which count it as sold.
        var pools: [PoolID]
    }

    static func insert(_ tickets: [Issue], at now: Instant, in tx: Transaction) throws {
        try tx.insert(
            """
            INSERT INTO ticket (id, event_id, order_id, order_unit_id, hold_id, ticket_type_id, ticket_type_name, attendee_name,
                attendee_email, state, code, pool_ids, issued_at) VALUES
            """, tickets
        ) { rows, issued in
            let ticket = issued.ticket.ticket
            rows.append(
                ticket.id, ticket.eventId, ticket.orderId, ticket.unitId, issued.hold, ticket.ticketTypeId, ticket.ticketTypeName,
                ticket.attendee.name, ticket.attendee.email, ticket.status, issued.ticket.code,
                issued.pools.map(\.description).joined(separator: " "), now)
        }
    }

    static func find(_ id: TicketID, in tx: Transaction) throws -> TicketRecord? {
        try records("ticket.id = \(id)", in: tx).first
    }

    static func tickets(_ ids: some Collection<TicketID>, in tx: Transaction) throws -> [TicketRecord] {
        try records("ticket.id IN \(list: ids)", in: tx)
    }

    static func tickets(of order: OrderID, in tx: Transaction) throws -> [TicketRecord] {
        try records("ticket.order_id = \(order)", in: tx)
    }

    private static func records(_ condition: SQL, in tx: Transaction) throws -> [TicketRecord] {
        let rows = try tx.rows(
            """
            SELECT ticket.id AS id, event_id, order_id, order_unit_id, ticket_type_id, ticket_type_name, attendee_name, attendee_email,
                state, code, code_version, is_transferred, checked_in_at, checked_in_gate, checked_in_nonce, checked_out_at,
                checked_out_gate, checked_out_nonce, ticket_block.reason AS block_reason
            FROM ticket
            LEFT JOIN ticket_block ON ticket_block.ticket_id = ticket.id AND ticket_block.is_lifted = FALSE
            WHERE \(condition) ORDER BY ticket.id, ticket_block.reason
            """)
        var records: [TicketRecord] = []
        for row in rows {
            let id: TicketID = try row["id"]
            if records.last?.ticket.id != id { records.append(try record(row)) }
            if let reason: String = try row["block_reason"] { records[records.count - 1].ticket.blockedBy.append(reason) }
        }
        return records
    }

    private static func record(_ row: Row) throws -> TicketRecord {
        let code: String = try row["code"]
        let isTransferred: Bool = try row["is_transferred"]
        return TicketRecord(
            ticket: Ticket(
                id: try row["id"], eventId: try row["event_id"], orderId: try row["order_id"], unitId: try row["order_unit_id"],
                ticketTypeId: try row["ticket_type_id"], ticketTypeName: try row["ticket_type_name"],
                attendee: Attendee(name: try row["attendee_name"], email: try row["attendee_email"]), status: try row["state"],
                blockedBy: [], code: isTransferred ? nil : code, codeVersion: try row["code_version"],
                checkedInAt: try row["checked_in_at"]),
            code: code, isTransferred: isTransferred,
            lastIn: try (row["checked_in_at"] as Instant?).map { at in
                Admission(at: at, gate: try row["checked_in_gate"], nonce: try row["checked_in_nonce"])
            },
            lastOut: try (row["checked_out_at"] as Instant?).map { at in
                Admission(at: at, gate: try row["checked_out_gate"], nonce: try row["checked_out_nonce"])
            })
    }

    /// False if it was used, transferred or voided since `version` was read.
    static func transfer(_ ticket: Ticket, code: String, from version: Int64, in tx: Transaction) throws -> Bool {
        // First the lock, so that the question sees a block that was written under it.
        try tx.lock("SELECT id FROM ticket WHERE id = \(ticket.id) \(.forUpdate)")
        return try tx.execute(
            """
            UPDATE ticket SET code = \(code), code_version = \(ticket.codeVersion), is_transferred = TRUE,
                attendee_name = \(ticket.attendee.name), attendee_email = \(ticket.attendee.email)
            WHERE id = \(ticket.id) AND state = 'issued' AND code_version = \(version) AND checked_in_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM ticket_block WHERE ticket_id = ticket.id AND is_lifted = FALSE)
            """) == 1
    }

    // MARK: Blocks

    /// Locks the tickets of some units of an order, in the order of their ids.
    static func lock(
        _ units: [OrderUnitID], of order: OrderID, in tx: Transaction
    ) throws -> [(id: TicketID, state: TicketState, isTransferred: Bool)] {
        try tx.rows(
            """
            SELECT id, state, is_transferred FROM ticket WHERE order_id = \(order) AND order_unit_id IN \(list: units) ORDER BY id \(.forUpdate)
            """
        ).map { (try $0["id"], try $0["state"], try $0["is_transferred"]) }
    }

    static func block(_ tickets: [TicketID], id: String, reason: String, in tx: Transaction) throws {
        let now = try tx.now
        for ticket in tickets {
            try tx.queue(
                """
                INSERT INTO ticket_block (id, ticket_id, reason, created_at) VALUES (\(id), \(ticket), \(reason), \(now))
                ON CONFLICT (id, ticket_id) DO UPDATE SET is_lifted = FALSE
                """)
        }
    }

    static func unblock(_ id: String, in tx: Transaction) throws {
        try tx.queue("UPDATE ticket_block SET is_lifted = TRUE WHERE id = \(id)")
    }

    /// What voiding a block's tickets gives back: for each ticket that is not void yet, one of each pool that counts it.
    static func toVoid(_ block: String, in tx: Transaction) throws -> [(ticket: TicketID, pools: [PoolID])] {
        try tx.rows(
            """
            SELECT ticket.id AS id, pool_ids FROM ticket_block JOIN ticket ON ticket.id = ticket_block.ticket_id
            WHERE ticket_block.id = \(block) AND ticket.state <> 'void' ORDER BY ticket.id
            """
        ).map { row in
            let pools: String = try row["pool_ids"]
            return (try row["id"], pools.split(separator: " ").compactMap { PoolID(String($0)) })
        }
    }

    static func void(_ tickets: [TicketID], in tx: Transaction) throws {
        for ticket in tickets { try tx.queue("UPDATE ticket SET state = 'void' WHERE id = \(ticket)") }
    }
}
