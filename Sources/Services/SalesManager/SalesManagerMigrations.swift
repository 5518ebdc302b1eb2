import Storage

enum SalesManagerMigrations {
    static let all = [
        Migration(
            "0001-sales",
            """
            CREATE TABLE event (
                id TEXT PRIMARY KEY,
                organizer_id TEXT NOT NULL,
                currency TEXT NOT NULL,
                is_canceled BOOLEAN NOT NULL DEFAULT FALSE,
                is_refunding BOOLEAN NOT NULL DEFAULT FALSE,
                refund_until BIGINT,
                are_fees_refunded BOOLEAN NOT NULL DEFAULT FALSE,
                version BIGINT NOT NULL
            );
            CREATE INDEX event_refunding ON event (id) WHERE is_refunding = TRUE;
            CREATE TABLE cart (
                id TEXT PRIMARY KEY,
                event_id TEXT,
                state TEXT NOT NULL,
                hold_id TEXT,
                hold_version BIGINT NOT NULL DEFAULT 0,
                coupon_use_id TEXT,
                coupon_code TEXT,
                expires_at BIGINT NOT NULL,
                created_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE TABLE cart_line (
                id TEXT NOT NULL,
                cart_id TEXT NOT NULL,
                ticket_type_id TEXT NOT NULL,
                name TEXT NOT NULL,
                quantity BIGINT NOT NULL CHECK (quantity > 0),
                unit_price BIGINT NOT NULL CHECK (unit_price >= 0),
                tax_rate BIGINT NOT NULL,
                unit_fee BIGINT NOT NULL,
                is_fee_included BOOLEAN NOT NULL,
                discount BIGINT NOT NULL CHECK (discount >= 0),
                PRIMARY KEY (cart_id, ticket_type_id)
            ) CLUSTERED;
            CREATE TABLE sales_order (
                id TEXT PRIMARY KEY,
                cart_id TEXT NOT NULL UNIQUE,
                number TEXT NOT NULL UNIQUE,
                event_id TEXT NOT NULL,
                organizer_id TEXT NOT NULL,
                status TEXT NOT NULL,
                end_reason TEXT,
                buyer_email TEXT NOT NULL,
                buyer_address TEXT NOT NULL,
                buyer_name TEXT NOT NULL,
                buyer_locale TEXT,
                buyer_phone TEXT,
                user_id TEXT,
                channel TEXT NOT NULL,
                created_by TEXT,
                hold_id TEXT NOT NULL,
                coupon_use_id TEXT,
                coupon_code TEXT,
                currency TEXT NOT NULL,
                subtotal BIGINT NOT NULL,
                discount BIGINT NOT NULL,
                tax BIGINT NOT NULL,
                fees BIGINT NOT NULL,
                total BIGINT NOT NULL CHECK (total >= 0),
                payment_choice TEXT,
                payment TEXT,
                payment_version BIGINT NOT NULL DEFAULT 0,
                is_settled BOOLEAN NOT NULL DEFAULT FALSE,
                expires_at BIGINT NOT NULL,
                look_at BIGINT NOT NULL,
                created_at BIGINT NOT NULL,
                paid_at BIGINT,
                version BIGINT NOT NULL DEFAULT 1,
                CHECK (total = subtotal - discount + fees)
            );
            CREATE INDEX sales_order_look ON sales_order (look_at) WHERE is_settled = FALSE;
            CREATE INDEX sales_order_event ON sales_order (event_id, id);
            CREATE INDEX sales_order_standing ON sales_order (event_id, id) WHERE status IN ('draft', 'awaitingPayment', 'paid');
            CREATE INDEX sales_order_user ON sales_order (user_id, id) WHERE user_id IS NOT NULL;
            CREATE INDEX sales_order_address ON sales_order (buyer_address, id);
            CREATE TABLE order_line (
                id TEXT PRIMARY KEY,
                order_id TEXT NOT NULL,
                position BIGINT NOT NULL,
                ticket_type_id TEXT NOT NULL,
                name TEXT NOT NULL,
                unit_price BIGINT NOT NULL
            ) CLUSTERED;
            CREATE INDEX order_line_order ON order_line (order_id);
            CREATE TABLE order_unit (
                id TEXT PRIMARY KEY,
                order_id TEXT NOT NULL,
                line_id TEXT NOT NULL,
                position BIGINT NOT NULL,
                price BIGINT NOT NULL,
                discount BIGINT NOT NULL,
                tax BIGINT NOT NULL,
                fee BIGINT NOT NULL,
                total BIGINT NOT NULL CHECK (total >= 0),
                attendee_name TEXT,
                attendee_email TEXT,
                is_refunded BOOLEAN NOT NULL DEFAULT FALSE,
                UNIQUE (order_id, position)
            ) CLUSTERED;
            CREATE TABLE refund (
                order_id TEXT NOT NULL REFERENCES sales_order (id),
                cause TEXT NOT NULL,
                id TEXT UNIQUE,
                status TEXT NOT NULL,
                amount BIGINT NOT NULL CHECK (amount >= 0),
                reason TEXT NOT NULL,
                is_insisting BOOLEAN NOT NULL,
                look_at BIGINT NOT NULL,
                created_at BIGINT NOT NULL,
                PRIMARY KEY (order_id, cause)
            );
            CREATE INDEX refund_look ON refund (look_at) WHERE status IN ('requested', 'submitted');
            CREATE TABLE refund_unit (
                order_id TEXT NOT NULL,
                cause TEXT NOT NULL,
                unit_id TEXT NOT NULL REFERENCES order_unit (id),
                amount BIGINT NOT NULL,
                voids_ticket BOOLEAN NOT NULL,
                PRIMARY KEY (order_id, cause, unit_id),
                FOREIGN KEY (order_id, cause) REFERENCES refund (order_id, cause)
            );
            CREATE INDEX refund_unit_unit ON refund_unit (unit_id);
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
        Migration("0002-owed-refunds", "ALTER TABLE refund ADD COLUMN is_owed BOOLEAN NOT NULL DEFAULT FALSE;"),
    ]
}
