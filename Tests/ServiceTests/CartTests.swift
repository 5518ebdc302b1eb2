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
            #expect(try await house.add(try await house.makeOffer(5, event: draft), 1, to: try await house.makeCart()).status == 404)
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

    @Test func `a coupon is reserved as long as its cart lives, and once, however often its code is entered`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            try await house.makeCoupon("TEN", percent: 10)
            let cart = try await house.fill(type, 1)
            for _ in 0..<3 {
                #expect(try await house.enter("ten", in: cart).json(Cart.self).totals?.discount.amount == 100)
                #expect(try await house.coupon("TEN").reserved == 1)
            }
            let deadline = try await house.coupons.number("SELECT expires_at AS number FROM coupon_use WHERE state = 'reserved'")
            #expect(deadline == cart.expiresAt.microseconds)
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
            let once = Once()
            house.intercept(.ticketManager) { request, next in
                if once.isFirst {
                    isRunning.open()
                    await maySucceed.pass()
                }
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
