package import Configuration
import Contracts
import CoreMetrics
package import Discovery
import HTTPTypes
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
package import ServiceKit
import Values

/// The one door to everything: decides what may pass, and where it goes. What it decides by may change while it runs, at once and whole.
package final class Gateway: Sendable {
    /// What was decided by one state of the settings.
    final class Policy: Sendable {
        let configuration: BorderGatewayConfiguration
        let routes: RoutingTable
        let addresses: ClientAddress
        let perAddress: RateRule?
        let perUser: RateRule?
        let perKey: RateRule?
        let perUsersKeys: RateRule?

        init(_ configuration: BorderGatewayConfiguration) {
            self.configuration = configuration
            routes = RoutingTable(configuration)
            addresses = ClientAddress(trusted: configuration.trustedProxies)
            perAddress = configuration.perAddress.map { RateRule("address", $0) }
            perUser = configuration.perUser.map { RateRule("user", $0) }
            perKey = configuration.perKey.map { RateRule("key", $0) }
            perUsersKeys = configuration.perUser.map { RateRule("usersKeys", $0) }
        }
    }

    /// How many addresses, users and addresses at a route are told apart.
    private static let owners = 1 << 18

    let network: NetworkTransport?
    let logger: Logger
    let pools = UpstreamPools(MultiThreadedEventLoopGroup.singleton)
    private let responders: [ServiceName: ServiceResponder]
    let operations: Operations
    private let verifier: IdentityVerifier
    let unsent = UnsentAnswers()
    private let limiter = RateLimiter(capacity: Gateway.owners)
    private let settings: LiveSettings<Policy>
    let firewall: Firewall

    /// Throws for settings that cannot be meant.
    /// - Parameters:
    ///   - watch: follows the gateway's settings.
    ///   - responders: of the services that run here.
    ///   - network: reaches the others.
    package init(
        _ watch: SettingsWatch, responders: [ServiceName: ServiceResponder], network: NetworkTransport?,
        operations: Operations, verifier: IdentityVerifier, logger: Logger
    ) throws {
        let firewall = Firewall(logger: logger)
        self.firewall = firewall
        settings = try watch.follow { snapshot in
            let configuration = try BorderGatewayConfiguration(snapshot)
            try firewall.check(configuration.firewall)
            return Policy(configuration)
        }
        self.responders = responders
        self.network = network
        self.operations = operations
        self.verifier = verifier
        self.logger = logger
    }

    var policy: Policy { settings.current }
    /// The services that run in this process.
    var ownServices: [ServiceName] { responders.keys.sorted { $0.description < $1.description } }
    var isStopping: Bool { operations.isStopping }

    /// Reads all settings, and throws for those that it could not start with.
    package static func readSettings(_ reader: ConfigReader) throws {
        _ = try BorderGatewayConfiguration(reader.snapshot())
        _ = try AdminConfiguration(reader.scoped(to: "admin").snapshot())
    }

    // MARK: What may pass

    /// Whether a request is proper, has somewhere to go, and its sender has not sent too many.
    func admit(_ head: HTTPRequestHead, by policy: Policy, peer: IPAddress, scheme: String) throws(Refusal) -> Admission {
        let client = policy.addresses.find(peer: peer, forwardedFor: head.headers["x-forwarded-for"])
        let now = Int64(NIODeadline.now().uptimeNanoseconds)
        // Also of what is not proper: on one connection of HTTP/2 there may be any number of it.
        if let rule = policy.perAddress { _ = try take(rule, of: client.household, on: "", at: now) }
        let target = try HeadPolicy.check(head)
        let requestID = RequestID.of(head.headers.first(name: "x-request-id"))
        let plan: Plan
        switch policy.routes.find(head, target) {
        case .found(let found, _): plan = found
        case .methodNotAllowed(let allowed):
            let methods = Set(allowed.map(\.rawValue)).sorted().joined(separator: ", ")
            throw Refusal(
                Problem(
                    405, "method-not-allowed", "This address does not know the method \(head.method)", detail: "It knows \(methods)."),
                closes: false, headers: [.allow: methods])
        case .notFound: throw Refusal(.noSuchRoute, closes: false)
        }
        var told: [(String, String)] = []
        for rule in plan.limits { told = try take(rule, of: client.household, on: plan.name, at: now) }
        return Admission(
            head: head, target: target, plan: plan, client: client, requestID: requestID, scheme: scheme, told: told)
    }

    /// What a limit counts by.
    private struct Owner<ID: Hashable>: Hashable {
        let rule: String
        let id: ID
        let route: String
    }

    /// - Returns: the fields of the answer that tell how much is left.
    private func take(_ rule: RateRule, of id: some Hashable, on route: String, at now: Int64) throws(Refusal) -> [(String, String)] {
        switch limiter.take(Owner(rule: rule.name, id: id, route: rule.isPerRoute ? route : ""), rule.limit, at: now) {
        case .allowed(let remaining, let reset):
            guard rule.isPerRoute else { return [] }
            return [("ratelimit-policy", rule.policy), ("ratelimit", "\"\(rule.name)\";r=\(remaining);t=\(reset.roundedUpToSeconds)")]
        case .refused(let retryAfter):
            rule.refusals.increment()
            let seconds = retryAfter.roundedUpToSeconds
            throw Refusal(
                Problem(
                    429, "too-many-requests", "Too many requests", detail: "Wait \(seconds) s before the next one.",
                    retryAfter: Int(seconds)),
                closes: false,
                headers: [.rateLimitPolicy: rule.policy, .rateLimit: "\"\(rule.name)\";r=0;t=\(seconds)"])
        }
    }

    /// Whose the request is, where that need not be asked. Nil where it must be, which `identify` does.
    func knownIdentity(_ admission: Admission) -> Identity? {
        guard let authorization = admission.head.headers.first(name: "authorization") else { return .anonymous }
        return verifier.remembered(authorization)
    }

    func identify(_ authorization: String?) async throws -> Identity {
        try await verifier.identity(authorization)
    }

    /// Whether whoever has signed in may ask this now.
    func admit(_ identity: Identity, by policy: Policy) throws(Refusal) {
        guard let user = identity.user else { return }
        let now = Int64(NIODeadline.now().uptimeNanoseconds)
        if let key = user.key {
            // What programs send takes nothing from the user whom they act for, and all of them together have no more than they.
            if let rule = policy.perKey { _ = try take(rule, of: key.id, on: "", at: now) }
            if let rule = policy.perUsersKeys { _ = try take(rule, of: user.id, on: "", at: now) }
        } else if let rule = policy.perUser {
            _ = try take(rule, of: user.id, on: "", at: now)
        }
    }

    // MARK: Who answers

    /// Nil where the answer is another process's.
    func responder(for plan: Plan) -> (@Sendable (IncomingRequest) async -> Reply)? {
        switch plan.destination {
        case .service(let service):
            guard let responder = responders[service] else { return nil }
            return { await responder.respond(to: $0) }
        case .addresses: return nil
        case .operations(let route):
            let operations = operations
            return { request in
                await Gateway.own(request) { try await operations.answer(route) ?? .problem(.noSuchRoute, requestID: "") }
            }
        case .document:
            return { request in
                await Gateway.own(request) { .bytes(try OpenAPI.merged.get().json, type: "application/json") }
            }
        }
    }

    /// Whose instances a request goes to; nil where nothing says where they are.
    func peer(for plan: Plan) -> NetworkTransport.Peer? {
        switch plan.destination {
        case .service(let service): network?.peer(service)
        case .addresses(let peer): peer
        case .operations, .document: nil
        }
    }

    /// What the gateway answers itself.
    static func own(_ request: IncomingRequest, _ answer: () async throws -> Reply) async -> Reply {
        var reply: Reply
        do {
            reply = try await answer()
        } catch {
            reply = .problem(
                Problem(500, "internal", "Something went wrong here", detail: "It is written in the log."), requestID: RequestID.of(request)
            )
        }
        if request.method == .head {
            reply.headers[.contentLength] = "\(reply.body.count)"
            reply.body = []
        }
        return reply
    }

    /// The public API for a caller in this process, without a connection.
    package func respond(to request: IncomingRequest) async -> Reply {
        guard case .found(let plan, _) = policy.routes.find(request.method, request.target.prefix { $0 != "?" }),
            let respond = responder(for: plan)
        else { return .problem(.noSuchRoute, requestID: RequestID.of(request)) }
        return await respond(request)
    }
}

extension Problem {
    static let noSuchRoute = Problem(
        404, "no-such-route", "There is nothing at this address", detail: "See /api/openapi.json for what there is.")
}

extension HTTPField.Name {
    static let rateLimit = HTTPField.Name("RateLimit")!
    static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy")!
}
