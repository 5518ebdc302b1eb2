import Contracts
import Discovery
import Foundation
import ServiceKit
import Values

/// One use of a coupon: by a cart, then by its order and buyer.
struct CouponUseRecord: Hashable, Sendable {
    /// Who uses it, as limits per buyer count them.
    struct Buyer: Hashable, Sendable {
        let userId: UserID?
        /// Normalised: the same mailbox in any way of writing it.
        let email: String

        init(userId: UserID?, email: String) {
            self.userId = userId
            self.email = email.trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
        }
    }

    let id: CouponUseID
    let couponId: CouponID
    /// The version of the coupon whose terms it keeps, whatever staff change meanwhile: the buyer pays what the cart showed.
    let couponVersion: Int64
    let eventId: EventID
    let currency: Currency
    let cartId: CartID
    var orderId: OrderID?
    var buyer: Buyer?
    var state: CouponUseState
    var isOverLimit: Bool
    var discounts: [Int64]
    var expiresAt: Instant

    var isBound: Bool { orderId != nil }

    /// From now on the order alone decides over it. The same order may bind again.
    mutating func bind(to order: OrderID, _ buyer: Buyer, until expiresAt: Instant) throws(IllegalTransition) {
        if let orderId, orderId != order {
            throw IllegalTransition(of: "coupon use", from: "bound to another order", to: "bound to this one")
        }
        orderId = order
        self.buyer = buyer
        self.expiresAt = expiresAt
    }

    func answer(code: String) -> CouponUse {
        CouponUse(id: id, couponId: couponId, code: code, state: state, discounts: discounts, overLimit: isOverLimit)
    }
}
