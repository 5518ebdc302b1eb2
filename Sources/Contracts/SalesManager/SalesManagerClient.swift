package import Discovery

/// SalesManager, as its peers call it.
package struct SalesManagerClient: Sendable {
    private let peer: PeerClient

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    package func order(_ id: OrderID) async throws -> OrderFacts {
        try await peer.call(SalesManagerRoutes.orderForServices, ["\(id)"])
    }

    package func access(_ id: OrderID, _ question: OrderAccessQuestion) async throws -> OrderAccess {
        try await peer.call(SalesManagerRoutes.orderAccess, ["\(id)"], body: question)
    }

    /// Tells how a payment or a refund of the order stands now.
    package func paymentChanged(_ id: OrderID, _ payment: Payment) async throws {
        try await peer.perform(SalesManagerRoutes.paymentChanged, ["\(id)"], body: payment)
    }

    /// Those of the captures whose orders are paid, have their tickets, and know of the payment what the capture says.
    package func fulfilled(_ captures: [Capture]) async throws -> [OrderID] {
        let answer: FulfilledCaptures = try await peer.call(SalesManagerRoutes.fulfilledCaptures, body: Captures(items: captures))
        return answer.orders
    }

    package func cancel(_ event: EventID, _ cancellation: EventCancellation) async throws {
        try await peer.perform(SalesManagerRoutes.cancelEvent, ["\(event)"], body: cancellation)
    }
}
