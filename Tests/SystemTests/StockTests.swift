import Contracts
import Discovery
import Foundation
import Synchronization
import Testing
import Values

extension WholeSystem {
    /// Who gets a ticket, and what the others are told.
    @Suite struct StockTests {
        @Test
        func `1: of 200 who want the last ticket at once one gets it, and the others learn so at once`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 1)
                let carts = try await atOnce(200) { _ in try await program.cart(for: shop.event.id) }
                let begin = Instant.now
                let outcomes = try await atOnce(200) { index -> (bought: Purchase?, refusal: String?, answered: Instant) in
                    let line = try await carts[index].add(of: shop.type.id)
                    let answered = Instant.now
                    guard line.status == 200 else { return (nil, line.problem, answered) }
                    return (try await carts[index].buy(), nil, answered)
                }
                let winners = outcomes.compactMap(\.bought)
                let refusals = outcomes.compactMap(\.refusal)
                #expect(winners.count == 1)
                #expect(refusals.count == 199 && refusals.allSatisfy { ["all-held", "sold-out"].contains($0) }, "\(Set(refusals))")
                let slowest = try #require(outcomes.map { ($0.answered - begin).seconds }.max())
                #expect(slowest < 8, "the slowest answer took \(slowest) s")
                let order = try await program.order(try #require(winners.first))
                #expect(order.status == .paid && order.tickets.count == 1)
                let stock = try await shop.stock()
                #expect(stock.sold == 1 && stock.held == 0)
                #expect(try await shop.availability().state == .soldOut)
                #expect(try await program.cart(for: shop.event.id).add(of: shop.type.id).problem == "sold-out")
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test(arguments: [1, 3_600])
        func `3: an abandoned hold is free again exactly at its expiry, whether the sweeper runs or not`(sweep: Int) async throws {
            let settings = ["TICKETFLOW_SALES_MANAGER_CART_SECONDS": "3", "TICKETFLOW_TICKET_MANAGER_SWEEP_SECONDS": "\(sweep)"]
            try await withProgram(settings) { program in
                let shop = try await program.shop(capacity: 2)
                let abandoned = try await shop.cart(2).show()
                #expect(try await shop.availability().state == .allHeld)
                var asked = 0
                let line = try await eventually("the abandoned tickets are free") { () -> Cart? in
                    asked += 1
                    let cart = try await program.cart(for: shop.event.id)
                    let before = Instant.now
                    let answer = try await cart.add(2, of: shop.type.id)
                    if answer.status == 200 {
                        #expect(Instant.now >= abandoned.expiresAt, "a living hold was sold again")
                        return try answer.json()
                    }
                    #expect(answer.problem == "all-held")
                    #expect(before < abandoned.expiresAt, "it was refused after the hold had expired")
                    return nil
                }
                #expect(asked > 1, "nobody was refused before")
                #expect(line.lines.first?.quantity == 2)
                let stock = try await shop.stock()
                #expect(stock.held == 2 && stock.sold == 0)
            }
        }

        @Test
        func `what expires while an order repeats its steps after a crash is counted free once`() async throws {
            // Nobody sweeps but at the start: whoever comes next counts what has expired.
            let settings = [
                "TICKETFLOW_SALES_MANAGER_CART_SECONDS": "3", "TICKETFLOW_TICKET_MANAGER_SWEEP_SECONDS": "3600",
                "TICKETFLOW_FAULTS": "sales.hold-bound=crash:1",
            ]
            try await withProgram(settings) { program in
                let shop = try await program.shop(capacity: 10)
                let cart = try await shop.cart()
                let abandoned = try await shop.cart(3)
                let answer = try? await cart.checkOut(key: "k")
                #expect(answer.map(\.isPutOff) ?? true, "the process did not die")
                try await program.died()
                try await program.start(["TICKETFLOW_FAULTS": ""])
                try await eventually("the other hold has expired") { Instant.now > abandoned.expiresAt }
                let order = Purchase(try await cart.checkOut(key: "k").json()).order
                #expect(order.status == .paid)
                let stock = try await shop.stock()
                #expect(stock.sold == 1 && stock.held == 0)
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test
        func `4: while others' holds roll back, who asks for the last ticket is never told that it is sold out`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 1)
                let empty = try await shop.addPool("Backstage", capacity: 0)
                // Takes the last ticket of the first pool, finds nothing in the second, and rolls back.
                let both = try await shop.ticketType("With backstage", pools: [shop.pool.id, empty.id])
                for _ in 0..<15 {
                    let answers = try await atOnce(18) { index in
                        let cart = try await program.cart(for: shop.event.id)
                        return (cart, index, try await cart.add(of: index % 3 == 0 ? shop.type.id : both.id))
                    }
                    // Not by two filters: the compiler (6.3.1) takes the closure of the second for that of the first.
                    let groups = Dictionary(grouping: answers) { $0.1 % 3 == 0 }
                    let (rivals, others) = (try #require(groups[true]), try #require(groups[false]))
                    #expect(rivals.count == 6 && others.count == 12)
                    let winners = rivals.filter { $0.2.status == 200 }
                    #expect(winners.count == 1)
                    #expect(rivals.allSatisfy { $0.2.status == 200 || $0.2.problem == "all-held" }, "\(rivals.map(\.2.text))")
                    // They can never get theirs, whoever gives back what.
                    #expect(others.allSatisfy { $0.2.status == 409 && $0.2.problem == "sold-out" }, "\(others.map(\.2.text))")
                    #expect(try await shop.availability().state == .allHeld)
                    try await winners.first?.0.abandon()
                    #expect(try await shop.availability() == Availability(ticketTypeId: shop.type.id, state: .onSale, remaining: 1))
                }
            }
        }

        @Test
        func `5: a ticket that is canceled and then its order return their capacity once`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 3)
                let (purchase, order) = try await shop.paid(3)
                let unit = try #require(order.lines.first?.units.first)
                try await program.done(
                    SalesManagerRoutes.refundOrder, ["\(order.id)"], as: shop.owner.caller, key: "one",
                    body: RefundRequest(units: [unit.id], reason: "ill"))
                #expect(try await shop.stock().sold == 2)
                let cancel = SalesManagerRoutes.cancelOrder
                try await program.done(cancel, ["\(order.id)"], as: shop.owner.caller)
                #expect(try await program.call(cancel, ["\(order.id)"], as: shop.owner.caller).problem == "illegal-transition")
                let stock = try await shop.stock()
                #expect(stock.sold == 0 && stock.held == 0)
                #expect(try await shop.availability().remaining == 3)
                let tickets = try await program.order(purchase).tickets
                #expect(tickets.count == 3 && tickets.allSatisfy { $0.status == .void })
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        @Test
        func `1,000 clients who want 500 tickets at once buy exactly 500, and the others are told the truth`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 500)
                let record = Mutex<[Told]>([])
                let deadline = ContinuousClock.now + .seconds(240)
                let purchases = try await atOnce(1_000) { index -> Purchase? in
                    let cart = try await program.cart(for: shop.event.id)
                    while true {
                        let sent = Instant.now
                        let key = UUID().uuidString
                        let answer = try await patiently(until: deadline) { try await cart.add(of: shop.type.id, key: key) }
                        let told = Told(sent: sent, answered: .now, what: answer.status == 200 ? "held" : answer.problem ?? answer.text)
                        record.withLock { $0.append(told) }
                        if told.what == "held" { break }
                        guard told.what == "all-held" else { return nil }
                        try #require(ContinuousClock.now < deadline, "client \(index) was told all-held for ever")
                        try await Task.sleep(for: .milliseconds(250))
                    }
                    let buyer = Buyer(email: "buyer\(index)@example.org", name: "Buyer \(index)")
                    let key = UUID().uuidString
                    let answer = try await patiently(until: deadline) { try await cart.checkOut(buyer: buyer, key: key) }
                    guard answer.status == 201 else { throw UnexpectedAnswer(request: "checkout", answer: answer) }
                    return Purchase(try answer.json())
                }
                let bought = purchases.compactMap { $0 }
                #expect(bought.count == 500)
                #expect(Set(bought.map(\.id)).count == 500)
                #expect(bought.allSatisfy { $0.order.status == .paid && $0.order.tickets.count == 1 })
                #expect(Set(bought.flatMap { $0.order.tickets.compactMap(\.code) }).count == 500)
                let stock = try await shop.stock()
                #expect(stock.sold == 500 && stock.held == 0)
                #expect(try await shop.availability().state == .soldOut)

                let all = record.withLock { $0 }
                #expect(Set(all.map(\.what)).isSubset(of: ["held", "all-held", "sold-out"]), "\(Set(all.map(\.what)))")
                #expect(all.filter { $0.what == "sold-out" }.count == 500)
                // Once anybody was told that it is sold out, nobody hears anything else.
                let soldOut = try #require(all.filter { $0.what == "sold-out" }.map(\.answered).min())
                let later = all.filter { $0.sent > soldOut && $0.what != "sold-out" }
                #expect(later.isEmpty, "after sold-out: \(later.prefix(5))")
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }

        /// Repeats what took too long, or is still under way, as a client does: under the same key it is the same request.
        private func patiently(until deadline: ContinuousClock.Instant, _ ask: () async throws -> Answer) async throws -> Answer {
            while true {
                let answer = try await ask()
                let isToCome = answer.isPutOff || answer.problem == "request-in-progress"
                guard isToCome, ContinuousClock.now < deadline else { return answer }
                try await Task.sleep(for: .milliseconds(250))
            }
        }

        /// What a client was told of its wish.
        private struct Told: Sendable {
            let sent: Instant
            let answered: Instant
            let what: String
        }

        @Test
        func `an order of hundreds of tickets gets them all`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 300)
                let many = try await shop.ticketType("Coach party", maxPerOrder: 300)
                let buyer = Buyer(email: "coach@example.org", name: String(repeating: "Long name ", count: 19))
                let purchase = try await shop.cart(300, of: many.id).buy(buyer: buyer)
                #expect(purchase.order.status == .paid && purchase.order.tickets.count == 300)
            }
        }

        @Test
        func `21: while something holds one event's inventory, others sell on, and requests for it end with 503 in time`() async throws {
            try await withProgram { program in
                let stuck = try await program.shop(event: "Stuck")
                let other = try await program.shop(event: "Free")
                try await program.restart(["TICKETFLOW_FAULTS": "tickets.hold(\(stuck.event.id))=stall:12"])
                let carts = try await atOnce(20) { _ in try await program.cart(for: stuck.event.id) }
                let begin = ContinuousClock.now
                async let refused = atOnce(20) { index in
                    let answer = try await carts[index].add(of: stuck.type.id, key: "stuck-\(index)")
                    return (answer, ContinuousClock.now - begin)
                }
                var slowest = Duration.zero
                var bought = 0
                while ContinuousClock.now - begin < .seconds(8) {
                    let start = ContinuousClock.now
                    try await program.done(EventManagerRoutes.event, ["\(other.event.id)"])
                    #expect(try await other.availability().state == .onSale)
                    #expect(try await program.order(try await other.buy()).status == .paid)
                    // The page of the event that is stuck is there as well.
                    try await program.done(EventManagerRoutes.event, ["\(stuck.event.id)"])
                    #expect(try await stuck.availability().state == .onSale)
                    slowest = max(slowest, ContinuousClock.now - start)
                    bought += 1
                    if bought == 60 { break }
                }
                #expect(bought >= 5)
                #expect(slowest < .seconds(2), "a whole purchase of another event took \(slowest)")
                for (answer, time) in try await refused {
                    #expect(answer.status == 503 && answer.problem == "unavailable", "\(answer.status) \(answer.text)")
                    #expect(answer.headers["retry-after"].flatMap { Int($0) } ?? 0 >= 1)
                    #expect(time < .seconds(12), "it ended after \(time)")
                }
                // What they asked for may have been done after all: the same key tells, and does it once.
                try await program.restart(["TICKETFLOW_FAULTS": ""])
                for index in 0..<3 {
                    let answer = try await carts[index].add(of: stuck.type.id, key: "stuck-\(index)")
                    #expect(answer.status == 200, "\(answer.text)")
                    #expect(try answer.json(Cart.self).lines.map(\.quantity) == [1])
                }
            }
        }
    }
}
