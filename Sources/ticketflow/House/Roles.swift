import Discovery
import ServiceKit

/// What a process runs.
struct Roles {
    /// The entry of the system.
    static let frontDoor = "border-gateway"
    static let names = [frontDoor] + ServiceList.all.map { $0.name.description } + ServiceList.edge.map { $0.name.description }
    /// A whole system in one process.
    static let all = Roles(services: ServiceList.all, edge: [], hasFrontDoor: true)

    let services: [any Microservice.Type]
    let edge: [any EdgeServer.Type]
    let hasFrontDoor: Bool

    /// As the command line knows them.
    var names: [String] {
        (hasFrontDoor ? [Roles.frontDoor] : []) + services.map { $0.name.description } + edge.map { $0.name.description }
    }

    /// Whether the rest of the system runs elsewhere.
    var isPart: Bool { !hasFrontDoor || services.count < ServiceList.all.count }

    private init(services: [any Microservice.Type], edge: [any EdgeServer.Type], hasFrontDoor: Bool) {
        self.services = services
        self.edge = edge
        self.hasFrontDoor = hasFrontDoor
    }

    /// Those of these names, or a whole system for no names.
    init(_ names: [String]) throws {
        for name in names where !Roles.names.contains(name) {
            throw Failure("There is no service \(name).", next: "There are \(Roles.names.joined(separator: ", ")).")
        }
        self =
            names.isEmpty
            ? .all
            : Roles(
                services: ServiceList.all.filter { names.contains($0.name.description) },
                edge: ServiceList.edge.filter { names.contains($0.name.description) }, hasFrontDoor: names.contains(Roles.frontDoor))
    }
}
