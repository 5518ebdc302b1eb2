import Storage

enum CouponManagerMigrations {
    static let all = [coupons, usesOfCarts]

    /// A cart's use is looked for under its coupon's lock, beside those of all other carts.
    private static let usesOfCarts = Migration(
        "0002-uses-of-carts", "CREATE INDEX coupon_use_cart ON coupon_use (cart_id) WHERE state = 'reserved';")

    /// `coupon_history` is the audit log, and holds the terms of each version: a use keeps those that it was reserved under.
    private static let coupons = Migration(
        "0001-coupons",
        """
        CREATE TABLE coupon (
            id TEXT PRIMARY KEY,
            organizer_id TEXT NOT NULL,
            code TEXT NOT NULL,
            name TEXT NOT NULL,
            max_redemptions BIGINT CHECK (max_redemptions > 0),
            per_buyer_limit BIGINT CHECK (per_buyer_limit > 0),
            valid_from BIGINT,
            valid_until BIGINT,
            status TEXT NOT NULL CHECK (status IN ('active', 'inactive')),
            reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
            redeemed BIGINT NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
            over_limit BIGINT NOT NULL DEFAULT 0 CHECK (over_limit >= 0 AND over_limit <= redeemed),
            version BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            UNIQUE (organizer_id, code),
            CHECK (valid_from < valid_until),
            CHECK (reserved + redeemed - over_limit <= max_redemptions)
        );
        CREATE INDEX coupon_organizer ON coupon (organizer_id, id);
        CREATE TABLE coupon_history (
            coupon_id TEXT NOT NULL REFERENCES coupon (id),
            version BIGINT NOT NULL,
            percent BIGINT CHECK (percent BETWEEN 1 AND 100),
            amount BIGINT CHECK (amount > 0),
            currency TEXT,
            minimum_amount BIGINT CHECK (minimum_amount >= 0),
            minimum_currency TEXT,
            event_ids TEXT NOT NULL,
            ticket_type_ids TEXT NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT NOT NULL,
            changed_at BIGINT NOT NULL,
            PRIMARY KEY (coupon_id, version),
            CHECK ((percent IS NULL) <> (amount IS NULL)),
            CHECK ((amount IS NULL) = (currency IS NULL)),
            CHECK ((minimum_amount IS NULL) = (minimum_currency IS NULL))
        );
        CREATE TABLE coupon_event (
            coupon_id TEXT NOT NULL REFERENCES coupon (id),
            event_id TEXT NOT NULL,
            PRIMARY KEY (coupon_id, event_id)
        );
        CREATE TABLE coupon_use (
            id TEXT PRIMARY KEY,
            coupon_id TEXT NOT NULL,
            coupon_version BIGINT NOT NULL,
            event_id TEXT NOT NULL,
            currency TEXT NOT NULL,
            cart_id TEXT NOT NULL,
            order_id TEXT,
            user_id TEXT,
            email TEXT,
            state TEXT NOT NULL CHECK (state IN ('reserved', 'redeemed', 'released')),
            is_over_limit BOOLEAN NOT NULL DEFAULT FALSE,
            discounts TEXT NOT NULL,
            expires_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            FOREIGN KEY (coupon_id, coupon_version) REFERENCES coupon_history (coupon_id, version),
            CHECK ((order_id IS NULL) = (email IS NULL)),
            CHECK (user_id IS NULL OR order_id IS NOT NULL)
        );
        CREATE UNIQUE INDEX coupon_use_of_cart ON coupon_use (cart_id, coupon_id) WHERE state = 'reserved' AND order_id IS NULL;
        CREATE INDEX coupon_use_expiry ON coupon_use (coupon_id, expires_at) WHERE state = 'reserved';
        CREATE INDEX coupon_use_email ON coupon_use (coupon_id, email) WHERE state <> 'released';
        CREATE INDEX coupon_use_user ON coupon_use (coupon_id, user_id) WHERE state <> 'released';
        """)
}
