import Configuration
import Discovery
import FoundationEssentials
import Logging
import Messaging
import ServiceKit
import Storage
import Values

/// Where a system gets its settings from: flags, then the environment (`TICKETFLOW_` before the key:
/// `TICKETFLOW_TICKET_MANAGER_HOLD_SECONDS` for `ticketManager.hold.seconds`), then a YAML file, then the defaults in the code.
struct HouseSettings {
    let folder: DataFolder
    let configuration: ConfigReader
    /// Where the secrets are: `secrets.folder`, `secrets` in the data folder by default. Processes of one system have the same.
    let secretsFolder: String
    /// The address to listen on: `host`, `127.0.0.1` by default.
    let host: String
    /// `port`; nil where each listener has its own default.
    let port: Int?
    /// The PostgreSQL that keeps state, with a schema for each service: `database.url`, as libpq takes it, such as
    /// `postgresql://user:password@host/name?sslmode=verify-full`. Nil, the default, for SQLite files in the data folder.
    let databaseServer: String?
    /// How many connections each service may open to it: `database.writers` and `database.readers`, 6 and 3 by default.
    let postgres: PostgreSQLSettings
    /// The RabbitMQ that carries messages: `broker.url`, such as `amqps://user:password@host/vhost`. Nil, the default, for the embedded broker.
    let broker: RabbitMQAddress?
    /// How long a message that failed waits before each further try: `broker.retrySeconds`, 1, 10 and 60 by default.
    let retryWaits: [TimeSpan]
    /// Where services run that do not run in this process: `peers.ticketManager` and so on, each a list of addresses such as
    /// `10.0.0.7:8102`.
    let peers: [ServiceName: [Instance]]
    /// The registries that say where all others run; nil where none is named.
    let registry: RegistryClient.Settings?
    /// How long a process that is asked to stop still answers, and says that it is not ready, so that others go elsewhere in time:
    /// `stop.noticeSeconds`, by default 0 for a whole system in one process, and 1 for a part of one.
    let stopNotice: TimeSpan?
    let faults: Faults
    let logLevel: Logger.Level
    /// Whether listeners of single services have `POST /noop`: `benchmark.routes`, false by default.
    let hasBenchmarkRoutes: Bool

    /// - Parameter flags: what the command line says beside `system`, by key.
    init(_ system: SystemOptions, flags: [AbsoluteConfigKey: ConfigValue] = [:]) async throws {
        var said: [any ConfigProvider] = [
            InMemoryProvider(name: "flags", values: flags), EnvironmentVariablesProvider().prefixKeys(with: "ticketflow"),
        ]
        if let file = system.config ?? ConfigReader(providers: said).string(forKey: "config") {
            said.append(try await HouseSettings.provider(ofFile: file))
        }
        let reader = ConfigReader(providers: said)
        folder = DataFolder(path: system.data ?? reader.string(forKey: "data", default: "./data"))
        secretsFolder = reader.string(forKey: "secrets.folder", default: folder.secrets)
        host = reader.string(forKey: "host", default: "127.0.0.1")
        port = reader.int(forKey: "port")
        let front = ListenAddress(host: host, port: port ?? ListenAddress.usualPort)
        // What follows from folder and address, where nothing else is said.
        let derived: [AbsoluteConfigKey: ConfigValue] = [
            "notification.mail.directory": ConfigValue(.string("\(folder.path)/mail"), isSecret: false),
            "notification.publicURL": ConfigValue(.string("http://\(front.reachable)"), isSecret: false),
        ]
        configuration = ConfigReader(providers: said + [InMemoryProvider(name: "derived", values: derived)])
        databaseServer = configuration.string(forKey: "database.url", isSecret: true)
        var postgres = PostgreSQLSettings()
        postgres.writers = try HouseSettings.connections(configuration, "database.writers", usually: postgres.writers)
        postgres.readers = try HouseSettings.connections(configuration, "database.readers", usually: postgres.readers)
        self.postgres = postgres
        let url = configuration.string(forKey: "broker.url", isSecret: true)
        broker = url.flatMap { RabbitMQAddress($0) }
        guard url == nil || broker != nil else {
            throw Failure(
                "TICKETFLOW_BROKER_URL is no address of a RabbitMQ.", next: "Say amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS."
            )
        }
        retryWaits = configuration.intArray(forKey: "broker.retrySeconds")?.map { .seconds(Int64($0)) } ?? RetryPolicy.waits
        guard !retryWaits.isEmpty, retryWaits.allSatisfy({ (.seconds(1) ... .hours(24)).contains($0) }) else {
            throw Failure("TICKETFLOW_BROKER_RETRY_SECONDS cannot be used.", next: "Say seconds from 1 to 86400, such as 1,10,60.")
        }
        peers = try HouseSettings.peers(configuration)
        registry = try HouseSettings.registry(configuration, folder: folder)
        stopNotice = configuration.int(forKey: "stop.noticeSeconds").map { .seconds(Int64(max(0, $0))) }
        do {
            faults = try Faults(configuration.string(forKey: "faults", default: ""))
        } catch {
            throw Failure("TICKETFLOW_FAULTS cannot be read.", next: Failure(error).description)
        }
        let level = configuration.string(forKey: "log.level", default: "info")
        guard let logLevel = Logger.Level(rawValue: level) else {
            throw Failure(
                "TICKETFLOW_LOG_LEVEL cannot be \(level).",
                next: "It can be \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        self.logLevel = logLevel
        hasBenchmarkRoutes = configuration.bool(forKey: "benchmark.routes", default: false)
    }
}

extension HouseSettings {
    private static func provider(ofFile path: String) async throws -> any ConfigProvider {
        do {
            return try await FileProvider<YAMLSnapshot>(
                config: ConfigReader(provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(path), isSecret: false)])))
        } catch {
            throw Failure("The settings in \(path) cannot be read: \(error).", next: "It must be a YAML file that this user may read.")
        }
    }

    private static func connections(_ configuration: ConfigReader, _ key: ConfigKey, usually: Int) throws -> Int {
        let count = configuration.int(forKey: key, default: usually)
        guard (1...100).contains(count) else {
            throw Failure("The setting \(key) cannot be \(count).", next: "Say a number from 1 to 100.")
        }
        return count
    }

    private static func peers(_ configuration: ConfigReader) throws -> [ServiceName: [Instance]] {
        var peers: [ServiceName: [Instance]] = [:]
        for service in ServiceList.all.map({ $0.name }) {
            let key = "peers.\(service.configurationKey)"
            guard let addresses = configuration.stringArray(forKey: ConfigKey(key)) else { continue }
            peers[service] = try addresses.map { text in
                guard let instance = Instance(text) else {
                    throw Failure("The setting \(key) cannot be \(text).", next: "Say where it runs, such as 10.0.0.7:8102.")
                }
                return instance
            }
        }
        return peers
    }

    /// A service's own database: a schema of the server, or a file in the data folder.
    func openDatabase(of service: ServiceName) throws -> Database {
        let name = service.description
        guard let databaseServer else { return try Database.sqlite(name: name, path: folder.database(name)) }
        return try Database.postgres(
            name: name, connectionString: databaseServer, schema: HouseSettings.schema(of: service), settings: postgres)
    }

    /// The same of a system that has run before, for a command beside it. Its statements may take their time.
    func openExistingDatabase(of service: ServiceName) throws -> Database {
        let name = service.description
        guard let databaseServer else { return try Database.sqlite(name: name, path: try folder.existing(name), readers: 1) }
        var settings = postgres
        settings.statementTimeLimit = .hours(1)
        return try Database.postgres(
            name: name, connectionString: databaseServer, schema: HouseSettings.schema(of: service), settings: settings)
    }

    private static func schema(of service: ServiceName) -> String {
        service.description.replacing("-", with: "_")
    }
}

/// `127.0.0.1:8102`, `[::1]:8102`.
struct ListenAddress: CustomStringConvertible {
    /// Of the front door.
    static let usualPort = 8_080

    let host: String
    let port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else { return nil }
        let host = text[..<colon].trimmingPrefix("[")
        self.init(host: String(host.hasSuffix("]") ? host.dropLast() : host), port: port)
        guard !self.host.isEmpty else { return nil }
    }

    /// Under which a program on the same machine reaches it, also where it listens on all addresses.
    var reachable: ListenAddress { ["0.0.0.0", "::"].contains(host) ? ListenAddress(host: "127.0.0.1", port: port) : self }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
