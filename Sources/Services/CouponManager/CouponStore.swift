import Contracts
import Storage
import Values

extension Coupon.Status: SQLTextValue {}

/// Coupons and their history.
enum CouponStore {
    /// - Returns: false if the organizer has a coupon of this code already.
    static func insert(_ coupon: Coupon, by actor: String, in tx: Transaction) throws -> Bool {
        let inserted = try tx.execute(
            """
            INSERT INTO coupon (id, organizer_id, code, name, max_redemptions, per_buyer_limit, valid_from, valid_until, status,
                version, created_at)
            VALUES (\(coupon.id), \(coupon.organizerId), \(coupon.code), \(coupon.name), \(coupon.maxRedemptions),
                \(coupon.perBuyerLimit), \(coupon.validFrom), \(coupon.validUntil), \(coupon.status),
                \(coupon.version), \(coupon.createdAt))
            ON CONFLICT DO NOTHING
            """)
        guard inserted == 1 else { return false }
        try recordVersion(coupon, by: actor, reason: "created", in: tx)
        return true
    }

    /// Writes what staff changed, under a new version. The coupon must be locked.
    static func update(_ coupon: Coupon, by actor: String, reason: String, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE coupon SET name = \(coupon.name), max_redemptions = \(coupon.maxRedemptions),
                per_buyer_limit = \(coupon.perBuyerLimit), valid_from = \(coupon.validFrom), valid_until = \(coupon.validUntil),
                status = \(coupon.status), version = \(coupon.version)
            WHERE id = \(coupon.id)
            """)
        try recordVersion(coupon, by: actor, reason: reason, in: tx)
    }

    private static func recordVersion(_ coupon: Coupon, by actor: String, reason: String, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO coupon_history (coupon_id, version, percent, amount, currency, minimum_amount, minimum_currency,
                event_ids, ticket_type_ids, actor, reason, changed_at)
            VALUES (\(coupon.id), \(coupon.version), \(coupon.discount.percent), \(coupon.discount.amount?.amount),
                \(coupon.discount.amount?.currency), \(coupon.minimumOrder?.amount), \(coupon.minimumOrder?.currency),
                \(try JSON.text(of: coupon.eventIds)), \(try JSON.text(of: coupon.ticketTypeIds)), \(actor), \(reason), \(tx.now))
            """)
        try tx.queue("DELETE FROM coupon_event WHERE coupon_id = \(coupon.id)")
        for event in Set(coupon.eventIds) {
            try tx.queue("INSERT INTO coupon_event (coupon_id, event_id) VALUES (\(coupon.id), \(event))")
        }
    }

    /// Writes the counters. The coupon must be locked.
    static func updateCounters(_ coupon: Coupon, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE coupon SET reserved = \(coupon.reserved), redeemed = \(coupon.redeemed), over_limit = \(coupon.overLimit)
            WHERE id = \(coupon.id)
            """)
    }

    /// Locks the coupon until the transaction ends. In two statements: whoever has waited for the lock has to find the terms of the
    /// version that came meanwhile.
    static func lock(_ id: CouponID, in tx: Transaction) throws -> Coupon? {
        guard try tx.row("SELECT id FROM coupon WHERE id = \(id) \(SQL.Difference.forUpdate)") != nil else { return nil }
        return try tx.row("\(columns) WHERE c.id = \(id)").map { try coupon($0) }
    }

    static func lock(_ code: CouponCode, of organizer: OrganizerID, in tx: Transaction) throws -> Coupon? {
        let row = try tx.row("SELECT id FROM coupon WHERE organizer_id = \(organizer) AND code = \(code.text)")
        return try row.flatMap { try lock(try $0["id"], in: tx) }
    }

    /// As others see it: what has expired is not counted.
    static func find(_ id: CouponID, in tx: Transaction) throws -> Coupon? {
        try tx.row("\(columns) WHERE c.id = \(id)").map { try live(try coupon($0), in: tx) }
    }

    static func find(_ code: CouponCode, of organizer: OrganizerID, in tx: Transaction) throws -> Coupon? {
        try tx.row("\(columns) WHERE c.organizer_id = \(organizer) AND c.code = \(code.text)")
            .map { try live(try coupon($0), in: tx) }
    }

    /// The newest first.
    /// - Parameter event: only those that apply to it.
    static func list(
        of organizers: [OrganizerID], event: EventID?, status: Coupon.Status?, after: CouponID?, limit: Int, in tx: Transaction
    ) throws -> [Coupon] {
        var conditions: [SQL] = ["c.organizer_id IN \(list: organizers)"]
        if let after { conditions.append("c.id < \(after)") }
        if let status { conditions.append("c.status = \(status)") }
        if let event {
            conditions.append(
                """
                (EXISTS (SELECT 1 FROM coupon_event e WHERE e.coupon_id = c.id AND e.event_id = \(event))
                OR NOT EXISTS (SELECT 1 FROM coupon_event e WHERE e.coupon_id = c.id))
                """)
        }
        return try tx.rows("\(columns) WHERE \(SQL.joined(conditions, by: " AND ")) ORDER BY c.id DESC LIMIT \(limit)")
            .map { try live(try coupon($0), in: tx) }
    }

    static func terms(of coupon: CouponID, version: Int64, in tx: Transaction) throws -> CouponTerms? {
        try tx.row("SELECT \(termsColumns) FROM coupon_history h WHERE h.coupon_id = \(coupon) AND h.version = \(version)")
            .map { try terms($0) }
    }

    private static func live(_ coupon: Coupon, in tx: Transaction) throws -> Coupon {
        guard coupon.reserved > 0 else { return coupon }
        var coupon = coupon
        let row = try tx.row(
            """
            SELECT COUNT(*) AS expired FROM coupon_use
            WHERE coupon_id = \(coupon.id) AND state = 'reserved' AND expires_at <= \(tx.now)
            """)
        coupon.reserved -= try row?["expired"] ?? 0
        return coupon
    }

    private static var termsColumns: SQL {
        "h.percent, h.amount, h.currency, h.minimum_amount, h.minimum_currency, h.event_ids, h.ticket_type_ids"
    }

    private static var columns: SQL {
        """
        SELECT c.id, c.organizer_id, c.code, c.name, c.max_redemptions, c.per_buyer_limit, c.valid_from, c.valid_until, c.status,
            c.reserved, c.redeemed, c.over_limit, c.version, c.created_at, \(termsColumns)
        FROM coupon c JOIN coupon_history h ON h.coupon_id = c.id AND h.version = c.version
        """
    }

    private static func terms(_ row: Row) throws -> CouponTerms {
        CouponTerms(
            discount: Discount(percent: try row["percent"], amount: try money(row, "amount", "currency")),
            eventIds: try JSON.value(from: try row["event_ids"] as String),
            ticketTypeIds: try JSON.value(from: try row["ticket_type_ids"] as String),
            minimumOrder: try money(row, "minimum_amount", "minimum_currency"))
    }

    private static func money(_ row: Row, _ amount: String, _ currency: String) throws -> Money? {
        guard let amount: Int64 = try row[amount], let currency: Currency = try row[currency] else { return nil }
        return Money(amount, currency)
    }

    private static func coupon(_ row: Row) throws -> Coupon {
        let terms = try terms(row)
        return Coupon(
            id: try row["id"], organizerId: try row["organizer_id"], code: try row["code"], name: try row["name"],
            discount: terms.discount, eventIds: terms.eventIds, ticketTypeIds: terms.ticketTypeIds,
            maxRedemptions: try row["max_redemptions"], perBuyerLimit: try row["per_buyer_limit"],
            minimumOrder: terms.minimumOrder, validFrom: try row["valid_from"], validUntil: try row["valid_until"],
            status: try row["status"], reserved: try row["reserved"],
            redeemed: try row["redeemed"], overLimit: try row["over_limit"], version: try row["version"],
            createdAt: try row["created_at"])
    }
}
