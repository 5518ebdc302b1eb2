package import Configuration
import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// Takes money and gives it back, through providers behind one protocol, and keeps the ledger of both.
package struct PaymentProcessingService: Microservice {
    package static let name = ServiceName.paymentProcessing
    package static let migrations = PaymentProcessingMigrations.all

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try PaymentProcessingConfiguration(reader) }

    package let endpoints: [Endpoint]
    package let consumers: [Consumer] = []
    package let jobs: [Job]

    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try environment.settings.follow(PaymentProcessingConfiguration.init)
        let database = environment.database
        let logger = environment.logger
        let sandbox =
            configuration.isSandboxEnabled
            ? SandboxProvider(
                database: database, confirmationURL: configuration.confirmationURL,
                signature: SandboxSignature(key: try environment.secrets.findOrMake("sandbox-webhook")))
            : nil
        let manual = ManualProvider(configuration: configuration)
        let providers = Providers(
            known: [manual] + (sandbox.map { [$0] } ?? []),
            alwaysOffered: sandbox.map { [$0.name] } ?? [], configuration: configuration)
        let sales = SalesManagerClient(environment.peer(.salesManager))
        let authentication = AuthenticationClient(environment.peer(.authentication))

        let books = Bookkeeping(outbox: environment.outbox, providers: providers, configuration: configuration)
        let attempts = Attempts(
            database: database, providers: providers, books: books, faults: environment.faults, logger: logger)
        let refunds = RefundFlow(
            database: database, providers: providers, books: books, configuration: configuration, faults: environment.faults,
            logger: logger)
        let announcements = Announcements(
            database: database, sales: sales, configuration: configuration, logger: logger)
        let flow = PaymentFlow(
            database: database, books: books, attempts: attempts, announcements: announcements, configuration: configuration,
            logger: logger)
        let events = ProviderEvents(
            database: database, providers: providers, books: books, configuration: configuration, announcements: announcements,
            faults: environment.faults, logger: logger)

        endpoints =
            PaymentRoutes(
                database: database, flow: flow, providers: providers,
                access: PaymentAccess(sales: sales, authentication: authentication), authentication: authentication,
                announcements: announcements
            ).endpoints
            + PaymentServiceRoutes(database: database, flow: flow, refunds: refunds, providers: providers).endpoints
            + WebhookRoutes(events: events).endpoints
            + SandboxRoutes(provider: sandbox).endpoints
        jobs =
            PaymentProcessingJobs(
                database: database, attempts: attempts, refunds: refunds, events: events, announcements: announcements,
                configuration: configuration,
                sandbox: sandbox.map { SandboxWebhooks(provider: $0, events: events, logger: logger) }, logger: logger
            ).jobs
    }
}
