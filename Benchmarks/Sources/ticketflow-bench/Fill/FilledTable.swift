/// A table that a sold ticket leaves something in, and what.
struct FilledTable: Sendable {
    /// With its schema.
    let name: String
    /// An expression for each column, over what `rows` names.
    let values: [(column: String, expression: String)]
    /// Columns that stay as the schema has them when nothing is said.
    let untouched: [String]
    /// What follows `FROM`.
    let rows: String

    init(_ name: String, from rows: String, _ values: KeyValuePairs<String, String>, untouched: String = "") {
        self.name = name
        self.rows = rows
        self.values = values.map { ($0.key, $0.value) }
        self.untouched = untouched.split(separator: " ").map(String.init)
    }

    var insert: String {
        """
        INSERT INTO \(name) (\(values.map(\.column).joined(separator: ", ")))
        SELECT \(values.map(\.expression).joined(separator: ", ")) FROM \(rows);
        """
    }

    /// Where the database has other columns than these: one that nobody filled would make it look as no running system does.
    /// - Parameter columns: those of the database.
    func difference(to columns: Set<String>) -> String? {
        let known = Set(values.map(\.column) + untouched)
        guard !columns.isEmpty else { return "\(name) is not there" }
        let (missing, unknown) = (known.subtracting(columns).sorted(), columns.subtracting(known).sorted())
        guard !missing.isEmpty || !unknown.isEmpty else { return nil }
        return [
            missing.isEmpty ? nil : "\(name) has no \(missing.joined(separator: ", "))",
            unknown.isEmpty ? nil : "\(name) has \(unknown.joined(separator: ", ")), with which nothing is done here",
        ].compactMap { $0 }.joined(separator: "; ")
    }
}

extension FilledTable {
    /// All of them, in an order in which each finds what it refers to. Made from what one purchase leaves behind.
    static let all = catalogue + sales + tickets + payments + reports + mails

    private static let recent = "WHERE at > (SELECT until FROM bench.plan) - 60 * 86400000000"
    private static let veryRecent = "WHERE at > (SELECT until FROM bench.plan) - 2 * 86400000000"

    private static let catalogue = [
        FilledTable(
            "event_manager.event", from: "filled_event",
            [
                "id": "id", "slug": "'past-event-' || number", "organizer_id": "organizer", "name": "name",
                "state": "CASE WHEN is_over THEN 'completed' ELSE 'published' END", "is_listed": "NOT is_over", "starts_at": "starts_at",
                "local_starts_at": "'2026-01-01T20:00:00'", "over_at": "starts_at + 86400000000", "time_zone": "'Europe/Berlin'",
                "currency": "'EUR'", "search_text": "lower(name)", "version": "2", "created_at": "at",
            ],
            untouched: """
                summary description ends_at local_ends_at venue_id online_url image_url age_restriction refund_until are_fees_refunded
                """),
        FilledTable(
            "ticket_manager.event", from: "filled_event",
            ["id": "id", "organizer_id": "organizer", "currency": "'EUR'", "time_zone": "'Europe/Berlin'", "is_public": "TRUE"],
            untouched: "closed_at closed_reason"),
        FilledTable(
            "ticket_manager.pool", from: "filled_event",
            [
                "id": "pool", "event_id": "id", "name": "'Floor'", "capacity": "tickets", "sold": "tickets",
                "last_seen_at": "at",
            ], untouched: "held allocated version"),
        FilledTable(
            "ticket_manager.ticket_type", from: "filled_event",
            [
                "id": "ticket_type", "event_id": "id", "name": "'Standing'", "price": "4500", "currency": "'EUR'",
                "min_per_order": "1", "max_per_order": "10", "is_hidden": "FALSE", "tax_rate": "1900", "fee": "0",
                "is_fee_included": "FALSE", "was_held": "TRUE",
            ],
            untouched: """
                description sales_start sales_start_local sales_end sales_end_local max_per_buyer access_code is_archived valid_from \
                valid_until max_entries version
                """),
        FilledTable(
            "ticket_manager.ticket_type_pool", from: "filled_event", ["ticket_type_id": "ticket_type", "pool_id": "pool"]),
        FilledTable(
            "sales_manager.event", from: "filled_event",
            ["id": "id", "organizer_id": "organizer", "currency": "'EUR'", "version": "2"],
            untouched: "is_canceled is_refunding refund_until are_fees_refunded"),
    ]

    private static let sales = [
        FilledTable(
            "sales_manager.cart", from: "filled_order",
            [
                "id": "cart", "event_id": "event", "state": "'ordered'", "hold_id": "hold", "hold_version": "1",
                "expires_at": "at + 600000000", "created_at": "at",
            ], untouched: "coupon_use_id coupon_code"),
        FilledTable(
            "sales_manager.cart_line", from: "filled_order",
            [
                "id": "bench.id('line', stamp, n)", "cart_id": "cart", "ticket_type_id": "ticket_type", "name": "'Standing'",
                "quantity": "quantity", "unit_price": "4500", "tax_rate": "1900", "unit_fee": "0", "is_fee_included": "FALSE",
                "discount": "0",
            ]),
        FilledTable(
            "sales_manager.sales_order", from: "filled_order",
            [
                "id": "id", "cart_id": "cart", "number": "number", "event_id": "event", "organizer_id": "organizer", "status": "'paid'",
                "buyer_email": "email", "buyer_address": "email", "buyer_name": "name", "channel": "'web'", "hold_id": "hold",
                "currency": "'EUR'", "subtotal": "4500 * quantity", "discount": "0", "tax": "718 * quantity", "fees": "0",
                "total": "4500 * quantity", "payment_choice": #"'{"method":"4242424242424242","provider":"sandbox"}'"#,
                "payment": """
                format('{"amount":{"amount":%1$s,"currency":"EUR"},"attempts":[{"createdAt":"2026-01-01T00:00:00.000000Z","id":"%2$s",\
                "provider":"sandbox","status":"captured"}],"captured":{"amount":%1$s,"currency":"EUR"},"id":"%3$s","isPayLater":false,\
                "orderId":"%4$s","refunded":{"amount":0,"currency":"EUR"},"refunds":[],"state":"captured","status":"captured",\
                "version":2}', 4500 * quantity, attempt, payment, id)
                """,
                "payment_version": "2", "is_settled": "TRUE", "expires_at": "at + 900000000", "look_at": "at + 5000000",
                "created_at": "at", "paid_at": "at + 30000", "version": "2",
            ], untouched: "end_reason buyer_locale buyer_phone user_id created_by coupon_use_id coupon_code"),
        FilledTable(
            "sales_manager.order_line", from: "filled_order",
            [
                "id": "order_line", "order_id": "id", "position": "0", "ticket_type_id": "ticket_type", "name": "'Standing'",
                "unit_price": "4500",
            ]),
        FilledTable(
            "sales_manager.order_unit", from: "filled_unit",
            [
                "id": "unit", "order_id": "id", "line_id": "order_line", "position": "position", "price": "4500", "discount": "0",
                "tax": "718", "fee": "0", "total": "4500", "attendee_name": "name", "attendee_email": "email",
            ], untouched: "is_refunded"),
        FilledTable(
            "sales_manager.idempotency", from: "filled_order, (VALUES ('line'), ('pay')) AS asked (word) \(veryRecent)",
            [
                "principal": "'link:' || md5(id) || '='", "key": "word || '-' || n", "fingerprint": "md5(cart) || md5(word)",
                "status": "200", "body": "CASE word WHEN 'line' THEN repeat(md5(id), 20) ELSE '' END", "created_at": "at",
            ], untouched: "location"),
    ]

    private static let tickets = [
        FilledTable(
            "ticket_manager.hold", from: "filled_order",
            [
                "id": "hold", "event_id": "event", "state": "'confirmed'", "expires_at": "at + 1200000000", "order_id": "id",
                "lines": """
                '[["' || ticket_type || '","Standing",' || quantity || ',4500,"EUR",1900,0,false,["' || pool || '"]]]'
                """,
                "created_at": "at",
            ], untouched: "version"),
        FilledTable(
            "ticket_manager.hold_claim", from: "filled_order",
            [
                "hold_id": "hold", "pool_id": "pool", "quantity": "quantity", "state": "'sold'", "expires_at": "at + 1200000000",
            ], untouched: "seat_id"),
        FilledTable(
            "ticket_manager.idempotency", from: "filled_order \(veryRecent)",
            [
                "principal": "'service:sales-manager'", "key": "cart || ':' || md5(id) || ':hold'", "fingerprint": "md5(cart) || md5(id)",
                "status": "201", "location": "hold", "body": "''", "created_at": "at",
            ]),
        FilledTable(
            "ticket_manager.fulfilment", from: "filled_order",
            ["order_id": "id", "hold_id": "hold", "outcome": "'confirmed'", "created_at": "at + 20000"]),
        FilledTable(
            "ticket_manager.ticket", from: "filled_unit",
            [
                "id": "ticket", "event_id": "event", "order_id": "id", "order_unit_id": "unit", "hold_id": "hold", "pool_ids": "pool",
                "ticket_type_id": "ticket_type", "ticket_type_name": "'Standing'", "attendee_name": "name", "attendee_email": "email",
                "state": "CASE WHEN is_over THEN 'checkedIn' ELSE 'issued' END",
                "code": """
                'TF1' || upper(md5(ticket) || md5(unit) || md5(ticket || unit) || md5(unit || ticket) || md5(ticket || id) || '0000')
                """,
                "checked_in_at": "CASE WHEN is_over THEN starts_at END", "checked_in_gate": "CASE WHEN is_over THEN 'North' END",
                "checked_in_nonce": "CASE WHEN is_over THEN 'door-' || n * 10 + position END",
                "entries": "CASE WHEN is_over THEN 1 ELSE 0 END", "issued_at": "at + 20000",
            ],
            untouched: """
                seat_id code_version is_transferred checked_out_at checked_out_gate checked_out_nonce valid_from valid_until max_entries
                """),
        FilledTable(
            "ticket_manager.scan", from: "filled_unit WHERE is_over",
            [
                "id": "bench.id('scan', stamp, n * 10 + position)", "ticket_id": "ticket", "direction": "'in'", "result": "'admitted'",
                "nonce": "'door-' || n * 10 + position", "gate": "'North'", "scanned_by": "organizer", "scanned_at": "starts_at",
            ], untouched: "reason device"),
    ]

    private static let payments = [
        FilledTable(
            "payment_processing.payment", from: "filled_order",
            [
                "id": "payment", "order_id": "id", "organizer_id": "organizer", "amount": "4500 * quantity", "currency": "'EUR'",
                "description": "'Order ' || number", "buyer_email": "email", "state": "'closed'", "captured": "4500 * quantity",
                "paid_by": "attempt", "settled": "'fulfilled'", "expires_at": "at + 900000000", "created_at": "at", "version": "3",
            ], untouched: "refunded closing announce_at"),
        FilledTable(
            "payment_processing.payment_attempt", from: "filled_order",
            [
                "id": "attempt", "payment_id": "payment", "provider": "'sandbox'", "method": "'4242424242424242'",
                "amount": "4500 * quantity", "currency": "'EUR'", "state": "'captured'", "reference": "charge",
                "received_amount": "4500 * quantity", "received_currency": "'EUR'", "created_at": "at",
            ], untouched: "return_url failure action_type action_url action_text is_pay_later check_at checks"),
        FilledTable(
            "payment_processing.ledger_entry", from: "filled_order, (VALUES ('buyer', -1), ('provider', 1)) AS side (account, sign)",
            [
                "movement_id": "'capture:' || attempt", "account": "account", "payment_id": "payment", "order_id": "id",
                "amount": "4500 * quantity * sign", "currency": "'EUR'", "kind": "'capture'", "at": "at",
            ]),
        FilledTable(
            "payment_processing.provider_event", from: "filled_order",
            [
                "provider": "'sandbox'", "event_id": "'evt_' || md5(charge)",
                "json": """
                format('{"fact":{"charge":{"_0":"%1$s","_1":{"captured":{"_0":{"amount":%2$s,"currency":"EUR"},"reference":"%3$s"}}}},\
                "id":"evt_%4$s"}', attempt, 4500 * quantity, charge, md5(charge))
                """,
                "received_at": "at + 100000", "applied_at": "at + 100000",
            ], untouched: "apply_at tries"),
        FilledTable(
            "payment_processing.sandbox_charge", from: "filled_order",
            [
                "id": "charge", "attempt_id": "attempt", "method": "'4242424242424242'", "amount": "4500 * quantity",
                "currency": "'EUR'", "state": "'captured'", "created_at": "at",
            ], untouched: "return_url failure"),
    ]

    private static let hours = """
        (SELECT event, organizer, ticket_type, at - at % 3600000000 AS hour, COUNT(*) AS orders, SUM(quantity) AS tickets FROM filled_order
        GROUP BY event, organizer, ticket_type, hour) AS sums
        """

    private static let reports = [
        FilledTable(
            "sales_analytics.event", from: "filled_event",
            ["id": "id", "organizer_id": "organizer", "name": "name", "currency": "'EUR'", "version": "2"]),
        FilledTable(
            "sales_analytics.ticket_type", from: "filled_event",
            ["id": "ticket_type", "event_id": "id", "name": "'Standing'", "version": "1"]),
        FilledTable(
            "sales_analytics.event_hour", from: hours,
            [
                "event_id": "event", "hour": "hour", "currency": "'EUR'", "organizer_id": "organizer", "orders": "orders",
                "tickets": "tickets", "gross": "4500 * tickets", "refunded": "0",
            ]),
        FilledTable(
            "sales_analytics.ticket_type_hour", from: hours,
            [
                "ticket_type_id": "ticket_type", "hour": "hour", "currency": "'EUR'", "event_id": "event", "organizer_id": "organizer",
                "tickets": "tickets", "gross": "4500 * tickets", "refunded": "0",
            ]),
        FilledTable("sales_analytics.paid_order", from: "filled_order \(recent)", ["order_id": "id", "seen_at": "at"]),
        FilledTable(
            "sales_analytics.inbox", from: "filled_order \(recent)",
            ["consumer": "'sales-analytics.projection'", "event_id": "bench.id('evt', stamp, n)", "received_at": "at"]),
    ]

    private static let mails = [
        FilledTable(
            "notification.delivery", from: "filled_order",
            [
                "id": "bench.id('mail', stamp, n)", "kind": "'order-confirmation'", "subject_id": "id", "order_id": "id",
                "address": "email", "email": "email", "subject": "'Your tickets for ' || event_name || ', order ' || number",
                "details": "'{}'", "state": "'sent'", "attempts": "1", "next_attempt_at": "at + 150000000", "created_at": "at",
                "sent_at": "at + 50000",
            ], untouched: "user_id failure"),
        FilledTable(
            "notification.inbox", from: "filled_order \(recent)",
            ["consumer": "'notification.deliveries'", "event_id": "bench.id('evt', stamp, n)", "received_at": "at"]),
    ]
}
