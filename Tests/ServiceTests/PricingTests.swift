import Contracts
import Discovery
import Testing
import Values

@testable import SalesManager

/// What is to be paid, to the cent.
@Suite("Pricing") struct PricingTests {
    private static func line(_ random: inout SeededGenerator) -> PricedLine {
        let quantity = Int64.random(in: 1...30, using: &random)
        let price = [0, 1, 3, 99, 1_000, 1_999, 1_000_000_000, Int64.random(in: 0...100_000, using: &random)].randomElement(using: &random)!
        let subtotal = quantity * price
        return PricedLine(
            id: CartLineID(), ticketTypeID: TicketTypeID(), name: "x", quantity: quantity, unitPrice: price,
            taxRate: [0, 1, 250, 700, 1_900, 2_000, 10_000].randomElement(using: &random)!,
            unitFee: Int64.random(in: 0...333, using: &random), isFeeIncluded: Bool.random(using: &random),
            discount: [0, 1, subtotal, subtotal / 3, subtotal * 15 / 100, Int64.random(in: 0...subtotal, using: &random)]
                .filter { $0 <= subtotal }.randomElement(using: &random)!)
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func `a line's tickets add up to the line, and the lines to the total, to the cent`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let lines = (0..<Int.random(in: 1...8, using: &random)).map { _ in Self.line(&random) }
        for line in lines {
            let units = line.units()
            #expect(Int64(units.count) == line.quantity)
            #expect(units.reduce(0) { $0 + $1.price } == line.subtotal)
            #expect(units.reduce(0) { $0 + $1.discount } == line.discount)
            #expect(units.reduce(0) { $0 + $1.tax } == line.tax)
            #expect(units.reduce(0) { $0 + $1.fee } == line.fees)
            #expect(units.reduce(0) { $0 + $1.total } == line.total)
            for unit in units {
                #expect(unit.total == unit.price - unit.discount + unit.fee && unit.total >= 0 && unit.tax >= 0)
            }
            // No ticket bears more than a cent more than another.
            let (least, most) = (units.map(\.discount).min()!, units.map(\.discount).max()!)
            #expect(most - least <= 1)
        }
        let totals = Totals(lines, .eur)
        #expect(totals.total.amount == totals.subtotal.amount - totals.discount.amount + totals.fees.amount)
        #expect(totals.total.amount == lines.reduce(0) { $0 + $1.units().reduce(0) { $0 + $1.total } })
        #expect(totals.tax.amount == lines.reduce(0) { $0 + $1.tax })
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func `tax is contained in what is paid for the tickets, once per line, half up`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let line = Self.line(&random)
        // tax = gross * rate / (10,000 + rate), without any division: it is the nearest whole number, the upper one of two.
        let (gross, divisor) = (line.subtotal - line.discount, 10_000 + line.taxRate)
        let doubled = 2 * (line.tax * divisor - gross * line.taxRate)
        #expect(doubled > -divisor && doubled <= divisor)
    }

    @Test(arguments: [(1_190, 1_900, 190), (1_000, 1_900, 160), (1_000, 0, 0), (3, 10_000, 2), (1, 10_000, 1), (0, 1_900, 0)])
    func `known taxes`(gross: Int64, rate: Int64, tax: Int64) {
        let line = PricedLine(
            id: CartLineID(), ticketTypeID: TicketTypeID(), name: "x", quantity: 1, unitPrice: gross, taxRate: rate, unitFee: 10,
            isFeeIncluded: false, discount: 0)
        #expect(line.tax == tax && line.total == gross + 10)
    }

    @Test func `a fee that the price contains is not charged again`() {
        var line = PricedLine(
            id: CartLineID(), ticketTypeID: TicketTypeID(), name: "x", quantity: 3, unitPrice: 1_000, taxRate: 0, unitFee: 50,
            isFeeIncluded: true, discount: 0)
        #expect(line.total == 3_000 && line.fees == 0 && line.units().allSatisfy { $0.total == 1_000 && $0.fee == 0 })
        line.isFeeIncluded = false
        #expect(line.total == 3_150 && line.fees == 150 && line.units().allSatisfy { $0.total == 1_050 && $0.fee == 50 })
    }

    // MARK: Refunds

    private static func order(_ units: [OrderUnit], captured: Int64? = nil) -> OrderRecord {
        let total = units.reduce(0) { $0 + $1.total }
        func money(_ amount: Int64) -> Money { Money(amount, .eur) }
        let line = OrderLine(
            id: OrderLineID(), ticketTypeId: TicketTypeID(), name: "x", quantity: Int64(units.count), unitPrice: money(0),
            discount: money(0), tax: money(0), fees: money(0), total: money(total), units: units)
        let id = OrderID()
        return OrderRecord(
            id: id, cartID: CartID(), number: "x", eventID: EventID(), organizerID: OrganizerID(), status: .paid,
            buyer: Buyer(email: "a@example.org", name: "A"), holdID: HoldID(),
            totals: Totals(subtotal: money(total), discount: money(0), tax: money(0), fees: money(0), total: money(total)),
            payment: Payment(
                id: PaymentID(), orderId: id, state: .captured, amount: money(total), attempts: [], captured: money(captured ?? total),
                refunded: money(0), refunds: [], isPayLater: false, version: 1),
            isSettled: true, expiresAt: .now, createdAt: .now, version: 1, lines: [line])
    }

    private static func unit(_ total: Int64) -> OrderUnit {
        OrderUnit(
            id: OrderUnitID(), price: total, discount: 0, tax: 0, fee: 0, total: total, attendee: Attendee(), refunded: false)
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func `a refund by amount alone is spread over all that is left, to the cent, and never beyond`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let units = (0..<Int.random(in: 1...12, using: &random)).map { _ in Self.unit(Int64.random(in: 0...5_000, using: &random)) }
        let order = Self.order(units)
        var refunded: [OrderUnitID: Int64] = [:]
        for unit in units where Bool.random(using: &random) { refunded[unit.id] = Int64.random(in: 0...unit.total, using: &random) }
        let left = units.reduce(0) { $0 + $1.total - (refunded[$1.id] ?? 0) }
        guard left > 0 else { return }
        let amount = Int64.random(in: 1...left, using: &random)
        let plan = RefundPlan(order: order, refunded: refunded)
        let refund = try plan.refund(RefundRequest(amount: Money(amount, .eur), reason: "x"), cause: "x", at: .now)
        #expect(refund.amount == amount && refund.shares.reduce(0) { $0 + $1.amount } == amount)
        for share in refund.shares {
            let unit = try #require(units.first { $0.id == share.unit })
            #expect(share.amount >= 0 && share.amount <= unit.total - (refunded[unit.id] ?? 0))
            #expect(share.voidsTicket == (amount == left), "a part of the money leaves every ticket as it is")
        }
        #expect(throws: Problem.self) {
            try plan.refund(RefundRequest(amount: Money(left + 1, .eur), reason: "x"), cause: "x", at: .now)
        }
    }

    @Test(arguments: 1...30 as ClosedRange<UInt64>)
    func `refunds one after the other never give back more than was paid`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let units = (0..<Int.random(in: 1...6, using: &random)).map { _ in Self.unit(Int64.random(in: 1...900, using: &random)) }
        let order = Self.order(units)
        var refunded: [OrderUnitID: Int64] = [:]
        for _ in 0..<30 {
            var request = RefundRequest(reason: "x")
            if Bool.random(using: &random) { request.units = [units.randomElement(using: &random)!.id] }
            if Bool.random(using: &random) { request.amount = Money(Int64.random(in: 1...500, using: &random), .eur) }
            let plan = RefundPlan(order: order, refunded: refunded)
            guard let refund = try? plan.refund(request, cause: "x", at: .now) else { continue }
            for share in refund.shares { refunded[share.unit, default: 0] += share.amount }
        }
        for unit in units { #expect((refunded[unit.id] ?? 0) <= unit.total) }
        let rest = RefundPlan(order: order, refunded: refunded).everything(
            captured: order.totals.total.amount, withoutFees: false, cause: "x", insist: true, at: .now)
        #expect(rest.amount + refunded.values.reduce(0, +) == order.totals.total.amount)
    }

    @Test func `an order's number is hard to confuse and not to be counted`() {
        let numbers = Set((0..<1_000).map { _ in OrderNumber.make() })
        #expect(numbers.count == 1_000)
        #expect(numbers.allSatisfy { $0.count == 11 && !$0.contains { "01OILU".contains($0) } })
    }
}
