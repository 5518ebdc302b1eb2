package import Configuration
package import Discovery
import FoundationEssentials
import HTTPTypes
import Logging
package import ServiceKit
package import ServiceLifecycle
import Values

/// Keeps what runs where, in Eureka's protocol, for any client that speaks it.
///
/// In memory only: what is lost with a process is told again by everybody within a renewal's time, and taken over from peers before.
package struct RegistryServer: EdgeServer {
    package static let name = ServiceName("service-registry")
    package static let usualPort = 8_761
    package static let largestBody = 4 * 1024 * 1024

    /// A lease that has ended is seen so soon.
    private static let evictionInterval = TimeSpan.milliseconds(250)

    private let configuration: RegistryConfiguration
    private let registry: Registry
    private let peers: Peers
    private let routes: RegistryRoutes
    private let logger: Logger

    package init(_ environment: EdgeEnvironment) throws {
        configuration = try RegistryConfiguration(environment.configuration.snapshot())
        logger = environment.logger
        registry = Registry(configuration)
        peers = Peers(configuration.peers, registry: registry, logger: logger)
        routes = RegistryRoutes(registry: registry, answers: AnswerCache(registry), peers: peers)
    }

    package static func readSettings(_ reader: ConfigReader) throws { _ = try RegistryConfiguration(reader.snapshot()) }

    package func respond(to request: IncomingRequest) async -> Reply {
        guard isAllowed(request) else {
            var reply = Reply.text(.unauthorized, "Say user and password, in the URL: http://USER:PASSWORD@HOST:8761/eureka.")
            reply.headers[.wwwAuthenticate] = #"Basic realm="TicketFlow", charset="UTF-8""#
            return reply
        }
        guard let resource = Resource(request.target.prefix { $0 != "?" }) else {
            return .text(.notFound, "There is nothing at this address. A registry is at /eureka/apps/.")
        }
        guard let asked = RegistryRequest(request) else { return .badRequest("The parameters cannot be read.") }
        var reply =
            switch resource {
            case .dashboard where asked.isReading: Dashboard.page(of: registry, peers: peers)
            case .serverStatus where asked.isReading: ServerInformation(registry, peers).document(asked.format)
            case .statusOverrides where asked.isReading: ServerInformation.overrides(registry, asked.format)
            default: await routes.answer(resource, asked)
            }
        if request.method == .head {
            if reply.rest == nil { reply.headers[.contentLength] = "\(reply.body.count)" }
            reply.body = []
        }
        return reply
    }

    package var services: [any Service] {
        [peers, JobRunner(Job("eviction", every: RegistryServer.evictionInterval) { [registry] in registry.evict() }, logger: logger)]
    }

    package var checks: [Operations.Check] {
        [
            Operations.Check("peers") { [peers] in
                guard peers.hasBegun else { throw Problem.unavailable("The peers are still asked for what they have.") }
            }
        ]
    }

    private func isAllowed(_ request: IncomingRequest) -> Bool {
        guard let credentials = configuration.credentials else { return true }
        guard let said = BasicCredentials(request.headers[.authorization]) else { return false }
        let isUser = Secrets.areSame(said.user, credentials.user)
        let isPassword = Secrets.areSame(said.password, credentials.password)
        return isUser && isPassword
    }
}

extension RegistryRequest {
    fileprivate var isReading: Bool { [.get, .head].contains(incoming.method) }
}
