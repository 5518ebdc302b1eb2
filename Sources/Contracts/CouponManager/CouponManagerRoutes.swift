package import Discovery
import HTTPTypes

package enum CouponManagerRoutes {
    package static let coupons = Route(.get, "/api/v1/coupons", .user)
    package static let createCoupon = Route(.post, "/api/v1/coupons", .user)
    package static let coupon = Route(.get, "/api/v1/coupons/{id}", .user)
    package static let changeCoupon = Route(.patch, "/api/v1/coupons/{id}", .user)
    package static let deactivateCoupon = Route(.post, "/api/v1/coupons/{id}/deactivate", .user)
    package static let validateCoupon = Route(.post, "/api/v1/coupons/validate", .anyone)

    package static let reserveUse = Route(.post, "/internal/v1/coupon-uses", .service(scope: Scope.couponUses))
    package static let use = Route(.get, "/internal/v1/coupon-uses/{id}", .service(scope: Scope.couponUses))
    /// What it takes off once the cart's lines have changed.
    package static let evaluateUse = Route(.put, "/internal/v1/coupon-uses/{id}/lines", .service(scope: Scope.couponUses))
    package static let bindUse = Route(.put, "/internal/v1/coupon-uses/{id}/order", .service(scope: Scope.couponUses))
    package static let redeemUse = Route(.post, "/internal/v1/coupon-uses/{id}/redemption", .service(scope: Scope.couponUses))
    package static let releaseUse = Route(.delete, "/internal/v1/coupon-uses/{id}", .service(scope: Scope.couponUses))

    package static let all = [
        coupons, createCoupon, coupon, changeCoupon, deactivateCoupon, validateCoupon, reserveUse, use, evaluateUse, bindUse,
        redeemUse, releaseUse,
    ]
}
