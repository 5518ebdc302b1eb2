import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// Orders, for their buyers and the organizer's staff.
struct OrderRoutes: Sendable {
    let database: Database
    let secret: LinkSecret
    let events: EventDirectory
    let authentication: AuthenticationClient
    let purchase: Purchase
    let refunds: Refunds

    var endpoints: [Endpoint] {
        [
            Endpoint(SalesManagerRoutes.orders, list),
            Endpoint(SalesManagerRoutes.order, show),
            Endpoint(SalesManagerRoutes.cancelOrder, cancel),
            Endpoint(SalesManagerRoutes.refundOrder, refund),
            Endpoint(SalesManagerRoutes.ordersOfEvent, listOfEvent),
        ]
    }

    /// One's own, newest first. What was bought as a guest joins once the address is verified.
    @Sendable private func list(_ call: Call) async throws -> Reply {
        let user = try call.user
        let condition: SQL =
            if user.isEmailVerified {
                "(user_id = \(user.id) OR buyer_address = \(OrderRecord.normalized(user.email)))"
            } else {
                "user_id = \(user.id)"
            }
        return try await page(call) { before, limit, tx in try OrderStore.list(where: condition, before: before, limit: limit, in: tx) }
    }

    @Sendable private func listOfEvent(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let facts = try await events.facts(event)
        try await authentication.require(.manager, of: facts.organizerID, for: call.identity, what: "event")
        return try await page(call) { before, limit, tx in try OrderStore.list(of: event, before: before, limit: limit, in: tx) }
    }

    private func page(
        _ call: Call, _ list: @escaping @Sendable (_ before: OrderID?, _ limit: Int, Transaction) throws -> [OrderRecord]
    ) async throws -> Reply {
        let limit = try call.limit
        let before = try call.query("after", as: OrderID.self, "the `next` of an earlier page")
        let orders = try await database.read { tx in try list(before, limit + 1, tx) }
        var items: [Order] = []
        // Tickets are shown with the single order.
        for order in orders { items.append(try await purchase.wire(order, withTickets: false)) }
        return try .ok(Page(items, limit: limit) { "\($0.id)" })
    }

    @Sendable private func show(_ call: Call) async throws -> Reply {
        let (order, _) = try await authorized(call)
        return try .ok(try await purchase.wire(order))
    }

    /// Who holds the link may cancel what is unpaid, and what is paid within the event's refund policy; staff may cancel anything.
    @Sendable private func cancel(_ call: Call) async throws -> Reply {
        let (found, isStaff) = try await authorized(call)
        let order = try await purchase.withPaymentOfNow(found)
        if order.status.isOpen {
            try await purchase.close(order, .canceled)
        } else if order.status == .paid {
            let (policy, now) = try await database.read { tx in (try EventStore.refundPolicy(order.eventID, in: tx), try tx.now) }
            if !isStaff, let policy, now < policy.until {
                try await cancelPaid(call, order, order.payment, cause: "buyer-canceled", withoutFees: !policy.feesRefunded, insist: false)
            } else {
                if !isStaff { try await requireStaffToCancel(call, order) }
                // Canceling is not refunding: the tickets are void, the money stays until it is refunded.
                try await cancelPaid(call, order, nil, cause: "canceled")
            }
        } else {
            throw IllegalTransition(of: "order", from: order.status.rawValue, to: OrderStatus.canceled.rawValue)
        }
        return try .ok(try await purchase.wire(try await purchase.find(order.id)))
    }

    /// An order whose money did not go back is not canceled: its tickets stay good.
    private func cancelPaid(
        _ call: Call, _ order: OrderRecord, _ payment: Payment?, cause: String, withoutFees: Bool = false, insist: Bool = true
    ) async throws {
        let isUnderWay = try await refunds.refundAll(
            order.id, payment, cause: cause, withoutFees: withoutFees, insist: insist, isAsked: true)
        guard isUnderWay,
            try await purchase.cancelPaid(order.id, actor: call.principal ?? "link", reason: "canceled", refund: cause)
        else {
            throw Problem.conflict(
                "refund-failed", "The money could not be given back",
                "The payment provider has not given it back. The order stays as it is; try again later.")
        }
    }

    @Sendable private func refund(_ call: Call) async throws -> Reply {
        let body = try call.body(RefundRequest.self)
        var validation = Validation()
        validation.text(body.reason, "reason", atMost: 500)
        validation.check((body.units?.count ?? 1) <= 1_000, "units", "must be at most 1,000")
        validation.check(
            body.amount.map { (1...1_000_000_000_000).contains($0.amount) } ?? true, "amount.amount", "must be from 1 to 1,000,000,000,000")
        try validation.end()
        let key = try call.idempotencyKey()
        let order = try await purchase.find(try call.id("id"))
        try await requireStaff(call, of: order)
        if let answer = try await database.read({ tx in try Idempotency.answer(to: key, in: tx) }) { return answer }
        _ = try await purchase.withPaymentOfNow(order)
        // The key names the cause, so that a request that is repeated after a crash is the same refund.
        let refund = try await refunds.request(body, of: order.id, cause: "staff:\(key.text)")
        let reply = try Reply.created(
            refund.summary(order.totals.total.currency), at: "/api/v1/orders/\(order.id)")
        return try await database.write { tx in try Idempotency.once(key, in: tx) { reply } }
    }

    /// The order, if the caller may see it: by its secret, as its buyer, or as staff.
    private func authorized(_ call: Call) async throws -> (OrderRecord, isStaff: Bool) {
        let order = try await purchase.find(try call.id("id"))
        let user = call.identity.user
        let question = OrderAccessQuestion(
            orderToken: call.headers[.orderToken] ?? call.query("token"), userId: user?.id,
            verifiedEmail: user?.isEmailVerified == true ? user?.email : nil)
        if order.isBuyer(question, secret) { return (order, false) }
        try await requireStaff(call, of: order)
        return (order, true)
    }

    /// `Problem` 404 for anybody but a manager of the order's organizer, its buyer or not.
    private func requireStaff(_ call: Call, of order: OrderRecord) async throws {
        guard call.identity.user != nil else { throw Problem.notFound("order") }
        try await authentication.require(.manager, of: order.organizerID, for: call.identity, what: "order")
    }

    /// Of a buyer who cannot cancel as one.
    private func requireStaffToCancel(_ call: Call, _ order: OrderRecord) async throws {
        do {
            try await requireStaff(call, of: order)
        } catch let problem as Problem where problem.status == 404 || problem.status == 403 {
            throw Problem.conflict(
                "not-refundable", "This order cannot be canceled by its buyer", "The event has no refund policy, or its time is over.")
        }
    }
}

extension OrderRecord {
    /// Whether this is the buyer: by the order's secret, by account, or by a verified address.
    func isBuyer(_ question: OrderAccessQuestion, _ secret: LinkSecret) -> Bool {
        secret.accepts(question.orderToken, for: "\(id)")
            || (userID != nil && userID == question.userId)
            || question.verifiedEmail.map { OrderRecord.normalized($0) == OrderRecord.normalized(buyer.email) } ?? false
    }
}

extension RefundRecord {
    func summary(_ currency: Currency) -> RefundSummary {
        // A refund of nothing has no id at Payments; its own is as good.
        RefundSummary(
            id: id ?? RefundID(), status: status, amount: Money(amount, currency), reason: reason, units: shares.map(\.unit),
            createdAt: createdAt)
    }
}

extension Purchase {
    /// The order as it is shown, with its tickets as TicketManager has them.
    func wire(_ order: OrderRecord, withTickets: Bool = true) async throws -> Order {
        // Also one that expired: what came too late was given back. Nothing was of what was issued at this moment.
        let refunds =
            order.status.isOpen || order.tickets != nil
            ? [] : try await database.read { tx in try RefundStore.refunds(of: order.id, in: tx) }
        var issued = order.tickets ?? []
        if withTickets, order.paidAt != nil, order.tickets == nil { issued = try await tickets.tickets(of: order.id) }
        let currency = order.totals.total.currency
        let captured = order.payment?.captured.amount ?? 0
        let given = refunds.filter { $0.status != .failed && $0.status != .canceled }.reduce(0) { $0 + $1.amount }
        let isOwed = order.status.isOpen || order.status == .paid
        return Order(
            id: order.id, number: order.number, eventId: order.eventID, organizerId: order.organizerID, status: order.status,
            buyer: order.buyer, lines: order.lines, couponCode: order.couponCode, totals: order.totals,
            balance: Balance(
                captured: Money(captured, currency), refunded: Money(given, currency),
                due: Money(isOwed ? max(0, order.totals.total.amount - captured) : 0, currency)),
            expiresAt: order.status.isOpen ? order.expiresAt : nil, createdAt: order.createdAt, paidAt: order.paidAt,
            payments: order.payment.map { [$0] } ?? [], refunds: refunds.map { $0.summary(currency) }, tickets: issued,
            version: order.version)
    }
}
