import Messaging
package import Values

/// An order has its tickets: it was paid, costs nothing, or is paid at the door.
package struct OrderPaid: DomainEvent {
    package static let name = "orders.paid.v1"
    package var order: OrderFacts
    package var paidAt: Instant

    package init(order: OrderFacts, paidAt: Instant) {
        self.order = order
        self.paidAt = paidAt
    }
}

extension OrderPaid: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("order", order)
            json.member("paidAt", paidAt)
        }
    }
}

/// An order ended without being paid, or was given back.
package struct OrderEnded: DomainEvent {
    package static let name = "orders.ended.v1"
    package var order: OrderFacts
    /// For the buyer: `expired`, `canceled`, `unfulfillable`, `event-canceled`.
    package var reason: String

    package init(order: OrderFacts, reason: String) {
        self.order = order
        self.reason = reason
    }
}

/// Money went back, and the units that it was for are void.
package struct OrderRefunded: DomainEvent {
    package static let name = "orders.refunded.v1"
    package var order: OrderFacts
    package var refundId: RefundID
    package var amount: Money
    package var units: [OrderUnitID]
    package var reason: String
    package var refundedAt: Instant

    package init(
        order: OrderFacts, refundId: RefundID, amount: Money, units: [OrderUnitID], reason: String,
        refundedAt: Instant
    ) {
        self.order = order
        self.refundId = refundId
        self.amount = amount
        self.units = units
        self.reason = reason
        self.refundedAt = refundedAt
    }
}
