import Contracts
import Values

/// What a line costs before it is an order: the prices that its hold fixed, and the discount that its coupon gives.
struct PricedLine: Hashable, Sendable {
    var id: CartLineID
    var ticketTypeID: TicketTypeID
    var name: String
    var quantity: Int64
    var unitPrice: Int64
    /// In basis points, contained in the price.
    var taxRate: Int64
    var unitFee: Int64
    var isFeeIncluded: Bool
    var discount: Int64

    var subtotal: Int64 { quantity * unitPrice }
    /// What comes on top; a fee that the price contains is not the buyer's business.
    var fees: Int64 { isFeeIncluded ? 0 : quantity * unitFee }
    var total: Int64 { subtotal - discount + fees }

    /// The tax contained in what is paid for the tickets, half up on minor units, once per line.
    var tax: Int64 {
        let gross = subtotal - discount
        let divisor = 10_000 + taxRate
        return (2 * gross * taxRate + divisor).flooredDivision(by: 2 * divisor)
    }

    /// The line as one row per ticket; every column adds up to the line's to the cent.
    func units() -> [UnitPrice] {
        let weights = [Int64](repeating: 1, count: Int(quantity))
        let discounts = apportion(discount, by: weights)
        let taxes = apportion(tax, by: weights)
        return zip(discounts, taxes).map { discount, tax in
            UnitPrice(
                price: unitPrice, discount: discount, tax: tax, fee: isFeeIncluded ? 0 : unitFee,
                total: unitPrice - discount + (isFeeIncluded ? 0 : unitFee))
        }
    }

    func wire(_ currency: Currency) -> CartLine {
        CartLine(
            id: id, ticketTypeId: ticketTypeID, name: name, quantity: quantity, unitPrice: Money(unitPrice, currency),
            discount: Money(discount, currency), tax: Money(tax, currency), fees: Money(fees, currency), total: Money(total, currency))
    }
}

/// One ticket's share of an order's money, in minor units.
struct UnitPrice: Hashable, Sendable {
    var price: Int64
    var discount: Int64
    var tax: Int64
    var fee: Int64
    var total: Int64
}

extension Totals {
    init(_ lines: [PricedLine], _ currency: Currency) {
        func sum(_ value: (PricedLine) -> Int64) -> Money { Money(lines.reduce(0) { $0 + value($1) }, currency) }
        self.init(
            subtotal: sum(\.subtotal), discount: sum(\.discount), tax: sum(\.tax), fees: sum(\.fees), total: sum(\.total))
    }
}
