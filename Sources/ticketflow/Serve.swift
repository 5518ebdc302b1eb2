import ArgumentParser
import Configuration
import Discovery
import Logging
import ServiceKit
import ServiceLifecycle

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs services until it is stopped.",
        discussion: "Without names all services run. There are \(ServiceList.names.joined(separator: ", ")).")

    @Argument(help: "Which services to run.")
    var service: [String] = []

    @OptionGroup var data: DataOption

    @Option(help: "The address to listen on (default: 127.0.0.1).")
    var host: String?

    @Option(help: "The port to listen on, 0 for any that is free (default: 8080).")
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
        let settings = try HouseSettings(data: data.path, flags: flags)
        let services = try ServiceList.named(service)
        // Among log lines nobody finds what there is to look at.
        let metrics = ProcessStart.prepare(logLevel: demo ? max(settings.logLevel, .warning) : settings.logLevel)
        let logger = Logger(label: "ticketflow")
        let house = try await House.make(settings, services: services, metrics: metrics, logger: logger)
        do {
            try await FirstAdministrator.make(in: house)
        } catch {
            await house.close()
            throw error
        }
        let ready = Readiness()
        try await house.run(
            front: settings.front,
            onReady: { port in
                Welcome.print(at: ListenAddress(host: settings.front.host, port: port), services: house.hosts.map(\.name), isDemo: demo)
                ready.open()
            },
            companion: demo ? .init(service: DemoOnStart(house: house, ready: ready, logger: logger)) : nil)
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
    static func print(at address: ListenAddress, services: [ServiceName], isDemo: Bool) {
        let address = "http://\(address.reachable)"
        Terminal.say("TicketFlow is ready at \(address)")
        if services.count < ServiceList.all.count { Terminal.say("Only \(services.map(\.description).joined(separator: ", ")) runs here.") }
        if isDemo { Terminal.say(DemoAccounts.introduction(address)) }
    }
}
