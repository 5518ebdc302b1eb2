package import Configuration
import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// Carts, checkout and orders: the purchase across all services.
package struct SalesManagerService: Microservice {
    package static let name = ServiceName.salesManager
    package static let migrations = SalesManagerMigrations.all

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try SalesManagerConfiguration(reader) }

    private let carts: CartRoutes
    private let orders: OrderRoutes
    private let peers: PeerRoutes
    private let events: SalesManagerEvents
    private let reconciler: Reconciler
    private let configuration: LiveSettings<SalesManagerConfiguration>

    package init(_ environment: ServiceEnvironment) throws {
        configuration = try environment.settings.follow(SalesManagerConfiguration.init)
        let database = environment.database
        let key = try environment.secrets.findOrMake("sales-link-key")
        let orderSecret = LinkSecret(key: key, purpose: "order")
        let tickets = TicketManagerClient(environment.peer(.ticketManager))
        let coupons = CouponManagerClient(environment.peer(.couponManager))
        let payments = PaymentProcessingClient(environment.peer(.paymentProcessing))
        let directory = EventDirectory(database: database, eventManager: EventManagerClient(environment.peer(.eventManager)))
        let refunds = Refunds(
            database: database, outbox: environment.outbox, secret: orderSecret, tickets: tickets, payments: payments,
            faults: environment.faults)
        let purchase = Purchase(
            database: database, outbox: environment.outbox, secret: orderSecret, tickets: tickets, coupons: coupons, payments: payments,
            refunds: refunds, configuration: configuration, faults: environment.faults)
        carts = CartRoutes(
            database: database, secret: LinkSecret(key: key, purpose: "cart"), events: directory,
            filling: CartFilling(
                database: database, events: directory, tickets: tickets, coupons: coupons, configuration: configuration),
            checkout: Checkout(
                database: database, purchase: purchase, coupons: coupons, configuration: configuration, faults: environment.faults),
            configuration: configuration)
        orders = OrderRoutes(
            database: database, secret: orderSecret, events: directory,
            authentication: AuthenticationClient(environment.peer(.authentication)), purchase: purchase, refunds: refunds)
        peers = PeerRoutes(database: database, secret: orderSecret, events: directory, purchase: purchase)
        events = SalesManagerEvents(database: database, purchase: purchase)
        reconciler = Reconciler(
            database: database, purchase: purchase, refunds: refunds, payments: payments, logger: environment.logger)
    }

    package var endpoints: [Endpoint] { carts.endpoints + orders.endpoints + peers.endpoints }

    package var consumers: [Consumer] { events.consumers }

    package var jobs: [Job] {
        [
            Job("reconcile-orders", every: configuration.reconcileInterval, reconciler.orders),
            Job("reconcile-refunds", every: configuration.reconcileInterval, reconciler.openRefunds),
            Job("refund-canceled-events", every: configuration.reconcileInterval, reconciler.canceledEvents),
        ]
    }
}
