package import Configuration
package import Discovery
package import Logging
package import Messaging
package import Storage

/// The shape of a service. The eight services conform to it, and `ticketflow` runs any subset of them in one process.
package protocol Microservice: Sendable {
    static var name: ServiceName { get }
    static var migrations: [Migration] { get }
    /// Reads all its settings, and throws for those that it could not start with.
    static func readSettings(_ reader: ConfigSnapshotReader) throws
    init(_ environment: ServiceEnvironment) throws
    /// What it answers.
    var endpoints: [Endpoint] { get }
    /// What it listens to.
    var consumers: [Consumer] { get }
    /// What it does on a timer.
    var jobs: [Job] { get }
    /// Runs once before the first request, after the migrations.
    func prepare() async throws
}

extension Microservice {
    package func prepare() async throws {}

    /// Of a service that has no settings.
    package static func readSettings(_ reader: ConfigSnapshotReader) throws {}
}

/// What a service is given. It never knows in which shape it runs.
package struct ServiceEnvironment: Sendable {
    package let database: Database
    package let outbox: Outbox
    /// The service's own part of the configuration.
    package let configuration: ConfigReader
    /// Follows them while they change.
    package let settings: SettingsWatch
    package let secrets: Secrets
    package let faults: Faults
    package let logger: Logger
    private let transport: any Transport
    private let ownToken: @Sendable () async throws -> String

    package init(
        database: Database, outbox: Outbox, configuration: ConfigReader, secrets: Secrets, faults: Faults, logger: Logger,
        transport: any Transport, ownToken: @escaping @Sendable () async throws -> String
    ) {
        self.database = database
        self.outbox = outbox
        self.configuration = configuration
        settings = SettingsWatch(configuration, logger: logger)
        self.secrets = secrets
        self.faults = faults
        self.logger = logger
        self.transport = transport
        self.ownToken = ownToken
    }

    /// A way to call a peer, for the typed clients of `Contracts`.
    package func peer(_ name: ServiceName) -> PeerClient {
        PeerClient(service: name, transport: transport, ownToken: ownToken)
    }
}

/// A route and what answers it.
package struct Endpoint: Sendable {
    package let route: Route
    package let handle: @Sendable (Call) async throws -> Reply

    package init(_ route: Route, _ handle: @escaping @Sendable (Call) async throws -> Reply) {
        self.route = route
        self.handle = handle
    }
}
