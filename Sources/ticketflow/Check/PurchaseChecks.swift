import Contracts
import Discovery
import Storage
import Values

extension Check {
    /// What services say about the same order, and what is there without one.
    static let purchases = [
        Check("purchases") { books in
            var findings: [String] = []
            try await PurchaseFacts.forEach(in: books) { orders in
                for order in orders {
                    // By when it was looked at and not by a clock, which goes on while the system is stopped.
                    let isInTime = !order.isSettled && order.lookAt < order.expiresAt + books.grace
                    findings += PurchaseRules.findings(order, isInTime: isInTime).map { "\(order.id) (\(order.status)): \($0)" }
                }
            }
            return findings
        },
        orphans("payments belong to orders", .paymentProcessing, "SELECT order_id FROM payment"),
        orphans("tickets belong to orders", .ticketManager, "SELECT order_id FROM fulfilment WHERE outcome = 'confirmed'"),
        orphans(
            "redeemed coupons belong to orders", .couponManager,
            "SELECT order_id FROM coupon_use WHERE state = 'redeemed' AND order_id IS NOT NULL"),
    ]

    /// - Parameter query: gives `order_id`s, each of which must be an order.
    private static func orphans(_ name: String, _ service: ServiceName, _ query: SQL) -> Check {
        Check(name) { books in
            var findings: [String] = []
            var last = ""
            while findings.count < most {
                let page = try await books.rows(
                    service, "SELECT DISTINCT order_id FROM (\(query)) AS named WHERE order_id > \(last) ORDER BY order_id LIMIT 400"
                ).map { try $0["order_id"] as String }
                guard let end = page.last else { break }
                last = end
                let orders = try await books.rows(.salesManager, "SELECT id FROM sales_order WHERE id IN \(list: page)")
                let known = try orders.map { try $0["id"] as String }
                findings += Set(page).subtracting(known).sorted().map { "there is no order \($0)" }
            }
            return findings
        }
    }
}

/// What must hold of an order and all that belongs to it.
enum PurchaseRules {
    /// - Parameter isInTime: whether the order may still be on its way to its end.
    static func findings(_ order: PurchaseFacts, isInTime: Bool) -> [String] {
        (money(order, isInTime) + stock(order, isInTime) + coupon(order, isInTime)).compactMap { $0 }
    }

    private static func money(_ order: PurchaseFacts, _ isInTime: Bool) -> [String?] {
        guard let payment = order.payment else {
            return [order.wasPaid && order.total > 0 ? "is paid without a payment" : nil]
        }
        var findings: [String?] = []
        findings.append(
            payment.amount == order.total && payment.currency == order.currency
                ? nil : "comes to \(order.total) \(order.currency), its payment to \(payment.amount) \(payment.currency)")
        let kept = payment.captured - payment.refundedOrOnItsWay
        switch order.status {
        case "paid":
            findings.append(payment.captured > 0 || payment.isPayLater ? nil : "is paid, but nothing was captured")
        case "expired", "canceled":
            // One that was paid keeps what is not refunded: canceling and refunding are two operations.
            findings.append(order.wasPaid || isInTime || kept <= 0 ? nil : "ended unpaid, but \(kept) were captured and not given back")
        default:
            findings.append(kept <= 0 || isInTime ? nil : "captured \(kept) and is still open after its time")
        }
        return findings
    }

    private static func stock(_ order: PurchaseFacts, _ isInTime: Bool) -> [String?] {
        var findings: [String?] = []
        let living = order.tickets.filter { $0.value != "void" }.map(\.key)
        switch order.status {
        case "paid":
            findings.append(order.fulfilment == "confirmed" ? nil : "is paid, but its fulfilment is \(order.fulfilment ?? "missing")")
            findings.append(
                Set(order.tickets.keys) == Set(order.units.keys)
                    ? nil : "has \(order.units.count) units and \(order.tickets.count) tickets")
        case "expired", "canceled":
            findings.append(
                living.isEmpty || order.wasPaid || order.hasRefund || isInTime ? nil : "ended unpaid with \(living.count) living tickets")
        default:
            findings.append(isInTime ? nil : "is still open after its time")
        }
        for (unit, isRefunded) in order.units.sorted(by: { $0.key < $1.key }) {
            guard let ticket = order.tickets[unit] else { continue }
            if isRefunded, ticket != "void" { findings.append("\(unit) is refunded, but its ticket is \(ticket)") }
            if !isRefunded, ticket == "void", !order.unitsBeingVoided.contains(unit) {
                findings.append("\(unit) has a void ticket and no refund")
            }
        }
        return findings
    }

    private static func coupon(_ order: PurchaseFacts, _ isInTime: Bool) -> [String?] {
        guard let use = order.couponUse, !isInTime else { return [] }
        switch order.status {
        case "paid": return [use == "redeemed" ? nil : "is paid, but its coupon's use is \(use)"]
        case "expired", "canceled": return [order.wasPaid || use != "reserved" ? nil : "ended unpaid, but still reserves its coupon"]
        default: return []
        }
    }
}
