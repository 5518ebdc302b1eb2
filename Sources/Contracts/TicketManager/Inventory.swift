package import Values

package enum PoolKind: IdentifierKind { package static let prefix = "pool" }
package typealias PoolID = TypeID<PoolKind>
package enum TicketTypeKind: IdentifierKind { package static let prefix = "type" }
package typealias TicketTypeID = TypeID<TicketTypeKind>

/// What can be sold at most. `held + sold + allocated <= capacity`, always.
package struct Pool: Codable, Hashable, Sendable {
    package var id: PoolID
    package var eventId: EventID
    package var name: String
    package var capacity: Int64
    /// Held by carts and unpaid orders; what has expired is not counted.
    package var held: Int64
    package var sold: Int64
    package var allocated: Int64
    /// Grows with each change of name or capacity, not with sales; its ETag.
    package var version: Int64

    package init(
        id: PoolID, eventId: EventID, name: String, capacity: Int64, held: Int64, sold: Int64, allocated: Int64,
        version: Int64
    ) {
        self.id = id
        self.eventId = eventId
        self.name = name
        self.capacity = capacity
        self.held = held
        self.sold = sold
        self.allocated = allocated
        self.version = version
    }
}

package struct NewPool: Codable, Sendable {
    package var name: String
    package var capacity: Int64

    package init(name: String, capacity: Int64) {
        self.name = name
        self.capacity = capacity
    }
}

package struct PoolChange: Codable, Sendable {
    package var name: String?
    package var capacity: Int64?

    package init(name: String? = nil, capacity: Int64? = nil) {
        self.name = name
        self.capacity = capacity
    }
}

package struct TicketType: Codable, Hashable, Sendable {
    package var id: TicketTypeID
    package var eventId: EventID
    package var name: String
    package var description: String?
    /// With its tax.
    package var price: Money
    package var poolIds: [PoolID]
    package var salesStart: Instant?
    package var salesEnd: Instant?
    package var minPerOrder: Int64
    package var maxPerOrder: Int64
    package var maxPerBuyer: Int64?
    package var hidden: Bool
    /// Shown to staff only.
    package var accessCode: String?
    /// In basis points: 1,900 is 19%. Contained in the price.
    package var taxRate: Int64
    /// Per ticket, in minor units of the price's currency.
    package var fee: Int64
    /// Whether the fee is contained in the price, or comes on top.
    package var feeIncluded: Bool
    /// No longer sold, kept because it was.
    package var archived: Bool
    package var version: Int64

    package init(
        id: TicketTypeID, eventId: EventID, name: String, description: String? = nil, price: Money,
        poolIds: [PoolID], salesStart: Instant? = nil, salesEnd: Instant? = nil, minPerOrder: Int64,
        maxPerOrder: Int64, maxPerBuyer: Int64? = nil, hidden: Bool, accessCode: String? = nil, taxRate: Int64,
        fee: Int64, feeIncluded: Bool, archived: Bool, version: Int64
    ) {
        self.id = id
        self.eventId = eventId
        self.name = name
        self.description = description
        self.price = price
        self.poolIds = poolIds
        self.salesStart = salesStart
        self.salesEnd = salesEnd
        self.minPerOrder = minPerOrder
        self.maxPerOrder = maxPerOrder
        self.maxPerBuyer = maxPerBuyer
        self.hidden = hidden
        self.accessCode = accessCode
        self.taxRate = taxRate
        self.fee = fee
        self.feeIncluded = feeIncluded
        self.archived = archived
        self.version = version
    }
}

package struct NewTicketType: Codable, Sendable {
    package var name: String
    package var description: String?
    package var price: Money
    package var poolIds: [PoolID]
    package var salesStart: String?
    package var salesEnd: String?
    package var minPerOrder: Int64?
    package var maxPerOrder: Int64?
    package var maxPerBuyer: Int64?
    package var hidden: Bool?
    package var accessCode: String?
    package var taxRate: Int64?
    package var fee: Int64?
    package var feeIncluded: Bool?

    package init(
        name: String, description: String? = nil, price: Money, poolIds: [PoolID], salesStart: String? = nil,
        salesEnd: String? = nil, minPerOrder: Int64? = nil, maxPerOrder: Int64? = nil, maxPerBuyer: Int64? = nil,
        hidden: Bool? = nil, accessCode: String? = nil, taxRate: Int64? = nil, fee: Int64? = nil,
        feeIncluded: Bool? = nil
    ) {
        self.name = name
        self.description = description
        self.price = price
        self.poolIds = poolIds
        self.salesStart = salesStart
        self.salesEnd = salesEnd
        self.minPerOrder = minPerOrder
        self.maxPerOrder = maxPerOrder
        self.maxPerBuyer = maxPerBuyer
        self.hidden = hidden
        self.accessCode = accessCode
        self.taxRate = taxRate
        self.fee = fee
        self.feeIncluded = feeIncluded
    }
}

/// Only what is given changes.
package struct TicketTypeChange: Codable, Sendable {
    package var name: String?
    package var description: String?
    package var price: Money?
    package var salesStart: String?
    package var salesEnd: String?
    package var minPerOrder: Int64?
    package var maxPerOrder: Int64?
    package var maxPerBuyer: Int64?
    package var hidden: Bool?
    package var accessCode: String?
    package var taxRate: Int64?
    package var fee: Int64?
    package var feeIncluded: Bool?

    package init(
        name: String? = nil, description: String? = nil, price: Money? = nil, salesStart: String? = nil,
        salesEnd: String? = nil, minPerOrder: Int64? = nil, maxPerOrder: Int64? = nil, maxPerBuyer: Int64? = nil,
        hidden: Bool? = nil, accessCode: String? = nil, taxRate: Int64? = nil, fee: Int64? = nil,
        feeIncluded: Bool? = nil
    ) {
        self.name = name
        self.description = description
        self.price = price
        self.salesStart = salesStart
        self.salesEnd = salesEnd
        self.minPerOrder = minPerOrder
        self.maxPerOrder = maxPerOrder
        self.maxPerBuyer = maxPerBuyer
        self.hidden = hidden
        self.accessCode = accessCode
        self.taxRate = taxRate
        self.fee = fee
        self.feeIncluded = feeIncluded
    }
}

package struct Availability: Codable, Hashable, Sendable {
    package enum State: String, Codable, Sendable {
        case onSale, notYet, ended, soldOut
        /// Nothing is free now, but holds may return.
        case allHeld
    }

    package var ticketTypeId: TicketTypeID
    package var state: State
    package var remaining: Int64?

    package init(ticketTypeId: TicketTypeID, state: State, remaining: Int64? = nil) {
        self.ticketTypeId = ticketTypeId
        self.state = state
        self.remaining = remaining
    }
}
