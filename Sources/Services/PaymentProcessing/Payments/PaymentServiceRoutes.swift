import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// What Sales asks. All of it may be asked again: the order, or order and cause, are the key.
struct PaymentServiceRoutes: Sendable {
    private static let largestAmount: Int64 = 1_000_000_000_000

    let database: Database
    let flow: PaymentFlow
    let refunds: RefundFlow
    let providers: Providers

    var endpoints: [Endpoint] {
        [
            Endpoint(PaymentProcessingRoutes.createPayment, createPayment),
            Endpoint(PaymentProcessingRoutes.paymentOfOrder, paymentOfOrder),
            Endpoint(PaymentProcessingRoutes.closePayment, closePayment),
            Endpoint(PaymentProcessingRoutes.settlePayment, settlePayment),
            Endpoint(PaymentProcessingRoutes.requestRefund, requestRefund),
            Endpoint(PaymentProcessingRoutes.submitRefund, submitRefund),
            Endpoint(PaymentProcessingRoutes.cancelRefund, cancelRefund),
        ]
    }

    @Sendable func createPayment(_ call: Call) async throws -> Reply {
        let new = try call.body(NewPayment.self)
        var validation = Validation()
        PaymentServiceRoutes.check(new.amount, &validation)
        validation.text(new.description, "description", atMost: 20_000, isRequired: false)
        validation.text(new.buyerEmail, "buyerEmail", atMost: 254)
        validation.check((2000...2200).contains(new.expiresAt.civil.year), "expiresAt", "must be in the years 2000 to 2200")
        PaymentRoutes.check(new.choice, at: "choice.", &validation)
        try validation.end()
        do {
            try providers.check(new.choice, at: "choice.")
        } catch {
            // A payment that was begun is answered as it stands, whatever is offered by now.
            guard try await database.read({ tx in try PaymentStore.find(order: new.orderId, in: tx) }) != nil else { throw error }
        }
        let (payment, isNew) = try await flow.create(new)
        return isNew ? try call.created(payment, at: "/api/v1/payments/\(payment.id)") : try call.ok(payment)
    }

    @Sendable func paymentOfOrder(_ call: Call) async throws -> Reply {
        let order = try call.id("id", OrderKind.self)
        let payment = try await database.read { tx in
            try PaymentStore.find(order: order, in: tx).map { try PaymentStore.view($0, in: tx) }
        }
        guard let payment else { throw Problem.notFound("payment") }
        return try .ok(payment, etag: "\"\(payment.version)\"")
    }

    @Sendable func closePayment(_ call: Call) async throws -> Reply {
        let order = try call.id("id", OrderKind.self)
        return try .ok(try await flow.close(order, try call.body(ClosePayment.self).reason))
    }

    @Sendable func settlePayment(_ call: Call) async throws -> Reply {
        let order = try call.id("id", OrderKind.self)
        try await flow.settle(order, try call.body(SettlePayment.self).outcome)
        return .noContent
    }

    @Sendable func requestRefund(_ call: Call) async throws -> Reply {
        let new = try call.body(NewRefund.self)
        var validation = Validation()
        PaymentServiceRoutes.check(new.amount, &validation)
        validation.text(new.causeId, "causeId", atMost: 200)
        validation.check(
            !new.causeId.hasPrefix(RefundRecord.automaticCause), "causeId",
            "must not begin with \(RefundRecord.automaticCause), which is for what goes back by itself")
        validation.text(new.reason, "reason", atMost: 20_000, isRequired: false)
        try validation.end()
        let (refund, isNew) = try await refunds.request(new)
        var reply = try Reply.ok(refund)
        if isNew { reply.status = .created }
        return reply
    }

    private static func check(_ amount: Money, _ validation: inout Validation) {
        validation.check(
            (1...largestAmount).contains(amount.amount), "amount.amount", "must be from 1 to \(largestAmount)")
    }

    @Sendable func submitRefund(_ call: Call) async throws -> Reply {
        try .ok(try await refunds.submit(try call.id("id", RefundKind.self)))
    }

    @Sendable func cancelRefund(_ call: Call) async throws -> Reply {
        try .ok(try await refunds.cancel(try call.id("id", RefundKind.self)))
    }
}
