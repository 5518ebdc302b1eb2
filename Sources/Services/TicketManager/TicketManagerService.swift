package import Configuration
import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// Pools, ticket types, holds, tickets and check-in.
package struct TicketManagerService: Microservice {
    package static let name = ServiceName.ticketManager
    package static let migrations = TicketManagerMigrations.all

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try TicketManagerConfiguration(reader) }

    private let pools: PoolRoutes
    private let ticketTypes: TicketTypeRoutes
    private let holds: HoldRoutes
    private let fulfilments: FulfilmentRoutes
    private let blocks: BlockRoutes
    private let tickets: TicketRoutes
    private let checkIns: CheckInRoutes
    private let sweeper: Sweeper
    private let configuration: LiveSettings<TicketManagerConfiguration>

    package init(_ environment: ServiceEnvironment) throws {
        configuration = try environment.settings.follow(TicketManagerConfiguration.init)
        let database = environment.database
        let authentication = AuthenticationClient(environment.peer(.authentication))
        let events = EventDirectory(database: database, eventManager: EventManagerClient(environment.peer(.eventManager)))
        let staff = Staff(authentication: authentication, events: events)
        let signer = try TicketSigner(privateKey: environment.secrets.findOrMake("ticket-signing-key"))
        let holderSecret = LinkSecret(key: try environment.secrets.findOrMake("ticket-link-key"), purpose: "ticket")
        pools = PoolRoutes(database: database, staff: staff)
        ticketTypes = TicketTypeRoutes(database: database, outbox: environment.outbox, staff: staff)
        holds = HoldRoutes(database: database, events: events, configuration: configuration, faults: environment.faults)
        fulfilments = FulfilmentRoutes(database: database, signer: signer)
        blocks = BlockRoutes(database: database, events: events)
        tickets = TicketRoutes(
            database: database, outbox: environment.outbox, signer: signer, holderSecret: holderSecret, staff: staff,
            sales: SalesManagerClient(environment.peer(.salesManager)))
        checkIns = CheckInRoutes(database: database, staff: staff)
        sweeper = Sweeper(database: database)
    }

    package var endpoints: [Endpoint] {
        pools.endpoints + ticketTypes.endpoints + holds.endpoints + fulfilments.endpoints + blocks.endpoints
            + tickets.endpoints + checkIns.endpoints
    }

    package var consumers: [Consumer] { [] }

    package var jobs: [Job] {
        [Job("sweep-holds", every: configuration.sweepInterval, sweeper.sweep)]
    }
}
