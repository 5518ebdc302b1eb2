import Contracts
import ServiceKit
import Values

extension Coupon {
    static let largestAmount: Int64 = 1_000_000_000_000
    static let mostTargets = 200

    /// - Parameter code: normalised.
    init(_ new: NewCoupon, code: CouponCode, id: CouponID, createdAt: Instant) {
        self.init(
            id: id, organizerId: new.organizerId, code: code.text, name: new.name, discount: new.discount,
            eventIds: new.eventIds ?? [], ticketTypeIds: new.ticketTypeIds ?? [], maxRedemptions: new.maxRedemptions,
            perBuyerLimit: new.perBuyerLimit, minimumOrder: new.minimumOrder, validFrom: new.validFrom, validUntil: new.validUntil,
            status: .active, reserved: 0, redeemed: 0, overLimit: 0, version: 1, createdAt: createdAt)
    }

    var terms: CouponTerms {
        CouponTerms(discount: discount, eventIds: eventIds, ticketTypeIds: ticketTypeIds, minimumOrder: minimumOrder)
    }

    /// Whether one more use is within `maxRedemptions`.
    var hasUseLeft: Bool {
        maxRedemptions.map { reserved + redeemed < $0 } ?? true
    }

    func isValid(at now: Instant) -> Bool {
        status == .active && validFrom.map { $0 <= now } ?? true && validUntil.map { now < $0 } ?? true
    }

    func applying(_ change: CouponChange) -> Coupon {
        var coupon = self
        coupon.name = change.name ?? name
        coupon.discount = change.discount ?? discount
        coupon.eventIds = change.eventIds ?? eventIds
        coupon.ticketTypeIds = change.ticketTypeIds ?? ticketTypeIds
        coupon.maxRedemptions = change.maxRedemptions ?? maxRedemptions
        coupon.perBuyerLimit = change.perBuyerLimit ?? perBuyerLimit
        coupon.minimumOrder = change.minimumOrder ?? minimumOrder
        coupon.validFrom = change.validFrom ?? validFrom
        coupon.validUntil = change.validUntil ?? validUntil
        return coupon
    }
}

extension Validation {
    /// What staff may say of a coupon.
    mutating func coupon(_ coupon: Coupon) {
        text(coupon.name, "name", atMost: 200)
        check(
            (coupon.discount.percent == nil) != (coupon.discount.amount == nil), "discount",
            "must have either percent or amount")
        if let percent = coupon.discount.percent { check((1...100).contains(percent), "discount.percent", "must be from 1 to 100") }
        if let amount = coupon.discount.amount {
            check((1...Coupon.largestAmount).contains(amount.amount), "discount.amount", "must be from 1 to \(Coupon.largestAmount)")
        }
        if let minimum = coupon.minimumOrder {
            check((0...Coupon.largestAmount).contains(minimum.amount), "minimumOrder", "must be from 0 to \(Coupon.largestAmount)")
            check(
                coupon.discount.amount.map { $0.currency == minimum.currency } ?? true, "minimumOrder",
                "must have the currency of the discount")
        }
        check(coupon.eventIds.count <= Coupon.mostTargets, "eventIds", "must be at most \(Coupon.mostTargets)")
        check(coupon.ticketTypeIds.count <= Coupon.mostTargets, "ticketTypeIds", "must be at most \(Coupon.mostTargets)")
        for (limit, field) in [(coupon.maxRedemptions, "maxRedemptions"), (coupon.perBuyerLimit, "perBuyerLimit")] {
            check(limit.map { (1...1_000_000_000).contains($0) } ?? true, field, "must be from 1 to 1000000000")
        }
        for (time, field) in [(coupon.validFrom, "validFrom"), (coupon.validUntil, "validUntil")] {
            check(time?.isPlausible ?? true, field, "must be in a year from 2000 to 2200")
        }
        if let from = coupon.validFrom, let until = coupon.validUntil { check(from < until, "validUntil", "must be after validFrom") }
    }

    /// Bounds that keep every sum far from overflow.
    mutating func lines(_ lines: [DiscountableLine]) {
        check(lines.count <= 200, "lines", "must be at most 200")
        for (index, line) in lines.prefix(200).enumerated() {
            check((1...10_000).contains(line.quantity), "lines[\(index)].quantity", "must be from 1 to 10000")
            check(
                (0...Coupon.largestAmount).contains(line.unitPrice), "lines[\(index)].unitPrice",
                "must be from 0 to \(Coupon.largestAmount)")
        }
    }
}

extension Instant {
    var isPlausible: Bool { (2000...2200).contains(civil.year) }
}
