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

    @Test(arguments: ["sales.order-committed", "sales.hold-bound", "sales.payment-created"])
    func `a draft that a crash left expires when its time is over`(point: String) async throws {
        let stage = Stage()
        try await withFolder { folder in
            let type = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "\(point)=fail:1"]) { house in
                let type = try await house.makeOffer(1)
                #expect(try await house.askCheckout(try await house.fill(type), card: Card.asksForConfirmation).status == 503)
                return type
            }
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.sales.sql("UPDATE sales_order SET expires_at = 1")
                try await house.reconcile()
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "expired")
                #expect(try await house.tickets.availability(of: type, stage.event).remaining == 1)
                #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment WHERE state <> 'closed'") == 0)
            }
        }
    }

    @Test func `a checkout that is repeated after the order's time is over charges nobody`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            let (type, cart) = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.hold-bound=fail:1"]) {
                house in
                let type = try await house.makeOffer(1)
                let cart = try await house.fill(type)
                #expect(try await house.askCheckout(cart).status == 503)
                return (type, cart)
            }
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.sales.sql("UPDATE sales_order SET expires_at = 1")
                _ = try await house.askCheckout(cart)
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "expired")
                #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment") == 0)
                #expect(try await house.tickets.availability(of: type, stage.event).remaining == 1)
            }
        }
    }

    @Test func `a checkout that is repeated when its hold is over charges nobody`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            let cart = try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.hold-bound=fail:1"]) { house in
                let cart = try await house.fill(try await house.makeOffer(1))
                #expect(try await house.askCheckout(cart).status == 503)
                return cart
            }
            try await withHouse(stage: stage, folder: folder) { house in
                try await house.tickets.sql("UPDATE hold SET expires_at = 1")
                try await house.tickets.sql("UPDATE hold_claim SET expires_at = 1")
                _ = try await house.askCheckout(cart)
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "expired")
                #expect(try await house.payments.number("SELECT COUNT(*) AS number FROM payment") == 0)
            }
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

    @Test func `money of an unfulfillable order that the provider refuses late to give back is tried again`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(2)
            let bought = try await house.buy(type, 2, card: Card.capturesUnseen + ";refunds=fail")
            try await house.expire(bought.order.id)
            #expect(try await house.buy(type, 1).order.status == .paid)
            house.hideOutcomesOfRefunds()
            for _ in 0..<2 {
                try await house.announce()
                try await house.sales.run("reconcile-orders")
            }
            house.stopIntercepting(.paymentProcessing)
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.show(bought).refunds.map(\.status) == [.submitted])
            try await house.reconcile()
            #expect(try await house.show(bought).refunds.map(\.status).first == .failed)
            try await house.payments.sql("UPDATE sandbox_charge SET method = \(Card.captures)")
            for _ in 0..<2 {
                try await house.sales.sql("UPDATE refund SET created_at = 1 WHERE status = 'failed'")
                try await house.sales.sql("UPDATE sales_order SET look_at = 1")
                try await house.sales.sql("UPDATE refund SET look_at = 1")
                try await house.reconcile()
            }
            #expect(try await house.refunds(of: bought.order.id) == [2_000])
            #expect(try await house.show(bought).refunds.map(\.status) == [.failed, .succeeded])
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
