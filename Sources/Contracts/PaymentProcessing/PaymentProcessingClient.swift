package import Discovery

/// PaymentProcessing, as its peers call it.
package struct PaymentProcessingClient: Sendable {
    private let peer: PeerClient

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    /// One payment per order: a repeated call answers the existing one.
    package func create(_ payment: NewPayment) async throws -> Payment {
        try await peer.call(PaymentProcessingRoutes.createPayment, idempotencyKey: "payment:\(payment.orderId)", body: payment)
    }

    /// Nil where none was made.
    package func payment(of order: OrderID) async throws -> Payment? {
        do {
            return try await peer.call(PaymentProcessingRoutes.paymentOfOrder, ["\(order)"])
        } catch let problem as Problem where problem.status == 404 {
            return nil
        }
    }

    /// Closes the payment, also at the provider; its state tells whether it had been captured.
    package func close(_ order: OrderID, _ reason: CloseReason) async throws -> Payment {
        try await peer.call(PaymentProcessingRoutes.closePayment, ["\(order)"], body: ClosePayment(reason: reason))
    }

    package func settle(_ order: OrderID, _ outcome: SettlementOutcome) async throws {
        try await peer.perform(PaymentProcessingRoutes.settlePayment, ["\(order)"], body: SettlePayment(outcome: outcome))
    }

    /// Commits the refund as `requested`; `Problem` 409 `exceeds-refundable` where it is more than is left.
    package func requestRefund(_ refund: NewRefund) async throws -> Refund {
        try await peer.call(
            PaymentProcessingRoutes.requestRefund, idempotencyKey: "refund:\(refund.orderId):\(refund.causeId)", body: refund)
    }

    /// Hands it to the provider. May be called again after a failure.
    package func submitRefund(_ id: RefundID) async throws -> Refund {
        try await peer.call(PaymentProcessingRoutes.submitRefund, ["\(id)"])
    }

    package func cancelRefund(_ id: RefundID) async throws -> Refund {
        try await peer.call(PaymentProcessingRoutes.cancelRefund, ["\(id)"])
    }
}
