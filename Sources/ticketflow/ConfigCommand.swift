import ArgumentParser
import BorderGateway
import Configuration
import Discovery
import ServiceKit
import Synchronization
import Values

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Shows the settings in force, and where each comes from.",
        discussion: """
            Shows what `serve` with the same names, flags and environment would begin with. A setting is written in a YAML file, or in a \
            repository of a Config Server, as it is shown, and in the environment with TICKETFLOW_ before it: ticketManager.hold.seconds is \
            TICKETFLOW_TICKET_MANAGER_HOLD_SECONDS. Of several sources the first wins: flag, environment, file, Config Server, \
            derived (it follows from other settings), default. What is secret is not shown.
            """)

    @Argument(help: "Of which services; of all if none is named.")
    var service: [String] = []

    @Flag(help: "As JSON, for programs.")
    var json = false

    @OptionGroup var system: SystemOptions

    func run() async throws {
        do {
            let seen = SeenSettings()
            let roles = try Roles(service)
            let settings = try await HouseSettings(system, roles: roles, reporter: seen)
            let mistakes = read(settings.configuration, roles)
            let shown = seen.all
            if json {
                Terminal.say(try JSON.text(of: shown))
            } else {
                Table(["setting", "value", "from"]) { shown.map { [$0.setting, $0.value ?? "", $0.source] } }
                    .print(whenEmpty: "Nothing can be set.")
            }
            if !mistakes.isEmpty { throw Failure(mistakes.joined(separator: "\n"), next: "Until that is corrected these do not start.") }
        } catch {
            throw Failure(error)
        }
    }

    /// Reads what each of the roles reads.
    /// - Returns: what cannot be used.
    private func read(_ configuration: ConfigReader, _ roles: Roles) -> [String] {
        var mistakes: [String] = []
        func read(_ name: ServiceName, _ body: (ConfigReader) throws -> Void) {
            let part = configuration.scoped(to: ConfigKey(name.configurationKey))
            _ = part.string(forKey: "listen")
            do {
                try body(part)
            } catch {
                mistakes.append("\(name): \(Failure(error))")
            }
        }
        for type in roles.services { read(type.name) { try type.readSettings($0.snapshot()) } }
        if roles.hasFrontDoor { read(ServiceName(Roles.frontDoor)) { try Gateway.readSettings($0) } }
        for type in roles.edge { read(type.name) { try type.readSettings($0) } }
        return mistakes
    }
}

/// Remembers which settings were read, and what was found where.
private final class SeenSettings: AccessReporter {
    struct Seen: Encodable {
        let setting: String
        /// Nil where there is none, and of a secret.
        let value: String?
        let source: String
        let isSecret: Bool
    }

    private let settings = Mutex<[String: Seen]>([:])

    var all: [Seen] {
        settings.withLock { $0.values.sorted { $0.setting < $1.setting } }
    }

    func report(_ event: AccessEvent) {
        let provider = event.providerResults.first { result in
            if case .success(let found) = result.result { found.value != nil } else { false }
        }
        // A value that was asked for strictly and is not there; it was read with its default before.
        guard case .success(let value) = event.result else { return }
        let key = event.metadata.key.description
        let isSecret = value?.isSecret ?? false
        let seen = Seen(
            setting: key, value: isSecret ? (value == nil ? nil : "(secret)") : value.map { SeenSettings.text(of: $0.content) },
            source: provider.map { SeenSettings.name(of: $0.providerName) } ?? (value == nil ? "not set" : "default"), isSecret: isSecret)
        settings.withLock { settings in
            // The first knows the default; what was once secret stays so.
            if let before = settings[key], before.isSecret || !isSecret, before.value != nil || value == nil { return }
            settings[key] = seen
        }
    }

    private static func name(of provider: String) -> String {
        switch provider {
        case _ where provider.contains("flags"): "flag"
        case _ where provider.contains("Environment"): "environment"
        case _ where provider.contains("FileProvider"): "file"
        case _ where provider.contains("derived"): "derived"
        case "config-server": "Config Server"
        default: provider
        }
    }

    /// A URL may hold one, also where it is refused for it.
    private static func withoutPassword(_ text: String) -> String {
        text.replacing(/:\/\/[^\/]*@/, with: "://(secret)@")
    }

    private static func text(of content: ConfigContent) -> String {
        switch content {
        case .string(let text): withoutPassword(text)
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .bool(let flag): "\(flag)"
        case .stringArray(let texts): texts.map(withoutPassword).joined(separator: ", ")
        case .intArray(let numbers): numbers.map { "\($0)" }.joined(separator: ", ")
        case .doubleArray(let numbers): numbers.map { "\($0)" }.joined(separator: ", ")
        case .boolArray(let flags): flags.map { "\($0)" }.joined(separator: ", ")
        case .bytes, .byteChunkArray: "(bytes)"
        }
    }
}
