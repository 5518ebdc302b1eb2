import Authentication
import Configuration
import Contracts
import Discovery
import ServiceKit

/// The account that a new system begins with. Its address is the setting `administrator.email`, `admin@ticketflow.local` by default.
enum FirstAdministrator {
    /// Tells the password on standard output if one is made; it is told once, and nowhere else.
    static func make(in house: House) async throws {
        guard let environment = house.environments[.authentication] else { return }
        let email = house.settings.configuration.string(forKey: "administrator.email", default: "admin@ticketflow.local")
        guard let account = try await Administrators(environment).ensureAdministrator(email: email) else { return }
        Terminal.say(
            """
            This is the first start. An administrator was made; the password is shown only now:
              address   \(account.email)
              password  \(account.password)
            """)
    }
}
