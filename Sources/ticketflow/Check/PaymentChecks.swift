import Contracts
import Discovery
import Storage

extension Check {
    /// The ledger, and payments against attempts and refunds.
    static let payments = [
        Check(
            "ledger movements", in: .paymentProcessing,
            """
            SELECT movement_id || ' does not sum to zero' AS finding FROM ledger_entry
            GROUP BY movement_id HAVING SUM(amount) <> 0 OR COUNT(*) <> 2 OR COUNT(DISTINCT currency) <> 1
            """),
        Check(
            "captures in the ledger", in: .paymentProcessing,
            """
            SELECT payment_attempt.id || ' is captured, but not in the ledger' AS finding FROM payment_attempt
            WHERE state = 'captured' AND NOT EXISTS (
                SELECT 1 FROM ledger_entry WHERE movement_id = 'capture:' || payment_attempt.id
                    AND account = 'buyer' AND ledger_entry.amount = -payment_attempt.amount)
            """),
        Check(
            "refunds in the ledger", in: .paymentProcessing,
            """
            SELECT refund.id || ' is ' || refund.state || CASE WHEN ledger_entry.movement_id IS NULL THEN ', but not in the ledger'
                ELSE ', but stands in the ledger with ' || ledger_entry.amount END AS finding
            FROM refund LEFT JOIN ledger_entry ON ledger_entry.movement_id = 'refund:' || refund.id AND ledger_entry.account = 'buyer'
            WHERE (refund.state = 'succeeded' AND COALESCE(ledger_entry.amount, 0) <> refund.amount)
                OR (refund.state <> 'succeeded' AND ledger_entry.movement_id IS NOT NULL)
            """),
        Check(
            "captured totals", in: .paymentProcessing,
            """
            SELECT payment.id || ' counts ' || payment.captured || ' captured, its attempts ' || COALESCE(SUM(payment_attempt.amount), 0)
                AS finding
            FROM payment LEFT JOIN payment_attempt ON payment_attempt.payment_id = payment.id AND payment_attempt.state = 'captured'
            GROUP BY payment.id, payment.captured HAVING payment.captured <> COALESCE(SUM(payment_attempt.amount), 0)
            """),
        Check(
            "refunded totals", in: .paymentProcessing,
            """
            SELECT payment.id || ' counts ' || payment.refunded || ' refunded, its refunds ' || COALESCE(SUM(refund.amount), 0) AS finding
            FROM payment LEFT JOIN refund ON refund.payment_id = payment.id AND refund.state = 'succeeded' AND refund.is_counted = TRUE
            GROUP BY payment.id, payment.refunded HAVING payment.refunded <> COALESCE(SUM(refund.amount), 0)
            """),
        // A refund that makes itself is tried until it succeeds, so it counts in every state.
        Check(
            "nobody pays twice", in: .paymentProcessing,
            """
            SELECT payment.id || ' of ' || payment.order_id || ' captured ' || payment.captured || ' for ' || payment.amount
                || ' and gives back ' || COALESCE(SUM(refund.amount), 0) AS finding
            FROM payment LEFT JOIN refund ON refund.payment_id = payment.id AND refund.is_counted = TRUE
                AND (refund.is_automatic = TRUE OR refund.state NOT IN ('failed', 'canceled'))
            GROUP BY payment.id, payment.order_id, payment.captured, payment.amount
            HAVING payment.captured - COALESCE(SUM(refund.amount), 0) > payment.amount
            """),
        Check(
            "nobody gets back more than was paid", in: .paymentProcessing,
            """
            SELECT payment.id || ' of ' || payment.order_id || ' captured ' || payment.captured || ' and gives back '
                || SUM(refund.amount) AS finding
            FROM payment JOIN refund ON refund.payment_id = payment.id AND refund.is_counted = TRUE
                AND (refund.is_automatic = TRUE OR refund.state NOT IN ('failed', 'canceled'))
            GROUP BY payment.id, payment.order_id, payment.captured HAVING SUM(refund.amount) > payment.captured
            """),
        Check(
            "one attempt at a time", in: .paymentProcessing,
            """
            SELECT payment_id || ' has ' || COUNT(*) || ' attempts alive' AS finding FROM payment_attempt
            WHERE state IN ('created', 'requiresAction', 'authorized') GROUP BY payment_id HAVING COUNT(*) > 1
            """),
    ]
}
