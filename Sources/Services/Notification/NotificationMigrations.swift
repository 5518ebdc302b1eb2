import Storage

enum NotificationMigrations {
    static let all = [deliveries]

    /// One row for each mail. `subject_id` is what it is about: an order, a refund, a ticket with its
    /// code's version, a user.
    private static let deliveries = Migration(
        "0001-deliveries",
        """
        CREATE TABLE delivery (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            subject_id TEXT NOT NULL,
            order_id TEXT,
            user_id TEXT,
            address TEXT NOT NULL,
            email TEXT NOT NULL,
            subject TEXT NOT NULL,
            details TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'canceled')),
            attempts BIGINT NOT NULL DEFAULT 0,
            next_attempt_at BIGINT NOT NULL,
            failure TEXT,
            created_at BIGINT NOT NULL,
            sent_at BIGINT,
            UNIQUE (kind, subject_id),
            CHECK ((state = 'sent') = (sent_at IS NOT NULL))
        );
        CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE state = 'pending';
        CREATE INDEX delivery_user ON delivery (user_id, id);
        CREATE INDEX delivery_email ON delivery (email, id);
        """)
}
