/// The accounts that the demonstration makes. Their addresses are of domains that are reserved for examples.
enum DemoAccounts {
    struct Account: Sendable {
        let email: String
        let name: String
        let locale: String
    }

    /// Known to everybody, which is why it is for demonstrations only.
    static let password = "demo-ticketflow"

    static let door = Account(email: "door@ticketflow.example", name: "Dora Einlass", locale: "de")
    static let buyer = Account(email: "buyer@ticketflow.example", name: "Bruno Martin", locale: "fr")

    static func introduction(_ address: String) -> String {
        let owner = DemoCatalogue.organizers[0].owner.email
        return """

            Demonstration: payments go to a sandbox and move no money. Accounts, all with the password \(password):
              organizer  \(DemoCatalogue.organizers.map(\.owner.email).joined(separator: ", "))
              door       \(door.email)
              buyer      \(buyer.email)

            Three things to try:
              curl -s '\(address)/api/v1/events?city=Berlin'
              curl -s \(address)/api/v1/auth/login -H 'Content-Type: application/json' -d '{"email":"\(owner)","password":"\(password)"}'
              curl -s '\(address)/api/v1/reports/popular-events' -H "Authorization: Bearer ACCESS_TOKEN"
            Everything else is described at \(address)/api/openapi.json
            """
    }
}
