import Contracts
import Discovery
import Storage
import Values

/// What all services say about one order.
struct PurchaseFacts: Sendable {
    struct Payment: Sendable {
        let state: String
        let amount: Int64
        let currency: String
        let captured: Int64
        let refundedOrOnItsWay: Int64
        let isPayLater: Bool
    }

    let id: String
    let status: String
    let total: Int64
    let currency: String
    let wasPaid: Bool
    let isSettled: Bool
    let expiresAt: Instant
    /// When SalesManager looks at it next, while it is not settled.
    let lookAt: Instant
    /// Unit by unit: whether it was refunded.
    var units: [String: Bool] = [:]
    /// Units whose tickets a refund voids, in whatever state it is unless it failed.
    var unitsBeingVoided: Set<String> = []
    var hasRefund = false
    var payment: Payment?
    var fulfilment: String?
    /// By unit: the ticket's state.
    var tickets: [String: String] = [:]
    /// Of the order's coupon use: its state; nil where it has none.
    var couponUse: String?

    /// Hands every order to `look`, a few hundred at a time, so that a large folder needs no more memory than a small one.
    static func forEach(in books: Books, _ look: ([PurchaseFacts]) throws -> Void) async throws {
        var last = ""
        while true {
            let orders = try await books.rows(
                .salesManager,
                """
                SELECT id, status, total, currency, paid_at, is_settled, expires_at, look_at, coupon_use_id FROM sales_order
                WHERE id > \(last) ORDER BY id LIMIT 400
                """)
            guard let end: String = try orders.last?["id"] else { return }
            last = end
            var facts: [String: PurchaseFacts] = [:]
            var uses: [String: String] = [:]
            for row in orders {
                let id: String = try row["id"]
                let paidAt: Instant? = try row["paid_at"]
                facts[id] = PurchaseFacts(
                    id: id, status: try row["status"], total: try row["total"], currency: try row["currency"], wasPaid: paidAt != nil,
                    isSettled: try row["is_settled"], expiresAt: try row["expires_at"],
                    lookAt: try row["look_at"])
                if let use: String = try row["coupon_use_id"] { uses[use] = id }
            }
            let ids = facts.keys.sorted()
            try await add(sales: ids, to: &facts, books)
            try await add(payments: ids, to: &facts, books)
            try await add(tickets: ids, to: &facts, books)
            for row in try await books.rows(.couponManager, "SELECT id, state FROM coupon_use WHERE id IN \(list: uses.keys.sorted())") {
                if let order = uses[try row["id"]] { facts[order]?.couponUse = try row["state"] }
            }
            try look(ids.compactMap { facts[$0] })
        }
    }

    private static func add(sales ids: [String], to facts: inout [String: PurchaseFacts], _ books: Books) async throws {
        for row in try await books.rows(.salesManager, "SELECT id, order_id, is_refunded FROM order_unit WHERE order_id IN \(list: ids)") {
            facts[try row["order_id"]]?.units[try row["id"]] = try row["is_refunded"]
        }
        let refunds = try await books.rows(
            .salesManager,
            """
            SELECT refund.order_id AS order_id, refund_unit.unit_id AS unit_id, refund_unit.voids_ticket AS voids_ticket FROM refund
            LEFT JOIN refund_unit ON refund_unit.order_id = refund.order_id AND refund_unit.cause = refund.cause
            WHERE refund.order_id IN \(list: ids) AND refund.status NOT IN ('failed', 'canceled')
            """)
        for row in refunds {
            let order: String = try row["order_id"]
            facts[order]?.hasRefund = true
            if let unit: String = try row["unit_id"], try row["voids_ticket"] { facts[order]?.unitsBeingVoided.insert(unit) }
        }
    }

    private static func add(payments ids: [String], to facts: inout [String: PurchaseFacts], _ books: Books) async throws {
        let payments = try await books.rows(
            .paymentProcessing,
            """
            SELECT payment.order_id AS order_id, payment.state AS state, payment.amount AS amount, payment.currency AS currency,
                payment.captured AS captured,
                COALESCE((SELECT CAST(SUM(refund.amount) AS BIGINT) FROM refund WHERE refund.payment_id = payment.id AND refund.is_counted = TRUE
                    AND (refund.is_automatic = TRUE OR refund.state NOT IN ('failed', 'canceled'))), 0) AS returned,
                EXISTS (SELECT 1 FROM payment_attempt WHERE payment_id = payment.id AND is_pay_later = TRUE) AS is_pay_later
            FROM payment WHERE payment.order_id IN \(list: ids)
            """)
        for row in payments {
            facts[try row["order_id"]]?.payment = Payment(
                state: try row["state"], amount: try row["amount"], currency: try row["currency"], captured: try row["captured"],
                refundedOrOnItsWay: try row["returned"], isPayLater: try row["is_pay_later"])
        }
    }

    private static func add(tickets ids: [String], to facts: inout [String: PurchaseFacts], _ books: Books) async throws {
        for row in try await books.rows(.ticketManager, "SELECT order_id, outcome FROM fulfilment WHERE order_id IN \(list: ids)") {
            facts[try row["order_id"]]?.fulfilment = try row["outcome"]
        }
        let tickets = try await books.rows(
            .ticketManager, "SELECT order_id, order_unit_id, state FROM ticket WHERE order_id IN \(list: ids)")
        for row in tickets {
            facts[try row["order_id"]]?.tickets[try row["order_unit_id"]] = try row["state"]
        }
    }
}
