package import Values

package enum HoldKind: IdentifierKind { package static let prefix = "hold" }
package typealias HoldID = TypeID<HoldKind>

package enum HoldState: String, Codable, Hashable, Sendable {
    case active, confirmed, released, expired
}

package struct HoldRequestLine: Codable, Hashable, Sendable {
    package var ticketTypeId: TicketTypeID
    package var quantity: Int64

    package init(ticketTypeId: TicketTypeID, quantity: Int64) {
        self.ticketTypeId = ticketTypeId
        self.quantity = quantity
    }
}

extension HoldRequestLine: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("quantity", quantity)
            json.member("ticketTypeId", ticketTypeId)
        }
    }
}

package struct NewHold: Codable, Sendable {
    package var eventId: EventID
    package var lines: [HoldRequestLine]
    /// 1 to 3,600; 600 if it is not said.
    package var ttlSeconds: Int64?
    /// Opens hidden ticket types.
    package var accessCode: String?

    package init(eventId: EventID, lines: [HoldRequestLine], ttlSeconds: Int64? = nil, accessCode: String? = nil) {
        self.eventId = eventId
        self.lines = lines
        self.ttlSeconds = ttlSeconds
        self.accessCode = accessCode
    }
}

extension NewHold: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("accessCode", accessCode)
            json.member("eventId", eventId)
            json.member("lines", lines)
            json.member("ttlSeconds", ttlSeconds)
        }
    }
}

/// New quantities for the ticket types that are named, zero to take one out; others stay. All or nothing, the deadline stays.
package struct HoldChange: Codable, Sendable {
    package var lines: [HoldRequestLine]
    /// Whether the quantities are added to what is held, so that two changes at once both count.
    package var isRelative: Bool?
    package var accessCode: String?

    package init(lines: [HoldRequestLine], isRelative: Bool? = nil, accessCode: String? = nil) {
        self.lines = lines
        self.isRelative = isRelative
        self.accessCode = accessCode
    }
}

package struct HoldLine: Codable, Hashable, Sendable {
    package var ticketTypeId: TicketTypeID
    package var name: String
    package var quantity: Int64
    /// What the buyer keeps as long as the hold lives: price per ticket, tax rate in basis points, fee per ticket.
    package var price: Money
    package var taxRate: Int64
    package var fee: Int64
    package var feeIncluded: Bool

    package init(
        ticketTypeId: TicketTypeID, name: String, quantity: Int64, price: Money, taxRate: Int64, fee: Int64,
        feeIncluded: Bool
    ) {
        self.ticketTypeId = ticketTypeId
        self.name = name
        self.quantity = quantity
        self.price = price
        self.taxRate = taxRate
        self.fee = fee
        self.feeIncluded = feeIncluded
    }
}

extension HoldLine: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("fee", fee)
            json.member("feeIncluded", feeIncluded)
            json.member("name", name)
            json.member("price", price)
            json.member("quantity", quantity)
            json.member("taxRate", taxRate)
            json.member("ticketTypeId", ticketTypeId)
        }
    }
}

package struct Hold: Codable, Hashable, Sendable {
    package var id: HoldID
    package var eventId: EventID
    package var state: HoldState
    package var expiresAt: Instant
    package var orderId: OrderID?
    package var lines: [HoldLine]
    /// Grows with each change of the lines.
    package var version: Int64

    package init(
        id: HoldID, eventId: EventID, state: HoldState, expiresAt: Instant, orderId: OrderID? = nil,
        lines: [HoldLine], version: Int64
    ) {
        self.id = id
        self.eventId = eventId
        self.state = state
        self.expiresAt = expiresAt
        self.orderId = orderId
        self.lines = lines
        self.version = version
    }
}

extension Hold: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("eventId", eventId)
            json.member("expiresAt", expiresAt)
            json.member("id", id)
            json.member("lines", lines)
            json.member("orderId", orderId)
            json.member("state", state)
            json.member("version", version)
        }
    }
}

package struct HoldBinding: Codable, Sendable {
    /// The hold's: what concerns one event and waits together is done together.
    package var eventId: EventID
    package var orderId: OrderID
    /// The order's deadline and five minutes.
    package var expiresAt: Instant

    package init(eventId: EventID, orderId: OrderID, expiresAt: Instant) {
        self.eventId = eventId
        self.orderId = orderId
        self.expiresAt = expiresAt
    }
}

extension HoldBinding: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("eventId", eventId)
            json.member("expiresAt", expiresAt)
            json.member("orderId", orderId)
        }
    }
}
