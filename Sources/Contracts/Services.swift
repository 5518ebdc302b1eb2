package import Discovery

/// What the services are called, and which routes each has. The front dispatches by it.
extension ServiceName {
    package static let eventManager = ServiceName("event-manager")
    package static let ticketManager = ServiceName("ticket-manager")
    package static let salesManager = ServiceName("sales-manager")
    package static let couponManager = ServiceName("coupon-manager")
    package static let paymentProcessing = ServiceName("payment-processing")
    package static let authentication = ServiceName("authentication")
    package static let salesAnalytics = ServiceName("sales-analytics")
    package static let notification = ServiceName("notification")
}

package enum Contracts {
    /// Every route of every service.
    package static let routes: [(service: ServiceName, routes: [Route])] = [
        (.eventManager, EventManagerRoutes.all),
        (.ticketManager, TicketManagerRoutes.all),
        (.salesManager, SalesManagerRoutes.all),
        (.couponManager, CouponManagerRoutes.all),
        (.paymentProcessing, PaymentProcessingRoutes.all),
        (.authentication, AuthenticationRoutes.all),
        (.salesAnalytics, SalesAnalyticsRoutes.all),
        (.notification, NotificationRoutes.all),
    ]
}

/// What a service may ask of another under its own token.
package enum Scope {
    package static let holds = "holds"
    package static let fulfilment = "fulfilment"
    package static let ticketBlocks = "ticket-blocks"
    package static let closeEvents = "close-events"
    package static let readEvents = "read-events"
    package static let readOrders = "read-orders"
    package static let readTickets = "read-tickets"
    package static let couponUses = "coupon-uses"
    package static let payments = "payments"
    package static let settleOrders = "settle-orders"
    package static let memberships = "memberships"

    /// What each service is granted, and no more.
    package static let granted: [ServiceName: [String]] = [
        .eventManager: [closeEvents, memberships],
        .ticketManager: [readEvents, readOrders, memberships],
        .salesManager: [holds, fulfilment, ticketBlocks, readEvents, readTickets, couponUses, payments, memberships],
        .couponManager: [memberships],
        .paymentProcessing: [readOrders, settleOrders, memberships],
        .authentication: [],
        .salesAnalytics: [readEvents, memberships],
        .notification: [readEvents, readOrders, readTickets, memberships],
    ]
}
