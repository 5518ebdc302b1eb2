import ArgumentParser
import Authentication
import Configuration
import Discovery
import Logging
import Messaging
import ServiceKit
import Storage

struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manages accounts.", subcommands: [Create.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an account whose address counts as verified.",
            discussion: "Works while the server runs. Asks for the password, which is not shown.")

        @Option(help: "The address that they sign in with.") var email: String
        @Option(help: "What they are called.") var name: String
        @Flag(help: "Makes them administrator of the whole system.") var admin = false
        @Flag(help: "Reads the password from standard input, one line, without asking.") var passwordStdin = false
        @OptionGroup var system: SystemOptions

        func run() async throws {
            do {
                let settings = try await HouseSettings(system)
                let password = try readPassword()
                try await withAccounts(settings) { accounts in
                    let id = try await accounts.createUser(email: email, password: password, name: name, isAdmin: admin)
                    Terminal.say("\(admin ? "The administrator" : "The account") \(email) was made (\(id)).")
                }
            } catch {
                throw Failure(error)
            }
        }

        private func readPassword() throws -> String {
            guard let line = passwordStdin ? readLine(strippingNewline: true) : Terminal.secret("Password: "), !line.isEmpty else {
                throw Failure("No password was given.", next: "Write it to standard input, in one line.")
            }
            return line
        }
    }
}

/// Opens Authentication's database beside a server that may be running.
private func withAccounts(_ settings: HouseSettings, _ body: (Administrators) async throws -> Void) async throws {
    let service = AuthenticationService.name
    let database = try settings.openExistingDatabase(of: service)
    do {
        try await database.migrate([Outbox.migration, Idempotency.migration] + AuthenticationService.migrations)
        let environment = ServiceEnvironment(
            database: database, outbox: Outbox(signal: Signal()),
            configuration: settings.configuration.scoped(to: ConfigKey(service.configurationKey)),
            secrets: try Secrets(folder: settings.secretsFolder), faults: .none, logger: Logger(label: service.description),
            transport: InProcessTransport(), ownToken: { "" })
        try await body(try Administrators(environment))
        try await database.close()
    } catch {
        try? await database.close()
        throw error
    }
}
