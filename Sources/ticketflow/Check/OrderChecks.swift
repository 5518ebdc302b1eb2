import Contracts
import Discovery
import Storage

extension Check {
    /// Orders against their own units and refunds.
    static let orders = [
        Check(
            "orders add up", in: .salesManager,
            """
            SELECT sales_order.id || ' comes to ' || sales_order.total || ', its units to ' || COALESCE(SUM(order_unit.total), 0) AS finding
            FROM sales_order LEFT JOIN order_unit ON order_unit.order_id = sales_order.id
            GROUP BY sales_order.id
            HAVING sales_order.total <> COALESCE(SUM(order_unit.total), 0)
                OR sales_order.discount <> COALESCE(SUM(order_unit.discount), 0)
                OR sales_order.tax <> COALESCE(SUM(order_unit.tax), 0)
            """),
        Check(
            "refunds add up", in: .salesManager,
            """
            SELECT refund.order_id || ' ' || refund.cause || ' gives back ' || refund.amount || ', for its units '
                || COALESCE(SUM(refund_unit.amount), 0) AS finding
            FROM refund JOIN refund_unit ON refund_unit.order_id = refund.order_id AND refund_unit.cause = refund.cause
            GROUP BY refund.order_id, refund.cause HAVING refund.amount <> COALESCE(SUM(refund_unit.amount), 0)
            """),
        Check(
            "no unit is refunded beyond its price", in: .salesManager,
            """
            SELECT order_unit.id || ' cost ' || order_unit.total || ', but ' || SUM(refund_unit.amount) || ' are given back' AS finding
            FROM order_unit
            JOIN refund_unit ON refund_unit.unit_id = order_unit.id
            JOIN refund ON refund.order_id = refund_unit.order_id AND refund.cause = refund_unit.cause
            WHERE refund.status NOT IN ('failed', 'canceled')
            GROUP BY order_unit.id, order_unit.total HAVING SUM(refund_unit.amount) > order_unit.total
            """),
    ]
}
