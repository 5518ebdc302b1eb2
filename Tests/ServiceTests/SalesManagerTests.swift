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

/// Carts: what is in them, at which price, and for whom.
@Suite("Carts", .serialized) struct CartTests {
    // MARK: Lines

    @Test func `two first lines at once both count, on one hold`() async throws {
        try await withHouse { house in
            let (a, b) = (try await house.makeOffer(50), try await house.makeOffer(50))
            let cart = try await house.makeCart()
            let answers = try await house.sales.atOnce(6) { try await house.add($0 % 2 == 0 ? a : b, 2, to: cart) }
            #expect(answers.statuses() == [200: 6])
            let shown = try await house.show(cart)
            #expect(Dictionary(uniqueKeysWithValues: shown.lines.map { ($0.ticketTypeId, $0.quantity) }) == [a: 6, b: 6])
            #expect(try await house.tickets.number("SELECT CAST(SUM(held) AS BIGINT) AS number FROM pool") == 12)
            #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM hold WHERE state = 'active'") == 1)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `a line that overtakes the first one is added to its hold, also of a hidden ticket type`() async throws {
        try await withHouse { house in
            let open = try await house.makeOffer(50)
            let hidden = try await house.makeOffer(50) { ($0.hidden, $0.accessCode) = (true, "sesame") }
            let cart = try await house.makeCart()
            let once = Once()
            house.intercept(.ticketManager) { request, next in
                let reply = try await next(request)
                if request.target.hasSuffix("/holds"), once.isFirst {
                    // The hold is made; before the cart knows it, another line comes.
                    #expect(try await house.add(open, 1, to: cart).status == 200)
                }
                return reply
            }
            let late = try await house.add(hidden, 2, to: cart, accessCode: "sesame")
            #expect(late.status == 200, "\(late.text)")
            #expect(try late.json(Cart.self).lines.map(\.quantity).sorted() == [1, 2])
            #expect(try await house.tickets.number("SELECT CAST(SUM(held) AS BIGINT) AS number FROM pool") == 3)
        }
    }

    @Test func `a repeated request for a line counts once`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(50)
            let cart = try await house.makeCart()
            for (key, quantity) in [("first", Int64(2)), ("second", 5)] {
                let answer = try await house.add(type, 2 + (key == "second" ? 1 : 0), to: cart, key: key)
                #expect(answer.status == 200)
                for again in try await house.sales.atOnce(
                    3,
                    { _ in
                        try await patiently { try await house.add(type, 2 + (key == "second" ? 1 : 0), to: cart, key: key) }
                    })
                {
                    #expect(again.body == answer.body)
                }
                #expect(try await house.show(cart).lines.map(\.quantity) == [quantity])
            }
            #expect(try await house.tickets.number("SELECT held AS number FROM pool") == 5)
        }
    }

    @Test(arguments: ["/holds", "/holds/"])
    func `a request for a line that is repeated after a lost answer goes on where it stopped`(lost: String) async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(50)
            let cart = try await house.makeCart()
            if lost == "/holds/" { #expect(try await house.add(type, 1, to: cart).status == 200) }
            let before: Int64 = lost == "/holds/" ? 1 : 0
            house.intercept(.ticketManager) { request, next in
                let reply = try await next(request)
                guard request.target.contains(lost), request.method != .get else { return reply }
                throw Problem.unavailable("The answer is lost.")
            }
            #expect(try await house.add(type, 2, to: cart, key: "k").status == 503)
            house.stopIntercepting(.ticketManager)
            #expect(try await house.tickets.number("SELECT held AS number FROM pool") == before + 2, "it was done all the same")
            // Some time goes by.
            try await house.sales.sql("UPDATE cart SET expires_at = expires_at - 7000000 WHERE id = \(cart.id)")
            let again = try await house.add(type, 2, to: cart, key: "k")
            #expect(again.status == 200, "\(again.text)")
            #expect(try again.json(Cart.self).lines.map(\.quantity) == [before + 2])
            #expect(try await house.tickets.number("SELECT held AS number FROM pool") == before + 2)
        }
    }

    @Test func `a line is set to what is said, whatever the request is called`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(50)
            let cart = try await house.fill(type, 1)
            let line = cart.lines[0].id
            for quantity in [4, 2, 4, 4, 1] as [Int64] {
                let answer = try await house.set(line, quantity, in: cart, headers: ["X-Request-Id": "always-the-same"])
                #expect(answer.status == 200)
                #expect(try answer.json(Cart.self).lines.map(\.quantity) == [quantity])
            }
            #expect(try await house.tickets.number("SELECT held AS number FROM pool") == 1)
            #expect(try await house.set(line, 0, in: cart).json(Cart.self).lines.isEmpty)
            #expect(try await house.set(line, 1, in: cart).status == 404)
        }
    }

    @Test func `a line is taken out, and the cart goes on`() async throws {
        try await withHouse { house in
            let (a, b) = (try await house.makeOffer(5), try await house.makeOffer(5))
            let cart = try await house.fill(a, 2)
            #expect(try await house.add(b, 1, to: cart).status == 200)
            let path = "/api/v1/carts/\(cart.id)/lines/\(cart.lines[0].id)"
            let answer = try await house.sales.call(.delete, path, headers: cart.link)
            #expect(try answer.json(Cart.self).lines.map(\.ticketTypeId) == [b])
            #expect(try await house.tickets.availability(of: a, house.stage.event).remaining == 5)
            #expect(try await house.sales.call(.delete, path, headers: cart.link).status == 404)
            #expect(try await house.add(a, 1, to: cart).status == 200)
        }
    }

    @Test func `a cart has one event and one currency`() async throws {
        try await withHouse { house in
            let other = house.stage.add(Stage.makeEvent(of: house.stage.organizer))
            let (here, there) = (try await house.makeOffer(5), try await house.makeOffer(5, event: other))
            let cart = try await house.fill(here)
            #expect(try await house.add(there, 1, to: cart).problem == "unknown-ticket-type")
            let named = try await house.makeCart(event: other)
            #expect(try await house.add(here, 1, to: named).problem == "unknown-ticket-type")
            #expect(try await house.show(cart).lines.count == 1)
            let draft = house.stage.add(Stage.makeEvent(of: house.stage.organizer, state: .draft))
            #expect(try await house.sales.call(.post, "/api/v1/carts", body: NewCart(eventId: draft)).status == 404)
            #expect(try await house.sales.call(.post, "/api/v1/carts", body: NewCart(eventId: EventID())).status == 404)
        }
    }

    @Test func `a refusal of stock reaches the buyer with the line that it names, and leaves the cart as it was`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(3)
            let cart = try await house.fill(type, 2)
            let refused = try await house.add(type, 2, to: cart, key: "k")
            #expect(refused.status == 409 && refused.problem == "sold-out")
            #expect(try refused.json(Problem.self).members["ticketTypeId"] == "\(type)")
            let other = try await house.fill(type, 1)
            let held = try await house.add(type, 1, to: cart, key: "k2")
            #expect(held.status == 409 && held.problem == "all-held")
            #expect(try await house.show(cart).lines.map(\.quantity) == [2])
            // The refusal is not remembered under its key.
            #expect(try await house.sales.call(.delete, "/api/v1/carts/\(other.id)", headers: other.link).status == 204)
            #expect(try await house.add(type, 1, to: cart, key: "k2").status == 200)
        }
    }

    // MARK: Price

    @Test func `the buyer pays the price that the cart shows, though it changes meanwhile`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10) { ($0.price, $0.fee, $0.taxRate) = (Money(1_000, .eur), 100, 1_000) }
            let cart = try await house.fill(type, 2)
            #expect(cart.totals?.total == Money(2_200, .eur))
            try await house.tickets.changeType(house.stage, type, TicketTypeChange(price: Money(9_000, .eur), taxRate: 2_000, fee: 900))
            let more = try await house.add(type, 1, to: cart).json(Cart.self)
            #expect(more.totals?.total == Money(3_300, .eur))
            let bought = try await house.checkOut(cart)
            #expect(bought.order.totals == more.totals && bought.payment?.captured == Money(3_300, .eur))
            #expect(try await house.fill(type).totals?.total == Money(9_900, .eur), "a new cart pays the new price")
        }
    }

    @Test func `nothing of price, discount or stock is believed from the client`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10) { $0.price = Money(1_000, .eur) }
            let cart = try await house.makeCart()
            let lie = #""price":{"amount":1,"currency":"EUR"},"unitPrice":1,"discount":999,"total":0,"totals":{"total":{"amount":0}}"#
            let added = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/lines", headers: cart.link + ["Idempotency-Key": "a"],
                json: #"{"ticketTypeId":"\#(type)","quantity":2,\#(lie)}"#)
            #expect(try added.json(Cart.self).totals?.total == Money(2_000, .eur))
            let line = try #require(try added.json(Cart.self).lines.first)
            let changed = try await house.sales.call(
                .patch, "/api/v1/carts/\(cart.id)/lines/\(line.id)", headers: cart.link, json: #"{"quantity":3,\#(lie)}"#)
            #expect(try changed.json(Cart.self).totals?.total == Money(3_000, .eur))
            let order = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/checkout", headers: cart.link + ["Idempotency-Key": "b"],
                json: """
                    {"buyer":{"email":"a@example.org","name":"A"},"lines":[],"amount":1,\(lie),
                    "payment":{"provider":"sandbox","method":"4242424242424242","amount":{"amount":1,"currency":"EUR"}}}
                    """)
            #expect(order.status == 201, "\(order.text)")
            let answer = try order.json(CheckoutAnswer.self)
            #expect(answer.order.totals.total == Money(3_000, .eur) && answer.payment?.amount == Money(3_000, .eur))
            #expect(answer.payment?.captured == Money(3_000, .eur))
        }
    }

    // MARK: Coupons

    @Test func `a coupon's discount is on the lines, and follows them`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10) { $0.price = Money(1_001, .eur) }
            try await house.makeCoupon("SPRING", percent: 15)
            let cart = try await house.fill(type, 3)
            let entered = try await house.enter("spring", in: cart).json(Cart.self)
            #expect(entered.couponCode == "SPRING")
            let discount = try #require(entered.totals?.discount.amount)
            #expect(discount == 3 * 150 && entered.totals?.total.amount == 3_003 - discount)
            let fewer = try await house.set(cart.lines[0].id, 1, in: cart).json(Cart.self)
            #expect(fewer.totals?.discount.amount == 150)
            let more = try await house.add(type, 1, to: cart).json(Cart.self)
            #expect(more.totals?.discount.amount == 300)
            let without = try await house.sales.call(.delete, "/api/v1/carts/\(cart.id)/coupon", headers: cart.link).json(Cart.self)
            #expect(without.couponCode == nil && without.totals?.discount.amount == 0)
            #expect(try await house.coupon("SPRING").reserved == 0)
        }
    }

    @Test func `a code that does not apply changes nothing, and another one takes the first one's place`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            for code in ["FIRST", "SECOND"] { try await house.makeCoupon(code, percent: code == "FIRST" ? 10 : 20) }
            let cart = try await house.fill(type, 1)
            #expect(try await house.enter("FIRST", in: try await house.makeCart()).problem == "cart-empty")
            #expect(try await house.enter("FIRST", in: cart).status == 200)
            let refused = try await house.enter("NOSUCHCODE", in: cart)
            #expect(refused.status == 422 && refused.problem == "coupon-not-applicable")
            #expect(try await house.show(cart).totals?.discount.amount == 100)
            #expect(try await house.enter("SECOND", in: cart).json(Cart.self).totals?.discount.amount == 200)
            #expect(try await house.coupon("FIRST").reserved == 0)
            #expect(try await house.coupon("SECOND").reserved == 1)
            #expect(try await house.sales.call(.delete, "/api/v1/carts/\(cart.id)", headers: cart.link).status == 204)
            #expect(try await house.coupon("SECOND").reserved == 0)
        }
    }

    @Test func `lines that change while a code is entered do not keep a discount for what is gone`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20) { $0.price = Money(1_000, .eur) }
            try await house.makeCoupon("TEN", percent: 10)
            let cart = try await house.fill(type, 10)
            let once = Once()
            house.intercept(.couponManager) { request, next in
                let reply = try await next(request)
                if request.method == .post, once.isFirst {
                    // The discount is reckoned for ten tickets; now there is one.
                    #expect(try await house.set(cart.lines[0].id, 1, in: cart).status == 200)
                }
                return reply
            }
            let answer = try await house.enter("TEN", in: cart)
            #expect(answer.status == 409 && answer.problem == "cart-changed")
            #expect(try await house.show(cart).totals?.total.amount == 1_000)
            #expect(try await house.enter("TEN", in: cart).json(Cart.self).totals?.total.amount == 900)
        }
    }

    @Test func `a code that is entered while lines change is reckoned for the new lines`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20) { $0.price = Money(1_000, .eur) }
            try await house.makeCoupon("TEN", percent: 10)
            let cart = try await house.fill(type, 10)
            let once = Once()
            house.intercept(.ticketManager) { request, next in
                if request.method == .patch, once.isFirst {
                    #expect(try await house.enter("TEN", in: cart).json(Cart.self).totals?.total.amount == 9_000)
                }
                return try await next(request)
            }
            let answer = try await house.set(cart.lines[0].id, 1, in: cart).json(Cart.self)
            #expect(answer.totals?.discount.amount == 100 && answer.totals?.total.amount == 900)
        }
    }

    @Test func `a coupon with one use left goes to one of many carts`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20)
            try await house.makeCoupon("ONE", percent: 10, uses: 1)
            var carts: [Cart] = []
            for _ in 0..<5 { carts.append(try await house.fill(type)) }
            let answers = try await house.sales.atOnce(5) { [carts] in try await house.enter("ONE", in: carts[$0]) }
            #expect(answers.statuses() == [200: 1, 422: 4])
        }
    }

    // MARK: The end of a cart

    @Test func `a cart whose time is over sells nothing, and its tickets are free`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(1)
            let cart = try await house.fill(type)
            try await house.sales.sql("UPDATE cart SET expires_at = \(Instant.now - .seconds(1)) WHERE id = \(cart.id)")
            try await house.tickets.sql("UPDATE hold SET expires_at = 0")
            try await house.tickets.sql("UPDATE hold_claim SET expires_at = 0")
            #expect(try await house.show(cart).state == .expired)
            for answer in [
                try await house.add(type, 1, to: cart), try await house.set(cart.lines[0].id, 1, in: cart),
                try await house.enter("X", in: cart), try await house.askCheckout(cart),
            ] {
                #expect(answer.status == 409 && answer.problem == "cart-expired")
            }
            #expect(try await house.add(type, 1, to: try await house.makeCart()).status == 200)
        }
    }

    @Test func `a cart's tickets are held from the first line on for the cart's time`() async throws {
        try await withHouse(settings: ["cart.seconds": 120]) { house in
            let type = try await house.makeOffer(5)
            let cart = try await house.makeCart()
            let before = Instant.now
            let filled = try await house.add(type, 1, to: cart).json(Cart.self)
            #expect(filled.expiresAt >= before + .seconds(120) && filled.expiresAt <= .now + .seconds(120))
            #expect(
                try await house.tickets.number("SELECT expires_at AS number FROM hold") == filled.expiresAt.microseconds)
            let more = try await house.add(type, 1, to: cart).json(Cart.self)
            #expect(more.expiresAt == filled.expiresAt, "a change keeps the deadline")
        }
    }

    @Test func `a cart that was given up is empty, and gives everything back at once`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let cart = try await house.fill(type, 2)
            for _ in 0..<2 {
                #expect(try await house.sales.call(.delete, "/api/v1/carts/\(cart.id)", headers: cart.link).status == 204)
            }
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 2)
            #expect(try await house.add(type, 1, to: cart).problem == "cart-expired")
        }
    }

    @Test func `a cart that was checked out is frozen`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let cart = try await house.fill(type)
            let bought = try await house.checkOut(cart, card: Card.asksForConfirmation)
            for answer in [
                try await house.add(type, 1, to: cart), try await house.set(cart.lines[0].id, 2, in: cart),
                try await house.enter("X", in: cart),
                try await house.sales.call(.delete, "/api/v1/carts/\(cart.id)/coupon", headers: cart.link),
            ] {
                #expect(answer.status == 409 && answer.problem == "cart-ordered")
            }
            #expect(try await house.sales.call(.delete, "/api/v1/carts/\(cart.id)", headers: cart.link).status == 204)
            let shown = try await house.show(cart)
            #expect(shown.state == .ordered && shown.orderId == bought.order.id && shown.lines.map(\.quantity) == [1])
            try await house.confirm(bought)
            #expect(try await house.show(bought).status == .paid)
        }
    }

    // MARK: Idempotency

    @Test func `a key is a cart's own, and of one request`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(50)
            let (cart, other) = (try await house.makeCart(), try await house.makeCart())
            #expect(try await house.add(type, 1, to: cart, key: "k").status == 200)
            for answer in [try await house.add(type, 2, to: cart, key: "k"), try await house.askCheckout(cart, key: "k")] {
                #expect(answer.status == 422 && answer.problem == "idempotency-key-reused")
            }
            #expect(try await house.add(type, 3, to: other, key: "k").json(Cart.self).lines.map(\.quantity) == [3])
            #expect(try await house.show(cart).lines.map(\.quantity) == [1])
        }
    }

    @Test func `while the first request with a key runs, a second one is told so`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(50)
            let cart = try await house.makeCart()
            let (isRunning, maySucceed) = (Gate(), Gate())
            house.intercept(.ticketManager) { request, next in
                isRunning.open()
                await maySucceed.pass()
                return try await next(request)
            }
            async let first = house.add(type, 1, to: cart, key: "k")
            await isRunning.pass()
            let second = try await house.add(type, 1, to: cart, key: "k")
            #expect(second.status == 409 && second.problem == "request-in-progress" && second.headers[.retryAfter] != nil)
            maySucceed.open()
            let answer = try await first
            #expect(answer.status == 200)
            #expect(try await house.add(type, 1, to: cart, key: "k").body == answer.body)
            #expect(try await house.show(cart).lines.map(\.quantity) == [1])
        }
    }

    // MARK: Who may what

    @Test func `a cart is whose secret it is, and to everybody else it does not exist`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (cart, other) = (try await house.fill(type), try await house.fill(type))
            let path = "/api/v1/carts/\(cart.id)"
            let calls: [(HTTPRequest.Method, String, String)] = [
                (.get, path, ""), (.delete, path, ""), (.post, "\(path)/lines", #"{"ticketTypeId":"\#(type)","quantity":1}"#),
                (.patch, "\(path)/lines/\(cart.lines[0].id)", #"{"quantity":2}"#), (.delete, "\(path)/lines/\(cart.lines[0].id)", ""),
                (.put, "\(path)/coupon", #"{"code":"X"}"#), (.delete, "\(path)/coupon", ""),
                (.post, "\(path)/checkout", #"{"buyer":{"email":"a@example.org","name":"A"}}"#),
            ]
            for (method, target, json) in calls {
                let missing = target.replacing("\(cart.id)", with: "\(CartID())")
                let unknown = try await house.sales.call(method, missing, headers: cart.link + ["Idempotency-Key": "m"], json: json)
                #expect(unknown.status == 404)
                for token in [nil, "", "x", other.token, cart.token.map { String($0.dropLast()) + "-" }] {
                    for caller in [TestCaller.nobody, house.stage.owner, house.stage.admin] {
                        var headers = ["Idempotency-Key": "k"]
                        headers["X-Cart-Token"] = token
                        let answer = try await house.sales.call(method, target, as: caller, headers: headers, json: json)
                        #expect(answer.status == 404, "\(method) \(target)")
                        #expect(answer.problem == unknown.problem)
                    }
                }
            }
            #expect(try await house.show(cart).lines.map(\.quantity) == [1])
            #expect(try await house.show(cart).state == .open)
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"ticketTypeId":"TYPE"}"#, #"{"ticketTypeId":"TYPE","quantity":0}"#, #"{"ticketTypeId":"TYPE","quantity":-1}"#,
        #"{"ticketTypeId":"TYPE","quantity":1001}"#, #"{"ticketTypeId":"TYPE","quantity":9223372036854775808}"#,
        #"{"ticketTypeId":"TYPE","quantity":"1"}"#, #"{"ticketTypeId":"type_🎫","quantity":1}"#,
        #"{"ticketTypeId":"type_00000000000000000000000000","quantity":1}"#, #"[1]"#,
    ])
    func `a line that cannot be is refused`(json: String) async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let cart = try await house.makeCart()
            let answer = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/lines", headers: cart.link + ["Idempotency-Key": "k"],
                json: json.replacing("TYPE", with: "\(type)"))
            #expect([400, 404, 422].contains(answer.status), "\(answer.text)")
            #expect(try await house.show(cart).lines.isEmpty)
            #expect(try await house.tickets.number("SELECT held AS number FROM pool") == 0)
        }
    }

    @Test func `lines and checkout need a key; an empty cart of a stranger needs none`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let cart = try await house.fill(type)
            let line = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/lines", headers: cart.link, body: NewCartLine(ticketTypeId: type, quantity: 1))
            let order = try await house.sales.call(
                .post, "/api/v1/carts/\(cart.id)/checkout", headers: cart.link,
                body: CheckoutRequest(buyer: Buyer(email: "a@example.org", name: "A")))
            for answer in [line, order] { #expect(answer.status == 400 && answer.problem == "idempotency-key-required") }
        }
    }
}

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

    @Test func `who pays at the door has the tickets before the money is there`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, card: "door", provider: "manual")
            #expect(bought.order.status == .paid && bought.order.tickets.count == 1)
            #expect(bought.order.balance.due == Money(1_000, .eur) && bought.payment?.isPayLater == true)
            try await house.reconcile()
            // Only a person can bring it further, so it is not asked about every few seconds.
            let next = try await house.sales.number("SELECT look_at AS number FROM sales_order")
            #expect(next > (Instant.now + .minutes(5)).microseconds)
            let payment = try await house.payment(of: bought.order.id)
            let receipt = try await house.payments.call(
                .post, "/api/v1/payments/\(payment.id)/receipts", as: house.stage.manager, headers: ["Idempotency-Key": "r"],
                body: PaymentReceipt(amount: Money(1_000, .eur)))
            #expect(receipt.status == 201, "\(receipt.text)")
            try await house.announce()
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 1)
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1)
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

    @Test(arguments: [
        "sales.order-committed", "sales.hold-bound", "sales.payment-created", "sales.captured", "sales.fulfilled", "sales.paid",
    ])
    func `a crash at any step of checkout loses nothing and repeats nothing`(point: String) async throws {
        let stage = Stage()
        try await withHouseFolder { folder in
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
        try await withHouseFolder { folder in
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
                let answer = try await house.askCheckout(cart, buyer: email)
                guard index > 0 else {
                    #expect(answer.status == 201)
                    continue
                }
                #expect(answer.status == 422 && answer.problem == "coupon-not-applicable")
                let shown = try await house.show(cart)
                #expect(shown.state == .open && shown.couponCode == nil && shown.totals?.total.amount == 1_000)
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order") == 1)
                #expect(try await house.coupon("ONCE").reserved == 1, "the first order's alone")
                let bought = try await house.checkOut(cart, buyer: email)
                #expect(bought.order.totals.total.amount == 1_000 && bought.order.status == .paid && bought.order.couponCode == nil)
            }
            #expect(try await house.coupon("ONCE").redeemed == 0, "redeemed once the order is settled")
            try await house.reconcile()
            #expect(try await house.coupon("ONCE").redeemed == 1)
        }
    }

    @Test func `an order that crashed before its coupon was bound is not made at a price that its buyer has used up`() async throws {
        let stage = Stage()
        try await withHouseFolder { folder in
            try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.order-committed=fail:0.000001"]) { house in
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

/// Orders that end otherwise than paid.
@Suite("Endings", .serialized) struct EndingTests {
    @Test func `an unpaid order expires: first its payment is closed, then its tickets are free`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(1)
            try await house.makeCoupon("ONE", percent: 10, uses: 1)
            let cart = try await house.fill(type)
            _ = try await house.enter("ONE", in: cart)
            let bought = try await house.checkOut(cart, card: Card.asksForConfirmation)
            try await house.reconcile()
            #expect(try await house.show(bought).status == .awaitingPayment, "its time is not over")
            try await house.expire(bought.order.id, hold: false)
            let from = house.crossings.count
            try await house.reconcile()
            let steps = house.crossings.dropFirst(from).map { "\($0.service) \($0.target.split(separator: "/").last!)" }
            #expect(steps.prefix(2) == ["payment-processing close", "ticket-manager refusal"], "\(steps)")
            let order = try await house.show(bought)
            #expect(order.status == .expired && order.expiresAt == nil && order.balance.due.amount == 0)
            #expect(try await house.payment(of: order.id).state == .closed)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 1)
            #expect(try await house.coupon("ONE").reserved == 0)
            #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["expired"])
            try await house.reconcile()
            #expect(try await house.sales.sent(OrderEnded.self).count == 1)
            #expect(try await house.cancel(bought).status == 409)
        }
    }

    @Test func `an expiry that finds the payment captured makes the order paid`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, 2, card: Card.capturesUnseen)
            #expect(bought.order.status == .awaitingPayment)
            try await house.expire(bought.order.id)
            try await house.reconcile()
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 2)
            #expect(try await house.sales.sent(OrderEnded.self).isEmpty)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `money that comes after its hold was given away buys tickets if there are any left`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(3)
            let bought = try await house.buy(type, 2, card: Card.capturesUnseen)
            try await house.expire(bought.order.id)
            #expect(try await house.buy(type, 1).order.status == .paid)
            #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM hold_claim WHERE state = 'reclaimed'") == 1)
            try await house.reconcile()
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 2)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `money that comes when nothing is left goes back once, and the buyer is told`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, 2, card: Card.capturesUnseen)
            try await house.expire(bought.order.id)
            #expect(try await house.buy(type, 1).order.status == .paid)
            for _ in 0..<3 {
                try await house.reconcile()
                try await house.announce()
                try await house.sales.deliver(PaymentChanged(payment: try await house.payment(of: bought.order.id)))
            }
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.isEmpty)
            #expect(order.refunds.map(\.amount.amount) == [2_000] && order.refunds.map(\.reason) == ["unfulfillable"])
            #expect(order.balance.refunded == order.balance.captured && order.balance.due.amount == 0)
            #expect(try await house.refunds(of: order.id) == [2_000])
            #expect(try await house.payment(of: order.id).state == .closed)
            #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["unfulfillable"])
            #expect(try await house.sales.sent(OrderRefunded.self).count == 1)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1, "the other buyer's")
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `money that comes after the order was refused for good goes back once, and the order shows it`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let bought = try await house.buy(type, 2, card: Card.asksForConfirmation)
            try await house.expire(bought.order.id)
            try await house.reconcile()
            #expect(try await house.show(bought).status == .expired)
            try await house.captureLate(bought.order.id)
            for _ in 0..<3 {
                try await house.announce()
                try await house.reconcile()
            }
            let order = try await house.show(bought)
            #expect(order.status == .expired && order.tickets.isEmpty)
            #expect(order.refunds.map(\.amount.amount) == [2_000] && order.balance.refunded == order.balance.captured)
            #expect(try await house.refunds(of: order.id) == [2_000])
            #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM ticket") == 0)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 5)
        }
    }

    @Test func `who cancels an unpaid order is not charged, and its tickets are free`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(1)
            let bought = try await house.buy(type, card: Card.asksForConfirmation)
            let answer = try await house.cancel(bought)
            #expect(answer.status == 200)
            #expect(try answer.json(Order.self).status == .canceled)
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 1)
            let again = try await house.cancel(bought)
            #expect(again.status == 409 && again.problem == "illegal-transition")
            #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["canceled"])
        }
    }

    @Test func `a capture that races with the cancellation goes back once, with no tickets`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, 2, card: Card.capturesUnseen)
            let answer = try await house.cancel(bought)
            #expect(try answer.json(Order.self).status == .canceled, "\(answer.text)")
            for _ in 0..<3 {
                try await house.announce()
                try await house.reconcile()
            }
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.isEmpty && order.refunds.map(\.amount.amount) == [2_000])
            #expect(try await house.refunds(of: order.id) == [2_000])
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 2)
        }
    }

    @Test func `a capture that comes long after the cancellation goes back once`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, card: Card.asksForConfirmation)
            #expect(try await house.cancel(bought).status == 200)
            try await house.reconcile()
            try await house.captureLate(bought.order.id)
            for _ in 0..<3 {
                try await house.announce()
                try await house.payments.run("payments.refunds")
                try await house.reconcile()
            }
            #expect(try await house.refunds(of: bought.order.id) == [1_000])
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.isEmpty)
        }
    }

    @Test func `a cancellation that finds the order fulfilled leaves it paid`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, card: Card.capturesUnseen)
            let hold = try #require(try await house.tickets.text("SELECT id AS text FROM hold").flatMap { HoldID($0) })
            let units = bought.order.lines[0].units.map {
                FulfilmentUnit(unitId: $0.id, ticketTypeId: type, attendee: $0.attendee)
            }
            house.intercept(.ticketManager) { request, next in
                if request.target.hasSuffix("/refusal") {
                    // At this moment the capture is heard elsewhere, and the order is fulfilled.
                    let held = try await house.tickets.call(.get, "/api/v1/holds/\(hold)", as: .service(.salesManager)).json(Hold.self)
                    #expect(try await house.tickets.fulfil(bought.order.id, held, units: units).outcome == .confirmed)
                }
                return try await next(request)
            }
            let answer = try await house.cancel(bought)
            #expect(try answer.json(Order.self).status == .paid)
            house.stopIntercepting(.ticketManager)
            try await house.announce()
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.map(\.status) == [.issued] && order.refunds.isEmpty)
            #expect(try await house.refunds(of: order.id).isEmpty)
        }
    }

    @Test func `an order whose payment cannot be closed yet stays open until it can`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(1)
            let bought = try await house.buy(type, card: Card.asksForConfirmation)
            try await house.expire(bought.order.id, hold: false)
            house.intercept(.paymentProcessing) { _, _ in throw Problem.unavailable("The provider is down.") }
            try await house.reconcile()
            #expect(try await house.cancel(bought).status == 503)
            #expect(try await house.show(bought).status == .awaitingPayment)
            #expect(try await house.tickets.availability(of: type, house.stage.event).state == .allHeld)
            house.stopIntercepting(.paymentProcessing)
            try await house.reconcile()
            #expect(try await house.show(bought).status == .expired)
        }
    }

    @Test func `one turn of the timer ends all orders whose time is over, however many they are`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(1), card: Card.asksForConfirmation)
            try await house.copyOrder(bought.order.id, times: 150)
            try await house.sales.sql("UPDATE sales_order SET expires_at = 1, look_at = 1")
            try await house.sales.run("reconcile-orders")
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE status = 'expired'") == 151)
        }
    }
}

/// Money that goes back.
@Suite("Refunds", .serialized) struct RefundTests {
    @Test func `a refund of a ticket gives its money back, voids it, and frees its place, once`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(3) { ($0.price, $0.fee) = (Money(1_000, .eur), 50) }
            let bought = try await house.buy(type, 3)
            let unit = bought.order.lines[0].units[1].id
            let from = house.crossings.count
            let answer = try await house.refund(bought, units: [unit], key: "k")
            #expect(answer.status == 201, "\(answer.text)")
            let refund = try answer.json(RefundSummary.self)
            #expect(refund.status == .succeeded && refund.amount == Money(1_050, .eur) && refund.units == [unit])
            // First it is written down, then the tickets are blocked, and only then the provider is asked.
            let steps = house.crossings.dropFirst(from).map { "\($0.method) \($0.target.split(separator: "/").last!)" }.prefix(4)
            #expect(steps[steps.startIndex] == "POST refunds" && steps.dropFirst().first?.hasPrefix("PUT ") == true, "\(steps)")
            #expect(Array(steps.dropFirst(2)) == ["POST submit", "POST void"], "\(steps)")
            #expect(try await house.refund(bought, units: [unit], key: "k").body == answer.body)
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.balance.refunded == Money(1_050, .eur) && order.refunds.count == 1)
            #expect(order.lines[0].units.map(\.refunded) == [false, true, false])
            #expect(order.tickets.filter { $0.status == .void }.map(\.unitId) == [unit])
            #expect(try await house.refunds(of: order.id) == [1_050])
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 1)
            #expect(try await house.sales.sent(OrderRefunded.self).map(\.units) == [[unit]])
            let twice = try await house.refund(bought, units: [unit])
            #expect(twice.status == 409 && twice.problem == "already-refunded")
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `two refunds at once that together exceed what was paid: one is refused`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2)
            let answers = try await house.sales.atOnce(4) { _ in try await house.refund(bought, amount: 1_200) }
            #expect(answers.statuses() == [201: 1, 409: 3])
            #expect(Set(answers.compactMap(\.problem)) == ["exceeds-refundable"])
            #expect(try await house.refunds(of: bought.order.id) == [1_200])
            #expect(try await house.show(bought).balance.refunded == Money(1_200, .eur))
        }
    }

    @Test func `many refunds at once of the same ticket give its money back once`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2)
            let unit = bought.order.lines[0].units[0].id
            let answers = try await house.sales.atOnce(5) { _ in try await house.refund(bought, units: [unit]) }
            #expect(answers.statuses() == [201: 1, 409: 4])
            #expect(try await house.refunds(of: bought.order.id) == [1_000])
            #expect(try await house.tickets.availability(of: bought.order.lines[0].ticketTypeId, house.stage.event).remaining == 4)
        }
    }

    @Test func `a refund by amount alone is spread over the tickets and leaves them, until nothing is left`() async throws {
        try await withHouse { house in
            let (paid, free) = (try await house.makeOffer(5), try await house.makeOffer(5) { $0.price = Money(0, .eur) })
            let cart = try await house.fill(paid, 3)
            _ = try await house.add(free, 1, to: cart)
            let bought = try await house.checkOut(cart)
            let first = try await house.refund(bought, amount: 1_000)
            #expect(first.status == 201, "\(first.text)")
            var order = try await house.show(bought)
            #expect(order.tickets.allSatisfy { $0.status == .issued && $0.blockedBy.isEmpty }, "also the one that cost nothing")
            #expect(order.lines.flatMap(\.units).allSatisfy { !$0.refunded })
            let shares = try await house.sales.database.read { tx in
                try tx.rows("SELECT amount FROM refund_unit WHERE amount > 0 ORDER BY amount").map { try $0["amount"] as Int64 }
            }
            #expect(shares == [333, 333, 334])
            #expect(try await house.refund(bought, amount: 2_001).problem == "exceeds-refundable")
            #expect(try await house.refund(bought, amount: 2_000).status == 201)
            order = try await house.show(bought)
            #expect(order.balance.refunded == Money(3_000, .eur) && order.tickets.allSatisfy { $0.status == .void })
            #expect(try await house.refunds(of: order.id).sorted() == [1_000, 2_000])
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `a refund is of what was paid, with its discount, and not of today's price`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            try await house.makeCoupon("HALF", percent: 50)
            let cart = try await house.fill(type, 2)
            _ = try await house.enter("HALF", in: cart)
            let bought = try await house.checkOut(cart)
            try await house.reconcile()
            try await house.tickets.changeType(house.stage, type, TicketTypeChange(price: Money(9_900, .eur)))
            let unit = bought.order.lines[0].units[0].id
            #expect(try await house.refund(bought, units: [unit]).json(RefundSummary.self).amount == Money(500, .eur))
            #expect(try await house.refund(bought).json(RefundSummary.self).amount == Money(500, .eur))
            #expect(try await house.coupon("HALF").redeemed == 1, "a redeemed use stays redeemed")
        }
    }

    @Test func `a door that is asked while a refund is on its way refuses the ticket`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5))
            let code = try #require(bought.order.tickets.first?.code)
            let reasons = Mutex<[String?]>([])
            house.intercept(.paymentProcessing) { request, next in
                if request.target.hasSuffix("/submit") {
                    let reason = try await house.tickets.read(code, house.stage).reason
                    reasons.withLock { $0.append(reason) }
                }
                return try await next(request)
            }
            #expect(try await house.refund(bought).status == 201)
            #expect(reasons.withLock { $0 } == ["blocked"])
            #expect(try await house.tickets.read(code, house.stage).reason == "void")
        }
    }

    @Test func `a ticket whose holder is inside is refunded only by who insists`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2)
            let code = try #require(bought.order.tickets.first?.code)
            _ = try await house.tickets.read(code, house.stage)
            let refused = try await house.refund(bought)
            #expect(refused.status == 409 && refused.problem == "ticket-inside")
            var order = try await house.show(bought)
            #expect(order.balance.refunded.amount == 0 && order.tickets.allSatisfy { $0.blockedBy.isEmpty })
            #expect(try await house.payment(of: order.id).refunds.map(\.status) == [.canceled])
            #expect(try await house.refund(bought, insist: true).status == 201)
            order = try await house.show(bought)
            #expect(order.balance.refunded == Money(2_000, .eur) && order.tickets.allSatisfy { $0.status == .void })
        }
    }

    @Test func `a refund that fails gives the tickets back, and may be tried again`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2, card: Card.captures + ";refunds=fail")
            let unit = bought.order.lines[0].units[0].id
            #expect(try await house.refund(bought, units: [unit]).json(RefundSummary.self).status == .failed)
            var order = try await house.show(bought)
            #expect(order.balance.refunded.amount == 0 && order.tickets.allSatisfy { $0.status == .issued && $0.blockedBy.isEmpty })
            #expect(order.lines[0].units.allSatisfy { !$0.refunded })
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            #expect(try await house.refund(bought, units: [unit]).json(RefundSummary.self).status == .succeeded)
            order = try await house.show(bought)
            #expect(order.refunds.map(\.status) == [.failed, .succeeded] && order.balance.refunded == Money(1_000, .eur))
            #expect(try await house.refunds(of: order.id) == [1_000])
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `money that went back after its refund had failed voids the tickets`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), card: Card.captures + ";refunds=fail")
            try await house.announce()
            #expect(try await house.refund(bought).json(RefundSummary.self).status == .failed)
            var payment = try await house.payment(of: bought.order.id)
            // The provider thinks better of it.
            payment.refunds[0].status = .succeeded
            payment.version += 1
            try await house.sales.deliver(PaymentChanged(payment: payment))
            let order = try await house.show(bought)
            #expect(order.refunds.map(\.status) == [.succeeded] && order.tickets.map(\.status) == [.void])
            #expect(order.lines[0].units.map(\.refunded) == [true])
            // And stays so, whatever comes late.
            payment.refunds[0].status = .failed
            try await house.sales.deliver(PaymentChanged(payment: payment))
            #expect(try await house.show(bought).refunds.map(\.status) == [.succeeded])
        }
    }

    @Test(arguments: ["sales.refund-written", "sales.tickets-blocked", "sales.refund-finished"])
    func `a crash at any step of a refund loses nothing and repeats nothing`(point: String) async throws {
        let stage = Stage()
        try await withHouseFolder { folder in
            let bought = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "\(point)=fail:1"]) { house in
                let bought = try await house.buy(try await house.makeOffer(5), 2)
                #expect(try await house.refund(bought, units: [bought.order.lines[0].units[0].id], key: "k").status == 503)
                return bought
            }
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.reconcile()
                let order = try await house.show(bought)
                #expect(order.refunds.map(\.status) == [.succeeded] && order.tickets.count { $0.status == .void } == 1)
                let again = try await house.refund(bought, units: [bought.order.lines[0].units[0].id], key: "k")
                #expect(try again.json(RefundSummary.self).status == .succeeded)
                #expect(try await house.refunds(of: order.id) == [1_000])
                #expect(try await house.sales.sent(OrderRefunded.self).count == 1)
                try await house.tickets.expectBalancedBooks()
            }
        }
    }

    @Test func `a repeated request for a refund is the same refund, and its key is no other's`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 3)
            let answers = try await house.sales.atOnce(3) { _ in
                try await patiently { try await house.refund(bought, amount: 500, key: "k") }
            }
            #expect(answers.allSatisfy { $0.status == 201 && $0.body == answers[0].body })
            #expect(try await house.refunds(of: bought.order.id) == [500])
            #expect(try await house.refund(bought, amount: 600, key: "k").problem == "idempotency-key-reused")
            #expect(try await house.refund(bought, amount: 500, key: "k", as: house.stage.owner).status == 201, "another caller's key")
            #expect(try await house.refunds(of: bought.order.id) == [500, 500])
        }
    }

    @Test func `staff who cancel a paid order void its tickets; its money stays until they refund it`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let bought = try await house.buy(type, 2)
            let canceled = try await house.sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", as: house.stage.manager)
            var order = try canceled.json(Order.self)
            #expect(order.status == .canceled && order.tickets.allSatisfy { $0.status == .void })
            #expect(try await house.refunds(of: order.id).isEmpty)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 5)
            #expect(try await house.refund(bought, units: [order.lines[0].units[0].id]).status == 201)
            #expect(try await house.refund(bought).status == 201)
            #expect(try await house.refunds(of: order.id) == [1_000, 1_000])
            order = try await house.show(bought)
            #expect(order.balance.refunded == order.balance.captured)
            #expect(try await house.tickets.availability(of: type, house.stage.event).remaining == 5)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test(arguments: [
        (#"{}"#, 422), (#"{"reason":""}"#, 422), (#"{"reason":"LONG"}"#, 422),
        (#"{"reason":"x","amount":{"amount":0,"currency":"EUR"}}"#, 422),
        (#"{"reason":"x","amount":{"amount":-1,"currency":"EUR"}}"#, 422), (#"{"reason":"x","amount":{"amount":1,"currency":"USD"}}"#, 422),
        (#"{"reason":"x","amount":{"amount":1000001,"currency":"EUR"}}"#, 409), (#"{"reason":"x","units":[]}"#, 422),
        (#"{"reason":"x","amount":{"amount":9223372036854775807,"currency":"EUR"}}"#, 422), (#"{"reason":"x","units":["unit_x"]}"#, 422),
        (#"{"reason":"x","units":["OTHER"]}"#, 422), (#"{"reason":"x","units":["UNIT","OTHER"]}"#, 422),
        (#"{"reason":"x","units":["UNIT"],"amount":{"amount":1001,"currency":"EUR"}}"#, 409),
    ])
    func `a refund that cannot be is refused`(json: String, status: Int) async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (bought, other) = (try await house.buy(type), try await house.buy(type))
            let json = json.replacing("UNIT", with: "\(bought.order.lines[0].units[0].id)")
                .replacing("OTHER", with: "\(other.order.lines[0].units[0].id)").replacing("LONG", with: String(repeating: "x", count: 501))
            let answer = try await house.sales.call(
                .post, "/api/v1/orders/\(bought.order.id)/refunds", as: house.stage.manager, headers: ["Idempotency-Key": "k"], json: json)
            #expect(answer.status == status, "\(answer.text)")
            #expect(try await house.payment(of: bought.order.id).refunds.isEmpty)
            #expect(try await house.show(bought).tickets.map(\.status) == [.issued])
        }
    }

    @Test func `an unpaid order cannot be refunded`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), card: Card.asksForConfirmation)
            #expect(try await house.refund(bought).status == 409)
        }
    }

    // MARK: By the buyer

    @Test func `a buyer gives a paid order back within the event's policy alone`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let none = try await house.buy(try await house.makeOffer(5))
            let refused = try await house.cancel(none)
            #expect(refused.status == 409 && refused.problem == "not-refundable")
            for (until, feesRefunded, back) in [
                (Instant.now + .days(1), true, Int64(1_100)), (.now + .days(1), false, 1_000), (.now - .days(1), true, 0),
            ] {
                let event = stage.add(
                    Stage.makeEvent(of: stage.organizer, refundPolicy: RefundPolicy(until: until, feesRefunded: feesRefunded)))
                let type = try await house.makeOffer(5, event: event) { $0.fee = 100 }
                let bought = try await house.buy(type)
                let answer = try await house.cancel(bought)
                #expect(answer.status == (back > 0 ? 200 : 409))
                #expect(try await house.refunds(of: bought.order.id) == (back > 0 ? [back] : []))
                let order = try await house.show(bought)
                #expect(order.status == (back > 0 ? .canceled : .paid))
                #expect(order.tickets.map(\.status) == [back > 0 ? .void : .issued])
            }
        }
    }

    @Test func `a buyer who is inside cannot give the order back, and may once outside`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: true)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let bought = try await house.buy(try await house.makeOffer(5, event: event))
            let code = try #require(bought.order.tickets.first?.code)
            _ = try await house.tickets.read(code, stage, event: event)
            for _ in 0..<3 {
                let refused = try await house.cancel(bought)
                #expect(refused.status == 409 && refused.problem == "ticket-inside")
                #expect(try await house.show(bought).status == .paid)
            }
            _ = try await house.tickets.read(code, stage, event: event, direction: .out)
            #expect(try await house.cancel(bought).status == 200)
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.map(\.status) == [.void])
            #expect(try await house.refunds(of: order.id) == [1_000])
        }
    }

    @Test func `a refund policy that is newer counts, one that is older does not`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let bought = try await house.buy(try await house.makeOffer(5))
            let old = stage.change(stage.event) { $0.name = "Before" }
            let new = stage.change(stage.event) { $0.refundPolicy = RefundPolicy(until: .now + .days(1), feesRefunded: true) }
            let id = MessageID()
            for _ in 0..<2 { try await house.sales.deliver(EventChanged(event: new), id: id) }
            try await house.sales.deliver(EventChanged(event: old))
            #expect(try await house.cancel(bought).status == 200)
        }
    }

    // MARK: Disputes

    @Test func `while money is disputed its tickets open no door; won they do again, lost they never do`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            for (end, reason) in [(DisputeState.won, nil), (.lost, "blocked")] {
                let bought = try await house.buy(type)
                try await house.announce()
                let code = try #require(bought.order.tickets.first?.code)
                var payment = try await house.payment(of: bought.order.id)
                let open = PaymentDispute(id: DisputeID(), state: .opened, amount: Money(1_000, .eur))
                payment.disputes = [open]
                payment.version += 1
                let old = payment
                try await house.sales.deliver(PaymentChanged(payment: payment))
                #expect(try await house.tickets.read(code, house.stage).reason == "blocked")
                #expect(try await house.show(bought).tickets.map(\.blockedBy) == [["dispute"]])
                payment.disputes?[0].state = end
                payment.version += 1
                try await house.sales.deliver(PaymentChanged(payment: payment))
                // A message that was overtaken does not close the door again.
                try await house.sales.deliver(PaymentChanged(payment: old))
                #expect(try await house.tickets.read(code, house.stage).reason == reason)
            }
        }
    }
}

/// Events that do not take place.
@Suite("Canceled events", .serialized) struct CanceledEventTests {
    @Test func `an order that is fulfilled at the moment of the cancellation is refunded instead of paid`() async throws {
        for price in [1_000, 0] as [Int64] {
            try await withHouse { house in
                let type = try await house.makeOffer(5) { $0.price = Money(price, .eur) }
                let cart = try await house.fill(type, 2)
                let once = Once()
                house.intercept(.ticketManager) { request, next in
                    let reply = try await next(request)
                    if request.target.hasSuffix("/fulfilment"), once.isFirst {
                        try await house.cancelEvent()
                    }
                    return reply
                }
                let bought = try await house.checkOut(cart)
                for _ in 0..<2 {
                    try await house.announce()
                    try await house.reconcile()
                    try await house.sales.run("refund-canceled-events")
                }
                let order = try await house.show(bought)
                #expect(order.status == .canceled && order.paidAt == nil)
                #expect(try await house.tickets.tickets(of: order.id).map(\.status) == [.void, .void])
                if price > 0 { #expect(try await house.refunds(of: order.id) == [2_000]) }
                #expect(try await house.sales.sent(OrderPaid.self).isEmpty)
                #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["event-canceled"])
            }
        }
    }

    @Test func `money that comes after the event was canceled goes back`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), card: Card.capturesUnseen)
            try await house.cancelEvent(refund: false)
            for _ in 0..<2 {
                try await house.announce()
                try await house.reconcile()
            }
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.isEmpty)
            #expect(try await house.refunds(of: order.id) == [1_000])
        }
    }

    @Test func `every order of a canceled event is refunded once, paid or not, though the job is interrupted again and again`() async throws
    {
        let stage = Stage()
        try await withHouseFolder { folder in
            var bought: [CheckoutAnswer] = []
            let points = ["sales.refund-written", "sales.tickets-blocked", "sales.refund-finished"]
            try await withHouse(stage: stage, folder: folder) { house in
                let type = try await house.makeOffer(100)
                for index in 0..<8 {
                    bought.append(
                        try await house.buy(type, Int64(index % 3 + 1), card: index == 5 ? Card.asksForConfirmation : Card.captures))
                }
                // One has given a part back already.
                #expect(try await house.refund(bought[2], units: [bought[2].order.lines[0].units[0].id]).status == 201)
                try await house.cancelEvent()
            }
            for point in points + points {
                try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "\(point)=fail:0.6"]) { house in
                    try await house.sales.run("refund-canceled-events")
                    try await house.reconcile()
                }
            }
            try await withHouse(stage: stage, folder: folder) { house in
                for _ in 0..<3 {
                    try await house.sales.run("refund-canceled-events")
                    try await house.reconcile()
                    try await house.announce()
                }
                for (index, one) in bought.enumerated() {
                    let order = try await house.show(one)
                    #expect(order.status == .canceled, "order \(index)")
                    let back = try await house.refunds(of: order.id)
                    #expect(back.reduce(0, +) == (index == 5 ? 0 : order.totals.total.amount), "order \(index)")
                    #expect(back.count == (index == 5 ? 0 : index == 2 ? 2 : 1), "order \(index)")
                    #expect(order.tickets.allSatisfy { $0.status == .void })
                }
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 0)
                #expect(try await house.tickets.number("SELECT CAST(SUM(held + sold) AS BIGINT) AS number FROM pool") == 0)
                #expect(try await house.sales.sent(OrderEnded.self).count == 8)
                try await house.tickets.expectBalancedBooks()
            }
        }
    }

    @Test func `orders that cannot be refunded yet do not stand in the way of others`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(100)
            let good = try await house.buy(type)
            let stuck = try await house.buy(type, card: Card.asksForConfirmation)
            // Newer than the good one, and more than are looked at together.
            try await house.copyOrder(stuck.order.id, times: 120)
            try await house.cancelEvent()
            house.intercept(.paymentProcessing) { request, next in
                if request.target.contains("\(good.order.id)") || request.target.contains("/refunds") { return try await next(request) }
                throw Problem.unavailable("This provider is down.")
            }
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.show(good).status == .canceled)
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 1)
            house.stopIntercepting(.paymentProcessing)
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 0)
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE status <> 'canceled'") == 0)
        }
    }

    @Test func `an event that is canceled without refunds leaves its orders as they are`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5))
            try await house.cancelEvent(refund: false)
            try await house.sales.run("refund-canceled-events")
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.refunds.isEmpty && order.tickets.map(\.status) == [.issued])
            // Asked for later, it is done; taken back it is not.
            try await house.sales.deliver(EventCanceled(eventId: house.stage.event, refund: true, reason: nil))
            try await house.sales.deliver(EventCanceled(eventId: house.stage.event, refund: false, reason: nil))
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.show(bought).status == .canceled)
        }
    }

    @Test func `other events go on`() async throws {
        try await withHouse { house in
            let other = house.stage.add(Stage.makeEvent(of: house.stage.organizer))
            let bought = try await house.buy(try await house.makeOffer(5, event: other))
            _ = try await house.buy(try await house.makeOffer(5))
            try await house.cancelEvent()
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.show(bought).status == .paid)
        }
    }
}

/// Who sees an order.
@Suite("Orders", .serialized) struct OrderAccessTests {
    @Test func `an order is its buyer's and its organizer's, and to everybody else it does not exist`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (bought, other) = (try await house.buy(type), try await house.buy(type))
            let path = "/api/v1/orders/\(bought.order.id)"
            let calls: [(HTTPRequest.Method, String, String)] = [
                (.get, path, ""), (.post, "\(path)/cancel", ""), (.post, "\(path)/refunds", #"{"reason":"x"}"#),
            ]
            let unverified = TestCaller.user(UserID(), email: "ada@example.org", verified: false)
            for (method, target, json) in calls {
                for caller in [TestCaller.nobody, house.stage.stranger, house.stage.rival, unverified, .service(.paymentProcessing)] {
                    for token in [nil, "x", other.orderToken] {
                        var headers = ["Idempotency-Key": "k"]
                        headers["X-Order-Token"] = token
                        let answer = try await house.sales.call(method, target, as: caller, headers: headers, json: json)
                        let needsUser = target.hasSuffix("refunds") && caller.userID == nil
                        #expect(answer.status == (needsUser ? 401 : 404), "\(method) \(target) as \(caller)")
                    }
                }
                for caller in [house.stage.door, house.stage.analyst] {
                    let answer = try await house.sales.call(method, target, as: caller, headers: ["Idempotency-Key": "k"], json: json)
                    #expect(answer.status == 403, "\(method) \(target)")
                }
                let missing = try await house.sales.call(
                    method, target.replacing("\(bought.order.id)", with: "\(OrderID())"), as: house.stage.rival,
                    headers: ["Idempotency-Key": "k"], json: json)
                let foreign = try await house.sales.call(
                    method, target, as: house.stage.rival, headers: ["Idempotency-Key": "k"], json: json)
                let details = try [missing, foreign].map { try $0.json(Problem.self).detail }
                #expect(missing.status == 404 && details[0] == details[1])
            }
            // A buyer refunds nobody, not even themselves.
            let buyer = TestCaller.user(UserID(), email: "ada@example.org")
            #expect(try await house.refund(bought, as: buyer).status == 404)
            #expect(try await house.show(bought).status == .paid)
            for caller in [buyer, house.stage.manager, house.stage.owner, house.stage.admin] {
                #expect(try await house.sales.call(.get, path, as: caller).status == 200)
            }
        }
    }

    @Test func `the link of a mail opens its order, and no other`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (bought, other) = (try await house.buy(type), try await house.buy(type))
            for (token, status) in [(bought.orderToken, 200), (other.orderToken, 404), ("", 404), ("x", 404)] {
                let answer = try await house.sales.call(.get, "/api/v1/orders/\(bought.order.id)?token=\(token.percentEncoded())")
                #expect(answer.status == status)
            }
        }
    }

    @Test func `one's orders are those of the account, and those of its address once it is verified`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20)
            let id = UserID()
            let (verified, unverified) = (
                TestCaller.user(id, email: "Ada@Example.org"), TestCaller.user(id, email: "ada@example.org", verified: false)
            )
            let mine = try await house.buy(type, as: unverified).order.id
            let asGuest = try await house.buy(type).order.id
            _ = try await house.checkOut(try await house.fill(type), buyer: "eve@example.org")
            func list(_ caller: TestCaller) async throws -> [Order] {
                try await house.sales.call(.get, "/api/v1/orders", as: caller).json(Page<Order>.self).items
            }
            #expect(try await list(unverified).map(\.id) == [mine])
            #expect(try await list(verified).map(\.id) == [asGuest, mine])
            #expect(try await list(verified).allSatisfy { $0.tickets.isEmpty })
            #expect(try await list(house.stage.stranger).isEmpty)
            #expect(try await house.sales.call(.get, "/api/v1/orders").status == 401)
            #expect(try await house.sales.call(.get, "/api/v1/orders", as: .service(.salesManager)).status == 401)
        }
    }

    @Test func `orders come in pages, the newest first`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20)
            var bought: [OrderID] = []
            for _ in 0..<5 { bought.append(try await house.buy(type).order.id) }
            var seen: [OrderID] = []
            var after: String?
            repeat {
                let page = try await house.sales.call(
                    .get, "/api/v1/events/\(house.stage.event)/orders?limit=2\(after.map { "&after=\($0)" } ?? "")", as: house.stage.manager
                ).json(Page<Order>.self)
                #expect(page.items.count <= 2)
                seen += page.items.map(\.id)
                after = page.next
            } while after != nil
            #expect(seen == bought.reversed())
            for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999999999999", "after=x", "after=order_x"] {
                let answer = try await house.sales.call(.get, "/api/v1/orders?\(query)", as: house.stage.stranger)
                #expect(answer.status == 422, "\(query)")
            }
        }
    }

    @Test func `an event's orders are for its managers`() async throws {
        try await withHouse { house in
            _ = try await house.buy(try await house.makeOffer(5))
            let path = "/api/v1/events/\(house.stage.event)/orders"
            for (caller, status) in [
                (TestCaller.nobody, 401), (house.stage.stranger, 404), (house.stage.rival, 404), (house.stage.door, 403),
                (house.stage.analyst, 403), (house.stage.manager, 200), (house.stage.owner, 200), (house.stage.admin, 200),
            ] {
                #expect(try await house.sales.call(.get, path, as: caller).status == status)
            }
            #expect(try await house.sales.call(.get, "/api/v1/events/\(EventID())/orders", as: house.stage.manager).status == 404)
        }
    }

    @Test func `what is for services is for those with the scope alone`() async throws {
        try await withHouse { house in
            for route in SalesManagerRoutes.all {
                guard case .service = route.access else { continue }
                let path = route.path([route.path.contains("events") ? "\(EventID())" : "\(OrderID())"])
                for (caller, status) in [(TestCaller.nobody, 401), (house.stage.admin, 403), (.service(.couponManager), 403)] {
                    let answer = try await house.sales.call(route.method, path, as: caller)
                    #expect(answer.status == status, "\(path)")
                }
            }
        }
    }

    @Test func `a peer learns who is an order's buyer by secret, account or verified address`() async throws {
        try await withHouse { house in
            let id = UserID()
            let bought = try await house.buy(try await house.makeOffer(5), as: .user(id, email: "other@example.org"))
            func isBuyer(_ question: OrderAccessQuestion) async throws -> Bool {
                try await house.sales.call(
                    .post, "/internal/v1/orders/\(bought.order.id)/access", as: .service(.ticketManager), body: question
                ).json(OrderAccess.self).isBuyer
            }
            #expect(try await isBuyer(OrderAccessQuestion(orderToken: bought.orderToken)))
            #expect(try await isBuyer(OrderAccessQuestion(userId: id)))
            #expect(try await isBuyer(OrderAccessQuestion(verifiedEmail: "ADA@example.org")))
            #expect(try await !isBuyer(OrderAccessQuestion()))
            #expect(try await !isBuyer(OrderAccessQuestion(orderToken: "x", userId: UserID(), verifiedEmail: "eve@example.org")))
        }
    }
}

extension House {
    /// More orders as this one, without their lines: enough for what looks at many.
    fileprivate func copyOrder(_ id: OrderID, times: Int) async throws {
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
