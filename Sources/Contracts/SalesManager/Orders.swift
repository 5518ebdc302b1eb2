package import Discovery
package import Values

package enum OrderKind: IdentifierKind { package static let prefix = "order" }
package typealias OrderID = TypeID<OrderKind>
package enum OrderUnitKind: IdentifierKind { package static let prefix = "unit" }
package typealias OrderUnitID = TypeID<OrderUnitKind>
package enum OrderLineKind: IdentifierKind { package static let prefix = "oline" }
package typealias OrderLineID = TypeID<OrderLineKind>

package enum OrderStatus: String, Codable, Hashable, Sendable {
    case draft, awaitingPayment, paid, canceled, expired
}

/// One ticket of an order: what it cost, fixed at checkout.
package struct OrderUnit: Codable, Hashable, Sendable {
    package var id: OrderUnitID
    package var price: Int64
    package var discount: Int64
    package var tax: Int64
    package var fee: Int64
    package var total: Int64
    package var attendee: Attendee
    package var refunded: Bool

    package init(
        id: OrderUnitID, price: Int64, discount: Int64, tax: Int64, fee: Int64, total: Int64, attendee: Attendee,
        refunded: Bool
    ) {
        self.id = id
        self.price = price
        self.discount = discount
        self.tax = tax
        self.fee = fee
        self.total = total
        self.attendee = attendee
        self.refunded = refunded
    }
}

extension OrderUnit: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("attendee", attendee)
            json.member("discount", discount)
            json.member("fee", fee)
            json.member("id", id)
            json.member("price", price)
            json.member("refunded", refunded)
            json.member("tax", tax)
            json.member("total", total)
        }
    }
}

package struct OrderLine: Codable, Hashable, Sendable {
    package var id: OrderLineID
    package var ticketTypeId: TicketTypeID
    package var name: String
    package var quantity: Int64
    package var unitPrice: Money
    package var discount: Money
    package var tax: Money
    package var fees: Money
    package var total: Money
    package var units: [OrderUnit]

    package init(
        id: OrderLineID, ticketTypeId: TicketTypeID, name: String, quantity: Int64, unitPrice: Money,
        discount: Money, tax: Money, fees: Money, total: Money, units: [OrderUnit]
    ) {
        self.id = id
        self.ticketTypeId = ticketTypeId
        self.name = name
        self.quantity = quantity
        self.unitPrice = unitPrice
        self.discount = discount
        self.tax = tax
        self.fees = fees
        self.total = total
        self.units = units
    }
}

extension OrderLine: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("discount", discount)
            json.member("fees", fees)
            json.member("id", id)
            json.member("name", name)
            json.member("quantity", quantity)
            json.member("tax", tax)
            json.member("ticketTypeId", ticketTypeId)
            json.member("total", total)
            json.member("unitPrice", unitPrice)
            json.member("units", units)
        }
    }
}

/// The order's money, from its ledger: never stored as a flag.
package struct Balance: Codable, Hashable, Sendable {
    package var captured: Money
    /// Succeeded or on its way.
    package var refunded: Money
    /// Total of what still stands, less what was captured and not refunded. Positive: the buyer owes it.
    package var due: Money

    package init(captured: Money, refunded: Money, due: Money) {
        self.captured = captured
        self.refunded = refunded
        self.due = due
    }
}

extension Balance: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("captured", captured)
            json.member("due", due)
            json.member("refunded", refunded)
        }
    }
}

package struct Order: Codable, Hashable, Sendable {
    package var id: OrderID
    /// Short, unambiguous to read aloud, not to be guessed.
    package var number: String
    package var eventId: EventID
    package var organizerId: OrganizerID
    package var status: OrderStatus
    package var buyer: Buyer
    package var lines: [OrderLine]
    package var couponCode: String?
    package var totals: Totals
    package var balance: Balance
    /// Until when it has to be paid.
    package var expiresAt: Instant?
    package var createdAt: Instant
    package var paidAt: Instant?
    package var payments: [Payment]
    package var refunds: [RefundSummary]
    package var tickets: [Ticket]
    package var version: Int64

    package init(
        id: OrderID, number: String, eventId: EventID, organizerId: OrganizerID, status: OrderStatus, buyer: Buyer,
        lines: [OrderLine], couponCode: String? = nil, totals: Totals, balance: Balance, expiresAt: Instant? = nil,
        createdAt: Instant, paidAt: Instant? = nil, payments: [Payment], refunds: [RefundSummary], tickets: [Ticket],
        version: Int64
    ) {
        self.id = id
        self.number = number
        self.eventId = eventId
        self.organizerId = organizerId
        self.status = status
        self.buyer = buyer
        self.lines = lines
        self.couponCode = couponCode
        self.totals = totals
        self.balance = balance
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.paidAt = paidAt
        self.payments = payments
        self.refunds = refunds
        self.tickets = tickets
        self.version = version
    }
}

extension Order: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("balance", balance)
            json.member("buyer", buyer)
            json.member("couponCode", couponCode)
            json.member("createdAt", createdAt)
            json.member("eventId", eventId)
            json.member("expiresAt", expiresAt)
            json.member("id", id)
            json.member("lines", lines)
            json.member("number", number)
            json.member("organizerId", organizerId)
            json.member("paidAt", paidAt)
            json.member("payments", payments)
            json.member("refunds", refunds)
            json.member("status", status)
            json.member("tickets", tickets)
            json.member("totals", totals)
            json.member("version", version)
        }
    }
}

/// What Notification, Payments and others see of an order, without its tickets and payments.
package struct OrderFacts: Codable, Hashable, Sendable {
    package var id: OrderID
    package var number: String
    package var eventId: EventID
    package var organizerId: OrganizerID
    package var status: OrderStatus
    package var buyer: Buyer
    package var userId: UserID?
    package var lines: [OrderLine]
    package var couponCode: String?
    package var totals: Totals
    package var orderToken: String

    package init(
        id: OrderID, number: String, eventId: EventID, organizerId: OrganizerID, status: OrderStatus, buyer: Buyer,
        userId: UserID? = nil, lines: [OrderLine], couponCode: String? = nil, totals: Totals, orderToken: String
    ) {
        self.id = id
        self.number = number
        self.eventId = eventId
        self.organizerId = organizerId
        self.status = status
        self.buyer = buyer
        self.userId = userId
        self.lines = lines
        self.couponCode = couponCode
        self.totals = totals
        self.orderToken = orderToken
    }
}

extension OrderFacts: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("buyer", buyer)
            json.member("couponCode", couponCode)
            json.member("eventId", eventId)
            json.member("id", id)
            json.member("lines", lines)
            json.member("number", number)
            json.member("orderToken", orderToken)
            json.member("organizerId", organizerId)
            json.member("status", status)
            json.member("totals", totals)
            json.member("userId", userId)
        }
    }
}

/// Asks whether somebody may see an order: by their token, or by the order's secret.
package struct OrderAccessQuestion: Codable, Sendable {
    package var orderToken: String?
    package var userId: UserID?
    package var verifiedEmail: String?

    package init(orderToken: String? = nil, userId: UserID? = nil, verifiedEmail: String? = nil) {
        self.orderToken = orderToken
        self.userId = userId
        self.verifiedEmail = verifiedEmail
    }
}

package struct OrderAccess: Codable, Sendable {
    package var isBuyer: Bool
    package var organizerId: OrganizerID
    package var eventId: EventID

    package init(isBuyer: Bool, organizerId: OrganizerID, eventId: EventID) {
        self.isBuyer = isBuyer
        self.organizerId = organizerId
        self.eventId = eventId
    }
}

/// A payment that was captured, as it stands.
package struct Capture: Codable, Hashable, Sendable {
    package var order: OrderID
    /// Of the payment.
    package var version: Int64

    package init(order: OrderID, version: Int64) {
        self.order = order
        self.version = version
    }
}

package struct Captures: Codable, Sendable {
    package var items: [Capture]

    package init(items: [Capture]) {
        self.items = items
    }
}

package struct FulfilledCaptures: Codable, Sendable {
    package var orders: [OrderID]

    package init(orders: [OrderID]) {
        self.orders = orders
    }
}

package struct RefundRequest: Codable, Sendable {
    /// Which tickets; none together with no amount means all that is not refunded yet.
    package var units: [OrderUnitID]?
    /// Without units: apportioned over them.
    package var amount: Money?
    package var reason: String
    /// Also for tickets whose holder is inside.
    package var insist: Bool?

    package init(units: [OrderUnitID]? = nil, amount: Money? = nil, reason: String, insist: Bool? = nil) {
        self.units = units
        self.amount = amount
        self.reason = reason
        self.insist = insist
    }
}

package struct RefundSummary: Codable, Hashable, Sendable {
    package var id: RefundID
    package var status: RefundState
    package var amount: Money
    package var reason: String
    package var units: [OrderUnitID]
    package var createdAt: Instant

    package init(
        id: RefundID, status: RefundState, amount: Money, reason: String, units: [OrderUnitID], createdAt: Instant
    ) {
        self.id = id
        self.status = status
        self.amount = amount
        self.reason = reason
        self.units = units
        self.createdAt = createdAt
    }
}

extension RefundSummary: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("amount", amount)
            json.member("createdAt", createdAt)
            json.member("id", id)
            json.member("reason", reason)
            json.member("status", status)
            json.member("units", units)
        }
    }
}

package struct EventCancellation: Codable, Sendable {
    package var refund: Bool
    package var reason: String?

    package init(refund: Bool, reason: String? = nil) {
        self.refund = refund
        self.reason = reason
    }
}
