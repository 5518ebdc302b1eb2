package import Discovery

/// CouponManager, as its peers call it.
package struct CouponManagerClient: Sendable {
    private let peer: PeerClient

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    /// Counts against every limit from now on. `Problem` 422 `coupon-not-applicable` where it does not apply.
    package func reserve(_ use: NewCouponUse) async throws -> CouponUse {
        try await peer.call(CouponManagerRoutes.reserveUse, body: use)
    }

    package func evaluate(_ id: CouponUseID, _ lines: [DiscountableLine]) async throws -> CouponUse {
        try await peer.call(CouponManagerRoutes.evaluateUse, ["\(id)"], body: CouponUseLines(lines: lines))
    }

    /// Binds the use to order and buyer; the limit per buyer is checked now.
    package func bind(_ id: CouponUseID, _ binding: CouponUseBinding) async throws -> CouponUse {
        try await peer.call(CouponManagerRoutes.bindUse, ["\(id)"], body: binding)
    }

    /// Also of a use that was released meanwhile: it is reserved again where the limit allows, and redeemed in any case,
    /// for the buyer keeps the discount that was shown.
    package func redeem(_ id: CouponUseID) async throws -> CouponUse {
        try await peer.call(CouponManagerRoutes.redeemUse, ["\(id)"])
    }

    /// Releases this use only. One that is redeemed stays redeemed.
    package func release(_ id: CouponUseID) async throws {
        try await peer.perform(CouponManagerRoutes.releaseUse, ["\(id)"])
    }
}
