package import Configuration
import Contracts
package import Discovery
import Logging
package import Messaging
package import ServiceKit
package import Storage

/// Organizers, venues and events, and what can be found of them.
package struct EventManagerService: Microservice {
    package static let name = ServiceName.eventManager
    package static let migrations = eventManagerMigrations

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try EventManagerConfiguration(reader) }

    private let organizers: OrganizerRoutes
    private let venues: VenueRoutes
    private let events: EventRoutes
    private let states: EventStateRoutes
    private let timers: EventManagerJobs

    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try environment.settings.follow(EventManagerConfiguration.init)
        let (database, outbox) = (environment.database, environment.outbox)
        let authentication = AuthenticationClient(environment.peer(.authentication))
        let ownership = Ownership(
            database: database, authentication: authentication, faults: environment.faults, logger: environment.logger)
        let cancellations = Cancellations(
            database: database, tickets: TicketManagerClient(environment.peer(.ticketManager)),
            sales: SalesManagerClient(environment.peer(.salesManager)), faults: environment.faults, logger: environment.logger)
        let editor = EventEditor(database: database, outbox: outbox, authentication: authentication)
        organizers = OrganizerRoutes(
            database: database, authentication: authentication, ownership: ownership,
            configuration: configuration, logger: environment.logger)
        venues = VenueRoutes(database: database, outbox: outbox, authentication: authentication, logger: environment.logger)
        events = EventRoutes(database: database, authentication: authentication, editor: editor, logger: environment.logger)
        states = EventStateRoutes(outbox: outbox, editor: editor, cancellations: cancellations, logger: environment.logger)
        timers = EventManagerJobs(
            database: database, outbox: outbox, ownership: ownership, cancellations: cancellations, configuration: configuration,
            logger: environment.logger)
    }

    package var endpoints: [Endpoint] {
        organizers.endpoints + venues.endpoints + events.endpoints + states.endpoints
    }

    package var consumers: [Consumer] { [] }

    package var jobs: [Job] { timers.jobs }
}
