package import Values

package enum CartKind: IdentifierKind { package static let prefix = "cart" }
package typealias CartID = TypeID<CartKind>
package enum CartLineKind: IdentifierKind { package static let prefix = "line" }
package typealias CartLineID = TypeID<CartLineKind>

package struct NewCart: Codable, Sendable {
    package var eventId: EventID?

    package init(eventId: EventID? = nil) {
        self.eventId = eventId
    }
}

package struct NewCartLine: Codable, Sendable {
    package var ticketTypeId: TicketTypeID
    package var quantity: Int64
    package var accessCode: String?

    package init(ticketTypeId: TicketTypeID, quantity: Int64, accessCode: String? = nil) {
        self.ticketTypeId = ticketTypeId
        self.quantity = quantity
        self.accessCode = accessCode
    }
}

package struct CartLineChange: Codable, Sendable {
    package var quantity: Int64

    package init(quantity: Int64) {
        self.quantity = quantity
    }
}

package struct CouponEntry: Codable, Sendable {
    package var code: String

    package init(code: String) {
        self.code = code
    }
}

/// What is to be paid and how it comes about. `total = subtotal - discount + fees` where fees come on top; `tax` is contained.
package struct Totals: Codable, Hashable, Sendable {
    package var subtotal: Money
    package var discount: Money
    package var tax: Money
    package var fees: Money
    package var total: Money

    package init(subtotal: Money, discount: Money, tax: Money, fees: Money, total: Money) {
        self.subtotal = subtotal
        self.discount = discount
        self.tax = tax
        self.fees = fees
        self.total = total
    }
}

extension Totals: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("discount", discount)
            json.member("fees", fees)
            json.member("subtotal", subtotal)
            json.member("tax", tax)
            json.member("total", total)
        }
    }
}

package struct CartLine: Codable, Hashable, Sendable {
    package var id: CartLineID
    package var ticketTypeId: TicketTypeID
    package var name: String
    package var quantity: Int64
    package var unitPrice: Money
    package var discount: Money
    package var tax: Money
    package var fees: Money
    package var total: Money

    package init(
        id: CartLineID, ticketTypeId: TicketTypeID, name: String, quantity: Int64, unitPrice: Money, discount: Money,
        tax: Money, fees: Money, total: Money
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
    }
}

extension CartLine: JSONWritable {
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
        }
    }
}

package struct Cart: Codable, Hashable, Sendable {
    package enum State: String, Codable, Sendable {
        /// Becomes `ordered` at checkout, and `expired` when its time is over.
        case open, ordered, expired
    }

    package var id: CartID
    /// The secret of this cart, for `X-Cart-Token`. Told once, when it is made.
    package var token: String?
    package var eventId: EventID?
    package var state: State
    package var lines: [CartLine]
    package var couponCode: String?
    /// Nil while the cart has no event and so no currency.
    package var totals: Totals?
    /// Until when its tickets are held.
    package var expiresAt: Instant
    package var orderId: OrderID?

    package init(
        id: CartID, token: String? = nil, eventId: EventID? = nil, state: State, lines: [CartLine],
        couponCode: String? = nil, totals: Totals? = nil, expiresAt: Instant, orderId: OrderID? = nil
    ) {
        self.id = id
        self.token = token
        self.eventId = eventId
        self.state = state
        self.lines = lines
        self.couponCode = couponCode
        self.totals = totals
        self.expiresAt = expiresAt
        self.orderId = orderId
    }
}

extension Cart: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("couponCode", couponCode)
            json.member("eventId", eventId)
            json.member("expiresAt", expiresAt)
            json.member("id", id)
            json.member("lines", lines)
            json.member("orderId", orderId)
            json.member("state", state)
            json.member("token", token)
            json.member("totals", totals)
        }
    }
}

package struct Buyer: Codable, Hashable, Sendable {
    package var email: String
    package var name: String
    package var locale: String?
    package var phone: String?

    package init(email: String, name: String, locale: String? = nil, phone: String? = nil) {
        self.email = email
        self.name = name
        self.locale = locale
        self.phone = phone
    }
}

extension Buyer: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("email", email)
            json.member("locale", locale)
            json.member("name", name)
            json.member("phone", phone)
        }
    }
}

package struct AttendeeEntry: Codable, Hashable, Sendable {
    package var lineId: CartLineID
    package var name: String?
    package var email: String?

    package init(lineId: CartLineID, name: String? = nil, email: String? = nil) {
        self.lineId = lineId
        self.name = name
        self.email = email
    }
}

package struct PaymentChoice: Codable, Hashable, Sendable {
    package var provider: String
    /// The provider's reference for a means of payment, never card data.
    package var method: String?
    package var returnURL: String?

    package init(provider: String, method: String? = nil, returnURL: String? = nil) {
        self.provider = provider
        self.method = method
        self.returnURL = returnURL
    }
}

extension PaymentChoice: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("method", method)
            json.member("provider", provider)
            json.member("returnURL", returnURL)
        }
    }
}

package struct CheckoutRequest: Codable, Sendable {
    package var buyer: Buyer
    package var attendees: [AttendeeEntry]?
    /// May be left out where nothing is to be paid.
    package var payment: PaymentChoice?

    package init(buyer: Buyer, attendees: [AttendeeEntry]? = nil, payment: PaymentChoice? = nil) {
        self.buyer = buyer
        self.attendees = attendees
        self.payment = payment
    }
}

package struct CheckoutAnswer: Codable, Sendable {
    package var order: Order
    /// The secret of the order, for `X-Order-Token`.
    package var orderToken: String
    package var payment: Payment?

    package init(order: Order, orderToken: String, payment: Payment? = nil) {
        self.order = order
        self.orderToken = orderToken
        self.payment = payment
    }
}

extension CheckoutAnswer: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("order", order)
            json.member("orderToken", orderToken)
            json.member("payment", payment)
        }
    }
}
