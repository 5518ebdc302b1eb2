import Configuration
import Contracts
import Discovery
import Foundation
import HTTPTypes
import JWTKit
import Logging
import Messaging
import ServiceKit
import ServiceLifecycle
import Storage
import Testing
import Values

/// One service on a real database, called through its own router, with peers that the test plays.
struct ServiceHarness<S: Microservice>: Sendable {
    let service: S
    let database: Database
    let responder: ServiceResponder
    /// Where the test enters the peers that it plays.
    let peers: InProcessTransport
    let tokens: TestTokens
    let folder: String

    struct Answer: Sendable {
        let status: Int
        let headers: HTTPFields
        let body: [UInt8]

        func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value { try JSON.value(type, from: body) }
        /// The last part of the problem's type, such as `sold-out`.
        var problem: String? { (try? JSON.value(Problem.self, from: body))?.code }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    @discardableResult
    func call(
        _ method: HTTPRequest.Method, _ target: String, as caller: TestCaller = .nobody, headers: [String: String] = [:],
        json: String? = nil
    ) async throws -> Answer {
        var fields = HTTPFields()
        if let token = try await tokens.token(caller) { fields[.authorization] = "Bearer \(token)" }
        for (name, value) in headers { fields[HTTPField.Name(name)!] = value }
        let reply = await responder.respond(
            to: IncomingRequest(method: method, target: target, headers: fields, body: Array((json ?? "").utf8)))
        return Answer(status: reply.status.code, headers: reply.headers, body: reply.body)
    }

    @discardableResult
    func call(
        _ method: HTTPRequest.Method, _ target: String, as caller: TestCaller = .nobody, headers: [String: String] = [:],
        body: some Encodable
    ) async throws -> Answer {
        try await call(method, target, as: caller, headers: headers, json: try JSON.text(of: body))
    }

    /// The same service as another instance's callers reach it: each instance lets in one request with a key at a time.
    func behindAnotherDoor() -> ServiceHarness {
        ServiceHarness(
            service: service, database: database,
            responder: ServiceResponder(
                service: S.name, endpoints: service.endpoints, verifier: IdentityVerifier { [tokens] in tokens.jwks },
                logger: Logger(label: "door")),
            peers: peers, tokens: tokens, folder: folder)
    }

    /// Hands the service an event as its consumers get it.
    func deliver<Body: DomainEvent>(_ body: Body, of aggregate: String = "test", version: Int64 = 1, id: MessageID = MessageID())
        async throws
    {
        let envelope = Envelope(
            id: id, time: .now, aggregateID: aggregate, aggregateVersion: version, correlationID: nil, traceparent: nil, body: body)
        let message = Message(id: id, name: Body.name, json: try JSON.text(of: envelope))
        for consumer in service.consumers { try await consumer.handle(message) }
    }

    /// The events in the outbox of one kind, oldest first.
    func sent<Body: DomainEvent>(_ type: Body.Type) async throws -> [Body] {
        try await database.read { tx in
            try tx.rows("SELECT json FROM outbox WHERE name = \(Body.name) ORDER BY id").map { row in
                try JSON.value(Envelope<Body>.self, from: try row["json"] as String).body
            }
        }
    }

    /// Runs a job of the service once, as its timer would.
    func run(_ job: String) async throws {
        let found = try #require(service.jobs.first { $0.name == job }, "there is no job \(job)")
        try await found.work()
    }
}

enum TestCaller: Hashable, Sendable {
    case nobody
    case user(UserID, email: String = "buyer@example.org", verified: Bool = true, admin: Bool = false)
    /// With all scopes that this service is granted.
    case service(ServiceName)
}

/// Signs tokens as Authentication would.
struct TestTokens: Sendable {
    private let keys: JWTKeyCollection
    let jwks: String

    init() async throws {
        let key = ES256PrivateKey()
        keys = JWTKeyCollection()
        await keys.add(ecdsa: key, kid: "test")
        let parameters = try #require(key.publicKey.parameters)
        jwks = """
            {"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"test","x":"\(parameters.x)","y":"\(parameters.y)"}]}
            """
    }

    func sign(_ claims: AccessClaims) async throws -> String {
        try await keys.sign(claims, kid: "test")
    }

    func token(_ caller: TestCaller) async throws -> String? {
        let expires = Date(timeIntervalSinceNow: 600)
        let claims: AccessClaims
        switch caller {
        case .nobody: return nil
        case .user(let id, let email, let verified, let admin):
            claims = AccessClaims(
                subject: "\(id)", expires: expires, email: email, emailVerified: verified, admin: admin,
                id: "\(UInt64.random(in: 0 ... .max))")
        case .service(let name):
            claims = AccessClaims(
                subject: "service:\(name)", expires: expires, scope: Scope.granted[name] ?? [], id: "\(UInt64.random(in: 0 ... .max))")
        }
        return try await sign(claims)
    }
}

/// Makes a service in a folder of its own, hands it to the test, and removes the folder.
/// - Parameters:
///   - folder: an existing one, to start a service again on what an earlier one left.
///   - peers: what the service's peers answer. Unless it is entered here, Authentication says that nobody is a member of anything.
func withService<S: Microservice, Result>(
    _ type: S.Type, settings: [AbsoluteConfigKey: ConfigValue] = [:], folder: String? = nil, faults: String = "",
    peers: (InProcessTransport) -> Void = { _ in }, _ body: (ServiceHarness<S>) async throws -> Result
) async throws -> Result {
    guard let folder else {
        return try await withFolder { try await withService(type, settings: settings, folder: $0, faults: faults, peers: peers, body) }
    }
    let transport = InProcessTransport()
    peers(transport)
    let harness = try await ServiceHarness<S>.open(folder, settings, faults: faults, transport, try await TestTokens())
    do {
        let result = try await body(harness)
        try await harness.database.close()
        return result
    } catch {
        try await harness.database.close()
        throw error
    }
}

extension ServiceHarness {
    /// A service on what is in the folder. Its jobs do not run by themselves.
    static func open(
        _ folder: String, _ settings: [AbsoluteConfigKey: ConfigValue], faults: String, _ transport: InProcessTransport,
        _ tokens: TestTokens
    ) async throws -> ServiceHarness {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let database = try await TestEngine.chosen.open(S.name.description, in: folder)
        var logger = Logger(label: S.name.description)
        logger.logLevel = .critical
        let environment = ServiceEnvironment(
            database: database, outbox: Outbox(signal: Signal()),
            configuration: ConfigReader(provider: InMemoryProvider(values: settings)), secrets: try Secrets(folder: "\(folder)/secrets"),
            faults: try Faults(faults), logger: logger, transport: transport,
            ownToken: { try await tokens.token(.service(S.name)) ?? "" })
        try await database.migrate([Outbox.migration, Idempotency.migration] + S.migrations)
        let service = try S(environment)
        try await service.prepare()
        let responder = ServiceResponder(
            service: S.name, endpoints: service.endpoints, verifier: IdentityVerifier { tokens.jwks }, logger: logger)
        return ServiceHarness(
            service: service, database: database, responder: responder, peers: transport, tokens: tokens, folder: folder)
    }
}

extension InProcessTransport {
    /// Plays Authentication: who is a member of what.
    func enterMemberships(_ memberships: [(UserID, OrganizerID, Role)]) {
        enter(.authentication) { request in
            let parts = request.target.split(separator: "/").map(String.init)
            guard let organizer = parts.count == 6 ? OrganizerID(parts[3]) : nil, let user = UserID(parts[5]),
                let role = memberships.first(where: { $0.0 == user && $0.1 == organizer })?.2
            else {
                if parts.count == 5, parts[2] == "users", let user = UserID(parts[3]) {
                    let items = memberships.filter { $0.0 == user }.map { Membership(organizerId: $0.1, role: $0.2) }
                    return PeerResponse(status: 200, headers: [:], body: try JSON.bytes(of: MembershipList(items: items)))
                }
                return PeerResponse(status: 404, headers: [:], body: try JSON.bytes(of: Problem.notFound("member")))
            }
            return PeerResponse(status: 200, headers: [:], body: try JSON.bytes(of: Membership(organizerId: organizer, role: role)))
        }
    }

    /// Plays a peer by what it answers to a method and the beginning of a path.
    func enter(_ service: ServiceName, answers: @escaping @Sendable (PeerRequest) async throws -> (Int, any Encodable & Sendable)) {
        enter(service) { request in
            let (status, body) = try await answers(request)
            return PeerResponse(status: status, headers: [:], body: try JSON.bytes(of: body))
        }
    }
}
