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
        try await withFolder { folder in
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

    /// An event whose buyers may give their orders back.
    private static func lenientEvent(_ stage: Stage) -> EventID {
        stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: RefundPolicy(until: .now + .days(1), feesRefunded: true)))
    }

    @Test func `an order whose money the provider does not give back is not canceled, and may be once it does`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let type = try await house.makeOffer(5, event: RefundTests.lenientEvent(stage))
            let bought = try await house.buy(type, card: Card.captures + ";refunds=fail")
            for _ in 0..<2 {
                let refused = try await house.cancel(bought)
                #expect(refused.status == 409 && refused.problem == "refund-failed")
                let order = try await house.show(bought)
                #expect(order.status == .paid && order.balance.refunded.amount == 0)
                #expect(order.tickets.map(\.status) == [.issued] && order.tickets.allSatisfy { $0.blockedBy.isEmpty })
            }
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            #expect(try await house.cancel(bought).problem == "refund-failed", "another try has to wait")
            try await house.sales.sql("UPDATE refund SET created_at = 1")
            #expect(try await house.cancel(bought).status == 200)
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.map(\.status) == [.void])
            #expect(try await house.refunds(of: order.id) == [1_000])
            try await house.tickets.expectBalancedBooks()
        }
    }

    /// - Parameter isSettled: whether the sale was over between Sales and Payments before.
    @Test(arguments: [false, true])
    func `a refund that fails after its order was canceled is tried again until the money is back`(isSettled: Bool) async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: false)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let bought = try await house.buy(
                try await house.makeOffer(5, event: event) { $0.fee = 100 }, card: Card.captures + ";refunds=fail")
            if isSettled {
                try await house.announce()
                try await house.reconcile()
                #expect(try await house.payment(of: bought.order.id).state == .closed)
            }
            // The provider takes it, and refuses later.
            house.hideOutcomesOfRefunds()
            #expect(try await house.cancel(bought).status == 200)
            house.stopIntercepting(.paymentProcessing)
            try await house.reconcile()
            var payment = try await house.payment(of: bought.order.id)
            payment.version += 1
            try await house.sales.deliver(PaymentChanged(payment: payment))
            #expect(try await house.show(bought).refunds.map(\.status) == [.failed])
            #expect(try await house.show(bought).tickets.map(\.blockedBy) == [["refund"]], "who is canceled does not get in meanwhile")
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            try await house.reconcile()
            #expect(try await house.refunds(of: bought.order.id).isEmpty, "another try has to wait")
            for _ in 0..<2 {
                try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status = 'failed'")
                try await house.sales.sql("UPDATE sales_order SET look_at = 1")
                try await house.reconcile()
            }
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.tickets.map(\.status) == [.void])
            #expect(order.refunds.map(\.status) == [.failed, .succeeded])
            #expect(try await house.refunds(of: order.id) == [1_000])
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `staff who cancel an order of which a part of the money went back void its tickets`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2)
            #expect(try await house.refund(bought, amount: 500).status == 201)
            let answer = try await house.sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", as: house.stage.manager)
            let order = try answer.json(Order.self)
            #expect(order.status == .canceled && order.tickets.allSatisfy { $0.status == .void })
            #expect(try await house.refunds(of: order.id) == [500])
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `another try gives back what is left by then, and no more`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: false)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let type = try await house.makeOffer(5, event: event) { $0.fee = 600 }
            let bought = try await house.buy(type, 2, card: Card.captures + ";refunds=fail")
            #expect(try await house.cancel(bought).problem == "refund-failed")
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            #expect(try await house.refund(bought, units: [bought.order.lines[0].units[0].id]).status == 201)
            try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status = 'failed'")
            #expect(try await house.cancel(bought).status == 200)
            #expect(try await house.refunds(of: bought.order.id) == [1_600, 1_000])
            #expect(try await house.show(bought).tickets.map(\.status) == [.void, .void])
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `what staff give back is not owed, and what is owed waits until it is known`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let type = try await house.makeOffer(5, event: RefundTests.lenientEvent(stage))
            let bought = try await house.buy(type, card: Card.captures + ";refunds=fail")
            #expect(try await house.cancel(bought).problem == "refund-failed")
            // Staff ask for a part, and the provider has not decided.
            house.intercept(.paymentProcessing) { request, next in
                guard request.target.hasSuffix("/submit") else { return try await next(request) }
                throw Problem.unavailable("This provider is down.")
            }
            #expect(try await house.refund(bought, amount: 400).status == 503)
            house.stopIntercepting(.paymentProcessing)
            try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status = 'failed'")
            #expect(try await house.cancel(bought).problem == "refund-failed", "it is not known yet what is left")
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            try await house.reconcile()
            #expect(try await house.refunds(of: bought.order.id) == [400])
            #expect(try await house.cancel(bought).status == 200)
            #expect(try await house.refunds(of: bought.order.id) == [400, 600])
            #expect(try await house.show(bought).tickets.map(\.status) == [.void])
        }
    }

    @Test func `staff cancel an order also while a refund of it is on its way`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5), 2)
            house.hideOutcomesOfRefunds()
            #expect(try await house.refund(bought, amount: 500).json(RefundSummary.self).status == .submitted)
            let answer = try await house.sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", as: house.stage.manager)
            let order = try answer.json(Order.self)
            #expect(order.status == .canceled && order.tickets.allSatisfy { $0.status == .void })
            house.stopIntercepting(.paymentProcessing)
            try await house.reconcile()
            #expect(try await house.refunds(of: order.id) == [500])
        }
    }

    @Test func `an order that staff have given back meanwhile can be canceled`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let bought = try await house.buy(try await house.makeOffer(5), card: Card.captures + ";refunds=fail")
            try await house.cancelEvent()
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.show(bought).status == .paid)
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            #expect(try await house.refund(bought).status == 201)
            try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status = 'failed'")
            try await house.sales.run("refund-canceled-events")
            #expect(try await house.show(bought).status == .canceled)
            #expect(try await house.refunds(of: bought.order.id) == [1_000])
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 0)
        }
    }

    @Test func `a refund that another instance asks for at this moment is not withdrawn`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5))
            let once = Once()
            house.intercept(.paymentProcessing) { request, next in
                if request.method == .post, request.target.hasSuffix("/refunds"), once.isFirst {
                    throw Problem(409, "request-in-progress", "The first request with this Idempotency-Key is still running")
                }
                return try await next(request)
            }
            #expect(try await house.refund(bought, key: "k").status == 409)
            #expect(try await house.refund(bought, key: "k").json(RefundSummary.self).status == .succeeded)
            #expect(try await house.refunds(of: bought.order.id) == [1_000])
        }
    }

    @Test func `a manager who is the buyer may do what managers may`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (refunded, canceled) = (try await house.buy(type, 2), try await house.buy(type))
            for bought in [refunded, canceled] {
                try await house.sales.sql("UPDATE sales_order SET user_id = \(house.stage.manager.userID) WHERE id = \(bought.order.id)")
            }
            #expect(try await house.refund(refunded, units: [refunded.order.lines[0].units[0].id]).status == 201)
            let answer = try await house.sales.call(.post, "/api/v1/orders/\(canceled.order.id)/cancel", as: house.stage.manager)
            #expect(try answer.json(Order.self).status == .canceled)
            #expect(try await house.refunds(of: canceled.order.id).isEmpty)
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

    @Test func `a dispute that could not be followed is looked at again`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(5))
            try await house.announce()
            let code = try #require(bought.order.tickets.first?.code)
            let payment = try await house.payment(of: bought.order.id)
            let (dispute, attempt) = (DisputeID(), try #require(payment.attempts.first?.id))
            var disputed = payment
            disputed.disputes = [PaymentDispute(id: dispute, state: .opened, amount: Money(1_000, .eur))]
            disputed.version += 1
            try await house.payments.sql(
                """
                INSERT INTO dispute (id, payment_id, attempt_id, provider, reference, amount, currency, state, created_at)
                VALUES (\(dispute), \(payment.id), \(attempt), 'sandbox', 'd', 1000, 'EUR', 'opened', 1)
                """)
            // Its message becomes a dead letter: TicketManager is away for longer than it is tried.
            house.intercept(.ticketManager) { _, _ in throw Problem.unavailable("Away.") }
            #expect(await (try? house.sales.deliver(PaymentChanged(payment: disputed))) == nil)
            house.stopIntercepting(.ticketManager)
            #expect(try await house.tickets.read(code, house.stage).result == .admitted)
            try await house.reconcile()
            #expect(try await house.tickets.read(code, house.stage).reason == "blocked")
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = FALSE") == 0)
        }
    }

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
