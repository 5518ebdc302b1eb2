import Contracts
import Storage
import Values

/// The SQL of pools and ticket types.
enum InventoryStore {
    // MARK: Pools

    static func insert(_ pool: Pool, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO pool (id, event_id, name, capacity, version)
            VALUES (\(pool.id), \(pool.eventId), \(pool.name), \(pool.capacity), \(pool.version))
            """)
    }

    static func event(ofPool id: PoolID, in tx: Transaction) throws -> EventID? {
        try tx.row("SELECT event_id FROM pool WHERE id = \(id)").map { try $0["event_id"] }
    }

    /// With what has expired counted as free, whether it was reclaimed or not.
    static func pools(of event: EventID, in tx: Transaction) throws -> [Pool] {
        let now = try tx.now
        return try tx.rows(
            """
            SELECT id, event_id, name, capacity, sold, allocated, version, held - COALESCE(
                (SELECT CAST(SUM(quantity) AS BIGINT) FROM hold_claim
                 WHERE pool_id = pool.id AND state = 'held' AND expires_at <= \(now)), 0) AS held
            FROM pool WHERE event_id = \(event) ORDER BY id
            """
        ).map(pool)
    }

    private static func pool(_ row: Row) throws -> Pool {
        Pool(
            id: try row["id"], eventId: try row["event_id"], name: try row["name"], capacity: try row["capacity"],
            held: try row["held"], sold: try row["sold"], allocated: try row["allocated"], version: try row["version"])
    }

    /// Locks the pools in the order of their ids, takes back what has expired in them, and says what they hold and when it is.
    ///
    /// The time is the database's, read with the locks held, and never before what the pools have seen: an instance whose clock
    /// is wrong cannot sell a living hold again.
    /// - Parameter reclaims: whether what has expired is taken back.
    static func lock(
        _ ids: some Collection<PoolID>, reclaims: Bool = true, in tx: Transaction
    ) throws -> (stock: Stock, now: Instant) {
        try stock(try askToLock("\(list: ids.sorted())", reclaims: reclaims, in: tx), in: tx)
    }

    /// Asks for the locks of all pools that ticket types need. What is asked next is answered under them; see `stock`.
    static func askToLockPools(of types: some Collection<TicketTypeID>, in tx: Transaction) throws -> AskedPools {
        try askToLock("(SELECT pool_id FROM ticket_type_pool WHERE ticket_type_id IN \(list: types.sorted()))", in: tx)
    }

    /// Pools whose locks were asked for.
    struct AskedPools {
        fileprivate let levels: Answer<[Row]>
        /// When the first claim of each ends; nil where nobody is to know.
        fileprivate let expiries: Answer<[Row]>?
    }

    private static func askToLock(_ pools: SQL, reclaims: Bool = true, in tx: Transaction) throws -> AskedPools {
        let levels = try tx.ask(
            "SELECT id, capacity, held, sold, allocated, last_seen_at FROM pool WHERE id IN \(pools) ORDER BY id \(.forUpdate)")
        guard reclaims else { return AskedPools(levels: levels, expiries: nil) }
        // By itself: what a statement that waits for locks sees is of before the wait.
        let expiries = try tx.ask(
            """
            SELECT id, (SELECT MIN(expires_at) FROM hold_claim WHERE pool_id = pool.id AND state = 'held') AS first_expiry
            FROM pool WHERE id IN \(pools) ORDER BY id
            """)
        return AskedPools(levels: levels, expiries: expiries)
    }

    /// What pools that were locked hold, when what has expired in them is taken back: as `lock`.
    static func stock(_ asked: AskedPools, in tx: Transaction) throws -> (stock: Stock, now: Instant) {
        let rows = try asked.levels.get()
        var now = try tx.now
        var levels: [PoolID: Stock.Level] = [:]
        for row in rows {
            now = max(now, try row["last_seen_at"])
            levels[try row["id"]] = Stock.Level(
                capacity: try row["capacity"], held: try row["held"], sold: try row["sold"], allocated: try row["allocated"])
        }
        let expired = try (asked.expiries?.get() ?? []).compactMap { row -> (PoolID, SQL, Answer<[Row]>)? in
            guard let first: Instant = try row["first_expiry"], first <= now else { return nil }
            let id: PoolID = try row["id"]
            let expired: SQL = "pool_id = \(id) AND state = 'held' AND expires_at <= \(now)"
            return (id, expired, try tx.ask("SELECT CAST(SUM(quantity) AS BIGINT) AS quantity FROM hold_claim WHERE \(expired)"))
        }
        for (id, expired, sum) in expired {
            let returned: Int64 = try sum.get().first?["quantity"] ?? 0
            try tx.queue("UPDATE hold_claim SET state = 'reclaimed' WHERE \(expired)")
            // Written here and not with what the caller does: it may find that there is nothing to do.
            try tx.queue("UPDATE pool SET held = held - \(returned), last_seen_at = \(now) WHERE id = \(id)")
            levels[id]?.held -= returned
        }
        return (Stock(levels), now)
    }

    static func save(_ stock: Stock, at now: Instant, in tx: Transaction) throws {
        for (id, level) in stock.levels.sorted(by: { $0.key < $1.key }) {
            try tx.queue("UPDATE pool SET held = \(level.held), sold = \(level.sold), last_seen_at = \(now) WHERE id = \(id)")
        }
    }

    // MARK: Ticket types

    static func insert(_ type: TicketType, window: SalesWindow, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO ticket_type (id, event_id, name, description, price, currency, sales_start, sales_start_local, sales_end,
                sales_end_local, min_per_order, max_per_order, max_per_buyer, is_hidden, access_code, tax_rate, fee, is_fee_included)
            VALUES (\(type.id), \(type.eventId), \(type.name), \(type.description), \(type.price.amount), \(type.price.currency),
                \(window.start?.instant), \(window.start?.local), \(window.end?.instant), \(window.end?.local),
                \(type.minPerOrder), \(type.maxPerOrder), \(type.maxPerBuyer), \(type.hidden), \(type.accessCode),
                \(type.taxRate), \(type.fee), \(type.feeIncluded))
            """)
        for pool in type.poolIds {
            try tx.queue("INSERT INTO ticket_type_pool (ticket_type_id, pool_id) VALUES (\(type.id), \(pool))")
        }
    }

    static func update(_ type: TicketType, window: SalesWindow?, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE ticket_type SET name = \(type.name), description = \(type.description), price = \(type.price.amount),
                min_per_order = \(type.minPerOrder), max_per_order = \(type.maxPerOrder), max_per_buyer = \(type.maxPerBuyer),
                is_hidden = \(type.hidden), access_code = \(type.accessCode), tax_rate = \(type.taxRate), fee = \(type.fee),
                is_fee_included = \(type.feeIncluded), is_archived = \(type.archived), version = \(type.version)
            WHERE id = \(type.id)
            """)
        guard let window else { return }
        if let start = window.start {
            try tx.queue(
                "UPDATE ticket_type SET sales_start = \(start.instant), sales_start_local = \(start.local) WHERE id = \(type.id)")
        }
        if let end = window.end {
            try tx.queue(
                "UPDATE ticket_type SET sales_end = \(end.instant), sales_end_local = \(end.local) WHERE id = \(type.id)")
        }
    }

    /// For whoever writes all of it: what is read next stays so.
    static func lockTicketType(_ id: TicketTypeID, in tx: Transaction) throws {
        try tx.lock("SELECT id FROM ticket_type WHERE id = \(id) \(.forUpdate)")
    }

    static func ticketType(_ id: TicketTypeID, in tx: Transaction) throws -> TicketType? {
        try ticketTypes(where: "ticket_type.id = \(id)", in: tx).get().first
    }

    static func ticketTypes(of event: EventID, in tx: Transaction) throws -> [TicketType] {
        try ticketTypes(where: "ticket_type.event_id = \(event)", in: tx).get()
    }

    static func ticketTypes(_ ids: some Collection<TicketTypeID>, in tx: Transaction) throws -> Answer<[TicketTypeID: TicketType]> {
        let types = try ticketTypes(where: "ticket_type.id IN \(list: ids)", in: tx)
        return Answer { Dictionary(uniqueKeysWithValues: try types.get().map { ($0.id, $0) }) }
    }

    private static func ticketTypes(where condition: SQL, in tx: Transaction) throws -> Answer<[TicketType]> {
        let rows = try tx.ask(
            """
            SELECT ticket_type.*, ticket_type_pool.pool_id AS pool_id FROM ticket_type
            LEFT JOIN ticket_type_pool ON ticket_type_pool.ticket_type_id = ticket_type.id
            WHERE \(condition) ORDER BY ticket_type.id, ticket_type_pool.pool_id
            """)
        return Answer { try ticketTypes(try rows.get()) }
    }

    private static func ticketTypes(_ rows: [Row]) throws -> [TicketType] {
        var types: [TicketType] = []
        for row in rows {
            let id: TicketTypeID = try row["id"]
            if types.last?.id != id { types.append(try ticketType(row)) }
            if let pool: PoolID = try row["pool_id"] { types[types.count - 1].poolIds.append(pool) }
        }
        return types
    }

    private static func ticketType(_ row: Row) throws -> TicketType {
        TicketType(
            id: try row["id"], eventId: try row["event_id"], name: try row["name"], description: try row["description"],
            price: Money(try row["price"], try row["currency"]), poolIds: [], salesStart: try row["sales_start"],
            salesEnd: try row["sales_end"], minPerOrder: try row["min_per_order"], maxPerOrder: try row["max_per_order"],
            maxPerBuyer: try row["max_per_buyer"], hidden: try row["is_hidden"], accessCode: try row["access_code"],
            taxRate: try row["tax_rate"], fee: try row["fee"], feeIncluded: try row["is_fee_included"],
            archived: try row["is_archived"], version: try row["version"])
    }

    // MARK: Events

    static func isClosed(_ event: EventID, in tx: Transaction) throws -> Answer<Bool> {
        let rows = try tx.ask("SELECT id FROM event WHERE id = \(event) AND closed_at IS NOT NULL")
        return Answer { try !rows.get().isEmpty }
    }

    static func history(_ subject: String, _ action: String, actor: String, reason: String? = nil, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO history (id, subject_id, action, actor, reason, at)
            VALUES (\(TypeID<HistoryKind>()), \(subject), \(action), \(actor), \(reason), \(tx.now))
            """)
    }

    enum HistoryKind: IdentifierKind { static let prefix = "entry" }
}

/// When a ticket type is sold: local time, zone and instant of both ends.
struct SalesWindow: Sendable {
    var start: ZonedTime?
    var end: ZonedTime?
}
