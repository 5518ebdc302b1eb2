import Contracts
import CouponManager
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import Values

@Suite("CouponManager")
struct CouponManagerTests {
    typealias Harness = ServiceHarness<CouponManagerService>

    let organizer = OrganizerID()
    let stranger = OrganizerID()
    let manager = UserID()
    let event = EventID()
    let type = TicketTypeID()
    let sales = TestCaller.service(.salesManager)
    var staff: TestCaller { .user(manager, email: "manager@example.org") }

    func withCoupons<Result>(_ body: (Harness) async throws -> Result) async throws -> Result {
        try await withService(
            CouponManagerService.self, peers: { $0.enterMemberships([(manager, organizer, .manager)]) }, body)
    }

    func coupon(
        _ service: Harness, code: String = "SUMMER", discount: Discount = Discount(percent: 10), max: Int64? = nil,
        perBuyer: Int64? = nil, change: (inout NewCoupon) -> Void = { _ in }
    ) async throws -> Coupon {
        var new = NewCoupon(
            organizerId: organizer, code: code, name: "Summer", discount: discount, maxRedemptions: max, perBuyerLimit: perBuyer)
        change(&new)
        let answer = try await service.call(.post, "/api/v1/coupons", as: staff, body: new)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    func request(
        _ code: String = "SUMMER", cart: CartID = CartID(), lines: [DiscountableLine]? = nil, expiresAt: Instant = .now + .minutes(10)
    ) -> NewCouponUse {
        NewCouponUse(
            code: code, cartId: cart, organizerId: organizer, eventId: event, currency: .eur,
            lines: lines ?? [line(1, 4_500)], expiresAt: expiresAt)
    }

    func line(_ quantity: Int64, _ price: Int64, _ type: TicketTypeID? = nil) -> DiscountableLine {
        DiscountableLine(ticketTypeId: type ?? self.type, quantity: quantity, unitPrice: price)
    }

    func reserve(_ service: Harness, _ request: NewCouponUse) async throws -> CouponUse {
        let answer = try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    func bind(
        _ service: Harness, _ use: CouponUse, order: OrderID = OrderID(), email: String = "ada@example.org", user: UserID? = nil,
        expiresAt: Instant = .now + .minutes(10)
    ) async throws -> Harness.Answer {
        try await service.call(
            .put, "/internal/v1/coupon-uses/\(use.id)/order", as: sales,
            body: CouponUseBinding(orderId: order, email: email, userId: user, expiresAt: expiresAt))
    }

    func redeem(_ service: Harness, _ use: CouponUse) async throws -> CouponUse {
        let answer = try await service.call(.post, "/internal/v1/coupon-uses/\(use.id)/redemption", as: sales)
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func release(_ service: Harness, _ use: CouponUse) async throws {
        let answer = try await service.call(.delete, "/internal/v1/coupon-uses/\(use.id)", as: sales)
        try #require(answer.status == 204, "\(answer.text)")
    }

    func evaluate(_ service: Harness, _ use: CouponUse, _ lines: [DiscountableLine]) async throws -> CouponUse {
        let answer = try await service.call(
            .put, "/internal/v1/coupon-uses/\(use.id)/lines", as: sales, body: CouponUseLines(lines: lines))
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func read(_ service: Harness, _ coupon: Coupon) async throws -> Coupon {
        try await service.call(.get, "/api/v1/coupons/\(coupon.id)", as: staff).json()
    }

    // MARK: Limits

    @Test func `of five carts at once one gets the last use`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let answers = try await withThrowingTaskGroup(of: Harness.Answer.self) { group in
                for _ in 0..<5 {
                    group.addTask { try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request()) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.filter { $0.status == 201 }.count == 1)
            #expect(answers.filter { $0.status == 422 && $0.problem == "coupon-not-applicable" }.count == 4)
            #expect(try await read(service, coupon).reserved == 1)
        }
    }

    @Test func `a late release cannot free a newer use`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let cart = CartID()
            let first = try await reserve(service, request(cart: cart))
            try await release(service, first)
            let second = try await reserve(service, request(cart: cart))
            #expect(second.id != first.id)
            try await release(service, first)
            #expect(try await read(service, coupon).reserved == 1)
            #expect(try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request()).status == 422)
        }
    }

    @Test func `a reservation is free exactly at its expiry`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let expiresAt = Instant.now + .milliseconds(1_500)
            let use = try await reserve(service, request(expiresAt: expiresAt))
            while true {
                let before = Instant.now
                let answer = try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request())
                if answer.status == 201 { break }
                #expect(before < expiresAt, "refused although it was free")
                let verdict: CouponVerdict = try await service.call(
                    .post, "/api/v1/coupons/validate",
                    body: CouponQuestion(
                        code: "SUMMER", organizerId: organizer, eventId: event, currency: .eur, lines: [line(1, 4_500)])
                ).json()
                #expect(!verdict.applies || Instant.now >= expiresAt)
            }
            #expect(Instant.now >= expiresAt, "granted before it was free")
            #expect(try await read(service, coupon).reserved == 1)
            let old: CouponUse = try await service.call(.get, "/internal/v1/coupon-uses/\(use.id)", as: sales).json()
            #expect(old.state == .released)
        }
    }

    @Test func `an expired reservation is not counted in what staff see, though nobody has come since`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service)
            let expiresAt = Instant.now + .seconds(1)
            _ = try await reserve(service, request(expiresAt: expiresAt))
            var seen = try await read(service, coupon).reserved
            while seen > 0 {
                let before = Instant.now
                seen = try await read(service, coupon).reserved
                if seen > 0 { #expect(before < expiresAt) }
            }
            #expect(Instant.now >= expiresAt)
        }
    }

    @Test func `a cart that reserves again has the same use`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let cart = CartID()
            let first = try await reserve(service, request(cart: cart))
            let again = try await reserve(service, request(" summer ", cart: cart, lines: [line(2, 4_500)]))
            #expect(again.id == first.id)
            #expect(again.discounts == [900])
            #expect(try await read(service, coupon).reserved == 1)
        }
    }

    @Test func `another code for the same cart is a new use beside the old`() async throws {
        try await withCoupons { service in
            let one = try await coupon(service, max: 1)
            let two = try await coupon(service, code: "WINTER", max: 1)
            let cart = CartID()
            let first = try await reserve(service, request(cart: cart))
            let second = try await reserve(service, request("WINTER", cart: cart))
            try await release(service, first)
            #expect(first.id != second.id)
            #expect(try await read(service, one).reserved == 0)
            #expect(try await read(service, two).reserved == 1)
        }
    }

    @Test func `a use is redeemed once, and stays redeemed`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 2)
            let use = try await reserve(service, request())
            #expect(try await bind(service, use).status == 200)
            #expect(try await redeem(service, use).state == .redeemed)
            #expect(try await redeem(service, use).state == .redeemed)
            try await release(service, use)
            let read = try await read(service, coupon)
            #expect((read.reserved, read.redeemed, read.overLimit) == (0, 1, 0))
        }
    }

    @Test func `a released use is redeemed within the limit where there is room`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let use = try await reserve(service, request())
            try await release(service, use)
            let redeemed = try await redeem(service, use)
            #expect(redeemed.state == .redeemed && !redeemed.overLimit)
            let read = try await read(service, coupon)
            #expect((read.reserved, read.redeemed, read.overLimit) == (0, 1, 0))
        }
    }

    @Test func `a released use whose place is taken is redeemed all the same, and the organizer sees it`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let late = try await reserve(service, request())
            try await release(service, late)
            let other = try await reserve(service, request())
            let redeemed = try await redeem(service, late)
            #expect(redeemed.state == .redeemed && redeemed.overLimit)
            #expect(try await redeem(service, other).overLimit == false)
            #expect(try await redeem(service, late).overLimit)
            let read = try await read(service, coupon)
            #expect((read.reserved, read.redeemed, read.overLimit) == (0, 2, 1))
            #expect(try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request()).status == 422)
        }
    }

    @Test func `a bound use outlives its cart, and ends with its order`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let cartEnds = Instant.now + .seconds(1)
            let orderEnds = cartEnds + .seconds(1)
            let use = try await reserve(service, request(expiresAt: cartEnds))
            let bound = try await bind(service, use, expiresAt: orderEnds)
            #expect(bound.status == 200)
            while true {
                let before = Instant.now
                let answer = try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request())
                if answer.status == 201 { break }
                #expect(before < orderEnds)
            }
            #expect(Instant.now >= orderEnds)
            #expect(try await redeem(service, use).overLimit)
            #expect(try await read(service, coupon).overLimit == 1)
        }
    }

    @Test func `binding reserves a released use again where there is room, and refuses where there is none`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 1)
            let use = try await reserve(service, request())
            let order = OrderID()
            try await release(service, use)
            #expect(try await bind(service, use, order: order).status == 200)
            #expect(try await read(service, coupon).reserved == 1)
            try await release(service, use)
            _ = try await reserve(service, request())
            let refused = try await bind(service, use, order: order)
            #expect(refused.status == 422 && refused.problem == "coupon-not-applicable")
            #expect(try await read(service, coupon).reserved == 1)
        }
    }

    @Test func `a use belongs to one order`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service)
            let use = try await reserve(service, request())
            let order = OrderID()
            #expect(try await bind(service, use, order: order).status == 200)
            #expect(try await bind(service, use, order: order).status == 200)
            let other = try await bind(service, use)
            #expect(other.status == 409 && other.problem == "illegal-transition")
        }
    }

    @Test func `the limit per buyer counts an address in any way of writing it, and the account`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service, perBuyer: 1)
            let account = UserID()
            let first = try await reserve(service, request())
            #expect(try await bind(service, first, email: "Ada@Example.org", user: account).status == 200)
            #expect(try await bind(service, reserve(service, request()), email: " ada@example.ORG ").problem == "coupon-not-applicable")
            #expect(try await bind(service, reserve(service, request()), email: "b@example.org", user: account).status == 422)
            #expect(try await bind(service, reserve(service, request()), email: "c@example.org", user: UserID()).status == 200)
            try await release(service, first)
            let second = try await reserve(service, request())
            #expect(try await bind(service, second, email: "ada@example.org").status == 200)
            #expect(try await redeem(service, second).state == .redeemed)
            #expect(try await bind(service, reserve(service, request()), email: "ADA@EXAMPLE.ORG").status == 422)
            #expect(try await redeem(service, first).overLimit, "beyond the limit of its buyer")
        }
    }

    // MARK: Discounts

    @Test func `a percentage is rounded half up for each ticket`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service, discount: Discount(percent: 15))
            let use = try await reserve(service, request(lines: [line(3, 1_010), line(2, 1_030), line(5, 0)]))
            #expect(use.discounts == [3 * 152, 2 * 155, 0])
        }
    }

    @Test(
        arguments: [
            (1_000, [333, 334, 333]), (1, [0, 1, 0]), (7, [2, 3, 2]), (999_999, [1_000, 1_001, 1_000]),
        ] as [(Int64, [Int64])])
    func `an amount is spread over the lines and loses and gains nothing`(amount: Int64, expected: [Int64]) async throws {
        try await withCoupons { service in
            _ = try await coupon(service, discount: Discount(amount: Money(amount, .eur)))
            let use = try await reserve(service, request(lines: [line(1, 1_000), line(1, 1_001), line(1, 1_000)]))
            #expect(use.discounts.reduce(0, +) == min(amount, 3_001))
            #expect(use.discounts == expected)
        }
    }

    @Test func `only the ticket types that it is for are discounted`() async throws {
        try await withCoupons { service in
            let other = TicketTypeID()
            _ = try await coupon(service, discount: Discount(amount: Money(5_000, .eur))) { $0.ticketTypeIds = [type] }
            let use = try await reserve(service, request(lines: [line(1, 3_000, other), line(1, 2_000)]))
            #expect(use.discounts == [0, 2_000])
            #expect(try await reserve(service, request(lines: [line(1, 3_000, other)]), expecting: 422) == nil)
        }
    }

    @Test func `what is missing of the minimum order is asked again when lines change`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service) { $0.minimumOrder = Money(10_000, .eur) }
            #expect(try await reserve(service, request(lines: [line(1, 9_999)]), expecting: 422) == nil)
            let use = try await reserve(service, request(lines: [line(2, 5_000)]))
            #expect(use.discounts == [1_000])
            #expect(try await evaluate(service, use, [line(1, 5_000)]).discounts == [0])
            #expect(try await evaluate(service, use, [line(3, 5_000), line(1, 10)]).discounts == [1_500, 1])
            #expect(try await evaluate(service, use, []).discounts == [])
        }
    }

    @Test func `an amount in another currency takes nothing off`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service, discount: Discount(amount: Money(100, Currency("CHF")!)))
            #expect(try await reserve(service, request(), expecting: 422) == nil)
        }
    }

    @Test func `the largest lines do not overflow`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service, discount: Discount(amount: Money(1_000_000_000_000, .eur)))
            let lines = [DiscountableLine](repeating: line(10_000, 1_000_000_000_000), count: 200)
            let use = try await reserve(service, request(lines: lines))
            #expect(use.discounts.reduce(0, +) == 1_000_000_000_000)
            var wrong = request()
            wrong.lines = [line(.max, .max)]
            #expect(try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: wrong).status == 422)
        }
    }

    @Test func `a cart keeps the terms that it was shown`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, discount: Discount(percent: 50))
            let use = try await reserve(service, request())
            let change = try await service.call(
                .patch, "/api/v1/coupons/\(coupon.id)", as: staff, body: CouponChange(discount: Discount(percent: 5)))
            #expect(change.status == 200)
            #expect(try await service.call(.post, "/api/v1/coupons/\(coupon.id)/deactivate", as: staff).status == 200)
            #expect(try await evaluate(service, use, [line(1, 1_000)]).discounts == [500])
            #expect(try await bind(service, use).status == 200)
            #expect(try await reserve(service, request(), expecting: 422) == nil)
        }
    }

    @Test func `a bound use keeps its discounts, and a released one gives none`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service)
            let use = try await reserve(service, request())
            _ = try await bind(service, use)
            _ = try await evaluate(service, use, [line(1, 100)])
            let bound: CouponUse = try await service.call(.get, "/internal/v1/coupon-uses/\(use.id)", as: sales).json()
            #expect(bound.discounts == [450])
            try await release(service, use)
            #expect(try await evaluate(service, use, [line(1, 100)]).discounts == [0])
        }
    }

    // MARK: Asking

    @Test func `the answer is the same for whatever does not apply`() async throws {
        try await withCoupons { service in
            _ = try await coupon(service)
            let inactive = try await coupon(service, code: "INACTIVE")
            try await service.call(.post, "/api/v1/coupons/\(inactive.id)/deactivate", as: staff)
            _ = try await coupon(service, code: "OVER") { $0.validUntil = .now - .seconds(1) }
            _ = try await coupon(service, code: "EARLY") { $0.validFrom = .now + .hours(1) }
            _ = try await coupon(service, code: "USED", max: 1)
            _ = try await reserve(service, request("USED"))
            _ = try await coupon(service, code: "ELSEWHERE") { $0.eventIds = [EventID()] }
            func ask(_ code: String, _ organizer: OrganizerID) async throws -> String {
                let question = CouponQuestion(
                    code: code, organizerId: organizer, eventId: event, currency: .eur, lines: [line(2, 4_500)])
                let answer = try await service.call(.post, "/api/v1/coupons/validate", body: question)
                #expect(answer.status == 200)
                return answer.text
            }
            #expect(try await ask("summer", organizer) == #"{"applies":true,"discount":{"amount":900,"currency":"EUR"}}"#)
            let others = [
                "INACTIVE", "OVER", "EARLY", "USED", "ELSEWHERE", "UNKNOWN", "", "🎟️", "שלום", String(repeating: "x", count: 10_000),
            ]
            for code in others {
                #expect(try await ask(code, organizer) == #"{"applies":false}"#)
            }
            #expect(try await ask("SUMMER", stranger) == #"{"applies":false}"#)
        }
    }

    // MARK: Staff

    @Test func `a code is unique for its organizer in any way of writing it`() async throws {
        try await withCoupons { service in
            let first = try await coupon(service, code: "  early-bird ")
            #expect(first.code == "EARLY-BIRD")
            let again = try await service.call(
                .post, "/api/v1/coupons", as: staff,
                body: NewCoupon(organizerId: organizer, code: "Early-Bird", name: "x", discount: Discount(percent: 1)))
            #expect(again.status == 409 && again.problem == "coupon-code-taken")
        }
    }

    @Test func `a change counts versions, and one that was made on an older version is refused`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 10)
            let path = "/api/v1/coupons/\(coupon.id)"
            let first = try await service.call(
                .patch, path, as: staff, headers: ["If-Match": "\"1\""], body: CouponChange(name: "Later", maxRedemptions: 5))
            #expect(first.status == 200)
            #expect(first.headers[.eTag] == "\"2\"")
            let changed: Coupon = try first.json()
            #expect((changed.name, changed.maxRedemptions, changed.version) == ("Later", 5, 2))
            let stale = try await service.call(
                .patch, path, as: staff, headers: ["If-Match": "\"1\""], body: CouponChange(name: "Stale"))
            #expect(stale.status == 412 && stale.problem == "precondition-failed")
            let late = try await service.call(.post, path + "/deactivate", as: staff, headers: ["If-Match": "\"1\""])
            #expect(late.status == 412)
            let deactivated: Coupon = try await service.call(.post, path + "/deactivate", as: staff).json()
            let again: Coupon = try await service.call(.post, path + "/deactivate", as: staff).json()
            #expect(deactivated.status == .inactive && deactivated.version == 3 && again == deactivated)
            let history = try await service.database.read { tx in
                try tx.rows("SELECT actor, reason FROM coupon_history ORDER BY version").map { row in
                    (actor: try row["actor"] as String, reason: try row["reason"] as String)
                }
            }
            #expect(history.map(\.reason) == ["created", "changed", "deactivated"])
            #expect(history.allSatisfy { $0.actor == "\(manager)" })
        }
    }

    @Test func `a coupon that staff change at the same moment is there for every cart`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for round in 0..<80 {
                    group.addTask {
                        guard round % 4 == 0 else {
                            return try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request()).status
                        }
                        return try await service.call(
                            .patch, "/api/v1/coupons/\(coupon.id)", as: staff, body: CouponChange(name: "Name \(round)")
                        ).status
                    }
                }
                return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(statuses == [200: 20, 201: 60])
        }
    }

    @Test func `the limit cannot go below what is used`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service, max: 3)
            _ = try await reserve(service, request())
            let use = try await reserve(service, request())
            _ = try await redeem(service, use)
            let path = "/api/v1/coupons/\(coupon.id)"
            let refused = try await service.call(.patch, path, as: staff, body: CouponChange(maxRedemptions: 1))
            #expect(refused.status == 409 && refused.problem == "limit-below-uses")
            #expect(try await service.call(.patch, path, as: staff, body: CouponChange(maxRedemptions: 2)).status == 200)
        }
    }

    @Test func `a list is filtered and paged`() async throws {
        try await withCoupons { service in
            var ids: [CouponID] = []
            for number in 0..<5 {
                ids.append(try await coupon(service, code: "C\(number)") { if number == 2 { $0.eventIds = [event] } }.id)
            }
            _ = try await coupon(service, code: "ELSEWHERE") { $0.eventIds = [EventID()] }
            try await service.call(.post, "/api/v1/coupons/\(ids[0])/deactivate", as: staff)
            let filter = "/api/v1/coupons?organizer=\(organizer)&event=\(event)&status=active"
            var found: [CouponID] = []
            var next: String?
            repeat {
                let page: Page<Coupon> = try await service.call(
                    .get, filter + "&limit=2" + (next.map { "&after=\($0)" } ?? ""), as: staff
                ).json()
                found += page.items.map(\.id)
                next = page.next
            } while next != nil
            #expect(found == ids.dropFirst().reversed())
            let mine: Page<Coupon> = try await service.call(.get, "/api/v1/coupons", as: staff).json()
            #expect(mine.items.count == 6)
            let none: Page<Coupon> = try await service.call(.get, "/api/v1/coupons", as: .user(UserID())).json()
            #expect(none.items.isEmpty)
            for query in ["status=gone", "event=x", "organizer=x", "after=x", "limit=0", "limit=201", "limit=x"] {
                #expect(try await service.call(.get, "/api/v1/coupons?\(query)", as: staff).status == 422)
            }
            let admin = TestCaller.user(UserID(), admin: true)
            #expect(try await service.call(.get, "/api/v1/coupons", as: admin).status == 422)
            #expect(try await service.call(.get, "/api/v1/coupons?organizer=\(organizer)", as: admin).status == 200)
        }
    }

    @Test func `each route is closed to everybody else`() async throws {
        let door = UserID()
        let rival = UserID()
        let peers: (InProcessTransport) -> Void = {
            $0.enterMemberships([(manager, organizer, .manager), (door, organizer, .door), (rival, stranger, .owner)])
        }
        try await withService(CouponManagerService.self, peers: peers) { service in
            let coupon = try await coupon(service)
            let new = try JSON.text(of: NewCoupon(organizerId: organizer, code: "X", name: "x", discount: Discount(percent: 1)))
            let staffRoutes: [(HTTPRequest.Method, String, String?)] = [
                (.get, "/api/v1/coupons?organizer=\(organizer)", nil), (.post, "/api/v1/coupons", new),
                (.get, "/api/v1/coupons/\(coupon.id)", nil), (.patch, "/api/v1/coupons/\(coupon.id)", #"{"name":"y"}"#),
                (.post, "/api/v1/coupons/\(coupon.id)/deactivate", nil),
            ]
            for (method, path, json) in staffRoutes {
                #expect(try await service.call(method, path, json: json).status == 401)
                #expect(try await service.call(method, path, as: .user(door), json: json).status == 403)
                #expect(try await service.call(method, path, as: .user(rival), json: json).status == 404)
                #expect(try await service.call(method, path, as: .user(UserID()), json: json).status == 404)
                #expect(try await service.call(method, path, as: sales, json: json).status == 401)
            }
            #expect(try await read(service, coupon) == coupon)
            let unknown = try await service.call(.get, "/api/v1/coupons/\(CouponID())", as: .user(rival))
            let foreign = try await service.call(.get, "/api/v1/coupons/\(coupon.id)", as: .user(rival))
            #expect(unknown.status == foreign.status && unknown.problem == foreign.problem)

            let use = try await reserve(service, request())
            let useRoutes: [(HTTPRequest.Method, String, String?)] = [
                (.post, "/internal/v1/coupon-uses", try JSON.text(of: request())),
                (.get, "/internal/v1/coupon-uses/\(use.id)", nil),
                (.put, "/internal/v1/coupon-uses/\(use.id)/lines", #"{"lines":[]}"#),
                (.put, "/internal/v1/coupon-uses/\(use.id)/order", "{}"),
                (.post, "/internal/v1/coupon-uses/\(use.id)/redemption", nil),
                (.delete, "/internal/v1/coupon-uses/\(use.id)", nil),
            ]
            for (method, path, json) in useRoutes {
                #expect(try await service.call(method, path, json: json).status == 401)
                #expect(try await service.call(method, path, as: staff, json: json).status == 403)
                #expect(try await service.call(method, path, as: .user(UserID(), admin: true), json: json).status == 403)
                #expect(try await service.call(method, path, as: .service(.notification), json: json).status == 403)
                guard method != .post || path.hasSuffix("redemption") else { continue }
                let nobodys = path.replacing("\(use.id)", with: "\(CouponUseID())")
                let binding = CouponUseBinding(orderId: OrderID(), email: "a@b.c", expiresAt: .now + .hours(1))
                let body = path.hasSuffix("/order") ? try JSON.text(of: binding) : json
                #expect(try await service.call(method, nobodys, as: sales, json: body).status == 404)
            }
        }
    }

    @Test(arguments: [
        #"{}"#, #"[]"#, #"{"code":"A"}"#,
        #"{"organizerId":"ORG","code":"A B","name":"x","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"","name":"x","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"🎟️","name":"x","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"אבג","name":"x","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"LONG","name":"x","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"A","name":"LONG","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"A","name":" ","discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"A","name":7,"discount":{"percent":1}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1,"amount":{"amount":1,"currency":"EUR"}}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":0}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":101}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1.5}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":99999999999999999999}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"amount":{"amount":-1,"currency":"EUR"}}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"amount":{"amount":1000000000001,"currency":"EUR"}}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"amount":{"amount":1,"currency":"eur"}}}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1},"maxRedemptions":0}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1},"perBuyerLimit":-1}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1},"validFrom":"2027-02-30T00:00:00Z"}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1},"validFrom":"9999-01-01T00:00:00Z"}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"percent":1},"validFrom":"2027-02-02T00:00:00Z","validUntil":"2027-02-01T00:00:00Z"}"#,
        #"{"organizerId":"ORG","code":"A","name":"x","discount":{"amount":{"amount":1,"currency":"EUR"}},"minimumOrder":{"amount":1,"currency":"CHF"}}"#,
    ])
    func `a coupon that cannot be is refused`(json: String) async throws {
        try await withCoupons { service in
            let long = String(repeating: "x", count: 10_000)
            let answer = try await service.call(
                .post, "/api/v1/coupons", as: staff, json: json.replacing("ORG", with: "\(organizer)").replacing("LONG", with: long))
            #expect(answer.status == 422, "\(answer.text)")
            #expect(!answer.text.contains("Swift"))
        }
    }

    @Test func `bodies that are no JSON or hold NUL are refused`() async throws {
        try await withCoupons { service in
            let coupon = try await coupon(service)
            for json in ["", "{", #"{"name":"a\u0000b"}"#] {
                #expect(try await service.call(.patch, "/api/v1/coupons/\(coupon.id)", as: staff, json: json).status == 400)
            }
            #expect(try await service.call(.patch, "/api/v1/coupons/\(coupon.id)", as: staff, json: #"{"name":"👩‍💻 عدا"}"#).status == 200)
            #expect(try await service.call(.get, "/api/v1/coupons/nonsense", as: staff).status == 404)
        }
    }

    /// Reserves, or shows the refusal.
    func reserve(_ service: Harness, _ request: NewCouponUse, expecting status: Int) async throws -> CouponUse? {
        let answer = try await service.call(.post, "/internal/v1/coupon-uses", as: sales, body: request)
        #expect(answer.status == status, "\(answer.text)")
        return answer.status == 201 ? try answer.json() : nil
    }
}
