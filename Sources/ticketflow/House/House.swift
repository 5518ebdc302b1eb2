import BorderGateway
import Configuration
import Contracts
import Discovery
import Logging
import Messaging
import Observability
import ServiceKit
import ServiceLifecycle
import Storage
import UnixSignals

/// Services that run in one process on one data folder, wired together: databases, broker, calls between peers, the front door.
struct House {
    let settings: HouseSettings
    let hosts: [ServiceHost]
    /// What each service was given.
    let environments: [ServiceName: ServiceEnvironment]
    let frontDoor: FrontDoor
    private let databases: [Database]
    private let rabbitMQ: RabbitMQBroker?
    private let operations: Operations
    private let verifier: IdentityVerifier
    private let logger: Logger
    /// Held as long as the house stands.
    private let lock: DataLock

    /// Brings all schemas up to date, makes the services and connects them. Nothing runs yet.
    static func make(
        _ settings: HouseSettings, services: [any Microservice.Type], metrics: PrometheusMetrics, logger: Logger
    ) async throws -> House {
        try settings.folder.make()
        let lock = try DataLock(settings.folder)
        let secrets = try Secrets(folder: settings.folder.secrets)
        let transport = InProcessTransport()
        let tokens = ServiceTokens(transport: transport, secrets: secrets)
        let verifier = tokens.verifier()
        let rabbitMQ = settings.broker.map { RabbitMQBroker($0, logger: Logger(label: "broker")) }
        var databases: [Database] = []
        do {
            let broker: any Broker
            if let rabbitMQ {
                broker = rabbitMQ
            } else {
                let database = try Database.sqlite(name: "broker", path: settings.folder.broker)
                databases.append(database)
                try await database.migrate(EmbeddedBroker.migrations)
                broker = EmbeddedBroker(database: database)
            }
            var hosts: [ServiceHost] = []
            var environments: [ServiceName: ServiceEnvironment] = [:]
            for service in services {
                let database = try settings.openDatabase(of: service.name)
                databases.append(database)
                let signal = Signal()
                let token = try tokens.token(of: service.name)
                let environment = ServiceEnvironment(
                    database: database, outbox: Outbox(signal: signal),
                    configuration: settings.configuration.scoped(to: ConfigKey(service.name.configurationKey)), secrets: secrets,
                    faults: settings.faults, logger: Logger(label: service.name.description), transport: transport,
                    ownToken: { try await token.value })
                environments[service.name] = environment
                hosts.append(
                    try await ServiceHost.make(
                        service, environment: environment, broker: broker, outboxSignal: signal, verifier: verifier,
                        logger: environment.logger))
            }
            // All queues, also of consumers that run elsewhere or later: none may be missing when an event is sent.
            try await broker.declare(Contracts.queues)
            for host in hosts { host.enter(transport) }
            var checks = databases.map { database in
                Operations.Check(database.name) { _ = try await database.read { tx in try tx.row("SELECT 1") } }
            }
            if let rabbitMQ { checks.append(.init("broker") { try await rabbitMQ.check() }) }
            let operations = Operations(checks: checks, metrics: metrics, logger: logger)
            return House(
                settings: settings, hosts: hosts, environments: environments,
                frontDoor: FrontDoor(
                    responders: Dictionary(uniqueKeysWithValues: hosts.map { ($0.name, $0.responder) }), operations: operations),
                databases: databases, rabbitMQ: rabbitMQ, operations: operations, verifier: verifier, logger: logger, lock: lock)
        } catch {
            await rabbitMQ?.close()
            for database in databases { try? await database.close() }
            throw error
        }
    }

    /// Runs until the process is asked to stop, or until one of its parts fails. Listeners stop first, then what works in the
    /// background, the databases last.
    /// - Parameters:
    ///   - front: where the front door listens; nil for nowhere.
    ///   - onReady: is told the port of the front door.
    ///   - companion: runs beside the services and may end by itself.
    func run(
        front: ListenAddress?, onReady: @escaping @Sendable (Int) -> Void = { _ in },
        companion: ServiceGroupConfiguration.ServiceConfiguration? = nil
    ) async throws {
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [.init(service: DatabaseKeeper(databases: databases))]
        services += hosts.flatMap(\.services).filter { !($0 is Database) }.map { .init(service: $0) }
        if let companion { services.append(companion) }
        services += try serviceListeners().map { .init(service: $0) }
        if let front {
            services.append(
                .init(
                    service: HTTPListener(host: front.host, port: front.port, logger: logger, onReady: onReady) { [frontDoor] request in
                        await frontDoor.respond(to: request)
                    }))
        }
        services.append(.init(service: StopNotice(operations: operations)))
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "lifecycle"))
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        do {
            try await ServiceGroup(configuration: configuration).run()
            await close()
        } catch {
            await close()
            throw front.flatMap { Failure(listening: error, on: "\($0)") } ?? error
        }
    }

    func close() async {
        await rabbitMQ?.close()
        for database in databases {
            do {
                try await database.close()
            } catch {
                logger.warning("a database did not close", metadata: ["database": "\(database.name)", "error": "\(error)"])
            }
        }
    }

    /// For each service whose setting `listen` names an address: all its routes there, those for services included.
    private func serviceListeners() throws -> [HTTPListener] {
        try hosts.compactMap { host in
            let key = "\(host.name.configurationKey).listen"
            guard let text = settings.configuration.string(forKey: ConfigKey(key)) else { return nil }
            guard let address = ListenAddress(text) else {
                throw Failure("The setting \(key) cannot be \(text).", next: "Say an address and a port, such as 127.0.0.1:8102.")
            }
            let door = ServiceDoor(
                host, operations: operations, hasBenchmarkRoutes: settings.hasBenchmarkRoutes, verifier: verifier, logger: logger)
            return HTTPListener(host: address.host, port: address.port, logger: logger) { await door.respond(to: $0) }
        }
    }
}

/// Runs the databases side by side, so that they stop at the same time.
private struct DatabaseKeeper: Service {
    let databases: [Database]

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for database in databases { group.addTask { try await database.run() } }
            try await group.waitForAll()
        }
    }
}

/// Stops before everything else, and says that the process is no longer ready.
private struct StopNotice: Service {
    let operations: Operations

    func run() async throws {
        try? await gracefulShutdown()
        operations.stopIsNear()
    }
}
