import Storage

enum SalesAnalyticsMigrations {
    static let all = [projections]

    /// Sums by hour: what sells a million tickets has no more rows than what sells a hundred as long.
    ///
    /// `hour` is its beginning in UTC. An event's orders are not the sum over its ticket types, for an order may have several.
    /// `paid_order` and `waiting_refund` are forgotten after 60 days.
    private static let projections = Migration(
        "0001-projections",
        """
        CREATE TABLE event (
            id TEXT PRIMARY KEY,
            organizer_id TEXT NOT NULL,
            name TEXT,
            currency TEXT NOT NULL,
            version BIGINT NOT NULL
        );
        CREATE TABLE ticket_type (
            id TEXT PRIMARY KEY,
            event_id TEXT NOT NULL,
            name TEXT NOT NULL,
            version BIGINT NOT NULL
        );
        CREATE TABLE event_hour (
            event_id TEXT NOT NULL,
            hour BIGINT NOT NULL,
            currency TEXT NOT NULL,
            organizer_id TEXT NOT NULL,
            orders BIGINT NOT NULL,
            tickets BIGINT NOT NULL,
            gross BIGINT NOT NULL,
            refunded BIGINT NOT NULL,
            PRIMARY KEY (event_id, hour, currency)
        ) CLUSTERED;
        CREATE INDEX event_hour_organizer ON event_hour (organizer_id, hour);
        CREATE INDEX event_hour_hour ON event_hour (hour);
        CREATE TABLE ticket_type_hour (
            ticket_type_id TEXT NOT NULL,
            hour BIGINT NOT NULL,
            currency TEXT NOT NULL,
            event_id TEXT NOT NULL,
            organizer_id TEXT NOT NULL,
            tickets BIGINT NOT NULL,
            gross BIGINT NOT NULL,
            refunded BIGINT NOT NULL,
            PRIMARY KEY (ticket_type_id, hour, currency)
        ) CLUSTERED;
        CREATE INDEX ticket_type_hour_event ON ticket_type_hour (event_id);
        CREATE INDEX ticket_type_hour_organizer ON ticket_type_hour (organizer_id, hour);
        CREATE INDEX ticket_type_hour_hour ON ticket_type_hour (hour);
        CREATE TABLE paid_order (order_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL) CLUSTERED;
        CREATE INDEX paid_order_seen_at ON paid_order (seen_at);
        CREATE TABLE waiting_refund (refund_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, sale TEXT NOT NULL, seen_at BIGINT NOT NULL);
        CREATE INDEX waiting_refund_order ON waiting_refund (order_id);
        CREATE INDEX waiting_refund_seen_at ON waiting_refund (seen_at);
        """)
}
