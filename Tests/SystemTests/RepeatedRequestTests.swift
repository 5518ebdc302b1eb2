import Contracts
import Discovery
import Foundation
import HTTPTypes
import Storage
import Testing
import Values

extension WholeSystem {
    @Suite struct RepeatedRequestTests {
        @Test
        func `22: a key that comes again gets the first answer, and is refused for anything else`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let cart = try await program.cart(for: shop.event.id)
                let first = try await cart.add(2, of: shop.type.id, key: "k")
                #expect(first.status == 200)
                // The same body: the first answer, and nothing is done again.
                for _ in 0..<3 {
                    let again = try await cart.add(2, of: shop.type.id, key: "k")
                    #expect(again.status == 200 && again.body == first.body)
                }
                #expect(try await cart.show().lines.map(\.quantity) == [2])
                // Another body; another route.
                let other = try await cart.add(3, of: shop.type.id, key: "k")
                #expect(other.status == 422 && other.problem == "idempotency-key-reused")
                let checkout = try await cart.checkOut(key: "k")
                #expect(checkout.status == 422 && checkout.problem == "idempotency-key-reused", "\(checkout.text)")
                // Another caller is another matter.
                let stranger = try await program.cart(for: shop.event.id)
                let theirs = try await stranger.add(3, of: shop.type.id, key: "k")
                #expect(theirs.status == 200)
                #expect(try theirs.json(Cart.self).lines.map(\.quantity) == [3])
                #expect(try await cart.show().lines.map(\.quantity) == [2])
                // No key at all.
                let without = try await program.call(
                    SalesManagerRoutes.addLine, ["\(cart.id)"], as: cart.caller, body: NewCartLine(ticketTypeId: shop.type.id, quantity: 1))
                #expect(without.status == 400 && without.problem == "idempotency-key-required")
                // After a restart, too.
                try await program.restart()
                let later = try await cart.add(2, of: shop.type.id, key: "k")
                #expect(later.status == 200 && later.body == first.body)
                #expect(try await cart.show().lines.map(\.quantity) == [2])
            }
        }

        @Test
        func `22: a key that comes again while its first request runs is told so, and later gets its answer`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let cart = try await shop.cart()
                let card = "\(Card.captures);delay=2"
                async let first = cart.checkOut(card: card, key: "slow")
                try await eventually("the first request runs") {
                    try await program.rows("payment-processing", "SELECT id FROM payment_attempt").count == 1
                }
                let second = try await cart.checkOut(card: card, key: "slow")
                let answer = try await first
                #expect(answer.status == 201)
                if second.status == 201 {
                    // Another instance does not know of the first request, but finds its order.
                    #expect(Shape.chosen == .distributed)
                    #expect(try Purchase(second.json()).order.id == Purchase(answer.json()).order.id)
                } else {
                    #expect(second.status == 409 && second.problem == "request-in-progress")
                    #expect(second.headers["retry-after"] != nil)
                }
                let third = try await cart.checkOut(card: card, key: "slow")
                #expect(third.status == 201 && third.body == answer.body)
            }
        }

        @Test
        func `22: a refusal for lack of stock is not remembered`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 1)
                let rival = try await shop.cart()
                let cart = try await program.cart(for: shop.event.id)
                #expect(try await cart.add(of: shop.type.id, key: "wish").problem == "all-held")
                try await rival.abandon()
                #expect(try await cart.add(of: shop.type.id, key: "wish").status == 200)
                #expect(try await cart.show().lines.map(\.quantity) == [1])

                // The same for a line that is added to others.
                try await program.done(
                    TicketManagerRoutes.changePool, ["\(shop.pool.id)"], as: shop.owner.caller, body: PoolChange(capacity: 2))
                let other = try await shop.cart()
                #expect(try await cart.add(of: shop.type.id, key: "more").problem == "all-held")
                try await other.abandon()
                #expect(try await cart.add(of: shop.type.id, key: "more").status == 200)
                #expect(try await cart.show().lines.map(\.quantity) == [2])
            }
        }

        @Test
        func `a refund that is repeated is one refund`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(price: 1_000)
                let (purchase, order) = try await shop.paid(2)
                let request = RefundRequest(amount: Money(300, .eur), reason: "sorry")
                let answers = try await atOnce(3) { _ in
                    try await program.call(
                        SalesManagerRoutes.refundOrder, ["\(order.id)"], as: shop.owner.caller, key: "once", body: request)
                }
                #expect(answers.allSatisfy { $0.status == 201 || $0.problem == "request-in-progress" }, "\(answers.map(\.text))")
                try await eventually("the refund is done") { try await program.ledger(purchase).paidByBuyer == 1_700 }
                #expect(try await program.ledger(purchase).movements("refund").count == 1)
            }
        }

        @Test
        func `20: what the client says of prices and totals is ignored`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let cart = try await program.cart(for: shop.event.id)
                let line = """
                    {"ticketTypeId": "\(shop.type.id)", "quantity": 2, "price": 1, "unitPrice": {"amount": 1, "currency": "EUR"},
                     "discount": {"amount": 8999, "currency": "EUR"}, "total": {"amount": 1, "currency": "EUR"}, "fee": 0}
                    """
                let added = try await program.send(
                    .post, SalesManagerRoutes.addLine.path(["\(cart.id)"]), as: cart.caller,
                    headers: ["Idempotency-Key": "1", "Content-Type": "application/json"], bytes: Array(line.utf8))
                #expect(try added.json(Cart.self).totals?.total == Money(9_000, .eur))
                let checkout = """
                    {"buyer": {"email": "ada@example.org", "name": "Ada"}, "payment": {"provider": "sandbox", "method": "\(Card.captures)",
                     "amount": {"amount": 1, "currency": "EUR"}}, "total": 1, "status": "paid", "totals": {"total": {"amount": 1, "currency": "EUR"}},
                     "lines": [{"ticketTypeId": "\(shop.type.id)", "quantity": 50, "price": 1}]}
                    """
                let answer = try await program.send(
                    .post, SalesManagerRoutes.checkout.path(["\(cart.id)"]), as: cart.caller,
                    headers: ["Idempotency-Key": "2", "Content-Type": "application/json"], bytes: Array(checkout.utf8))
                let purchase = Purchase(try answer.json())
                #expect(purchase.order.totals.total == Money(9_000, .eur) && purchase.order.lines.map(\.quantity) == [2])
                #expect(try await program.ledger(purchase).paidByBuyer == 9_000)
            }
        }
    }
}
