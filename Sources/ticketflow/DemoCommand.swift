import ArgumentParser
import Logging
import ServiceLifecycle

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Loads a set of events and orders to look at.",
        discussion: """
            Starts all services in this process without listening anywhere, loads through their public API, and stops. What was \
            loaded before is not loaded again. `ticketflow serve --demo` does the same at its first start.
            """)

    @OptionGroup var system: SystemOptions

    func run() async throws {
        do {
            let metrics = ProcessStart.prepare()
            let settings = try await HouseSettings(system, flags: DemoSettings.flags, roles: .all)
            let house = try await House.make(
                settings, roles: .all, quietest: .warning, metrics: metrics, logger: Logger(label: "ticketflow"))
            try await house.run(
                isListening: false,
                companion: .init(
                    service: Load(house: house), successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup))
            Terminal.say("The demonstration is in \(settings.folder.path).\(DemoAccounts.introduction("http://127.0.0.1:8080"))")
        } catch {
            throw Failure(error)
        }
    }

    private struct Load: Service {
        let house: House

        func run() async throws {
            try await DemoOnStart.load(into: house)
        }
    }
}
