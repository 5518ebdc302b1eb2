import Configuration
import Contracts
import CouponManager
import Discovery
import Foundation
import HTTPTypes
import Messaging
import PaymentProcessing
import SalesManager
import ServiceKit
import Storage
import Synchronization
import Testing
import TicketManager
import Values

/// From cart to paid order, whatever happens on the way.
@Suite("Checkout", .serialized) struct CheckoutTests {
    // MARK: One order

    @Test func `a cart becomes one order, however often and under however many keys it is checked out`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let cart = try await house.fill(type, 2)
            let answers = try await house.sales.atOnce(8) { index in
                // Who comes while another one's call of Payments is on its way may be asked to come again.
                try await patiently { try await house.askCheckout(cart, key: "key-\(index)") }
            }
            #expect(answers.statuses() == [201: 8], "\(answers.map(\.text))")
            let bought = try answers.map { try $0.json(CheckoutAnswer.self) }
            #expect(Set(bought.map(\.order.id)).count == 1 && Set(bought.map(\.orderToken)).count == 1)
            #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM sandbox_charge") == 1)
            #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM ticket") == 2)
            let order = try await house.show(bought[0])
            #expect(order.status == .paid && order.tickets.count == 2 && order.balance.captured == Money(2_000, .eur))
            #expect(order.balance.due.amount == 0)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `a checkout that is repeated with its key gets the first answer; with another body it is refused`() async throws {
        try await withHouse { house in
            let cart = try await house.fill(try await house.makeOffer(10))
            let first = try await house.askCheckout(cart, key: "k")
            let again = try await house.askCheckout(cart, key: "k")
            #expect(first.status == 201 && again.status == 201 && again.body == first.body)
            #expect(again.headers[.location] == first.headers[.location])
            let other = try await house.askCheckout(cart, buyer: "eve@example.org", key: "k")
            #expect(other.status == 422 && other.problem == "idempotency-key-reused")
            let later = try await house.askCheckout(cart, buyer: "eve@example.org", key: "another")
            #expect(try later.json(CheckoutAnswer.self).order.buyer.email == "ada@example.org", "the order is as it was made")
        }
    }

    @Test func `every ticket is for the attendee who was named, or for the buyer`() async throws {
        try await withHouse { house in
            let (a, b) = (try await house.makeOffer(10), try await house.makeOffer(10))
            let cart = try await house.fill(a, 2)
            #expect(try await house.add(b, 1, to: cart).status == 200)
            let line = cart.lines[0].id
            func checkOut(_ attendees: [AttendeeEntry]) async throws -> House.Answer {
                try await house.sales.call(
                    .post, "/api/v1/carts/\(cart.id)/checkout", headers: cart.link + ["Idempotency-Key": UUID().uuidString],
                    body: CheckoutRequest(
                        buyer: Buyer(email: "ada@example.org", name: "Ada"), attendees: attendees,
                        payment: PaymentChoice(provider: "sandbox", method: Card.captures)))
            }
            let named = AttendeeEntry(lineId: line, name: "Grace", email: "grace@example.org")
            for wrong in [[named, named, named], [AttendeeEntry(lineId: CartLineID(), name: "Eve")]] {
                #expect(try await checkOut(wrong).status == 422)
            }
            #expect(try await house.show(cart).state == .open)
            let order = try await checkOut([named]).json(CheckoutAnswer.self).order
            #expect(order.tickets.map { $0.attendee.name ?? "" }.sorted() == ["Ada", "Ada", "Grace"])
            #expect(order.tickets.filter { $0.attendee.name == "Grace" }.map(\.ticketTypeId) == [a])
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"buyer":{"email":"ada","name":"Ada"},PAY}"#, #"{"buyer":{"email":"ada@example.org","name":" "},PAY}"#,
        #"{"buyer":{"email":"ada@example.org","name":"LONG"},PAY}"#, #"{"buyer":{"email":"LONG@example.org","name":"Ada"},PAY}"#,
        #"{"buyer":{"email":"ada@example.org\nBcc:x@y.z","name":"Ada"},PAY}"#, #"{"buyer":{"email":"ada@example.org"},PAY}"#,
        #"{"buyer":{"email":"ada@example.org","name":"Ada","phone":"LONG"},PAY}"#, #"{"buyer":[],PAY}"#,
        #"{"buyer":{"email":"ada@example.org","name":"Ada"}}"#,
        #"{"buyer":{"email":"ada@example.org","name":"Ada"},"payment":{"provider":""}}"#,
        #"{"buyer":{"email":"ada@example.org","name":"Ada"},"attendees":[{"lineId":"x"}],PAY}"#,
    ])
    func `an order that cannot be is refused, and the cart goes on`(json: String) async throws {
        try await withHouse { house in
            let cart = try await house.fill(try await house.makeOffer(10))
            let json = json.replacing("PAY", with: #""payment":{"provider":"sandbox","method":"4242424242424242"}"#)
                .replacing("LONG", with: String(repeating: "é", count: 10_000))
            let answer = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/checkout", headers: cart.link + ["Idempotency-Key": "k"], json: json)
            #expect(answer.status == 422, "\(answer.text)")
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order") == 0)
            #expect(try await house.checkOut(cart).order.status == .paid)
        }
    }

    @Test func `an empty cart is not checked out`() async throws {
        try await withHouse { house in
            let cart = try await house.makeCart()
            #expect(try await house.askCheckout(cart).problem == "cart-empty")
            let filled = try await house.fill(try await house.makeOffer(10))
            _ = try await house.set(filled.lines[0].id, 0, in: filled)
            #expect(try await house.askCheckout(filled).problem == "cart-empty")
        }
    }

    // MARK: Prices

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `cart, order, units, payment and tickets agree to the cent, with odd discounts, taxes and fees`(seed: UInt64) async throws {
        try await withHouse { house in
            var random = SeededGenerator(seed: seed)
            var types: [TicketTypeID] = []
            for _ in 0..<3 {
                types.append(
                    try await house.makeOffer(100) { type in
                        type.price = Money([1, 3, 99, 333, 1_999].randomElement(using: &random)!, .eur)
                        type.taxRate = [0, 700, 1_900, 1_234].randomElement(using: &random)!
                        let fee = [0, 1, 49].randomElement(using: &random)! as Int64
                        type.fee = fee
                        type.feeIncluded = fee <= type.price.amount && Bool.random(using: &random)
                    })
            }
            let cart = try await house.makeCart()
            for type in types { _ = try await house.add(type, Int64.random(in: 1...7, using: &random), to: cart) }
            if Bool.random(using: &random) {
                try await house.makeCoupon("ODD", percent: [1, 7, 33, 99].randomElement(using: &random)!)
            } else {
                try await house.makeCoupon("ODD", amount: [1, 7, 101].randomElement(using: &random)!)
            }
            _ = try await house.enter("ODD", in: cart)
            let shown = try await house.show(cart)
            let totals = try #require(shown.totals)
            let order = try await house.checkOut(cart).order
            #expect(order.totals == totals)
            let units = order.lines.flatMap(\.units)
            #expect(units.reduce(0) { $0 + $1.price } == totals.subtotal.amount)
            #expect(units.reduce(0) { $0 + $1.discount } == totals.discount.amount)
            #expect(units.reduce(0) { $0 + $1.tax } == totals.tax.amount)
            #expect(units.reduce(0) { $0 + $1.fee } == totals.fees.amount)
            #expect(units.reduce(0) { $0 + $1.total } == totals.total.amount)
            for (line, before) in zip(order.lines, shown.lines) {
                #expect(line.total == before.total && line.discount == before.discount && line.tax == before.tax)
                #expect(line.units.reduce(0) { $0 + $1.total } == line.total.amount && Int64(line.units.count) == line.quantity)
            }
            #expect(try await house.payment(of: order.id).captured == totals.total)
            #expect(Set(order.tickets.map(\.unitId)) == Set(units.map(\.id)))
        }
    }

    @Test func `what costs nothing is paid at once, without any payment`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10) { $0.price = Money(0, .eur) }
            for card in [nil, Card.captures] {
                let bought = try await house.buy(type, 2, card: card)
                #expect(bought.order.status == .paid && bought.order.tickets.count == 2 && bought.payment == nil)
            }
            #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment") == 0)
            #expect(try await house.sales.sent(OrderPaid.self).count == 2)
        }
    }

    // MARK: The order of things

    @Test func `the hold is bound, with its deadline, before any payment is made`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("TEN", percent: 10)
            let cart = try await house.fill(type)
            _ = try await house.enter("TEN", in: cart)
            let from = house.crossings.count
            let before = Instant.now
            let bought = try await house.checkOut(cart, card: Card.asksForConfirmation)
            let steps = house.crossings.dropFirst(from).map { "\($0.service) \($0.method) \($0.target.split(separator: "/").last!)" }
            #expect(
                steps.prefix(3) == ["coupon-manager PUT order", "ticket-manager PUT order", "payment-processing POST payments"], "\(steps)")
            let deadline = try #require(bought.order.expiresAt)
            #expect(deadline >= before + .seconds(900) && deadline <= .now + .seconds(900))
            let hold = try await house.tickets.database.read { tx in
                try tx.row("SELECT order_id, expires_at FROM hold").map { row in
                    (order: try row["order_id"] as OrderID, expiresAt: try row["expires_at"] as Instant)
                }
            }
            #expect(hold?.order == bought.order.id && hold?.expiresAt == deadline + .minutes(5))
            let use = try await house.coupons.database.read { tx in
                try tx.row("SELECT order_id, expires_at FROM coupon_use").map { row in
                    (order: try row["order_id"] as OrderID, expiresAt: try row["expires_at"] as Instant)
                }
            }
            #expect(use?.order == bought.order.id && use?.expiresAt == deadline + .minutes(5))
        }
    }

    @Test func `the order is there before anybody is asked for anything`() async throws {
        try await withHouse { house in
            let cart = try await house.fill(try await house.makeOffer(10))
            try await house.makeCoupon("TEN", percent: 10)
            _ = try await house.enter("TEN", in: cart)
            let orders = Mutex<Set<Int64>>([])
            for peer in [ServiceName.couponManager, .ticketManager, .paymentProcessing] {
                house.intercept(peer) { request, next in
                    let count = try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order")
                    orders.withLock { _ = $0.insert(count) }
                    return try await next(request)
                }
            }
            _ = try await house.checkOut(cart)
            #expect(orders.withLock { $0 } == [1])
        }
    }

    @Test(arguments: [
        "sales.order-committed", "sales.hold-bound", "sales.payment-created", "sales.captured", "sales.fulfilled", "sales.paid",
    ])
    func `a crash at any step of checkout loses nothing and repeats nothing`(point: String) async throws {
        let stage = Stage()
        try await withFolder { folder in
            let cart = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "\(point)=fail:1"]) { house in
                let cart = try await house.fill(try await house.makeOffer(10), 2)
                try await house.makeCoupon("TEN", percent: 10)
                _ = try await house.enter("TEN", in: cart)
                #expect(try await house.askCheckout(cart, key: "k").status == 503)
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order") == 1)
                return cart
            }
            // Nobody asks again: the reconciler brings it to its end.
            try await withHouse(stage: stage, folder: folder) { house in
                for _ in 0..<2 {
                    try await house.reconcile()
                    try await house.announce()
                }
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "paid")
                // And the buyer, who repeats the request, sees it.
                let bought = try await house.askCheckout(cart, key: "k").json(CheckoutAnswer.self)
                #expect(bought.order.status == .paid && bought.order.tickets.count == 2)
                #expect(bought.order.totals.total.amount == 1_800)
                #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM sandbox_charge") == 1)
                #expect(try await house.payment(of: bought.order.id).state == .closed)
                #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM ticket") == 2)
                #expect(try await house.sales.sent(OrderPaid.self).count == 1)
                #expect(try await house.coupon("TEN").redeemed == 1)
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = TRUE") == 1)
                try await house.tickets.expectBalancedBooks()
            }
        }
    }

    @Test func `the buyer who repeats a checkout that crashed gets the same order`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            let (cart, order) = try await withHouse(
                stage: stage, folder: folder, faults: [.salesManager: "sales.order-committed=fail:1"]
            ) { house in
                let cart = try await house.fill(try await house.makeOffer(10))
                #expect(try await house.askCheckout(cart).status == 503)
                return (cart, try await house.show(cart).orderId)
            }
            try await withHouse(stage: stage, folder: folder) { house in
                let bought = try await house.checkOut(cart)
                #expect(bought.order.id == order && bought.order.status == .paid)
            }
        }
    }

    @Test func `a cart that changes while it is checked out is not paid for`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(3)
            let cart = try await house.fill(type, 1)
            let once = Once()
            let checkout = Mutex<House.Answer?>(nil)
            house.intercept(.ticketManager) { request, next in
                let reply = try await next(request)
                if request.method == .patch, once.isFirst {
                    // The hold has three tickets, and the cart still shows one.
                    let answer = try await house.askCheckout(cart)
                    checkout.withLock { $0 = answer }
                }
                return reply
            }
            _ = try await house.set(cart.lines[0].id, 3, in: cart)
            let answer = try #require(checkout.withLock { $0 })
            #expect(answer.status == 409 && answer.problem == "cart-changed", "\(answer.text)")
            #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment") == 0)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 3)
            #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["canceled"])
        }
    }

    @Test func `a payment that was not begun gives the tickets back at once`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(1)
            for (provider, method) in [("stripe", "x"), ("sandbox", "1234")] {
                let answer = try await house.askCheckout(try await house.fill(type), card: method, provider: provider)
                #expect(answer.status == 422)
                #expect(try await house.tickets.availability(of: type, house.stage.event).state == .onSale)
            }
            #expect(try await house.buy(type).order.status == .paid)
        }
    }

    // MARK: Coupons

    @Test func `a coupon that its buyer has used up is refused at checkout, and the cart goes on without it`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("ONCE", percent: 50, perBuyer: 1)
            for (index, email) in ["ada@example.org", "ADA@example.org"].enumerated() {
                let cart = try await house.fill(type)
                #expect(try await house.enter("ONCE", in: cart).json(Cart.self).totals?.total.amount == 500)
                let answer = try await house.askCheckout(cart, buyer: email, key: "once-\(index)")
                guard index > 0 else {
                    #expect(answer.status == 201)
                    continue
                }
                #expect(answer.status == 422 && answer.problem == "coupon-not-applicable")
                let shown = try await house.show(cart)
                #expect(shown.state == .open && shown.couponCode == nil && shown.totals?.total.amount == 1_000)
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order") == 1)
                #expect(try await house.coupon("ONCE").reserved == 1, "the first order's alone")
                // Who never heard the refusal and asks again has not agreed to the price without the coupon.
                let again = try await house.askCheckout(cart, buyer: email, key: "once-\(index)")
                #expect(again.status == 409 && again.problem == "cart-changed")
                let bought = try await house.checkOut(cart, buyer: email)
                #expect(bought.order.totals.total.amount == 1_000 && bought.order.status == .paid && bought.order.couponCode == nil)
            }
            #expect(try await house.coupon("ONCE").redeemed == 0, "redeemed once the order is settled")
            try await house.reconcile()
            #expect(try await house.coupon("ONCE").redeemed == 1)
        }
    }

    @Test func `a coupon that an account has used up is refused under any of its addresses`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("ONCE", percent: 50, perBuyer: 1)
            let account = TestCaller.user(UserID())
            for (email, status) in [("ada@example.org", 201), ("lovelace@example.org", 422)] {
                let cart = try await house.fill(type)
                _ = try await house.enter("ONCE", in: cart)
                #expect(try await house.askCheckout(cart, buyer: email, as: account).status == status)
            }
        }
    }

    @Test func `an order that crashed before its coupon was bound is not made at a price that its buyer has used up`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.makeCoupon("ONCE", percent: 50, perBuyer: 1)
                let cart = try await house.fill(try await house.makeOffer(10))
                _ = try await house.enter("ONCE", in: cart)
                _ = try await house.checkOut(cart)
            }
            try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.order-committed=fail:1"]) { house in
                let type = try #require(try await house.tickets.text("SELECT id AS text FROM ticket_type").flatMap { TicketTypeID($0) })
                let cart = try await house.fill(type)
                _ = try await house.enter("ONCE", in: cart)
                #expect(try await house.askCheckout(cart).status == 503)
                try await house.reconcile()
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE status = 'canceled'") == 1)
                #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment") == 1)
                #expect(try await house.tickets.availability(of: type, stage.event).remaining == 9)
            }
        }
    }

    @Test func `an order whose payment was begun does not vanish, though its coupon is lost meanwhile`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            let (cart, type) = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.payment-created=fail:1"]) {
                house in
                let type = try await house.makeOffer(10)
                try await house.makeCoupon("ONE", percent: 50, uses: 1)
                let cart = try await house.fill(type)
                _ = try await house.enter("ONE", in: cart)
                #expect(try await house.askCheckout(cart).status == 503)
                return (cart, type)
            }
            // Everything was down for long, and somebody else has the coupon's only use.
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.sales.sql("UPDATE sales_order SET expires_at = 1")
                try await house.coupons.sql("UPDATE coupon_use SET expires_at = 1")
                #expect(try await house.enter("ONE", in: try await house.fill(type)).status == 200)
                #expect(try await house.askCheckout(cart).status == 422)
                for _ in 0..<2 {
                    try await house.reconcile()
                    try await house.announce()
                }
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "paid")
                #expect(try await house.payments.number("SELECT captured AS number FROM payment WHERE state = 'closed'") == 500)
            }
        }
    }

    @Test func `an order whose coupon another request has bound does not vanish`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("ONE", percent: 50, uses: 1)
            let cart = try await house.fill(type)
            _ = try await house.enter("ONE", in: cart)
            // The first request has bound the coupon's use, and goes on to charge.
            house.intercept(.ticketManager) { _, _ in throw Problem.unavailable("Away.") }
            #expect(try await house.askCheckout(cart).status == 503)
            house.stopIntercepting(.ticketManager)
            // A second one, pressed at the same moment, was told before it that the limit is reached.
            house.intercept(.couponManager) { request, next in
                if request.method == .put { throw Problem(422, "coupon-limit-reached", "This coupon was used up") }
                return try await next(request)
            }
            #expect(try await house.askCheckout(cart).status == 422)
            house.stopIntercepting(.couponManager)
            #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "draft")
            #expect(try await house.enter("ONE", in: try await house.fill(type)).status == 422, "its use is still the order's")
            try await house.reconcile()
            try await house.announce()
            #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "paid")
        }
    }

    @Test func `an order that was paid late keeps the discount that was shown, though its use was released`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("ONE", percent: 50, uses: 1)
            let cart = try await house.fill(type)
            _ = try await house.enter("ONE", in: cart)
            let bought = try await house.checkOut(cart, card: Card.asksForConfirmation)
            try await house.coupons.sql("UPDATE coupon_use SET expires_at = 1")
            let rival = try await house.fill(type)
            #expect(try await house.enter("ONE", in: rival).status == 200, "the only use is free")
            try await house.confirm(bought)
            try await house.reconcile()
            #expect(try await house.show(bought).totals.total.amount == 500)
            let coupon = try await house.coupon("ONE")
            #expect(coupon.redeemed == 1 && coupon.overLimit == 1)
        }
    }

    // MARK: Paying

    @Test func `a card that is declined is followed by another, in the same order, with one capture`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, card: Card.isDeclined)
            #expect(bought.order.status == .awaitingPayment && bought.payment?.status == .failed && bought.order.tickets.isEmpty)
            let payment = try #require(bought.payment?.id)
            let answer = try await house.payments.call(
                .post, "/api/v1/payments/\(payment)/attempts", headers: ["X-Order-Token": bought.orderToken, "Idempotency-Key": "2"],
                body: PaymentChoice(provider: "sandbox", method: Card.captures))
            #expect(answer.status == 201, "\(answer.text)")
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 1 && order.balance.captured == Money(1_000, .eur))
            #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM sandbox_charge WHERE state = 'captured'") == 1)
        }
    }

    @Test(arguments: ["", ";webhooks=duplicate", ";webhooks=reorder", ";webhooks=duplicate+reorder"])
    func `webhooks twice and in any order lead to one paid order`(options: String) async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, 2, card: Card.asksForConfirmation + options)
            #expect(bought.order.status == .awaitingPayment && bought.payment?.action?.type == .redirect)
            try await house.confirm(bought)
            for _ in 0..<2 {
                try await house.announce()
                try await house.reconcile()
            }
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 2 && order.paidAt != nil)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1)
            #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM ticket") == 2)
            #expect(try await house.refunds(of: order.id).isEmpty)
        }
    }

    @Test func `nothing waits for a message: Sales asks about open orders by itself`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, card: Card.asksForConfirmation)
            house.intercept(.salesManager) { _, _ in throw Problem.unavailable("Sales hears nothing.") }
            try await house.confirm(bought)
            house.stopIntercepting(.salesManager)
            #expect(try await house.show(bought).status == .awaitingPayment)
            try await house.sales.sql("UPDATE sales_order SET look_at = 0")
            try await house.sales.run("reconcile-orders")
            #expect(try await house.show(bought).status == .paid)
        }
    }

    @Test func `a payment is told again until Sales has said what became of it`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(10))
            #expect(try await house.payment(of: bought.order.id).state == .captured)
            try await house.announce()
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1)
        }
    }

    @Test func `only captures of paid orders of which nothing is new are fulfilled`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let paid = try await house.buy(type)
            let open = try await house.buy(type, card: Card.asksForConfirmation)
            let version = try await house.payment(of: paid.order.id).version
            func fulfilled(_ captures: [Capture]) async throws -> [OrderID] {
                try await house.sales.call(
                    .post, SalesManagerRoutes.fulfilledCaptures.path, as: .service(.paymentProcessing), body: Captures(items: captures)
                ).json(FulfilledCaptures.self).orders
            }
            let all = [paid.order.id, open.order.id, OrderID()].map { Capture(order: $0, version: version) }
            #expect(try await fulfilled(all) == [paid.order.id])
            #expect(try await fulfilled([Capture(order: paid.order.id, version: version + 1)]).isEmpty)
            #expect(try await fulfilled([]).isEmpty)
        }
    }

    @Test func `an older message about a payment does no harm`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, card: Card.asksForConfirmation)
            let old = try #require(bought.payment)
            try await house.confirm(bought)
            let paid = try await house.show(bought)
            try await house.sales.deliver(PaymentChanged(payment: old))
            try await house.sales.deliver(PaymentChanged(payment: try await house.payment(of: paid.id)))
            try await house.sales.deliver(PaymentChanged(payment: old))
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.balance == paid.balance && order.tickets == paid.tickets)
            var stranger = old
            stranger.orderId = OrderID()
            try await house.sales.deliver(PaymentChanged(payment: stranger))
        }
    }
}
