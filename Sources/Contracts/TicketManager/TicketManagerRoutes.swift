package import Discovery
import HTTPTypes

package enum TicketManagerRoutes {
    package static let pools = Route(.get, "/api/v1/events/{id}/pools", .user)
    package static let createPool = Route(.post, "/api/v1/events/{id}/pools", .user)
    package static let changePool = Route(.patch, "/api/v1/pools/{id}", .user)
    package static let deletePool = Route(.delete, "/api/v1/pools/{id}", .user)
    package static let ticketTypes = Route(.get, "/api/v1/events/{id}/ticket-types", .anyone)
    package static let createTicketType = Route(.post, "/api/v1/events/{id}/ticket-types", .user)
    package static let ticketType = Route(.get, "/api/v1/ticket-types/{id}", .anyone)
    package static let changeTicketType = Route(.patch, "/api/v1/ticket-types/{id}", .user)
    package static let deleteTicketType = Route(.delete, "/api/v1/ticket-types/{id}", .user)
    package static let availability = Route(.get, "/api/v1/events/{id}/availability", .anyone)
    /// `{id}` may end in `.png` or `.svg`: then the answer is its code as QR.
    package static let ticket = Route(.get, "/api/v1/tickets/{id}", .anyone)
    package static let transferTicket = Route(.post, "/api/v1/tickets/{id}/transfer", .anyone)
    package static let checkIn = Route(.post, "/api/v1/events/{id}/check-ins", .user)
    /// The public keys that codes are verified with, also offline.
    package static let ticketKeys = Route(.get, "/api/v1/ticket-keys", .anyone)

    package static let createHold = Route(.post, "/api/v1/holds", .service(scope: Scope.holds))
    package static let hold = Route(.get, "/api/v1/holds/{id}", .service(scope: Scope.holds))
    package static let changeHold = Route(.patch, "/api/v1/holds/{id}", .service(scope: Scope.holds))
    package static let releaseHold = Route(.delete, "/api/v1/holds/{id}", .service(scope: Scope.holds))
    /// Binds a hold to its order; from then on the order alone decides over it.
    package static let bindHold = Route(.put, "/api/v1/holds/{id}/order", .service(scope: Scope.holds))
    package static let fulfil = Route(.post, "/api/v1/orders/{id}/fulfilment", .service(scope: Scope.fulfilment))
    package static let refuse = Route(.post, "/api/v1/orders/{id}/refusal", .service(scope: Scope.fulfilment))
    package static let ticketTypeForServices = Route(.get, "/internal/v1/ticket-types/{id}", .service(scope: Scope.holds))
    package static let ticketsOfOrder = Route(.get, "/internal/v1/orders/{id}/tickets", .service(scope: Scope.readTickets))
    /// Blocks tickets for a reason, such as a refund. `{id}` names the reason.
    package static let blockTickets = Route(.put, "/internal/v1/ticket-blocks/{id}", .service(scope: Scope.ticketBlocks))
    package static let unblockTickets = Route(.delete, "/internal/v1/ticket-blocks/{id}", .service(scope: Scope.ticketBlocks))
    /// Voids what the block holds and returns its claims, once.
    package static let voidTickets = Route(.post, "/internal/v1/ticket-blocks/{id}/void", .service(scope: Scope.ticketBlocks))
    /// Closes all pools of an event for good.
    package static let closeEvent = Route(.put, "/internal/v1/events/{id}/closure", .service(scope: Scope.closeEvents))

    package static let all = [
        pools, createPool, changePool, deletePool, ticketTypes, createTicketType, ticketType, changeTicketType,
        deleteTicketType, availability, ticket, transferTicket, checkIn, ticketKeys, createHold, hold, changeHold, releaseHold,
        bindHold, fulfil, ticketTypeForServices, refuse, ticketsOfOrder, blockTickets, unblockTickets, voidTickets, closeEvent,
    ]
}
