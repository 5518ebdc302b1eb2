import Contracts
import Values

/// What a coupon takes off, and of what.
struct CouponTerms: Hashable, Sendable {
    var discount: Discount
    /// Empty means all of the organizer's.
    var eventIds: [EventID]
    var ticketTypeIds: [TicketTypeID]
    /// The sum of all lines must reach it.
    var minimumOrder: Money?

    /// Stands in where there is no coupon, so that an answer about it takes the same work.
    static let none = CouponTerms(discount: Discount(percent: 1), eventIds: [], ticketTypeIds: [])

    /// One for each line, in its order: never more than the line. All zero where the terms are not met.
    ///
    /// A percentage is rounded half up per ticket, so that each ticket of a line costs the same. An amount is spread over the
    /// lines that it is for in proportion to what they cost, and loses and gains nothing.
    func discounts(on lines: [DiscountableLine], of event: EventID, in currency: Currency) -> [Int64] {
        let nothing = [Int64](repeating: 0, count: lines.count)
        let sums = lines.map { $0.unitPrice * $0.quantity }
        guard eventIds.isEmpty || eventIds.contains(event) else { return nothing }
        if let minimumOrder {
            guard minimumOrder.currency == currency, sums.reduce(0, +) >= minimumOrder.amount else { return nothing }
        }
        let isEligible = lines.map { ticketTypeIds.isEmpty || ticketTypeIds.contains($0.ticketTypeId) }
        if let percent = discount.percent {
            return zip(lines, isEligible).map { line, isEligible in
                isEligible ? share(of: line.unitPrice, basisPoints: percent * 100) * line.quantity : 0
            }
        }
        guard let amount = discount.amount, amount.currency == currency else { return nothing }
        let eligible = zip(sums, isEligible).map { sum, isEligible in isEligible ? sum : 0 }
        let off = min(amount.amount, eligible.reduce(0, +))
        return off == 0 ? nothing : apportion(off, by: eligible)
    }
}

/// A code as it is compared: capital letters, no space around. The same code in any way of writing it.
struct CouponCode: Hashable, Sendable {
    static let longest = 50

    let text: String

    /// No coupon has it.
    static let nobodys = CouponCode(normalised: "")

    private init(normalised text: String) { self.text = text }

    /// Nil for what no coupon can be called: letters A to Z, digits, `.`, `_` and `-`, beginning with a letter or a digit. Other
    /// letters are left out, because some look alike and are not.
    init?(_ text: String) {
        guard text.utf8.count <= 4 * CouponCode.longest else { return nil }
        let bytes = Array(text.utf8).trimming { $0 == 32 || (9...13).contains($0) }.map { (97...122).contains($0) ? $0 - 32 : $0 }
        guard let first = bytes.first, first.isCapitalOrDigit, bytes.count <= CouponCode.longest,
            bytes.allSatisfy({ $0.isCapitalOrDigit || "._-".utf8.contains($0) })
        else { return nil }
        self.text = String(decoding: bytes, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate var isCapitalOrDigit: Bool { (65...90).contains(self) || (48...57).contains(self) }
}

extension Array {
    fileprivate func trimming(_ isSpace: (Element) -> Bool) -> ArraySlice<Element> {
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else { return [] }
        return self[first...last]
    }
}
