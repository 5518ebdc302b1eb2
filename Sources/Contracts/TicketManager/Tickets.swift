package import Values

package enum TicketKind: IdentifierKind { package static let prefix = "ticket" }
package typealias TicketID = TypeID<TicketKind>
package enum ScanKind: IdentifierKind { package static let prefix = "scan" }
package typealias ScanID = TypeID<ScanKind>

package enum TicketState: String, Codable, Hashable, Sendable {
    case issued, checkedIn, checkedOut, void
}

package struct Attendee: Codable, Hashable, Sendable {
    package var name: String?
    package var email: String?

    package init(name: String? = nil, email: String? = nil) {
        self.name = name
        self.email = email
    }
}

extension Attendee: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("email", email)
            json.member("name", name)
        }
    }
}

package struct Ticket: Codable, Hashable, Sendable {
    package var id: TicketID
    package var eventId: EventID
    package var orderId: OrderID
    package var unitId: OrderUnitID
    package var ticketTypeId: TicketTypeID
    package var ticketTypeName: String
    package var attendee: Attendee
    package var status: TicketState
    /// Why it does not open a door at the moment, if so.
    package var blockedBy: [String]
    /// What the door reads. Not shown where it was transferred away.
    package var code: String?
    package var codeVersion: Int64
    package var checkedInAt: Instant?

    package init(
        id: TicketID, eventId: EventID, orderId: OrderID, unitId: OrderUnitID, ticketTypeId: TicketTypeID,
        ticketTypeName: String, attendee: Attendee, status: TicketState, blockedBy: [String], code: String? = nil,
        codeVersion: Int64, checkedInAt: Instant? = nil
    ) {
        self.id = id
        self.eventId = eventId
        self.orderId = orderId
        self.unitId = unitId
        self.ticketTypeId = ticketTypeId
        self.ticketTypeName = ticketTypeName
        self.attendee = attendee
        self.status = status
        self.blockedBy = blockedBy
        self.code = code
        self.codeVersion = codeVersion
        self.checkedInAt = checkedInAt
    }
}

extension Ticket: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("attendee", attendee)
            json.member("blockedBy", blockedBy)
            json.member("checkedInAt", checkedInAt)
            json.member("code", code)
            json.member("codeVersion", codeVersion)
            json.member("eventId", eventId)
            json.member("id", id)
            json.member("orderId", orderId)
            json.member("status", status)
            json.member("ticketTypeId", ticketTypeId)
            json.member("ticketTypeName", ticketTypeName)
            json.member("unitId", unitId)
        }
    }
}

/// One ticket of an order, to be issued.
package struct FulfilmentUnit: Codable, Hashable, Sendable {
    package var unitId: OrderUnitID
    package var ticketTypeId: TicketTypeID
    package var attendee: Attendee

    package init(unitId: OrderUnitID, ticketTypeId: TicketTypeID, attendee: Attendee) {
        self.unitId = unitId
        self.ticketTypeId = ticketTypeId
        self.attendee = attendee
    }
}

extension FulfilmentUnit: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("attendee", attendee)
            json.member("ticketTypeId", ticketTypeId)
            json.member("unitId", unitId)
        }
    }
}

package struct FulfilmentRequest: Codable, Sendable {
    package var eventId: EventID
    package var holdId: HoldID
    package var units: [FulfilmentUnit]

    package init(eventId: EventID, holdId: HoldID, units: [FulfilmentUnit]) {
        self.eventId = eventId
        self.holdId = holdId
        self.units = units
    }
}

extension FulfilmentRequest: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("eventId", eventId)
            json.member("holdId", holdId)
            json.member("units", units)
        }
    }
}

package struct RefusalRequest: Codable, Sendable {
    package var eventId: EventID
    package var holdId: HoldID?

    package init(eventId: EventID, holdId: HoldID? = nil) {
        self.eventId = eventId
        self.holdId = holdId
    }
}

package enum FulfilmentOutcome: String, Codable, Hashable, Sendable {
    case confirmed, refused
}

/// What is recorded for an order, permanently.
package struct Fulfilment: Codable, Sendable {
    package var orderId: OrderID
    package var outcome: FulfilmentOutcome
    package var tickets: [Ticket]

    package init(orderId: OrderID, outcome: FulfilmentOutcome, tickets: [Ticket]) {
        self.orderId = orderId
        self.outcome = outcome
        self.tickets = tickets
    }
}

package struct TicketList: Codable, Sendable {
    package var items: [Ticket]

    package init(items: [Ticket]) {
        self.items = items
    }
}

package struct TicketBlock: Codable, Sendable {
    package var orderId: OrderID
    package var unitIds: [OrderUnitID]
    /// Shown at the door: `refund`, `dispute`.
    package var reason: String
    /// Also tickets whose holder is inside; without it they are refused with 409.
    package var insist: Bool

    package init(orderId: OrderID, unitIds: [OrderUnitID], reason: String, insist: Bool) {
        self.orderId = orderId
        self.unitIds = unitIds
        self.reason = reason
        self.insist = insist
    }
}

package struct TransferRequest: Codable, Sendable {
    package var email: String
    package var name: String

    package init(email: String, name: String) {
        self.email = email
        self.name = name
    }
}

/// A public key for codes: Ed25519, 32 bytes in base64.
package struct TicketKey: Codable, Hashable, Sendable {
    package var keyId: String
    package var algorithm: String
    package var publicKey: String

    package init(keyId: String, algorithm: String, publicKey: String) {
        self.keyId = keyId
        self.algorithm = algorithm
        self.publicKey = publicKey
    }
}

package struct TicketKeyList: Codable, Sendable {
    package var items: [TicketKey]

    package init(items: [TicketKey]) {
        self.items = items
    }
}

package enum Direction: String, Codable, Hashable, Sendable {
    case `in`, out
}

package struct CheckInRequest: Codable, Sendable {
    package var code: String
    package var direction: Direction?
    /// New for each reading of a code, the same when a request is repeated.
    package var nonce: String
    package var gate: String?
    package var device: String?

    package init(code: String, direction: Direction? = nil, nonce: String, gate: String? = nil, device: String? = nil) {
        self.code = code
        self.direction = direction
        self.nonce = nonce
        self.gate = gate
        self.device = device
    }
}

package struct CheckInAnswer: Codable, Sendable {
    package enum Result: String, Codable, Sendable {
        case admitted, refused
    }

    /// An earlier admission of the same ticket.
    package struct Previous: Codable, Hashable, Sendable {
        package var at: Instant
        package var gate: String?

        package init(at: Instant, gate: String?) {
            self.at = at
            self.gate = gate
        }
    }

    package struct TicketSummary: Codable, Hashable, Sendable {
        package var id: TicketID
        package var ticketTypeName: String
        package var attendee: Attendee
        package var status: TicketState

        package init(id: TicketID, ticketTypeName: String, attendee: Attendee, status: TicketState) {
            self.id = id
            self.ticketTypeName = ticketTypeName
            self.attendee = attendee
            self.status = status
        }
    }

    package var result: Result
    /// Where it was refused: `unknown-code`, `revoked-code`, `other-event`, `already-used`, `not-inside`, `void`, `blocked`.
    package var reason: String?
    /// Whether this is the answer to a request that was made before.
    package var repeated: Bool
    package var ticket: TicketSummary?
    package var previous: Previous?

    package init(
        result: Result, reason: String? = nil, repeated: Bool, ticket: TicketSummary? = nil,
        previous: Previous? = nil
    ) {
        self.result = result
        self.reason = reason
        self.repeated = repeated
        self.ticket = ticket
        self.previous = previous
    }
}

package struct EventClosure: Codable, Sendable {
    package var reason: String

    package init(reason: String) {
        self.reason = reason
    }
}
