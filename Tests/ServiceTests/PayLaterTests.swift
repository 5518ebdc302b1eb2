import Contracts
import Discovery
import HTTPTypes
import Storage
import Testing
import Values

/// Orders whose tickets come before their money: it is paid at the door.
@Suite("Pay later", .serialized) struct PayLaterTests {
    @Test func `who pays at the door has the tickets before the money is there`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(10)
            let bought = try await house.buy(type, card: "door", provider: "manual")
            #expect(bought.order.status == .paid && bought.order.tickets.count == 1)
            #expect(bought.order.balance.due == Money(1_000, .eur) && bought.payment?.isPayLater == true)
            try await house.reconcile()
            let next = try await house.sales.number("SELECT look_at AS number FROM sales_order")
            #expect(next > (Instant.now + .minutes(50)).microseconds, "only a person can bring it further, so it is seldom asked about")
            try await house.payAtDoor(bought)
            try await house.announce()
            let order = try await house.show(bought)
            #expect(order.status == .paid && order.tickets.count == 1)
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.sales.sent(OrderPaid.self).count == 1)
        }
    }

    @Test func `an order to be paid at the door that was paid while nobody told of it is settled by the timer`() async throws {
        try await withHouse { house in
            let bought = try await house.buy(try await house.makeOffer(10), card: "door", provider: "manual")
            try await house.reconcile()
            house.intercept(.salesManager) { _, _ in throw Problem.unavailable("Sales hears nothing.") }
            try await house.payAtDoor(bought)
            house.stopIntercepting(.salesManager)
            #expect(try await house.payment(of: bought.order.id).state == .captured)
            try await house.reconcile()
            #expect(try await house.payment(of: bought.order.id).state == .closed)
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = TRUE") == 1)
        }
    }

    @Test(arguments: [true, false])
    func `what was paid at the door goes back in full, also where nobody has told of it yet`(isTold: Bool) async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: true)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let bought = try await house.buy(try await house.makeOffer(5, event: event), card: "door", provider: "manual")
            try await house.reconcile()
            if !isTold { house.intercept(.salesManager) { _, _ in throw Problem.unavailable("Sales hears nothing.") } }
            try await house.payAtDoor(bought)
            if isTold {
                try await house.announce()
                let balance = try await house.show(bought).balance
                #expect(balance.captured.amount == 1_000 && balance.due.amount == 0)
            } else {
                house.stopIntercepting(.salesManager)
            }
            #expect(try await house.cancel(bought).status == 200)
            let order = try await house.show(bought)
            #expect(order.status == .canceled && order.refunds.map(\.amount.amount) == [1_000])
        }
    }

    @Test func `tickets of an order that was to be paid at the door, and whose time passed before it was paid, are void`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            try await withHouse(stage: stage, folder: folder, faults: [.salesManager: "sales.fulfilled=fail:1"]) { house in
                let cart = try await house.fill(try await house.makeOffer(5))
                #expect(try await house.askCheckout(cart, card: "door", provider: "manual").status == 503)
            }
            try await withHouse(stage: stage, folder: folder) { house in
                let order = try #require(OrderID(try await house.sales.text("SELECT id AS text FROM sales_order") ?? ""))
                try await house.expire(order)
                try await house.reconcile()
                try await house.reconcile()
                #expect(try await house.payment(of: order).state == .closed)
                #expect(try await house.sales.text("SELECT status AS text FROM sales_order") == "canceled")
                #expect(try await house.tickets.number("SELECT COUNT(*) AS number FROM ticket WHERE state <> 'void'") == 0)
                #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = FALSE") == 0)
            }
        }
    }

    @Test(arguments: ["staff cancel it", "the buyer gives it back", "staff refund it", "the event is canceled"])
    func `what was to be paid at the door is not taken any more when`(end: String) async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: true)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let bought = try await house.buy(try await house.makeOffer(5, event: event), 2, card: "door", provider: "manual")
            switch end {
            case "staff cancel it":
                #expect(
                    try await house.sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", as: stage.manager).status == 200)
            case "the buyer gives it back": #expect(try await house.cancel(bought).status == 200)
            case "staff refund it":
                let units = bought.order.lines[0].units.map(\.id)
                #expect(try await house.refund(bought, units: [units[0]]).status == 201)
                #expect(try await house.payment(of: bought.order.id).state == .open, "one ticket is still to be paid")
                #expect(try await house.refund(bought, units: [units[1]]).status == 201)
            default:
                try await house.cancelEvent(event)
                try await house.sales.run("refund-canceled-events")
            }
            let payment = try await house.payment(of: bought.order.id)
            #expect(payment.state == .closed && payment.status == .canceled && payment.captured.amount == 0)
            let order = try await house.show(bought)
            #expect(order.status == (end == "staff refund it" ? .paid : .canceled))
            #expect(order.tickets.map(\.status) == [.void, .void])
            try await house.reconcile()
            #expect(try await house.sales.number("SELECT COUNT(*) AS number FROM sales_order WHERE is_settled = FALSE") == 0)
        }
    }

    @Test func `a holder who is inside keeps the order, and has still to pay`() async throws {
        let stage = Stage()
        try await withHouse(stage: stage) { house in
            let policy = RefundPolicy(until: .now + .days(1), feesRefunded: true)
            let event = stage.add(Stage.makeEvent(of: stage.organizer, refundPolicy: policy))
            let bought = try await house.buy(try await house.makeOffer(5, event: event), card: "door", provider: "manual")
            _ = try await house.tickets.read(try #require(bought.order.tickets.first?.code), stage, event: event)
            #expect(try await house.cancel(bought).problem == "ticket-inside")
            #expect(try await house.payment(of: bought.order.id).state == .open)
        }
    }
}
