import Contracts
import CouponManager
import Discovery
import Foundation
import HTTPTypes
import PaymentProcessing
import SalesManager
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

enum Card {
    static let captures = "4242424242424242"
    static let isDeclined = "4000000000000002"
    static let asksForConfirmation = "4000002500003155"
    /// Captured at the provider, which has not told yet.
    static let capturesUnseen = "4242424242424242;webhooks=only+late"
}

extension House {
    typealias Answer = ServiceHarness<SalesManagerService>.Answer

    /// A pool with one ticket type.
    func makeOffer(
        _ capacity: Int64, event: EventID? = nil, _ set: (inout NewTicketType) -> Void = { _ in }
    ) async throws -> TicketTypeID {
        let pool = try await tickets.makePool(stage, capacity, event: event)
        return try await tickets.makeType(stage, [pool], event: event, set)
    }

    func makeCoupon(_ code: String, percent: Int64? = nil, amount: Int64? = nil, uses: Int64? = nil, perBuyer: Int64? = nil) async throws {
        let answer = try await coupons.call(
            .post, "/api/v1/coupons", as: stage.manager,
            body: NewCoupon(
                organizerId: stage.organizer, code: code, name: code,
                discount: Discount(percent: percent, amount: amount.map { Money($0, .eur) }), maxRedemptions: uses, perBuyerLimit: perBuyer)
        )
        try #require(answer.status == 201, "\(answer.text)")
    }

    func coupon(_ code: String) async throws -> Coupon {
        let answer = try await coupons.call(.get, "/api/v1/coupons?organizer=\(stage.organizer)", as: stage.manager)
        return try #require(try answer.json(Page<Coupon>.self).items.first { $0.code == code })
    }

    func makeCart(event: EventID? = nil) async throws -> Cart {
        let answer = try await sales.call(.post, "/api/v1/carts", body: NewCart(eventId: event))
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    func add(_ type: TicketTypeID, _ quantity: Int64, to cart: Cart, key: String? = nil, accessCode: String? = nil) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/carts/\(cart.id)/lines", headers: cart.link + ["Idempotency-Key": key ?? UUID().uuidString],
            body: NewCartLine(ticketTypeId: type, quantity: quantity, accessCode: accessCode))
    }

    func set(_ line: CartLineID, _ quantity: Int64, in cart: Cart, headers: [String: String] = [:]) async throws -> Answer {
        try await sales.call(
            .patch, "/api/v1/carts/\(cart.id)/lines/\(line)", headers: cart.link + headers, body: CartLineChange(quantity: quantity))
    }

    func enter(_ code: String, in cart: Cart) async throws -> Answer {
        try await sales.call(.put, "/api/v1/carts/\(cart.id)/coupon", headers: cart.link, body: CouponEntry(code: code))
    }

    func show(_ cart: Cart) async throws -> Cart {
        var shown = try await sales.call(.get, "/api/v1/carts/\(cart.id)", headers: cart.link).json(Cart.self)
        shown.token = cart.token
        return shown
    }

    /// A cart with tickets in it.
    func fill(_ type: TicketTypeID, _ quantity: Int64 = 1) async throws -> Cart {
        let cart = try await makeCart()
        let answer = try await add(type, quantity, to: cart)
        try #require(answer.status == 200, "\(answer.text)")
        return try await show(cart)
    }

    func askCheckout(
        _ cart: Cart, card: String? = Card.captures, provider: String = "sandbox", buyer: String = "ada@example.org",
        as caller: TestCaller = .nobody, key: String? = nil
    ) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/carts/\(cart.id)/checkout", as: caller,
            headers: cart.link + ["Idempotency-Key": key ?? UUID().uuidString],
            body: CheckoutRequest(
                buyer: Buyer(email: buyer, name: "Ada"), payment: card.map { PaymentChoice(provider: provider, method: $0) }))
    }

    func checkOut(
        _ cart: Cart, card: String? = Card.captures, provider: String = "sandbox", buyer: String = "ada@example.org",
        as caller: TestCaller = .nobody
    ) async throws -> CheckoutAnswer {
        let answer = try await askCheckout(cart, card: card, provider: provider, buyer: buyer, as: caller)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    /// Fills a cart and checks it out.
    func buy(
        _ type: TicketTypeID, _ quantity: Int64 = 1, card: String? = Card.captures, provider: String = "sandbox",
        as caller: TestCaller = .nobody
    ) async throws -> CheckoutAnswer {
        try await checkOut(try await fill(type, quantity), card: card, provider: provider, as: caller)
    }

    func show(_ bought: CheckoutAnswer) async throws -> Order {
        let answer = try await sales.call(.get, "/api/v1/orders/\(bought.order.id)", headers: ["X-Order-Token": bought.orderToken])
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func cancel(_ bought: CheckoutAnswer) async throws -> Answer {
        try await sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", headers: ["X-Order-Token": bought.orderToken])
    }

    func refund(
        _ bought: CheckoutAnswer, units: [OrderUnitID]? = nil, amount: Int64? = nil, insist: Bool? = nil, key: String? = nil,
        as caller: TestCaller? = nil
    ) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/orders/\(bought.order.id)/refunds", as: caller ?? stage.manager,
            headers: ["Idempotency-Key": key ?? UUID().uuidString],
            body: RefundRequest(units: units, amount: amount.map { Money($0, .eur) }, reason: "Illness.", insist: insist))
    }

    func payment(of order: OrderID) async throws -> Payment {
        try await payments.call(.get, "/internal/v1/orders/\(order)/payment", as: .service(.salesManager)).json()
    }

    /// How often money was given back for an order, and how much.
    func refunds(of order: OrderID) async throws -> [Int64] {
        try await payment(of: order).refunds.filter { $0.status == .succeeded }.map(\.amount.amount)
    }

    /// The buyer's answer to their bank, and the webhook that tells of it.
    func confirm(_ bought: CheckoutAnswer, approve: Bool = true) async throws {
        let charge = try #require(
            try await payments.text(
                """
                SELECT sandbox_charge.id AS text FROM sandbox_charge
                JOIN payment_attempt ON payment_attempt.id = sandbox_charge.attempt_id
                JOIN payment ON payment.id = payment_attempt.payment_id
                WHERE payment.order_id = \(bought.order.id) ORDER BY sandbox_charge.created_at DESC LIMIT 1
                """))
        let answer = try await payments.call(
            .post, "/api/v1/sandbox/charges/\(charge)/confirm", body: SandboxConfirmation(approve: approve))
        try #require(answer.status == 200, "\(answer.text)")
        try await payments.run("sandbox.webhooks")
    }

    /// Staff have the money in hand.
    func payAtDoor(_ bought: CheckoutAnswer) async throws {
        let payment = try await payment(of: bought.order.id)
        let receipt = try await payments.call(
            .post, "/api/v1/payments/\(payment.id)/receipts", as: stage.manager, headers: ["Idempotency-Key": "r"],
            body: PaymentReceipt(amount: payment.amount))
        try #require(receipt.status == 201, "\(receipt.text)")
    }

    /// Money that the provider takes although the payment was closed: it cannot be kept from it by anybody.
    func captureLate(_ order: OrderID) async throws {
        let attempt = try #require(try await payment(of: order).attempts.last?.id)
        try await payments.sql("UPDATE sandbox_charge SET state = 'captured' WHERE attempt_id = \(attempt)")
        let amount = try await payments.number("SELECT amount AS number FROM sandbox_charge WHERE attempt_id = \(attempt)")
        let event = """
            {"id":"evt_late_\(attempt)","type":"charge.succeeded","attemptId":"\(attempt)","chargeId":"ch",\
            "amount":{"amount":\(amount),"currency":"EUR"}}
            """
        try await payments.sql("INSERT INTO sandbox_webhook (id, json, deliver_at) VALUES (\(TypeID<DeliveryKind>()), \(event), 0)")
        try await payments.run("sandbox.webhooks")
    }

    private enum DeliveryKind: IdentifierKind { static let prefix = "delivery" }

    /// Lets an order's time be over, and that of its hold.
    func expire(_ order: OrderID, hold: Bool = true) async throws {
        let past = Instant.now - .seconds(1)
        try await sales.sql("UPDATE sales_order SET expires_at = \(past), look_at = \(past) WHERE id = \(order)")
        guard hold, let text = try await sales.text("SELECT hold_id AS text FROM sales_order WHERE id = \(order)") else { return }
        try await tickets.expire(try #require(HoldID(text)))
    }

    /// Everything is due, and looked at once.
    func reconcile() async throws {
        try await sales.sql("UPDATE sales_order SET look_at = 0 WHERE is_settled = FALSE")
        try await sales.run("reconcile-orders")
        try await sales.sql("UPDATE refund SET look_at = 0")
        try await sales.run("reconcile-refunds")
    }

    /// What Payments tells by itself.
    func announce() async throws {
        try await payments.run("payments.lookups")
        try await payments.run("payments.events")
        try await payments.run("payments.announcements")
    }

    /// Until the test stops intercepting, Sales is told of each refund that the provider has not decided.
    func hideOutcomesOfRefunds() {
        intercept(.paymentProcessing) { request, next in
            var answer = try await next(request)
            guard request.target.hasSuffix("/submit") else { return answer }
            var refund = try JSON.value(Refund.self, from: answer.body)
            refund.status = .submitted
            answer.body = try JSON.bytes(of: refund)
            return answer
        }
    }

    func cancelEvent(_ event: EventID? = nil, refund: Bool = true) async throws {
        let event = event ?? stage.event
        try #require(try await tickets.close(event).status == 204)
        let answer = try await sales.call(
            .put, "/internal/v1/events/\(event)/cancellation", as: .service(.eventManager), body: EventCancellation(refund: refund))
        try #require(answer.status == 204, "\(answer.text)")
    }
}

extension Cart {
    var link: [String: String] { ["X-Cart-Token": token ?? ""] }
}

func + (a: [String: String], b: [String: String]) -> [String: String] { a.merging(b) { $1 } }

extension House {
    /// More orders as this one, without their lines: enough for what looks at many.
    func copyOrder(_ id: OrderID, times: Int) async throws {
        try await sales.database.write { tx in
            for index in 0..<times {
                let (order, cart) = (OrderID(), CartID())
                try tx.execute(
                    """
                    INSERT INTO cart (id, event_id, state, expires_at, created_at)
                    SELECT \(cart), event_id, 'ordered', expires_at, created_at FROM sales_order WHERE id = \(id)
                    """)
                try tx.execute(
                    """
                    INSERT INTO sales_order (id, cart_id, number, event_id, organizer_id, status, buyer_email, buyer_address, buyer_name,
                        channel, hold_id, currency, subtotal, discount, tax, fees, total, payment_choice, expires_at, look_at, created_at)
                    SELECT \(order), \(cart), \("\(index)"), event_id, organizer_id, status, buyer_email, buyer_address, buyer_name,
                        channel, \(HoldID()), currency, subtotal, discount, tax, fees, total, payment_choice, expires_at, look_at,
                        created_at
                    FROM sales_order WHERE id = \(id)
                    """)
            }
        }
    }
}
