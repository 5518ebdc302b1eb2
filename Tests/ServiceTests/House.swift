import Configuration
import Contracts
import CouponManager
import Discovery
import HTTPTypes
import PaymentProcessing
import SalesManager
import ServiceKit
import ServiceLifecycle
import Storage
import Synchronization
import TicketManager
import Values

/// The services of the purchase in one process, on one folder, each called through its own router, also by its peers. No job
/// runs by itself and no event travels by itself: what a test does not do, does not happen.
struct House: Sendable {
    let stage: Stage
    let transport: InProcessTransport
    let tickets: ServiceHarness<TicketManagerService>
    let sales: ServiceHarness<SalesManagerService>
    let coupons: ServiceHarness<CouponManagerService>
    let payments: ServiceHarness<PaymentProcessingService>
    fileprivate let traffic: Traffic

    /// What one service asked another.
    struct Crossing: Sendable, CustomStringConvertible {
        let service: ServiceName
        let method: HTTPRequest.Method
        let target: String

        var description: String { "\(service): \(method) \(target)" }
    }

    /// All calls between services since the house was opened, in their order.
    var crossings: [Crossing] { traffic.crossings.withLock { $0 } }

    func crossings(_ service: ServiceName, _ method: HTTPRequest.Method, _ suffix: String) -> Int {
        crossings.count { $0.service == service && $0.method == method && $0.target.hasSuffix(suffix) }
    }

    typealias Next = @Sendable (PeerRequest) async throws -> PeerResponse

    /// Puts the test before a service: it sees every call of a peer, and may do something before or after, or answer itself.
    func intercept(_ service: ServiceName, _ body: @escaping @Sendable (PeerRequest, Next) async throws -> PeerResponse) {
        traffic.interceptors.withLock { $0[service] = body }
    }

    func stopIntercepting(_ service: ServiceName) {
        traffic.interceptors.withLock { $0[service] = nil }
    }
}

private final class Traffic: Sendable {
    typealias Interceptor = @Sendable (PeerRequest, House.Next) async throws -> PeerResponse

    let crossings = Mutex<[House.Crossing]>([])
    let interceptors = Mutex<[ServiceName: Interceptor]>([:])

    /// Whoever calls the service by the transport passes here.
    func pass<S: Microservice>(to harness: ServiceHarness<S>) {
        let next: House.Next = { request in
            let reply = await harness.responder.respond(
                to: IncomingRequest(method: request.method, target: request.target, headers: request.headers, body: request.body))
            return PeerResponse(status: reply.status.code, headers: reply.headers, body: reply.body)
        }
        harness.peers.enter(S.name) { [self] request in
            crossings.withLock { $0.append(.init(service: S.name, method: request.method, target: request.target)) }
            guard let interceptor = interceptors.withLock({ $0[S.name] }) else { return try await next(request) }
            return try await interceptor(request, next)
        }
    }
}

/// - Parameters:
///   - folder: an existing one, to open a house again on what an earlier one left, as after a crash.
///   - faults: of each service, in the words of `Faults`.
///   - settings: of SalesManager.
func withHouse<Result>(
    stage: Stage = Stage(), folder: String? = nil, faults: [ServiceName: String] = [:],
    settings: [AbsoluteConfigKey: ConfigValue] = [:], _ body: (House) async throws -> Result
) async throws -> Result {
    guard let folder else {
        return try await withFolder {
            try await withHouse(stage: stage, folder: $0, faults: faults, settings: settings, body)
        }
    }
    let transport = InProcessTransport()
    stage.enter(transport)
    let tokens = try await TestTokens()
    let traffic = Traffic()
    func open<S: Microservice>(_ type: S.Type, _ settings: [AbsoluteConfigKey: ConfigValue] = [:]) async throws -> ServiceHarness<S> {
        let harness = try await ServiceHarness<S>.open(folder, settings, faults: faults[S.name] ?? "", transport, tokens)
        traffic.pass(to: harness)
        return harness
    }
    let house = House(
        stage: stage, transport: transport, tickets: try await open(TicketManagerService.self),
        sales: try await open(SalesManagerService.self, settings), coupons: try await open(CouponManagerService.self),
        payments: try await open(
            PaymentProcessingService.self, ["sandbox.enabled": true, "lookup.seconds": 0, "announce.seconds": 0]),
        traffic: traffic)
    let databases = [house.tickets.database, house.sales.database, house.coupons.database, house.payments.database]
    do {
        let result = try await Deadline.$current.withValue(.now + patience) { try await body(house) }
        for database in databases { try await database.close() }
        return result
    } catch {
        for database in databases { try? await database.close() }
        throw error
    }
}
