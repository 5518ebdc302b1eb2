package import Discovery
import HTTPTypes

package enum PaymentProcessingRoutes {
    package static let payment = Route(.get, "/api/v1/payments/{id}", .anyone)
    package static let createAttempt = Route(.post, "/api/v1/payments/{id}/attempts", .anyone, takesKey: true)
    /// Staff say that money arrived: by bank transfer, or at the door.
    package static let recordReceipt = Route(.post, "/api/v1/payments/{id}/receipts", .user, takesKey: true)
    package static let webhook = Route(.post, "/api/v1/webhooks/{provider}", .anyone)
    package static let ledger = Route(.get, "/api/v1/orders/{id}/ledger", .anyone)
    /// The sandbox's confirmation step, as a buyer's bank would show it.
    package static let confirmSandboxCharge = Route(.post, "/api/v1/sandbox/charges/{id}/confirm", .anyone)

    package static let createPayment = Route(.post, "/internal/v1/payments", .service(scope: Scope.payments))
    package static let paymentOfOrder = Route(.get, "/internal/v1/orders/{id}/payment", .service(scope: Scope.payments))
    /// No attempt may begin any more; answers whether one had captured.
    package static let closePayment = Route(.post, "/internal/v1/orders/{id}/payment/close", .service(scope: Scope.payments))
    /// What became of a captured payment's order; until then the capture is announced again.
    package static let settlePayment = Route(.post, "/internal/v1/orders/{id}/payment/settle", .service(scope: Scope.payments))
    package static let requestRefund = Route(.post, "/internal/v1/refunds", .service(scope: Scope.payments))
    package static let submitRefund = Route(.post, "/internal/v1/refunds/{id}/submit", .service(scope: Scope.payments))
    package static let cancelRefund = Route(.post, "/internal/v1/refunds/{id}/cancel", .service(scope: Scope.payments))

    package static let all = [
        payment, createAttempt, recordReceipt, webhook, ledger, confirmSandboxCharge, createPayment, paymentOfOrder,
        closePayment, settlePayment, requestRefund, submitRefund, cancelRefund,
    ]
}
