import Authentication
import BorderGateway
import Configuration
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import ServiceLifecycle

/// What `--demo` switches on.
enum DemoSettings {
    static let flags: [AbsoluteConfigKey: ConfigValue] = [
        "paymentProcessing.sandbox.enabled": ConfigValue(.bool(true), isSecret: false)
    ]
}

/// Loads the demonstration within the process that serves it, once.
struct DemoOnStart: Service {
    let house: House
    let ready: Readiness
    let logger: Logger

    func run() async throws {
        await ready.wait()
        do {
            try await DemoOnStart.load(into: house)
        } catch is CancellationError {
            logger.info("the demonstration was not loaded whole; the next start goes on")
        } catch {
            logger.error("the demonstration was not loaded whole; the next start goes on", metadata: ["error": "\(error)"])
        }
        // A service that ends while others are stopped, but before its turn, would cancel them.
        try? await gracefulShutdown()
    }

    static func load(into house: House) async throws {
        try house.settings.folder.make()
        let journal = try DemoJournal(path: house.settings.folder.demoJournal)
        let administrators = try house.environments[AuthenticationService.name].map { try Administrators($0) }
        try await DemoLoader(journal: journal, vouch: administrators.map(vouch), call: inProcess(house.gateway)).load()
    }

    private static func vouch(_ administrators: Administrators) -> DemoLoader.Vouch {
        { account in
            do {
                try await administrators.createUser(
                    email: account.email, password: DemoAccounts.password, name: account.name, isAdmin: false)
            } catch let problem as Problem where problem.code == "email-taken" {
                // The process ended between the account and its line in the journal.
            }
        }
    }

    /// The public API without a socket.
    private static func inProcess(_ gateway: Gateway) -> DemoCall {
        { method, target, headers, json in
            var fields = HTTPFields()
            for (name, value) in headers {
                guard let name = HTTPField.Name(name) else { continue }
                fields[name] = value
            }
            let reply = await gateway.respond(to: IncomingRequest(method: method, target: target, headers: fields, body: json))
            return (reply.status.code, reply.body)
        }
    }
}
