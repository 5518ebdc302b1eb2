import Contracts
import Discovery
import Storage
import Values

extension CouponUseState: SQLTextValue {}

/// Uses of coupons. The coupon is locked by whoever writes them.
enum CouponUseStore {
    static func couponID(of use: CouponUseID, in tx: Transaction) throws -> CouponID? {
        try tx.row("SELECT coupon_id FROM coupon_use WHERE id = \(use)").map { try $0["coupon_id"] }
    }

    /// Frees what has expired by now. Each use is freed once, so that this costs no more than the reservations did.
    /// - Returns: how many.
    static func releaseExpired(of coupon: CouponID, at now: Instant, in tx: Transaction) throws -> Int64 {
        Int64(
            try tx.execute(
                """
                UPDATE coupon_use SET state = 'released'
                WHERE coupon_id = \(coupon) AND state = 'reserved' AND expires_at <= \(now)
                """))
    }

    static func insert(_ use: CouponUseRecord, at now: Instant, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO coupon_use (id, coupon_id, coupon_version, event_id, currency, cart_id, state, discounts, expires_at,
                created_at)
            VALUES (\(use.id), \(use.couponId), \(use.couponVersion), \(use.eventId), \(use.currency), \(use.cartId),
                \(use.state), \(try JSON.text(of: use.discounts)), \(use.expiresAt), \(now))
            """)
    }

    static func update(_ use: CouponUseRecord, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE coupon_use SET order_id = \(use.orderId), user_id = \(use.buyer?.userId), email = \(use.buyer?.email),
                state = \(use.state), is_over_limit = \(use.isOverLimit),
                discounts = \(try JSON.text(of: use.discounts)), expires_at = \(use.expiresAt)
            WHERE id = \(use.id)
            """)
    }

    static func find(_ id: CouponUseID, in tx: Transaction) throws -> CouponUseRecord? {
        try tx.row("\(columns) WHERE id = \(id)").map { try record($0) }
    }

    /// The living use of this coupon by the cart or its order.
    static func reserved(by cart: CartID, of coupon: CouponID, in tx: Transaction) throws -> CouponUseRecord? {
        try tx.row(
            """
            \(columns) WHERE coupon_id = \(coupon) AND cart_id = \(cart) AND state = 'reserved'
            ORDER BY id LIMIT 1
            """
        ).map { try record($0) }
    }

    /// How many living uses of the coupon this buyer has beside `use`, by account or address. What has expired must be freed before.
    static func count(by buyer: CouponUseRecord.Buyer, of coupon: CouponID, beside use: CouponUseID, in tx: Transaction) throws -> Int64 {
        let row = try tx.row(
            """
            SELECT COUNT(*) AS uses FROM (
                SELECT id FROM coupon_use
                WHERE coupon_id = \(coupon) AND email = \(buyer.email) AND state <> 'released' AND id <> \(use)
                UNION
                SELECT id FROM coupon_use
                WHERE coupon_id = \(coupon) AND user_id = \(buyer.userId) AND state <> 'released' AND id <> \(use)
            ) AS living
            """)
        return try row?["uses"] ?? 0
    }

    private static var columns: SQL {
        """
        SELECT id, coupon_id, coupon_version, event_id, currency, cart_id, order_id, user_id, email, state, is_over_limit,
            discounts, expires_at
        FROM coupon_use
        """
    }

    private static func record(_ row: Row) throws -> CouponUseRecord {
        let email: String? = try row["email"]
        let userId: UserID? = try row["user_id"]
        return CouponUseRecord(
            id: try row["id"], couponId: try row["coupon_id"], couponVersion: try row["coupon_version"],
            eventId: try row["event_id"], currency: try row["currency"], cartId: try row["cart_id"], orderId: try row["order_id"],
            buyer: email.map { CouponUseRecord.Buyer(userId: userId, email: $0) },
            state: try row["state"], isOverLimit: try row["is_over_limit"],
            discounts: try JSON.value(from: try row["discounts"] as String), expiresAt: try row["expires_at"])
    }
}
