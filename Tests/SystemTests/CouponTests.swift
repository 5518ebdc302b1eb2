import Contracts
import Discovery
import Testing
import Values

extension WholeSystem {
    @Suite struct CouponTests {
        @Test
        func `2: of five carts that enter a coupon with one use left at once, one gets it`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(price: 1_000)
                let coupon = try await shop.coupon("LAST", percent: 50) { $0.maxRedemptions = 2 }
                // One use is spent before.
                let first = try await shop.cart()
                #expect(try await first.enter("last").status == 200)
                let spent = try await program.order(try await first.buy())
                #expect(spent.status == .paid && spent.totals.total == Money(500, .eur))

                let carts = try await atOnce(5) { _ in try await shop.cart() }
                let answers = try await atOnce(5) { index in try await carts[index].enter("LAST") }
                let winners = answers.indices.filter { answers[$0].status == 200 }
                #expect(winners.count == 1, "\(answers.map(\.status))")
                for answer in answers where answer.status != 200 {
                    #expect([409, 422].contains(answer.status) && answer.problem != nil, "\(answer.text)")
                }
                #expect(try answers[try #require(winners.first)].json(Cart.self).totals?.total == Money(500, .eur))
                for index in carts.indices {
                    let order = try await program.order(try await carts[index].buy())
                    #expect(order.status == .paid && order.totals.total.amount == (winners.contains(index) ? 500 : 1_000))
                }
                let uses: Coupon = try await eventually("both uses are redeemed") {
                    let now: Coupon = try await program.ask(CouponManagerRoutes.coupon, ["\(coupon.id)"], as: shop.owner.caller)
                    return now.redeemed == 2 ? now : nil
                }
                #expect(uses.reserved == 0 && uses.overLimit == 0)
                try await program.stop()
                try await program.expectCleanBooks()
            }
        }
    }
}
