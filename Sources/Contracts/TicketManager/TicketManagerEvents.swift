import Messaging

/// A ticket type was made or changed.
package struct TicketTypeChanged: DomainEvent {
    package static let name = "ticket-types.changed.v1"
    package var ticketType: TicketType

    package init(ticketType: TicketType) {
        self.ticketType = ticketType
    }
}

/// A ticket has a new holder; the old code is revoked.
package struct TicketTransferred: DomainEvent {
    package static let name = "tickets.transferred.v1"
    package var ticket: Ticket
    package var email: String
    package var name: String
    package var ticketToken: String

    package init(ticket: Ticket, email: String, name: String, ticketToken: String) {
        self.ticket = ticket
        self.email = email
        self.name = name
        self.ticketToken = ticketToken
    }
}
