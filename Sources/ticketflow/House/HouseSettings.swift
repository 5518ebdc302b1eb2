import ConfigServer
import Configuration
import Discovery
import FoundationEssentials
import Logging
import Messaging
import Observability
import RemoteConfiguration
import ServiceKit
import ServiceLifecycle
import Storage
import Values

/// Where a system gets its settings from: flags, then the environment (`TICKETFLOW_` before the key:
/// `TICKETFLOW_TICKET_MANAGER_HOLD_SECONDS` for `ticketManager.hold.seconds`), then a YAML file, then a Config Server, then what follows
/// from other settings, then the defaults in the code.
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
    /// Follows what of these may change while the process runs: `log.level`, `info` by default.
    private let watch: SettingsWatch
    /// What reads settings anew while the process runs.
    private let sources: [any Service]
    private let remote: RemoteProvider?
    /// Whether listeners of single services have `POST /noop`: `benchmark.routes`, false by default.
    let hasBenchmarkRoutes: Bool

    /// - Parameters:
    ///   - flags: what the command line says beside `system`, by key.
    ///   - roles: what the process runs; nil for a command beside a system.
    ///   - isServing: whether the process serves: then the YAML file is read again when it changes, and settings of a Config Server are
    ///     kept on disk.
    ///   - reporter: is told of each setting that is read.
    init(
        _ system: SystemOptions, flags: [AbsoluteConfigKey: ConfigValue] = [:], roles: Roles? = nil, isServing: Bool = false,
        reporter: (any AccessReporter)? = nil
    ) async throws {
        var flags = flags
        if let data = system.data { flags["data"] = ConfigValue(.string(data), isSecret: false) }
        if let config = system.config { flags["config"] = ConfigValue(.string(config), isSecret: false) }
        var sources: [any Service] = []
        var said: [any ConfigProvider] = [
            InMemoryProvider(name: "flags", values: flags), EnvironmentVariablesProvider().prefixKeys(with: "ticketflow"),
        ]
        if let file = ConfigReader(providers: said, accessReporter: reporter).string(forKey: "config") {
            if isServing {
                let provider = try await HouseSettings.followingProvider(ofFile: file)
                sources.append(provider)
                said.append(provider)
            } else {
                said.append(try await HouseSettings.provider(ofFile: file))
            }
        }
        remote = try await HouseSettings.remote(ConfigReader(providers: said, accessReporter: reporter), roles, keeps: isServing)
        if let remote {
            sources.append(remote)
            said.append(remote)
        }
        self.sources = sources
        let reader = ConfigReader(providers: said, accessReporter: reporter)
        folder = DataFolder(path: reader.string(forKey: "data", default: "./data"))
        secretsFolder = reader.string(forKey: "secrets.folder", default: folder.secrets)
        host = reader.string(forKey: "host", default: "127.0.0.1")
        port = reader.int(forKey: "port")
        let front = ListenAddress(host: host, port: port ?? ListenAddress.usualPort)
        // What follows from folder and address, where nothing else is said.
        let derived: [AbsoluteConfigKey: ConfigValue] = [
            "notification.mail.directory": ConfigValue(.string("\(folder.path)/mail"), isSecret: false),
            "notification.publicURL": ConfigValue(.string("http://\(front.reachable)"), isSecret: false),
        ]
        configuration = ConfigReader(providers: said + [InMemoryProvider(name: "derived", values: derived)], accessReporter: reporter)
        watch = SettingsWatch(configuration, logger: Logger(label: "settings"))
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
        _ = try HouseSettings.logLevel(configuration.snapshot())
        hasBenchmarkRoutes = configuration.bool(forKey: "benchmark.routes", default: false)
    }
}

// MARK: While it runs

extension HouseSettings {
    /// To be run until the process stops.
    var services: [any Service] { sources + [watch] }

    /// What an operator should hear of.
    var checks: [Operations.Check] {
        guard let remote else { return [] }
        return [
            Operations.Check("config-server", isNeeded: false) {
                if let trouble = remote.trouble { throw Failure("The settings are those of before: \(trouble).", next: "") }
            }
        ]
    }

    /// Sets the log level now and whenever it changes.
    func followLogLevel(atLeast quietest: Logger.Level) throws {
        let level = try watch.follow(onChange: { JSONLogHandler.setLevel(max($0, quietest)) }, HouseSettings.logLevel)
        JSONLogHandler.setLevel(max(level.current, quietest))
    }

    @Sendable private static func logLevel(_ reader: ConfigSnapshotReader) throws -> Logger.Level {
        let text = try reader.text("log.level", default: "info")
        guard let level = Logger.Level(rawValue: text) else {
            throw Failure(
                "TICKETFLOW_LOG_LEVEL cannot be \(text).",
                next: "It can be \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return level
    }
}

// MARK: Sources

extension HouseSettings {
    /// `config.urls`: Config Servers, such as `http://10.0.0.5:8888`, the first that answers being believed; none by default.
    /// `config.user` and `config.password` (a secret): who asks. `config.profiles`: `default` by default; the last one wins.
    /// `config.label`: the server's own by default. `config.pollSeconds`: how often it is asked whether anything changed, beside what it
    /// tells by itself; 1 to 86,400, default 30.
    ///
    /// Asked for are the settings of each role of the process (`ticket-manager`), by commands those of `ticketflow`, and so what all share.
    private static func remote(_ reader: ConfigReader, _ roles: Roles?, keeps: Bool) async throws -> RemoteProvider? {
        let urls = reader.stringArray(forKey: "config.urls", default: []).filter { !$0.isEmpty }
        let user = reader.string(forKey: "config.user")
        let password = reader.string(forKey: "config.password", isSecret: true)
        let profiles = reader.stringArray(forKey: "config.profiles", default: ["default"])
        let label = reader.string(forKey: "config.label")
        let poll = reader.int(forKey: "config.pollSeconds", default: 30)
        // The server itself has nobody to ask.
        guard !urls.isEmpty, roles?.names.contains(SettingsServer.name.description) != true else { return nil }
        // Nothing of them is said again: they may hold a password.
        for (index, url) in urls.enumerated() {
            guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
                throw Failure(
                    "TICKETFLOW_CONFIG_URLS has no URL in place \(index + 1).",
                    next: "Say where Config Servers are, such as http://10.0.0.5:8888.")
            }
            guard !url.contains("@") else {
                throw Failure(
                    "TICKETFLOW_CONFIG_URLS has a user or a password in place \(index + 1).",
                    next: "Say them with TICKETFLOW_CONFIG_USER and TICKETFLOW_CONFIG_PASSWORD.")
            }
        }
        guard (1...86_400).contains(poll) else {
            throw Failure("The setting config.pollSeconds cannot be \(poll).", next: "Say a number from 1 to 86400.")
        }
        let folder = DataFolder(path: reader.string(forKey: "data", default: "./data"))
        let address = RemoteAddress(
            urls: urls, user: user, password: password, applications: roles?.names ?? ["ticketflow"], profiles: profiles, label: label)
        return try await RemoteProvider.connect(address, folder: folder.lastSettings, keeps: keeps, poll: .seconds(Int64(poll)))
    }

    private static func followingProvider(ofFile path: String) async throws -> ReloadingFileProvider<YAMLSnapshot> {
        do {
            return try await ReloadingFileProvider<YAMLSnapshot>(
                config: ConfigReader(
                    provider: InMemoryProvider(values: [
                        "filePath": ConfigValue(.string(path), isSecret: false),
                        "pollIntervalSeconds": ConfigValue(.int(1), isSecret: false),
                    ])), logger: Logger(label: "settings"))
        } catch {
            throw unreadable(path, error)
        }
    }

    private static func unreadable(_ path: String, _ error: any Error) -> Failure {
        Failure("The settings in \(path) cannot be read: \(error).", next: "It must be a YAML file that this user may read.")
    }

    private static func provider(ofFile path: String) async throws -> any ConfigProvider {
        do {
            return try await FileProvider<YAMLSnapshot>(
                config: ConfigReader(provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(path), isSecret: false)])))
        } catch {
            throw unreadable(path, error)
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
