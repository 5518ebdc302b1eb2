package import Discovery
package import Values

package enum CouponKind: IdentifierKind { package static let prefix = "coupon" }
package typealias CouponID = TypeID<CouponKind>
package enum CouponUseKind: IdentifierKind { package static let prefix = "use" }
package typealias CouponUseID = TypeID<CouponUseKind>

/// One of the two: a percentage (1 to 100) of the lines it applies to, or an amount off their sum.
package struct Discount: Codable, Hashable, Sendable {
    package var percent: Int64?
    package var amount: Money?

    package init(percent: Int64? = nil, amount: Money? = nil) {
        self.percent = percent
        self.amount = amount
    }
}

package struct Coupon: Codable, Hashable, Sendable {
    package enum Status: String, Codable, Sendable {
        case active, inactive
    }

    package var id: CouponID
    package var organizerId: OrganizerID
    package var code: String
    package var name: String
    package var discount: Discount
    /// Empty means all of the organizer's.
    package var eventIds: [EventID]
    package var ticketTypeIds: [TicketTypeID]
    package var maxRedemptions: Int64?
    package var perBuyerLimit: Int64?
    package var minimumOrder: Money?
    package var validFrom: Instant?
    package var validUntil: Instant?
    package var status: Status
    /// Reserved by carts and orders, and redeemed.
    package var reserved: Int64
    package var redeemed: Int64
    /// How many of the redeemed went beyond a limit: a late payment of an order whose use had been released and given to
    /// somebody else keeps the discount that was shown.
    package var overLimit: Int64
    /// Grows with each change by staff, not with uses; its ETag.
    package var version: Int64
    package var createdAt: Instant

    package init(
        id: CouponID, organizerId: OrganizerID, code: String, name: String, discount: Discount, eventIds: [EventID],
        ticketTypeIds: [TicketTypeID], maxRedemptions: Int64? = nil, perBuyerLimit: Int64? = nil,
        minimumOrder: Money? = nil, validFrom: Instant? = nil, validUntil: Instant? = nil, status: Status,
        reserved: Int64, redeemed: Int64, overLimit: Int64 = 0, version: Int64, createdAt: Instant
    ) {
        self.id = id
        self.organizerId = organizerId
        self.code = code
        self.name = name
        self.discount = discount
        self.eventIds = eventIds
        self.ticketTypeIds = ticketTypeIds
        self.maxRedemptions = maxRedemptions
        self.perBuyerLimit = perBuyerLimit
        self.minimumOrder = minimumOrder
        self.validFrom = validFrom
        self.validUntil = validUntil
        self.status = status
        self.reserved = reserved
        self.redeemed = redeemed
        self.overLimit = overLimit
        self.version = version
        self.createdAt = createdAt
    }
}

package struct NewCoupon: Codable, Sendable {
    package var organizerId: OrganizerID
    package var code: String
    package var name: String
    package var discount: Discount
    package var eventIds: [EventID]?
    package var ticketTypeIds: [TicketTypeID]?
    package var maxRedemptions: Int64?
    package var perBuyerLimit: Int64?
    package var minimumOrder: Money?
    package var validFrom: Instant?
    package var validUntil: Instant?

    package init(
        organizerId: OrganizerID, code: String, name: String, discount: Discount, eventIds: [EventID]? = nil,
        ticketTypeIds: [TicketTypeID]? = nil, maxRedemptions: Int64? = nil, perBuyerLimit: Int64? = nil,
        minimumOrder: Money? = nil, validFrom: Instant? = nil, validUntil: Instant? = nil
    ) {
        self.organizerId = organizerId
        self.code = code
        self.name = name
        self.discount = discount
        self.eventIds = eventIds
        self.ticketTypeIds = ticketTypeIds
        self.maxRedemptions = maxRedemptions
        self.perBuyerLimit = perBuyerLimit
        self.minimumOrder = minimumOrder
        self.validFrom = validFrom
        self.validUntil = validUntil
    }
}

/// Only what is given changes.
package struct CouponChange: Codable, Sendable {
    package var name: String?
    package var discount: Discount?
    package var eventIds: [EventID]?
    package var ticketTypeIds: [TicketTypeID]?
    package var maxRedemptions: Int64?
    package var perBuyerLimit: Int64?
    package var minimumOrder: Money?
    package var validFrom: Instant?
    package var validUntil: Instant?

    package init(
        name: String? = nil, discount: Discount? = nil, eventIds: [EventID]? = nil,
        ticketTypeIds: [TicketTypeID]? = nil, maxRedemptions: Int64? = nil, perBuyerLimit: Int64? = nil,
        minimumOrder: Money? = nil, validFrom: Instant? = nil, validUntil: Instant? = nil
    ) {
        self.name = name
        self.discount = discount
        self.eventIds = eventIds
        self.ticketTypeIds = ticketTypeIds
        self.maxRedemptions = maxRedemptions
        self.perBuyerLimit = perBuyerLimit
        self.minimumOrder = minimumOrder
        self.validFrom = validFrom
        self.validUntil = validUntil
    }
}

/// A line that a coupon may take something off.
package struct DiscountableLine: Codable, Hashable, Sendable {
    package var ticketTypeId: TicketTypeID
    package var quantity: Int64
    package var unitPrice: Int64

    package init(ticketTypeId: TicketTypeID, quantity: Int64, unitPrice: Int64) {
        self.ticketTypeId = ticketTypeId
        self.quantity = quantity
        self.unitPrice = unitPrice
    }
}

package struct CouponQuestion: Codable, Sendable {
    package var code: String
    package var organizerId: OrganizerID
    package var eventId: EventID
    package var currency: Currency
    package var lines: [DiscountableLine]

    package init(
        code: String, organizerId: OrganizerID, eventId: EventID, currency: Currency, lines: [DiscountableLine]
    ) {
        self.code = code
        self.organizerId = organizerId
        self.eventId = eventId
        self.currency = currency
        self.lines = lines
    }
}

/// The same for a code that is unknown, another organizer's, used up or over.
package struct CouponVerdict: Codable, Sendable {
    package var applies: Bool
    package var discount: Money?

    package init(applies: Bool, discount: Money? = nil) {
        self.applies = applies
        self.discount = discount
    }
}

package enum CouponUseState: String, Codable, Hashable, Sendable {
    case reserved, redeemed, released
}

package struct NewCouponUse: Codable, Sendable {
    package var code: String
    package var cartId: CartID
    package var organizerId: OrganizerID
    package var eventId: EventID
    package var currency: Currency
    package var lines: [DiscountableLine]
    /// The cart's deadline; from then on the use does not count.
    package var expiresAt: Instant

    package init(
        code: String, cartId: CartID, organizerId: OrganizerID, eventId: EventID, currency: Currency,
        lines: [DiscountableLine], expiresAt: Instant
    ) {
        self.code = code
        self.cartId = cartId
        self.organizerId = organizerId
        self.eventId = eventId
        self.currency = currency
        self.lines = lines
        self.expiresAt = expiresAt
    }
}

package struct CouponUse: Codable, Hashable, Sendable {
    package var id: CouponUseID
    package var couponId: CouponID
    package var code: String
    package var state: CouponUseState
    /// One per line of the question, in its order, in minor units.
    package var discounts: [Int64]
    /// Whether it was redeemed beyond a limit of the coupon.
    package var overLimit: Bool

    package init(
        id: CouponUseID, couponId: CouponID, code: String, state: CouponUseState, discounts: [Int64], overLimit: Bool = false
    ) {
        self.id = id
        self.couponId = couponId
        self.code = code
        self.state = state
        self.discounts = discounts
        self.overLimit = overLimit
    }
}

package struct CouponUseLines: Codable, Sendable {
    package var lines: [DiscountableLine]

    package init(lines: [DiscountableLine]) {
        self.lines = lines
    }
}

package struct CouponUseBinding: Codable, Sendable {
    package var orderId: OrderID
    package var email: String
    package var userId: UserID?
    package var expiresAt: Instant

    package init(orderId: OrderID, email: String, userId: UserID? = nil, expiresAt: Instant) {
        self.orderId = orderId
        self.email = email
        self.userId = userId
        self.expiresAt = expiresAt
    }
}
