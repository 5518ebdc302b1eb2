import Contracts
import Discovery
import Foundation
import Storage
import Testing
import Values

extension WholeSystem {
    /// Money: taken once, given back once, whatever happens in between.
    @Suite struct PaymentTests {
        @Test
        func `6: the pay button pressed twice is one order and one charge`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let cart = try await shop.cart(2)
                // Twice the same request, and twice under another key, all at once.
                let answers = try await atOnce(4) { index in
                    try await cart.checkOut(card: "\(Card.captures);delay=1", key: "press-\(index / 2)")
                }
                for answer in answers { #expect(answer.status == 201 || answer.problem == "request-in-progress", "\(answer.text)") }
                let orders = try answers.filter { $0.status == 201 }.map { Purchase(try $0.json()) }
                #expect(Set(orders.map(\.id)).count == 1)
                try await expectOneCharge(of: try #require(orders.first), 9_000, program)
            }
        }

        @Test
        func `6: a request that is repeated after its answer was lost is one order and one charge`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let cart = try await shop.cart(2)
                let request = CheckoutRequest.paying("\(Card.captures);delay=2")
                await #expect(throws: (any Error).self, "the answer was not lost") {
                    _ = try await program.call(
                        SalesManagerRoutes.checkout, ["\(cart.id)"], as: cart.caller, key: "again", body: request,
                        timeout: .milliseconds(700))
                }
                let purchase = try await eventually("the first request has ended") { () -> Purchase? in
                    let answer = try await program.call(
                        SalesManagerRoutes.checkout, ["\(cart.id)"], as: cart.caller, key: "again", body: request)
                    if answer.problem == "request-in-progress" { return nil }
                    guard answer.status == 201 else { throw UnexpectedAnswer(request: "checkout", answer: answer) }
                    return Purchase(try answer.json())
                }
                try await expectOneCharge(of: purchase, 9_000, program)
                let again = Purchase(try await cart.checkOut(key: "third").json())
                #expect(again.id == purchase.id)
                try await expectOneCharge(of: purchase, 9_000, program)
            }
        }

        private func expectOneCharge(of purchase: Purchase, _ amount: Int64, _ program: RunningProgram) async throws {
            let order = try await eventually("the order is paid") { () -> Order? in
                let order = try await program.order(purchase)
                return order.status == .paid ? order : nil
            }
            #expect(order.tickets.count == 2)
            #expect(order.payments.count == 1 && order.payments.first?.attempts.count == 1)
            let ledger = try await program.ledger(purchase)
            #expect(ledger.movements("capture").count == 1 && ledger.paidByBuyer == amount && ledger.isBalanced)
            let charges = try await program.rows("payment-processing", "SELECT id FROM sandbox_charge")
            #expect(charges.count == 1)
        }

        @Test
        func `7: after a declined card another one is a new attempt for the same order, and one capture`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let purchase = try await shop.buy(card: Card.isDeclined)
                #expect(purchase.order.status == .awaitingPayment)
                let declined = try #require(purchase.payment)
                #expect(declined.status == .failed && declined.attempts.first?.failure == "card-declined")
                for card in [Card.hasNoMoney, Card.captures] {
                    try await program.done(
                        PaymentProcessingRoutes.createAttempt, ["\(declined.id)"], as: purchase.caller, key: card,
                        body: PaymentChoice(provider: "sandbox", method: card))
                }
                let order = try await eventually("the order is paid") { () -> Order? in
                    let order = try await program.order(purchase)
                    return order.status == .paid ? order : nil
                }
                let payment: Payment = try await program.ask(PaymentProcessingRoutes.payment, ["\(declined.id)"], as: purchase.caller)
                #expect(payment.attempts.map(\.status) == [.failed, .failed, .captured])
                #expect(payment.attempts[1].failure == "insufficient-funds")
                #expect(order.id == purchase.id && order.tickets.count == 1)
                let ledger = try await program.ledger(purchase)
                #expect(ledger.movements("capture").count == 1 && ledger.paidByBuyer == 4_500)
                // It is paid: nothing more can be charged.
                let more = try await program.call(
                    PaymentProcessingRoutes.createAttempt, ["\(declined.id)"], as: purchase.caller, key: "more",
                    body: PaymentChoice(provider: "sandbox", method: Card.captures))
                #expect(more.problem == "already-paid")
            }
        }

        @Test
        func `a card that asks for a confirmation is charged when its holder has confirmed`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                for approves in [true, false] {
                    let purchase = try await shop.buy(card: Card.wantsConfirmation)
                    #expect(purchase.order.status == .awaitingPayment && purchase.payment?.status == .requiresAction)
                    let url = try #require(purchase.payment?.action?.url)
                    let charge = try #require(url.split(separator: "/").dropLast().last)
                    try await program.done(
                        PaymentProcessingRoutes.confirmSandboxCharge, [String(charge)], body: SandboxConfirmation(approve: approves))
                    try await eventually("the attempt has its outcome") {
                        let order = try await program.order(purchase)
                        return approves ? order.status == .paid : order.payments.first?.status == .failed
                    }
                    let ledger = try await program.ledger(purchase)
                    #expect(ledger.paidByBuyer == (approves ? 4_500 : 0))
                }
            }
        }

        @Test(arguments: ["duplicate", "reorder", "duplicate+reorder", "only+duplicate", "only+reorder+duplicate"])
        func `8: webhooks that come twice or in the wrong order lead to the same end`(webhooks: String) async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let purchase = try await shop.buy(card: "\(Card.captures);webhooks=\(webhooks)")
                try await eventually("the order is paid") { try await program.order(purchase).status == .paid }
                let attempt = try #require(purchase.payment?.attempts.first)
                let event = SandboxWebhook.succeeded(attempt.id, Money(4_500, .eur))
                // The same event twice, another that says the same, and one that says the contrary: hours later, newly signed.
                for webhook in [event, event, .succeeded(attempt.id, Money(4_500, .eur)), .failed(attempt.id)] {
                    #expect(try await program.deliver(webhook).status == 200)
                }
                let waiting: SQL = "SELECT id FROM sandbox_webhook"
                try await eventually("all webhooks are delivered") { try await program.rows("payment-processing", waiting).isEmpty }
                let order = try await program.order(purchase)
                #expect(order.status == .paid && order.tickets.count == 1 && order.refunds.isEmpty)
                #expect(order.payments.first?.attempts.map(\.status) == [.captured])
                let ledger = try await program.ledger(purchase)
                #expect(ledger.movements("capture").count == 1 && ledger.paidByBuyer == 4_500)
            }
        }

        @Test
        func `8: what says that an attempt failed before it succeeded leads to the same end`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let purchase = try await shop.buy(card: Card.wantsConfirmation)
                let attempt = try #require(purchase.payment?.attempts.first)
                for webhook in [SandboxWebhook.failed(attempt.id), .succeeded(attempt.id, Money(4_500, .eur)), .failed(attempt.id)] {
                    #expect(try await program.deliver(webhook).status == 200)
                }
                try await eventually("the order is paid") { try await program.order(purchase).status == .paid }
                #expect(try await program.ledger(purchase).paidByBuyer == 4_500)
                let forged = SandboxWebhook.succeeded(attempt.id, Money(4_500, .eur))
                #expect(try await program.deliver(forged, secret: [1, 2, 3]).status == 400)
                #expect(try await program.deliver(forged, at: .now - .hours(1)).status == 400, "an old signature was believed")
            }
        }

        @Test
        func `9: a webhook that was accepted before the process died is processed after its restart`() async throws {
            let settings = [
                "TICKETFLOW_FAULTS": "payments.event-stored=crash:1",
                "TICKETFLOW_PAYMENT_PROCESSING_LOOKUP_SECONDS": "1",
                // The provider is not asked in the time of this test: the webhook alone can tell.
                "TICKETFLOW_PAYMENT_PROCESSING_PROVIDER_MILLISECONDS": "60000",
            ]
            try await withProgram(settings) { program in
                let shop = try await program.shop()
                let purchase = try await shop.buy(card: "\(Card.captures);webhooks=only+none")
                #expect(purchase.order.status == .awaitingPayment)
                let attempt = try #require(purchase.payment?.attempts.first)
                let answer = try? await program.deliver(.succeeded(attempt.id, Money(4_500, .eur)))
                #expect(answer.map(\.isPutOff) ?? true, "the process did not die")
                try await program.died()
                let stored = try await program.rows("payment-processing", "SELECT applied_at FROM provider_event")
                #expect(try stored.map { try $0["applied_at"] as Int64? } == [nil])
                try await program.start(["TICKETFLOW_FAULTS": ""])
                let order = try await eventually("the order is paid") { () -> Order? in
                    let order = try await program.order(purchase)
                    return order.status == .paid ? order : nil
                }
                #expect(order.tickets.count == 1)
                #expect(try await program.ledger(purchase).paidByBuyer == 4_500)
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test
        func `10: money that was taken and is heard of after the order's time pays for it while there is stock`() async throws {
            try await withUnheardPayment { program, shop, purchase in
                let order = try await eventually("the order is paid") { () -> Order? in
                    let order = try await program.order(purchase)
                    return order.status == .paid ? order : nil
                }
                #expect(try #require(order.paidAt) > (try #require(purchase.order.expiresAt)), "it was not late")
                #expect(order.tickets.map(\.status) == [.issued] && order.refunds.isEmpty)
                #expect(try await program.ledger(purchase).paidByBuyer == 4_500)
                #expect(try await shop.stock().sold == 1)
                try await eventually("the buyer has the tickets by mail") { try await program.mails(to: "late@example.org").count == 1 }
            }
        }

        @Test
        func `10: money that is heard of after the order's time goes back once when nothing is left, and the buyer is told`() async throws {
            try await withUnheardPayment(reconciling: 3_600) { program, shop, purchase in
                // Its claim is over with its time, and somebody else comes before anybody has looked at the order again.
                let rival = try await eventually("the ticket is free", every: .milliseconds(5)) { () -> ShoppingCart? in
                    let cart = try await program.cart(for: shop.event.id)
                    return try await cart.add(of: shop.type.id).status == 200 ? cart : nil
                }
                let winner = try await rival.buy(buyer: Buyer(email: "rival@example.org", name: "Rival"))
                #expect(try await program.order(purchase).status == .awaitingPayment)
                try await program.restart(["TICKETFLOW_SALES_MANAGER_RECONCILE_SECONDS": "1"])
                let ledger = try await eventually("the money goes back") { () -> [LedgerEntry]? in
                    let ledger = try await program.ledger(purchase)
                    return ledger.movements("refund").isEmpty ? nil : ledger
                }
                #expect(ledger.movements("capture").count == 1 && ledger.movements("refund").count == 1 && ledger.paidByBuyer == 0)
                let order = try await program.order(purchase)
                #expect([.expired, .canceled].contains(order.status) && order.tickets.isEmpty)
                let mails = try await eventually("the buyer is told") { () -> [Mail]? in
                    let mails = try await program.mails(to: "late@example.org")
                    return mails.count >= 2 ? mails : nil
                }
                #expect(
                    mails.count == 2 && mails.contains { $0.text.contains("no longer there") }
                        && mails.contains { $0.subject.contains("Refund") })
                #expect(try await program.order(winner).status == .paid)
                #expect(try await shop.stock().sold == 1)
                #expect(try await program.ledger(purchase).movements("refund").count == 1)
            }
        }

        /// An order for the last ticket, whose money the provider has taken without telling, and whose time is about to be over.
        private func withUnheardPayment(
            reconciling seconds: Int = 1, _ body: (RunningProgram, Shop, Purchase) async throws -> Void
        ) async throws {
            let settings = [
                "TICKETFLOW_SALES_MANAGER_ORDER_SECONDS": "2", "TICKETFLOW_SALES_MANAGER_ORDER_HOLD_MARGIN_SECONDS": "0",
                "TICKETFLOW_SALES_MANAGER_RECONCILE_SECONDS": "\(seconds)", "TICKETFLOW_SALES_MANAGER_CART_SECONDS": "2",
                "TICKETFLOW_PAYMENT_PROCESSING_PROVIDER_MILLISECONDS": "60000",
            ]
            try await withProgram(settings) { program in
                let shop = try await program.shop(capacity: 1)
                let buyer = Buyer(email: "late@example.org", name: "Late")
                let purchase = try await shop.buy(card: "\(Card.captures);webhooks=only+none", buyer: buyer)
                #expect(purchase.order.status == .awaitingPayment)
                try await body(program, shop, purchase)
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test
        func `11: the buyer pays the price that the cart showed, and a refund is of what was paid`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(price: 1_000)
                func setPrice(_ price: Int64) async throws {
                    try await program.done(
                        TicketManagerRoutes.changeTicketType, ["\(shop.type.id)"], as: shop.owner.caller,
                        body: TicketTypeChange(price: Money(price, .eur)))
                }
                let cart = try await shop.cart(2)
                #expect(try await cart.show().totals?.total.amount == 2_000)
                try await setPrice(5_000)
                #expect(try await cart.show().totals?.total.amount == 2_000)
                // A line that grows keeps its price, too.
                #expect(try await cart.fill(1, of: shop.type.id).totals?.total.amount == 3_000)
                let purchase = try await cart.buy()
                #expect(purchase.order.status == .paid && purchase.order.totals.total.amount == 3_000)
                #expect(try await program.ledger(purchase).paidByBuyer == 3_000)
                #expect(try await shop.cart().show().totals?.total.amount == 5_000)

                try await setPrice(9_000)
                let refund: RefundSummary = try await program.ask(
                    SalesManagerRoutes.refundOrder, ["\(purchase.id)"], as: shop.owner.caller, key: "all",
                    body: RefundRequest(reason: "ill"))
                #expect(refund.amount == Money(3_000, .eur))
                try await eventually("the refund is done") { try await program.ledger(purchase).paidByBuyer == 0 }
                #expect(try await program.ledger(purchase).movements("refund").count == 1)
            }
        }

        @Test
        func `12: of two partial refunds at once that together exceed the payment one is refused`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(price: 1_000)
                for _ in 0..<5 {
                    let (purchase, order) = try await shop.paid()
                    let answers = try await atOnce(2) { index in
                        try await program.call(
                            SalesManagerRoutes.refundOrder, ["\(order.id)"], as: shop.owner.caller, key: "part-\(order.id)-\(index)",
                            body: RefundRequest(amount: Money(600, .eur), reason: "sorry"))
                    }
                    #expect(answers.map(\.status).sorted() == [201, 409], "\(answers.map(\.text))")
                    #expect(answers.contains { $0.problem == "exceeds-refundable" })
                    try await eventually("the refund is done") { try await program.ledger(purchase).paidByBuyer == 400 }
                    let after = try await program.order(purchase)
                    #expect(after.balance.refunded == Money(600, .eur) && after.status == .paid)
                    #expect(after.tickets.map(\.status) == [.issued], "money alone leaves the ticket as it is")
                }
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test
        func `16: when the worker dies while an event's orders are refunded, each is refunded exactly once after its restart`() async throws
        {
            try await withProgram(["TICKETFLOW_SALES_MANAGER_RECONCILE_SECONDS": "1"]) { program in
                let shop = try await program.shop(price: 1_000)
                let purchases = try await atOnce(40) { index in
                    try await shop.buy(buyer: Buyer(email: "fan\(index)@example.org", name: "Fan"))
                }
                try await program.restart(["TICKETFLOW_FAULTS": "sales.refund-finished=crash:0.2"])
                // The answer may be lost with the process; the wish is not.
                _ = try? await program.call(
                    EventManagerRoutes.cancelEvent, ["\(shop.event.id)"], as: shop.owner.caller,
                    body: CancelEvent(refund: true, reason: "storm"))
                try await program.died()
                try await program.start(["TICKETFLOW_FAULTS": ""])
                for purchase in purchases {
                    let ledger = try await eventually("order \(purchase.id) is refunded", within: .seconds(60)) { () -> [LedgerEntry]? in
                        let ledger = try await program.ledger(purchase)
                        return ledger.paidByBuyer == 0 ? ledger : nil
                    }
                    #expect(ledger.movements("capture").count == 1 && ledger.movements("refund").count == 1)
                }
                try await eventually("all orders are canceled") {
                    for purchase in purchases {
                        guard try await program.order(purchase).status == .canceled else { return false }
                    }
                    return true
                }
                #expect(try await program.cart(for: shop.event.id).add(of: shop.type.id).status == 409)
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }
    }
}
