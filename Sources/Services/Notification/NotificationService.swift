package import Configuration
import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// Tells people what happened to their orders and accounts, by mail.
package struct NotificationService: Microservice {
    package static let name = ServiceName.notification
    package static let migrations = NotificationMigrations.all

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try NotificationConfiguration(reader) }

    package let endpoints: [Endpoint]
    package let consumers: [Consumer]
    package let jobs: [Job]

    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try environment.settings.follow(NotificationConfiguration.init)
        let newDeliveries = Signal()
        let composer = MailComposer(
            sales: SalesManagerClient(environment.peer(.salesManager)), tickets: TicketManagerClient(environment.peer(.ticketManager)),
            events: EventManagerClient(environment.peer(.eventManager)), configuration: configuration)
        let sender = DeliverySender(
            database: environment.database, composer: composer, postOffice: PostOffice(configuration), configuration: configuration,
            faults: environment.faults, logger: environment.logger)
        endpoints = DeliveryRoutes(database: environment.database).endpoints
        consumers = NotificationEvents(database: environment.database, newDeliveries: newDeliveries).consumers
        jobs = NotificationJobs(sender: sender, newDeliveries: newDeliveries, configuration: configuration).jobs
    }
}
