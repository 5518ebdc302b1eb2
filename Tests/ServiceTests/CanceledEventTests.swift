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

/// Events that do not take place.
@Suite("Canceled events", .serialized) struct CanceledEventTests {
    @Test func `an order that is fulfilled at the moment of the cancellation is refunded instead of paid`() async throws {
        for (price, provider) in [(1_000, "sandbox"), (1_000, "manual"), (0, "sandbox")] as [(Int64, String)] {
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
                let bought = try await house.checkOut(cart, card: provider == "manual" ? "door" : Card.captures, provider: provider)
                for _ in 0..<2 {
                    try await house.announce()
                    try await house.reconcile()
                    try await house.sales.run("refund-canceled-events")
                }
                let order = try await house.show(bought)
                #expect(order.status == .canceled && order.paidAt == nil)
                #expect(try await house.tickets.tickets(of: order.id).map(\.status) == [.void, .void])
                if price > 0 {
                    #expect(try await house.refunds(of: order.id) == (provider == "manual" ? [] : [2_000]))
                    #expect(try await house.payment(of: order.id).state == .closed)
                }
                #expect(try await house.sales.sent(OrderPaid.self).isEmpty)
                #expect(try await house.sales.sent(OrderEnded.self).map(\.reason) == ["event-canceled"])
            }
        }
    }

    @Test(arguments: [(1_000, "sandbox"), (1_000, "manual"), (0, "sandbox")] as [(Int64, String)])
    func `a crash at that moment leaves neither tickets nor money`(price: Int64, provider: String) async throws {
        let stage = Stage()
        try await withFolder { folder in
            let cart = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.paid=fail:1"]) { house in
                let type = try await house.makeOffer(5) { $0.price = Money(price, .eur) }
                let cart = try await house.fill(type, 2)
                house.intercept(.ticketManager) { request, next in
                    let reply = try await next(request)
                    if request.target.hasSuffix("/fulfilment") { try await house.cancelEvent() }
                    return reply
                }
                let answer = try await house.askCheckout(cart, card: provider == "manual" ? "door" : Card.captures, provider: provider)
                #expect(answer.status == 503)
                return cart
            }
            try await withHouse(stage: stage, folder: folder) { house in
                for _ in 0..<2 { try await house.reconcile() }
                let order = try #require(try await house.show(cart).orderId)
                #expect(try await house.tickets.tickets(of: order).map(\.status) == [.void, .void])
                if price > 0 {
                    let payment = try await house.payment(of: order)
                    #expect(payment.state == .closed && payment.refunded == payment.captured)
                }
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = FALSE") == 0)
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
        try await withFolder { folder in
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

    @Test func `an order of a canceled event stays to be refunded until its provider, and no dispute, stands in the way`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let refused = try await house.buy(type, card: Card.captures + ";refunds=fail")
            let disputed = try await house.buy(type)
            let payment = try await house.payment(of: disputed.order.id)
            let attempt = try #require(payment.attempts.first)
            try await house.payments.sql(
                """
                INSERT INTO dispute (id, payment_id, attempt_id, provider, reference, amount, currency, state, created_at)
                VALUES (\(DisputeID()), \(payment.id), \(attempt.id), 'sandbox', 'd', 1000, 'EUR', 'opened', 1)
                """)
            try await house.cancelEvent()
            for _ in 0..<3 { try await house.sales.run("refund-canceled-events") }
            for bought in [refused, disputed] {
                let order = try await house.show(bought)
                #expect(order.status == .paid && order.refunds.count == 1)
                #expect(try await house.refunds(of: order.id).isEmpty)
            }
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            try await house.payments.sql("UPDATE dispute SET state = 'won'")
            for _ in 0..<3 {
                try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status IN ('failed', 'canceled')")
                try await house.sales.run("refund-canceled-events")
            }
            for bought in [refused, disputed] {
                let order = try await house.show(bought)
                #expect(order.status == .canceled && order.tickets.map(\.status) == [.void])
                #expect(try await house.refunds(of: order.id) == [1_000])
            }
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 0)
            try await house.tickets.expectBalancedBooks()
        }
    }

    @Test func `money that a lost dispute took back is not given back once more`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(9)
            let bought = [(try await house.buy(type), Int64(1_000), []), (try await house.buy(type, 2), 500, [Int64(1_500)])]
            for (bought, lost, _) in bought {
                let payment = try await house.payment(of: bought.order.id)
                let attempt = try #require(payment.attempts.first)
                try await house.payments.sql(
                    """
                    INSERT INTO dispute (id, payment_id, attempt_id, provider, reference, amount, currency, state, created_at)
                    VALUES (\(DisputeID()), \(payment.id), \(attempt.id), 'sandbox', \("\(lost)"), \(lost), 'EUR', 'lost', 1)
                    """)
            }
            try await house.cancelEvent()
            for _ in 0..<2 { try await house.sales.run("refund-canceled-events") }
            for (bought, _, refunds) in bought {
                let order = try await house.show(bought)
                #expect(order.status == .canceled && order.tickets.allSatisfy { $0.status == .void })
                #expect(try await house.refunds(of: order.id) == refunds)
            }
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM event WHERE is_refunding = TRUE") == 0)
            try await house.tickets.expectBalancedBooks()
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
