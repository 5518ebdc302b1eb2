import ArgumentParser
import Configuration
import Discovery
import Logging
import ServiceKit
import ServiceLifecycle

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs services until it is stopped.",
        discussion: """
            Without names a whole system runs in one process: all services, and before them the front door. There are \
            \(Roles.names.joined(separator: ", ")). Services that run by themselves need a broker between them \
            (TICKETFLOW_BROKER_URL), and registries that say where the others run (TICKETFLOW_REGISTRY_URLS=http://10.0.0.5:8761/eureka,...), \
            or their addresses (TICKETFLOW_PEERS_TICKET_MANAGER=10.0.0.7:8102,... and so on).
            """)

    @Argument(help: "Which services to run.")
    var service: [String] = []

    @OptionGroup var system: SystemOptions

    @Option(help: "The address to listen on (default: 127.0.0.1).")
    var host: String?

    @Option(help: "The port to listen on, 0 for any that is free (default: 8080; of a service by itself from 8101 up).")
    var port: Int?

    @Flag(help: "With the sandbox for payments and, at the first start, a set of events and orders to look at.")
    var demo = false

    func validate() throws {
        if let port, !(0...65_535).contains(port) { throw ValidationError("A port is a number from 0 to 65535.") }
    }

    func run() async throws {
        do {
            try await serve()
        } catch {
            throw Failure(error)
        }
    }

    private func serve() async throws {
        var flags: [AbsoluteConfigKey: ConfigValue] = demo ? DemoSettings.flags : [:]
        if let host { flags["host"] = ConfigValue(.string(host), isSecret: false) }
        if let port { flags["port"] = ConfigValue(.int(port), isSecret: false) }
        let roles = try Roles(service)
        let metrics = ProcessStart.prepare()
        let settings = try await HouseSettings(system, flags: flags, roles: roles, isServing: true)
        let logger = Logger(label: "ticketflow")
        // Among log lines nobody finds what there is to look at.
        let house = try await House.make(settings, roles: roles, quietest: demo ? .warning : .trace, metrics: metrics, logger: logger)
        do {
            try await FirstAdministrator.make(in: house)
        } catch {
            await house.close()
            throw error
        }
        let ready = Readiness()
        try await house.run(
            onReady: { door in
                Welcome.print(door, isDemo: demo)
                if door.name == Roles.frontDoor { ready.open() }
            },
            companion: demo && roles.hasFrontDoor ? .init(service: DemoOnStart(house: house, ready: ready, logger: logger)) : nil)
    }
}

/// Lets waiters through once the front door is open.
final class Readiness: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func open() {
        continuation.finish()
    }

    /// Returns also when the process is asked to stop before.
    func wait() async {
        for await _ in stream.cancelOnGracefulShutdown() {}
    }
}

/// Tells where things are.
enum Welcome {
    static func print(_ door: OpenDoor, isDemo: Bool) {
        let address = door.url
        if door.name == House.adminDesk { return Terminal.say("The gateway is watched at \(address)") }
        guard door.name == Roles.frontDoor else { return Terminal.say("\(door.name) is ready at \(address)") }
        Terminal.say("TicketFlow is ready at \(address)")
        if isDemo { Terminal.say(DemoAccounts.introduction(address)) }
    }
}
