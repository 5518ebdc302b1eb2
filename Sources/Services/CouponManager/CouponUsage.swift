import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// A coupon under its lock, with what has expired given back: the one place where its counters change.
///
/// Time is read after the lock is held. A use that has expired counts as free exactly from then on, because nobody can look at the
/// counters without freeing it first.
struct CouponUsage {
    private(set) var coupon: Coupon
    let now: Instant
    private let tx: Transaction

    private init?(_ coupon: Coupon?, _ tx: Transaction) throws {
        guard let coupon else { return nil }
        self.coupon = coupon
        self.tx = tx
        now = try tx.now
        let freed = try CouponUseStore.releaseExpired(of: coupon.id, at: now, in: tx)
        if freed > 0 {
            self.coupon.reserved -= freed
            try CouponStore.updateCounters(self.coupon, in: tx)
        }
    }

    init?(_ code: CouponCode, of organizer: OrganizerID, in tx: Transaction) throws {
        try self.init(try CouponStore.lock(code, of: organizer, in: tx), tx)
    }

    init?(_ id: CouponID, in tx: Transaction) throws {
        try self.init(try CouponStore.lock(id, in: tx), tx)
    }

    init?(of use: CouponUseID, in tx: Transaction) throws {
        guard let id = try CouponUseStore.couponID(of: use, in: tx) else { return nil }
        try self.init(id, in: tx)
    }

    /// Counts against the limit from now on. The cart that has a living use of this coupon gets the same one again.
    mutating func reserve(_ request: NewCouponUse, as id: CouponUseID) throws -> CouponUseRecord {
        if var use = try CouponUseStore.reserved(by: request.cartId, of: coupon.id, in: tx) {
            guard !use.isBound else { return use }
            use.discounts = try discounts(of: use, on: request.lines)
            use.expiresAt = request.expiresAt
            try CouponUseStore.update(use, in: tx)
            return use
        }
        let discounts = coupon.terms.discounts(on: request.lines, of: request.eventId, in: request.currency)
        guard coupon.isValid(at: now), coupon.hasUseLeft, request.expiresAt > now, discounts.contains(where: { $0 > 0 }) else {
            throw Problem.couponNotApplicable
        }
        let use = CouponUseRecord(
            id: id, couponId: coupon.id, couponVersion: coupon.version, eventId: request.eventId, currency: request.currency,
            cartId: request.cartId, state: .reserved, isOverLimit: false, discounts: discounts, expiresAt: request.expiresAt)
        coupon.reserved += 1
        try CouponUseStore.insert(use, at: now, in: tx)
        try CouponStore.updateCounters(coupon, in: tx)
        return use
    }

    /// What the use takes off these lines, under the terms that it was reserved with. One that is bound stays as it is, for the
    /// order's prices are fixed.
    func evaluate(_ id: CouponUseID, on lines: [DiscountableLine]) throws -> CouponUseRecord {
        var use = try find(id)
        let discounts = use.state == .released ? lines.map { _ in 0 } : try discounts(of: use, on: lines)
        if use.state == .reserved, !use.isBound, use.discounts != discounts {
            use.discounts = discounts
            try CouponUseStore.update(use, in: tx)
        }
        use.discounts = discounts
        return use
    }

    /// Binds to order and buyer. One that is free by now is reserved again where the limit allows; one that is bound to this order is
    /// its own, whatever the limits are by now.
    mutating func bind(_ id: CouponUseID, _ binding: CouponUseBinding) throws -> CouponUseRecord {
        var use = try find(id)
        let buyer = CouponUseRecord.Buyer(userId: binding.userId, email: binding.email)
        let isAgain = use.state == .reserved && use.orderId == binding.orderId
        try use.bind(to: binding.orderId, buyer, until: binding.expiresAt)
        if use.state == .redeemed { return try find(id) }
        guard try isAgain || isWithinBuyerLimit(use) else { throw Problem.couponNotApplicable }
        if use.state == .released {
            guard coupon.hasUseLeft else { throw Problem.couponNotApplicable }
            use.state = .reserved
            coupon.reserved += 1
            try CouponStore.updateCounters(coupon, in: tx)
        }
        try CouponUseStore.update(use, in: tx)
        return use
    }

    /// In any case: the buyer keeps the discount that was shown. One that was free and is beyond a limit now says so.
    mutating func redeem(_ id: CouponUseID) throws -> CouponUseRecord {
        var use = try find(id)
        switch use.state {
        case .redeemed: return use
        case .reserved: coupon.reserved -= 1
        case .released: use.isOverLimit = try !(coupon.hasUseLeft && isWithinBuyerLimit(use))
        }
        use.state = .redeemed
        coupon.redeemed += 1
        if use.isOverLimit { coupon.overLimit += 1 }
        try CouponUseStore.update(use, in: tx)
        try CouponStore.updateCounters(coupon, in: tx)
        return use
    }

    /// This use only; one that is redeemed stays redeemed.
    mutating func release(_ id: CouponUseID) throws {
        var use = try find(id)
        guard use.state == .reserved else { return }
        use.state = .released
        coupon.reserved -= 1
        try CouponUseStore.update(use, in: tx)
        try CouponStore.updateCounters(coupon, in: tx)
    }

    private func find(_ id: CouponUseID) throws -> CouponUseRecord {
        guard let use = try CouponUseStore.find(id, in: tx) else { throw Problem.notFound("coupon use") }
        return use
    }

    private func discounts(of use: CouponUseRecord, on lines: [DiscountableLine]) throws -> [Int64] {
        let terms =
            use.couponVersion == coupon.version
            ? coupon.terms : try CouponStore.terms(of: coupon.id, version: use.couponVersion, in: tx)
        return (terms ?? coupon.terms).discounts(on: lines, of: use.eventId, in: use.currency)
    }

    private func isWithinBuyerLimit(_ use: CouponUseRecord) throws -> Bool {
        guard let limit = coupon.perBuyerLimit, let buyer = use.buyer else { return true }
        return try CouponUseStore.count(by: buyer, of: coupon.id, beside: use.id, in: tx) < limit
    }
}

extension Problem {
    /// The same whatever the reason: whether a code exists, and who has used it, is not told.
    static let couponNotApplicable = Problem(
        422, "coupon-not-applicable", "This coupon cannot be used here",
        detail: "Check the code; it may be over, used up, or for other tickets.")
}
