package import Discovery

/// TicketManager, as its peers call it. Keys are derived from ids, so that a call that is repeated is the same call.
package struct TicketManagerClient: Sendable {
    private let peer: PeerClient

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    package func ticketType(_ id: TicketTypeID) async throws -> TicketType {
        try await peer.call(TicketManagerRoutes.ticketTypeForServices, ["\(id)"])
    }

    package func hold(_ request: NewHold, key: String) async throws -> Hold {
        try await peer.call(TicketManagerRoutes.createHold, idempotencyKey: key, body: request)
    }

    package func hold(_ id: HoldID) async throws -> Hold {
        try await peer.call(TicketManagerRoutes.hold, ["\(id)"])
    }

    package func change(_ id: HoldID, _ change: HoldChange, key: String) async throws -> Hold {
        try await peer.call(TicketManagerRoutes.changeHold, ["\(id)"], idempotencyKey: key, body: change)
    }

    package func release(_ id: HoldID) async throws {
        try await peer.perform(TicketManagerRoutes.releaseHold, ["\(id)"])
    }

    package func bind(_ id: HoldID, _ binding: HoldBinding) async throws -> Hold {
        try await peer.call(TicketManagerRoutes.bindHold, ["\(id)"], body: binding)
    }

    package func fulfil(_ order: OrderID, _ request: FulfilmentRequest) async throws -> Fulfilment {
        try await peer.call(TicketManagerRoutes.fulfil, ["\(order)"], body: request)
    }

    package func refuse(_ order: OrderID, _ request: RefusalRequest) async throws -> Fulfilment {
        try await peer.call(TicketManagerRoutes.refuse, ["\(order)"], body: request)
    }

    package func tickets(of order: OrderID) async throws -> [Ticket] {
        try await peer.call(TicketManagerRoutes.ticketsOfOrder, ["\(order)"], answer: TicketList.self).items
    }

    /// - Parameter id: names the reason, such as a refund's id.
    package func block(_ id: String, _ block: TicketBlock) async throws {
        try await peer.perform(TicketManagerRoutes.blockTickets, [id], body: block)
    }

    package func unblock(_ id: String) async throws {
        try await peer.perform(TicketManagerRoutes.unblockTickets, [id])
    }

    package func void(_ id: String) async throws {
        try await peer.perform(TicketManagerRoutes.voidTickets, [id])
    }

    package func close(_ event: EventID, reason: String) async throws {
        try await peer.perform(TicketManagerRoutes.closeEvent, ["\(event)"], body: EventClosure(reason: reason))
    }
}
