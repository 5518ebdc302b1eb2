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
import Values

/// The roles of one process, wired together: databases, broker, calls between peers, the front door.
struct House {
    /// Where operators look at the gateway.
    static let adminDesk = "admin"

    let settings: HouseSettings
    let roles: Roles
    let hosts: [ServiceHost]
    let edge: [any EdgeServer]
    /// What each service was given.
    let environments: [ServiceName: ServiceEnvironment]
    let gateway: Gateway
    private let frontSettings: SettingsWatch
    private let databases: [Database]
    private let rabbitMQ: RabbitMQBroker?
    private let network: NetworkTransport?
    private let registry: RegistryClient?
    private let operations: Operations
    private let verifier: IdentityVerifier
    /// Of the front door; nil for none.
    private let certificate: ServerCertificate?
    private let logger: Logger
    /// Held as long as the house stands; nil where it keeps nothing in the data folder.
    private let lock: DataLock?

    /// Brings all schemas up to date, makes the services and connects them. Nothing runs yet.
    /// - Parameter quietest: nothing below it is logged, whatever the setting `log.level` says.
    static func make(
        _ settings: HouseSettings, roles: Roles, quietest: Logger.Level = .trace, metrics: PrometheusMetrics, logger: Logger
    ) async throws -> House {
        try settings.allow(roles)
        try settings.followLogLevel(atLeast: quietest)
        let lock = try settings.lockData(for: roles)
        let network =
            roles.isPart
            ? NetworkTransport(
                settings.peers, found: settings.registry == nil ? [] : ServiceList.all.map { $0.name }, logger: Logger(label: "peers"))
            : nil
        let transport = InProcessTransport(elsewhere: network)
        let hasServices = !roles.services.isEmpty
        let rabbitMQ =
            hasServices ? settings.broker.map { RabbitMQBroker($0, waits: settings.retryWaits, logger: Logger(label: "broker")) } : nil
        var databases: [Database] = []
        do {
            var hosts: [ServiceHost] = []
            var environments: [ServiceName: ServiceEnvironment] = [:]
            let tokens = ServiceTokens(transport: transport)
            let verifier = tokens.verifier(takesKeys: roles.hasFrontDoor)
            if hasServices {
                let broker: any Broker
                if let rabbitMQ {
                    broker = rabbitMQ
                } else {
                    let database = try Database.sqlite(name: "broker", path: settings.folder.broker)
                    databases.append(database)
                    try await database.migrate(EmbeddedBroker.migrations)
                    broker = EmbeddedBroker(database: database, waits: settings.retryWaits)
                }
                let secrets = try Secrets(folder: settings.secretsFolder)
                for service in roles.services {
                    let database = try settings.openDatabase(of: service.name)
                    databases.append(database)
                    let signal = Signal()
                    let token = try tokens.token(of: service.name, secrets)
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
                do {
                    try await broker.declare(Contracts.queues)
                } catch RabbitMQError.unreachable(let address, let reason) {
                    // No reason to sell nothing: events wait in the outboxes, and whoever connects declares the queues first.
                    logger.warning(
                        "RabbitMQ cannot be reached; it is tried again", metadata: ["address": "\(address)", "reason": "\(reason)"])
                }
            }
            for host in hosts { host.enter(transport) }
            var checks = databases.map { database in
                Operations.Check(database.name) { _ = try await database.read { tx in try tx.row("SELECT 1") } }
            }
            checks += settings.checks
            // Everything is sold without it: what there is to tell waits in the outboxes.
            if let rabbitMQ { checks.append(.init("broker", isNeeded: false) { try await rabbitMQ.check() }) }
            let edge = try roles.edge.map { try $0.init(settings.environment(of: $0.name)) }
            checks += edge.flatMap(\.checks)
            let registry = settings.registry.map { RegistryClient($0, whenReady: checks, network: network) }
            if let registry { checks += registry.checks }
            let operations = Operations(checks: checks, metrics: metrics, logger: logger)
            let frontSettings = SettingsWatch(
                settings.configuration.scoped(to: "borderGateway"), logger: Logger(label: Roles.frontDoor))
            return House(
                settings: settings, roles: roles, hosts: hosts, edge: edge, environments: environments,
                gateway: try Gateway(
                    frontSettings, responders: Dictionary(uniqueKeysWithValues: hosts.map { ($0.name, $0.responder) }), network: network,
                    operations: operations, verifier: verifier, logger: Logger(label: Roles.frontDoor)),
                frontSettings: frontSettings, databases: databases, rabbitMQ: rabbitMQ, network: network, registry: registry,
                operations: operations, verifier: verifier,
                certificate: roles.hasFrontDoor ? try settings.certificate(logger: logger) : nil, logger: logger, lock: lock)
        } catch {
            await rabbitMQ?.close()
            try? await network?.close()
            for database in databases { try? await database.close() }
            throw error
        }
    }

    /// Runs until the process is asked to stop, or until one of its parts fails. Listeners stop first, then what works in the
    /// background, the databases last.
    /// - Parameters:
    ///   - isListening: whether anything can be asked from outside.
    ///   - onReady: is told of each listener that is open.
    ///   - companion: runs beside the services and may end by itself.
    func run(
        isListening: Bool = true, onReady: @escaping @Sendable (OpenDoor) -> Void = { _ in },
        companion: ServiceGroupConfiguration.ServiceConfiguration? = nil
    ) async throws {
        let front = ListenAddress(host: settings.host, port: settings.port ?? ListenAddress.usualPort)
        let doors: [Door]
        let admin: ListenAddress?
        do {
            doors = isListening ? try self.doors() : []
            admin = isListening && roles.hasFrontDoor ? try settings.adminAddress(beside: front) : nil
        } catch {
            await close()
            throw error
        }
        let listeners = doors.count + (roles.hasFrontDoor ? 1 : 0)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [.init(service: DatabaseKeeper(databases: databases))]
        services += settings.services.map { .init(service: $0) }
        services += hosts.flatMap(\.services).filter { !($0 is Database) }.map { .init(service: $0) }
        services += edge.flatMap(\.services).map { .init(service: $0) }
        if let companion { services.append(companion) }
        services += doors.map { door in
            .init(
                service: HTTPListener(
                    host: door.address.host, port: door.address.port, largestBody: door.largestBody, takes: door.takes, logger: logger,
                    onReady: { [registry] port in
                        registry?.enter(ServiceName(door.name), host: door.address.host, port: port, outOf: listeners)
                        onReady(OpenDoor(name: door.name, address: ListenAddress(host: door.address.host, port: port)))
                    },
                    isStopping: { [operations] in operations.isStopping }, respond: door.respond))
        }
        if let admin {
            services.append(.init(service: frontSettings))
            let desk = AdminDesk(gateway)
            services.append(
                .init(
                    service: HTTPListener(
                        host: admin.host, port: admin.port, largestBody: HTTPListener.largestPublicBody, logger: logger,
                        onReady: { onReady(OpenDoor(name: House.adminDesk, address: ListenAddress(host: admin.host, port: $0))) },
                        respond: { await desk.respond(to: $0) })))
            services.append(
                .init(
                    service: FrontListener(
                        host: front.host, port: front.port, gateway: gateway, certificate: certificate, logger: logger
                    ) { [registry, isEncrypted = certificate != nil] port in
                        registry?.enter(
                            ServiceName(Roles.frontDoor), host: front.host, port: port, isEncrypted: isEncrypted, outOf: listeners)
                        onReady(
                            OpenDoor(
                                name: Roles.frontDoor, address: ListenAddress(host: front.host, port: port), isEncrypted: isEncrypted))
                    }))
        }
        let notice = settings.stopNotice ?? (roles.isPart ? .seconds(1) : .zero)
        if let registry { services.append(.init(service: registry)) }
        services.append(.init(service: StopNotice(operations: operations, registry: registry, time: notice)))
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "lifecycle"))
        configuration.maximumGracefulShutdownDuration = .seconds(20) + notice.duration
        do {
            try await ServiceGroup(configuration: configuration).run()
            await close()
        } catch {
            await close()
            let addresses = (roles.hasFrontDoor ? [front] : []) + (admin.map { [$0] } ?? []) + doors.map(\.address)
            throw Failure(listening: error, on: addresses.map { "\($0)" }.joined(separator: " or ")) ?? error
        }
    }

    func close() async {
        await rabbitMQ?.close()
        try? await network?.close()
        for database in databases {
            do {
                try await database.close()
            } catch {
                logger.warning("a database did not close", metadata: ["database": "\(database.name)", "error": "\(error)"])
            }
        }
    }
}

// MARK: Where it listens

/// A listener that accepts connections.
struct OpenDoor: Sendable {
    /// The role that is reached here.
    let name: String
    let address: ListenAddress
    var isEncrypted = false

    /// Under which a program on the same machine reaches it.
    var url: String { "\(isEncrypted ? "https" : "http")://\(address.reachable)" }
}

extension House {
    private struct Door {
        let name: String
        let address: ListenAddress
        let largestBody: Int
        var takes = HTTPListener.Takes.json
        let respond: @Sendable (IncomingRequest) async -> Reply
    }

    /// A door with all its routes, those for services included, for each service that runs without the front door or whose setting
    /// `listen` names an address. Servers of the edge always have one.
    private func doors() throws -> [Door] {
        var doors: [Door] = []
        if !roles.hasFrontDoor, hosts.count + edge.count > 1, settings.port != nil {
            throw Failure(
                "One port is not enough for \(hosts.count + edge.count) services.",
                next: "Leave --port away, or set TICKETFLOW_TICKET_MANAGER_LISTEN and so on, such as 127.0.0.1:8102.")
        }
        for host in hosts {
            guard let address = try address(of: host.name) else { continue }
            let door = door(of: host.name) { await host.responder.respond(to: $0) }
            doors.append(
                Door(name: host.name.description, address: address, largestBody: HTTPListener.largestInternalBody) {
                    await door.respond(to: $0)
                })
        }
        for server in edge {
            let type = type(of: server)
            let door = door(of: type.name) { await server.respond(to: $0) }
            doors.append(
                Door(name: type.name.description, address: try address(of: type), largestBody: type.largestBody, takes: .anything) {
                    await door.respond(to: $0)
                })
        }
        return doors
    }

    private func door(of name: ServiceName, _ inner: @escaping @Sendable (IncomingRequest) async -> Reply) -> ServiceDoor {
        ServiceDoor(
            name, operations: operations, hasBenchmarkRoutes: settings.hasBenchmarkRoutes, verifier: verifier, logger: logger, inner: inner)
    }

    private func address(of service: ServiceName) throws -> ListenAddress? {
        if let address = try said(for: service) { return address }
        guard !roles.hasFrontDoor else { return nil }
        return ListenAddress(host: settings.host, port: settings.port ?? ServiceList.usualPort(of: service))
    }

    private func address(of server: any EdgeServer.Type) throws -> ListenAddress {
        let port = roles.hasFrontDoor ? nil : settings.port
        return try said(for: server.name) ?? ListenAddress(host: settings.host, port: port ?? server.usualPort)
    }

    /// What the setting `listen` of a service says.
    private func said(for service: ServiceName) throws -> ListenAddress? {
        let key = "\(service.configurationKey).listen"
        guard let text = settings.configuration.string(forKey: ConfigKey(key)) else { return nil }
        guard let address = ListenAddress(text) else {
            throw Failure("The setting \(key) cannot be \(text).", next: "Say an address and a port, such as 127.0.0.1:8102.")
        }
        return address
    }
}

extension HouseSettings {
    /// Refuses roles that could not work with these settings.
    fileprivate func allow(_ roles: Roles) throws {
        guard roles.isPart, !roles.services.isEmpty, broker == nil else { return }
        throw Failure(
            "Services in several processes need a broker between them.",
            next: "Set TICKETFLOW_BROKER_URL, such as amqp://USER:PASSWORD@HOST/VHOST, or run them all in one process.")
    }

    /// Of the front door, where `borderGateway.tls.certificate` and `borderGateway.tls.key` name PEM files.
    fileprivate func certificate(logger: Logger) throws -> ServerCertificate? {
        let said = configuration.scoped(to: "borderGateway.tls")
        let (certificate, key) = (said.string(forKey: "certificate"), said.string(forKey: "key"))
        guard let certificate, let key else {
            if certificate == nil, key == nil { return nil }
            throw Failure(
                "Of the front door's certificate and its key only one is set.",
                next: "Set both TICKETFLOW_BORDER_GATEWAY_TLS_CERTIFICATE and TICKETFLOW_BORDER_GATEWAY_TLS_KEY, or none.")
        }
        do {
            return try ServerCertificate(certificate: certificate, key: key, logger: logger)
        } catch {
            throw Failure(
                "The certificate in \(certificate) and its key in \(key) cannot be used: \(error).",
                next: "Both must be PEM files that this user may read, and belong together.")
        }
    }

    /// Where operators look at the gateway: by default beside the front door, on any port that is free where that takes one. Behind the last
    /// port there is none; there it is the one before.
    fileprivate func adminAddress(beside front: ListenAddress) throws -> ListenAddress {
        let said = try AdminConfiguration(configuration.scoped(to: "borderGateway.admin").snapshot())
        let beside =
            switch front.port {
            case 0: 0
            case 65_535: 65_534
            default: front.port + 1
            }
        return ListenAddress(host: said.host, port: said.port ?? beside)
    }

    fileprivate func environment(of server: ServiceName) -> EdgeEnvironment {
        EdgeEnvironment(
            configuration: configuration.scoped(to: ConfigKey(server.configurationKey)), folder: "\(folder.path)/\(server)",
            logger: Logger(label: server.description))
    }

    /// Nil where nothing of these roles is kept in the data folder by one process alone.
    fileprivate func lockData(for roles: Roles) throws -> DataLock? {
        guard !roles.services.isEmpty else { return nil }
        try folder.make()
        return databaseServer == nil || broker == nil ? try DataLock(folder) : nil
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
        // A process without databases.
        try? await gracefulShutdown()
    }
}

/// Stops before everything else, and says that the process is no longer ready.
private struct StopNotice: Service {
    let operations: Operations
    let registry: RegistryClient?
    /// How long everything goes on.
    let time: TimeSpan

    func run() async throws {
        try? await gracefulShutdown()
        operations.stopIsNear()
        await registry?.drain()
        try? await Task.sleep(for: time.duration)
    }
}
