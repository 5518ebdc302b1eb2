package import Discovery
import HTTPTypes

package enum SalesManagerRoutes {
    package static let createCart = Route(.post, "/api/v1/carts", .anyone)
    package static let cart = Route(.get, "/api/v1/carts/{id}", .anyone)
    package static let deleteCart = Route(.delete, "/api/v1/carts/{id}", .anyone)
    package static let addLine = Route(.post, "/api/v1/carts/{id}/lines", .anyone, takesKey: true)
    package static let changeLine = Route(.patch, "/api/v1/carts/{id}/lines/{lineId}", .anyone)
    package static let removeLine = Route(.delete, "/api/v1/carts/{id}/lines/{lineId}", .anyone)
    package static let setCoupon = Route(.put, "/api/v1/carts/{id}/coupon", .anyone)
    package static let removeCoupon = Route(.delete, "/api/v1/carts/{id}/coupon", .anyone)
    package static let checkout = Route(.post, "/api/v1/carts/{id}/checkout", .anyone, takesKey: true)
    package static let orders = Route(.get, "/api/v1/orders", .user)
    package static let order = Route(.get, "/api/v1/orders/{id}", .anyone)
    package static let cancelOrder = Route(.post, "/api/v1/orders/{id}/cancel", .anyone)
    package static let refundOrder = Route(.post, "/api/v1/orders/{id}/refunds", .user, takesKey: true)
    package static let ordersOfEvent = Route(.get, "/api/v1/events/{id}/orders", .user)

    /// For Payments: what became of a payment or a refund, told at once; all but captures arrives as an event too.
    package static let paymentChanged = Route(.post, "/internal/v1/orders/{id}/payment", .service(scope: Scope.settleOrders))
    /// Of many captures, which ones are an order's that has its tickets: one question instead of one for each.
    package static let fulfilledCaptures = Route(.post, "/internal/v1/captures/fulfilled", .service(scope: Scope.settleOrders))
    package static let orderForServices = Route(.get, "/internal/v1/orders/{id}", .service(scope: Scope.readOrders))
    /// Whether the bearer of this token or secret may see the order.
    package static let orderAccess = Route(.post, "/internal/v1/orders/{id}/access", .service(scope: Scope.readOrders))
    package static let cancelEvent = Route(.put, "/internal/v1/events/{id}/cancellation", .service(scope: Scope.closeEvents))

    package static let all = [
        createCart, cart, deleteCart, addLine, changeLine, removeLine, setCoupon, removeCoupon, checkout, orders, order,
        cancelOrder, refundOrder, ordersOfEvent, paymentChanged, fulfilledCaptures, orderForServices, orderAccess, cancelEvent,
    ]
}
