import Storage

/// `..._at` columns that may be null are appointments: the job that keeps them finds them by their partial index alone.
enum PaymentProcessingMigrations {
    static let all = [
        Migration(
            "0001-payments",
            """
            CREATE TABLE payment (
                id TEXT PRIMARY KEY,
                order_id TEXT NOT NULL UNIQUE,
                organizer_id TEXT NOT NULL,
                amount BIGINT NOT NULL CHECK (amount > 0),
                currency TEXT NOT NULL,
                description TEXT NOT NULL,
                buyer_email TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'closed')),
                captured BIGINT NOT NULL DEFAULT 0 CHECK (captured >= 0),
                refunded BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0),
                paid_by TEXT,
                closing TEXT CHECK (closing IN ('expired', 'canceled')),
                settled TEXT CHECK (settled IN ('fulfilled', 'refunded')),
                announce_at BIGINT,
                expires_at BIGINT NOT NULL,
                created_at BIGINT NOT NULL,
                version BIGINT NOT NULL DEFAULT 1,
                CHECK (state <> 'captured' OR paid_by IS NOT NULL),
                CHECK (state <> 'open' OR paid_by IS NULL),
                CHECK (announce_at IS NULL OR state = 'captured')
            ) CLUSTERED;
            CREATE INDEX payment_unsettled ON payment (announce_at) WHERE announce_at IS NOT NULL;
            CREATE TABLE payment_attempt (
                id TEXT PRIMARY KEY,
                payment_id TEXT NOT NULL,
                provider TEXT NOT NULL,
                method TEXT,
                return_url TEXT,
                amount BIGINT NOT NULL CHECK (amount > 0),
                currency TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('created', 'requiresAction', 'authorized', 'captured', 'failed', 'canceled')),
                failure TEXT,
                action_type TEXT,
                action_url TEXT,
                action_text TEXT,
                is_pay_later BOOLEAN NOT NULL DEFAULT FALSE,
                reference TEXT,
                received_amount BIGINT,
                received_currency TEXT,
                check_at BIGINT,
                checks BIGINT NOT NULL DEFAULT 0,
                created_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE UNIQUE INDEX payment_attempt_live ON payment_attempt (payment_id)
                WHERE state IN ('created', 'requiresAction', 'authorized');
            CREATE INDEX payment_attempt_payment ON payment_attempt (payment_id, created_at);
            CREATE INDEX payment_attempt_check ON payment_attempt (check_at) WHERE check_at IS NOT NULL;
            CREATE TABLE refund (
                id TEXT PRIMARY KEY,
                payment_id TEXT NOT NULL REFERENCES payment (id),
                order_id TEXT NOT NULL,
                attempt_id TEXT NOT NULL REFERENCES payment_attempt (id),
                cause_id TEXT NOT NULL,
                amount BIGINT NOT NULL CHECK (amount > 0),
                currency TEXT NOT NULL,
                reason TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('requested', 'submitted', 'succeeded', 'failed', 'canceled')),
                failure TEXT,
                is_automatic BOOLEAN NOT NULL,
                is_counted BOOLEAN NOT NULL,
                submissions BIGINT NOT NULL DEFAULT 0,
                check_at BIGINT,
                checks BIGINT NOT NULL DEFAULT 0,
                created_at BIGINT NOT NULL,
                UNIQUE (order_id, cause_id)
            );
            CREATE INDEX refund_payment ON refund (payment_id, created_at);
            CREATE INDEX refund_check ON refund (check_at) WHERE check_at IS NOT NULL;
            CREATE TABLE dispute (
                id TEXT PRIMARY KEY,
                payment_id TEXT NOT NULL REFERENCES payment (id),
                attempt_id TEXT NOT NULL REFERENCES payment_attempt (id),
                provider TEXT NOT NULL,
                reference TEXT NOT NULL,
                amount BIGINT NOT NULL CHECK (amount >= 0),
                currency TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('opened', 'won', 'lost')),
                created_at BIGINT NOT NULL,
                UNIQUE (provider, reference)
            );
            CREATE INDEX dispute_payment ON dispute (payment_id, created_at);
            CREATE TABLE ledger_entry (
                movement_id TEXT NOT NULL,
                account TEXT NOT NULL CHECK (account IN ('buyer', 'provider', 'organizer')),
                payment_id TEXT NOT NULL,
                order_id TEXT NOT NULL,
                amount BIGINT NOT NULL,
                currency TEXT NOT NULL,
                kind TEXT NOT NULL,
                at BIGINT NOT NULL,
                PRIMARY KEY (movement_id, account)
            ) CLUSTERED;
            CREATE INDEX ledger_entry_order ON ledger_entry (order_id, at);
            CREATE TABLE provider_event (
                provider TEXT NOT NULL,
                event_id TEXT NOT NULL,
                json TEXT NOT NULL,
                received_at BIGINT NOT NULL,
                applied_at BIGINT,
                apply_at BIGINT,
                tries BIGINT NOT NULL DEFAULT 0,
                PRIMARY KEY (provider, event_id)
            ) CLUSTERED;
            CREATE INDEX provider_event_waiting ON provider_event (apply_at) WHERE apply_at IS NOT NULL;
            """),
        Migration(
            "0002-sandbox",
            """
            CREATE TABLE sandbox_charge (
                id TEXT PRIMARY KEY,
                attempt_id TEXT NOT NULL UNIQUE,
                method TEXT NOT NULL,
                amount BIGINT NOT NULL,
                currency TEXT NOT NULL,
                return_url TEXT,
                state TEXT NOT NULL CHECK (state IN ('awaitingConfirmation', 'captured', 'failed', 'canceled')),
                failure TEXT,
                created_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE TABLE sandbox_refund (
                id TEXT PRIMARY KEY,
                charge_id TEXT NOT NULL REFERENCES sandbox_charge (id),
                amount BIGINT NOT NULL CHECK (amount > 0),
                currency TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('succeeded', 'failed')),
                failure TEXT,
                submission BIGINT NOT NULL,
                created_at BIGINT NOT NULL
            );
            CREATE INDEX sandbox_refund_charge ON sandbox_refund (charge_id);
            CREATE TABLE sandbox_webhook (
                id TEXT PRIMARY KEY,
                json TEXT NOT NULL,
                deliver_at BIGINT NOT NULL
            ) CLUSTERED;
            CREATE INDEX sandbox_webhook_due ON sandbox_webhook (deliver_at);
            """),
    ]
}
