import Contracts
import Discovery
import Storage

extension Check {
    /// Uses of coupons against counters and limits.
    static let coupons = [
        Check(
            "coupon counters", in: .couponManager,
            """
            SELECT coupon.id || ' counts ' || coupon.reserved || ' reserved, ' || coupon.redeemed || ' redeemed and ' || coupon.over_limit
                || ' over its limit; its uses are ' || COUNT(CASE WHEN coupon_use.state = 'reserved' THEN 1 END) || ', '
                || COUNT(CASE WHEN coupon_use.state = 'redeemed' THEN 1 END) || ' and ' || COUNT(CASE WHEN coupon_use.is_over_limit = TRUE THEN 1 END) AS finding
            FROM coupon LEFT JOIN coupon_use ON coupon_use.coupon_id = coupon.id
            GROUP BY coupon.id, coupon.reserved, coupon.redeemed, coupon.over_limit
            HAVING coupon.reserved <> COUNT(CASE WHEN coupon_use.state = 'reserved' THEN 1 END)
                OR coupon.redeemed <> COUNT(CASE WHEN coupon_use.state = 'redeemed' THEN 1 END)
                OR coupon.over_limit <> COUNT(CASE WHEN coupon_use.is_over_limit = TRUE THEN 1 END)
            """),
        Check(
            "coupon limits", in: .couponManager,
            """
            SELECT id || ' may be used ' || max_redemptions || ' times, but has ' || reserved || ' reserved and ' || redeemed
                || ' redeemed, ' || over_limit || ' of them knowingly beyond it' AS finding
            FROM coupon WHERE reserved + redeemed - over_limit > max_redemptions
            """),
        // A limit that staff lowered later says nothing about earlier uses.
        Check(
            "coupon limits per buyer", in: .couponManager,
            """
            SELECT coupon.id || ' was used ' || COUNT(*) || ' times by one buyer, who may use it ' || coupon.per_buyer_limit || ' times'
                AS finding
            FROM coupon JOIN coupon_use ON coupon_use.coupon_id = coupon.id
            WHERE coupon.version = 1 AND coupon_use.state <> 'released' AND coupon_use.is_over_limit = FALSE
                AND coupon_use.email IS NOT NULL
            GROUP BY coupon.id, coupon.per_buyer_limit, coupon_use.email HAVING COUNT(*) > coupon.per_buyer_limit
            """),
        Check(
            "one living use for each order", in: .couponManager,
            """
            SELECT order_id || ' has ' || COUNT(*) || ' living uses of coupons' AS finding FROM coupon_use
            WHERE order_id IS NOT NULL AND state <> 'released' GROUP BY order_id HAVING COUNT(*) > 1
            """),
    ]
}
