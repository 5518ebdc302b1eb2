import Contracts
import Discovery
import Foundation
import Storage
import Synchronization
import Testing
import Values

/// What is sold while parts of the system fail, and what buyers were told of it.
struct Market: Sendable {
    private static let clients = 16
    private static let cards = [
        Card.captures, Card.captures, Card.captures, Card.isDeclined, Card.hasNoMoney, Card.wantsConfirmation,
        "\(Card.captures);webhooks=only",
        "\(Card.captures);webhooks=duplicate+reorder", "\(Card.captures);delay=1", nil,
    ]

    /// The last that a buyer was told of their order.
    private struct Told: Sendable {
        var purchase: Purchase
        var isPaid: Bool
    }

    let program: RunningProgram
    let shop: Shop
    let scarce: TicketType
    let free: TicketType
    private let told: SharedTold

    /// A checkout with all that its repetition needs.
    private struct Wish: Sendable {
        let cart: ShoppingCart
        let card: String?
        let buyer: Buyer
        let key = UUID().uuidString
    }

    private final class SharedTold: Sendable {
        let orders = Mutex<[OrderID: Told]>([:])
        let addresses = Mutex(0)
        /// Checkouts whose answer the fault took.
        let unanswered = Mutex<[Wish]>([])
        let failures = Mutex(0)
    }

    init(_ program: RunningProgram) async throws {
        self.program = program
        shop = try await program.shop(capacity: 100_000, price: 1_990)
        let few = try await shop.addPool("Few", capacity: 25)
        scarce = try await shop.ticketType("Scarce", pools: [shop.pool.id, few.id])
        free = try await shop.ticketType("Free", price: 0)
        _ = try await shop.coupon("MANY", percent: 10)
        _ = try await shop.coupon("FEW", percent: 50) { $0.maxRedemptions = 5 }
        _ = try await shop.coupon("ONCE", percent: 30) { $0.perBuyerLimit = 1 }
        told = SharedTold()
    }

    /// Clients buy until the time is over, or the program is gone.
    func open(for time: Duration) async throws {
        let end = ContinuousClock.now + time
        try await open { ContinuousClock.now < end && program.isRunning }
    }

    /// Clients buy while something is done.
    func open(while work: () async throws -> Void) async throws {
        let isOpen = Mutex(true)
        async let market: Void = open { isOpen.withLock { $0 } }
        do {
            try await work()
            isOpen.withLock { $0 = false }
        } catch {
            isOpen.withLock { $0 = false }
            _ = try? await market
            throw error
        }
        try await market
    }

    /// How many requests were not answered, or put off, so far.
    var failures: Int { told.failures.withLock { $0 } }

    /// How many orders somebody was told of so far.
    var orders: Int { told.orders.withLock(\.count) }

    private func open(_ isOpen: @escaping @Sendable () -> Bool) async throws {
        _ = try await atOnce(Market.clients) { _ in
            while isOpen() {
                do {
                    // A client repeats what was not answered, with the same key.
                    if let wish = told.unanswered.withLock({ $0.popLast() }) { try await buy(wish) } else { try await buySomething() }
                } catch let answer as UnexpectedAnswer where !answer.answer.isPutOff {
                    throw answer
                } catch {
                    // An answer that does not come, or is put off, is the fault.
                    told.failures.withLock { $0 += 1 }
                }
            }
        }
    }

    private func buySomething() async throws {
        let card = Market.cards.randomElement()!
        let type = card == nil ? free : [shop.type, shop.type, scarce].randomElement()!
        let cart = try await program.cart(for: shop.event.id)
        guard try await cart.add(Int64.random(in: 1...3), of: type.id).status == 200 else { return }
        if Int.random(in: 0..<3) == 0, card != nil { _ = try await cart.enter(["MANY", "FEW", "ONCE"].randomElement()!) }
        let number = told.addresses.withLock { number in
            number += 1
            return number
        }
        let buyer = Buyer(
            email: Int.random(in: 0..<4) == 0 ? "often@example.org" : "buyer\(number)@example.org", name: "Buyer \(number)")
        try await buy(Wish(cart: cart, card: card, buyer: buyer))
    }

    private func buy(_ wish: Wish) async throws {
        let answer: Answer
        do {
            answer = try await wish.cart.checkOut(card: wish.card, buyer: wish.buyer, key: wish.key)
        } catch {
            told.unanswered.withLock { $0.append(wish) }
            throw error
        }
        guard answer.status == 201 else {
            let error = UnexpectedAnswer(request: "checkout", answer: answer)
            if answer.isPutOff { told.unanswered.withLock { $0.append(wish) } }
            guard [409, 422].contains(answer.status) else { throw error }
            return
        }
        var purchase = Purchase(try answer.json())
        remember(purchase, isPaid: purchase.order.status == .paid)
        guard let payment = purchase.payment else { return }
        switch payment.status {
        case .failed where Bool.random():
            let again = try await program.call(
                PaymentProcessingRoutes.createAttempt, ["\(payment.id)"], as: purchase.caller, key: wish.key,
                body: PaymentChoice(provider: "sandbox", method: Card.captures))
            if again.status == 201 { purchase = try await look(at: purchase) }
        case .requiresAction where Bool.random():
            guard let charge = payment.action?.url?.split(separator: "/").dropLast().last else { return }
            _ = try await program.call(
                PaymentProcessingRoutes.confirmSandboxCharge, [String(charge)], body: SandboxConfirmation(approve: Bool.random()))
            purchase = try await look(at: purchase)
        default: break
        }
    }

    private func look(at purchase: Purchase) async throws -> Purchase {
        let order = try await program.order(purchase)
        remember(purchase, isPaid: order.status == .paid)
        return purchase
    }

    private func remember(_ purchase: Purchase, isPaid: Bool) {
        told.orders.withLock { orders in
            orders[purchase.id] = Told(purchase: purchase, isPaid: isPaid || (orders[purchase.id]?.isPaid ?? false))
        }
    }

    // MARK: At the end

    private static let open: SQL = "SELECT id FROM sales_order WHERE status IN ('draft', 'awaitingPayment')"
    private static let unsettled: SQL = "SELECT id FROM sales_order WHERE is_settled = FALSE"

    func expectEverythingHasEnded() async throws {
        // The orders' own 6 seconds, 5 in which one that was looked at is left alone, a turn of the timer; and as much again for a
        // machine that has other work.
        try await eventually("every order has ended", within: .seconds(24), every: .milliseconds(200)) {
            try await program.rows("sales-manager", Market.open).isEmpty
        }
        let limit = Duration.seconds(60)
        try await eventually("every order is settled", within: limit, every: .milliseconds(200)) {
            try await program.rows("sales-manager", Market.unsettled).isEmpty
        }
        try await eventually("no hold is left", within: limit, every: .milliseconds(200)) {
            try await program.rows("ticket-manager", "SELECT id FROM pool WHERE held > 0").isEmpty
        }
        try await eventually("every mail is sent", within: .seconds(240), every: .milliseconds(200)) {
            let pending = try await program.rows("notification", "SELECT id FROM delivery WHERE state = 'pending'")
            guard pending.isEmpty else { return false }
            return try await program.isQuiet
        }
        let orders = told.orders.withLock { $0 }
        #expect(orders.count > 10)
        // What a buyer was told is still so.
        for (id, told) in orders {
            let order = try await program.order(told.purchase)
            #expect(order.id == id && order.number == told.purchase.order.number)
            if told.isPaid { #expect(order.status == .paid, "order \(id) was told to be paid, and is \(order.status)") }
            let ledger = try await program.ledger(told.purchase)
            #expect(ledger.isBalanced)
            #expect(
                ledger.paidByBuyer == (order.status == .paid ? order.totals.total.amount : 0), "order \(id), \(order.status): \(ledger)"
            )
            #expect(order.tickets.count == (order.status == .paid ? order.lines.reduce(0) { $0 + Int($1.quantity) } : 0), "order \(id)")
        }
    }

    /// In the books of the stopped system, for all orders, also those that no client ever heard of.
    func expectNothingTwice() async throws {
        let orders = try await program.rows(
            "sales-manager",
            """
            SELECT id, status, total, buyer_email,
                (SELECT COUNT(*) FROM order_unit WHERE order_unit.order_id = sales_order.id) AS units FROM sales_order
            """)
        let charged = try await sums(
            "payment-processing",
            """
            SELECT payment.order_id AS id, CAST(SUM(sandbox_charge.amount) AS BIGINT) AS sum FROM sandbox_charge
            JOIN payment_attempt ON payment_attempt.id = sandbox_charge.attempt_id JOIN payment ON payment.id = payment_attempt.payment_id
            WHERE sandbox_charge.state = 'captured' GROUP BY payment.order_id
            """)
        let charges = try await sums(
            "payment-processing",
            """
            SELECT payment.order_id AS id, COUNT(*) AS sum FROM sandbox_charge
            JOIN payment_attempt ON payment_attempt.id = sandbox_charge.attempt_id JOIN payment ON payment.id = payment_attempt.payment_id
            WHERE sandbox_charge.state = 'captured' GROUP BY payment.order_id
            """)
        let returned = try await sums(
            "payment-processing",
            """
            SELECT payment.order_id AS id, CAST(SUM(sandbox_refund.amount) AS BIGINT) AS sum FROM sandbox_refund
            JOIN sandbox_charge ON sandbox_charge.id = sandbox_refund.charge_id
            JOIN payment_attempt ON payment_attempt.id = sandbox_charge.attempt_id JOIN payment ON payment.id = payment_attempt.payment_id
            WHERE sandbox_refund.state = 'succeeded' GROUP BY payment.order_id
            """)
        let tickets = try await sums(
            "ticket-manager", "SELECT order_id AS id, COUNT(*) AS sum FROM ticket GROUP BY order_id")
        let mailed = try await sums(
            "notification",
            "SELECT order_id AS id, COUNT(*) AS sum FROM delivery WHERE kind = 'order-confirmation' AND state = 'sent' GROUP BY order_id"
        )
        let mentioned = try await Mail.orders(in: "\(program.data)/mail")
        var paid = 0
        var sold: Int64 = 0
        for row in orders {
            let id: String = try row["id"]
            let status: OrderStatus = OrderStatus(rawValue: try row["status"])!
            let total: Int64 = try row["total"]
            let units: Int64 = try row["units"]
            let isPaid = status == .paid
            // The provider's own books: not what we believe, but what the buyer's card was charged.
            #expect(
                (charged[id] ?? 0) - (returned[id] ?? 0) == (isPaid ? total : 0),
                "order \(id), \(status), was charged \(charged[id] ?? 0) and given back \(returned[id] ?? 0)")
            #expect(tickets[id] ?? 0 == (isPaid ? units : 0), "order \(id), \(status), has \(tickets[id] ?? 0) of \(units) tickets")
            #expect(mailed[id] ?? 0 == (isPaid ? 1 : 0), "order \(id), \(status)")
            #expect((charges[id] ?? 0) <= 1, "order \(id) was charged \(charges[id] ?? 0) times")
            if isPaid {
                #expect(mentioned.contains(id), "order \(id) has no mail")
                paid += 1
                sold += units
            }
        }
        #expect(paid > 10 && orders.count > paid, "\(paid) of \(orders.count) orders are paid")
        // Analytics heard of each once.
        let counted = try await program.rows(
            "sales-analytics", "SELECT CAST(SUM(orders) AS BIGINT) AS orders, CAST(SUM(tickets) AS BIGINT) AS tickets FROM event_hour")
        #expect(try counted.first?["orders"] == Int64(paid))
        #expect(try counted.first?["tickets"] == sold)
        let stock = try await program.rows("ticket-manager", "SELECT held, sold FROM pool WHERE id = \(shop.pool.id)")
        #expect(try stock.first?["sold"] == sold)
        #expect(try stock.first?["held"] == Int64(0))
    }

    private func sums(_ service: String, _ query: SQL) async throws -> [String: Int64] {
        let rows = try await program.rows(service, query)
        return Dictionary(uniqueKeysWithValues: try rows.map { (try $0["id"], try $0["sum"]) })
    }
}

extension RunningProgram {
    /// Whether no event waits to be sent, and no message to be handled.
    fileprivate var isQuiet: Bool {
        get async throws {
            for service in Contracts.routes.map(\.service.description) {
                guard try await rows(service, "SELECT id FROM outbox LIMIT 1").isEmpty else { return false }
            }
            let queues = try await command("messages", "queues")
            // A line for each queue: its name, how many are ready, how many wait for another try, how many are dead.
            return queues.output.split(separator: "\n").dropFirst().allSatisfy { line in
                let columns = line.split(separator: " ")
                return columns.count == 4 && columns[1] == "0" && columns[2] == "0"
            }
        }
    }
}
