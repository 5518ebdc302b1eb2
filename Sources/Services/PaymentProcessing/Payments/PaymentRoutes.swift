import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// What buyers and staff ask.
struct PaymentRoutes: Sendable {
    let database: Database
    let flow: PaymentFlow
    let providers: Providers
    let access: PaymentAccess
    let authentication: AuthenticationClient
    let announcements: Announcements

    var endpoints: [Endpoint] {
        [
            Endpoint(PaymentProcessingRoutes.payment, payment),
            Endpoint(PaymentProcessingRoutes.createAttempt, createAttempt),
            Endpoint(PaymentProcessingRoutes.recordReceipt, recordReceipt),
            Endpoint(PaymentProcessingRoutes.ledger, ledger),
        ]
    }

    @Sendable func payment(_ call: Call) async throws -> Reply {
        let record = try await find(call)
        try await access.requireBuyerOrStaff(of: record.orderID, nil, call, what: "payment")
        // Read after the question, which may take a while.
        let view = try await database.read { tx in
            guard let payment = try PaymentStore.find(record.id, in: tx) else { throw Problem.notFound("payment") }
            return try PaymentStore.view(payment, in: tx)
        }
        return try .ok(view, etag: "\"\(view.version)\"")
    }

    @Sendable func createAttempt(_ call: Call) async throws -> Reply {
        let key = try call.idempotencyKey()
        let choice = try call.body(PaymentChoice.self)
        let payment = try await find(call)
        try await access.requireBuyer(of: payment.orderID, call)
        var validation = Validation()
        PaymentRoutes.check(choice, at: "", &validation)
        try validation.end()
        try providers.check(choice)
        let change = try await flow.tryAgain(payment.id, choice, key: key)
        if change.isCapture { await announcements.tell(change.payment) }
        return try .created(change.payment, at: "/api/v1/payments/\(payment.id)")
    }

    @Sendable func recordReceipt(_ call: Call) async throws -> Reply {
        let key = try call.idempotencyKey()
        let receipt = try call.body(PaymentReceipt.self)
        let payment = try await find(call)
        try await authentication.require(.manager, of: payment.organizerID, for: call.identity, what: "payment")
        var validation = Validation()
        validation.text(receipt.reference, "reference", atMost: 200)
        try validation.end()
        let (reply, change) = try await flow.recordReceipt(payment.id, receipt, key: key)
        if let change {
            change.log(to: announcements.logger)
            if change.isCapture { await announcements.tell(change.payment) }
        }
        return reply
    }

    @Sendable func ledger(_ call: Call) async throws -> Reply {
        let order = try call.id("id", OrderKind.self)
        try await access.requireBuyerOrStaff(of: order, .analyst, call, what: "order")
        return try .ok(LedgerAnswer(items: try await database.read { tx in try LedgerStore.entries(of: order, in: tx) }))
    }

    private func find(_ call: Call) async throws -> PaymentRecord {
        let id = try call.id("id", PaymentKind.self)
        guard let payment = try await database.read({ tx in try PaymentStore.find(id, in: tx) }) else {
            throw Problem.notFound("payment")
        }
        return payment
    }

    /// The form of a choice; whether it is offered is for `Providers`.
    static func check(_ choice: PaymentChoice, at path: String, _ validation: inout Validation) {
        validation.text(choice.provider, "\(path)provider", atMost: 50)
        validation.text(choice.method, "\(path)method", atMost: 200)
        guard let url = choice.returnURL else { return }
        validation.check(
            url.utf8.count <= 2_000 && (url.hasPrefix("https://") || url.hasPrefix("http://") || url.hasPrefix("/"))
                && url.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F },
            "\(path)returnURL", "must be an address that begins with https://, at most 2000 characters long")
    }
}
