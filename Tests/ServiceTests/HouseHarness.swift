import Configuration
import Contracts
import CouponManager
import Discovery
import Foundation
import HTTPTypes
import Logging
import Messaging
import PaymentProcessing
import SalesManager
import ServiceKit
import ServiceLifecycle
import Storage
import Synchronization
import Testing
import TicketManager
import Values

/// An organizer with staff and events on sale, and what EventManager and Authentication say of them.
final class Stage: Sendable {
    let organizer = OrganizerID()
    /// The one event that most tests need.
    let event: EventID

    let owner = TestCaller.user(UserID(), email: "owner@example.org")
    let manager = TestCaller.user(UserID(), email: "manager@example.org")
    let door = TestCaller.user(UserID(), email: "door@example.org")
    let analyst = TestCaller.user(UserID(), email: "analyst@example.org")
    /// Manages another organizer's events.
    let rival = TestCaller.user(UserID(), email: "rival@example.org")
    /// Has an account, and nothing to do with anybody.
    let stranger = TestCaller.user(UserID(), email: "stranger@example.org")
    let admin = TestCaller.user(UserID(), email: "admin@example.org", admin: true)

    private let events = Mutex<[EventID: Event]>([:])

    init() {
        let first = Stage.makeEvent(of: organizer)
        event = first.id
        events.withLock { $0[first.id] = first }
    }

    func add(_ event: Event) -> EventID {
        events.withLock { $0[event.id] = event }
        return event.id
    }

    func change(_ id: EventID, _ change: (inout Event) -> Void) -> Event {
        events.withLock { events in
            change(&events[id]!)
            events[id]!.version += 1
            return events[id]!
        }
    }

    static func makeEvent(
        of organizer: OrganizerID, state: EventState = .published, timeZone: String = "Europe/Vienna", refundPolicy: RefundPolicy? = nil
    ) -> Event {
        Event(
            id: EventID(), slug: "concert", organizerId: organizer, name: "Concert", summary: nil, description: nil, state: state,
            startsAt: .now + .days(30), localStartsAt: "2027-05-01T19:30:00", endsAt: nil, timeZone: timeZone, venueId: nil, venue: nil,
            onlineURL: nil, currency: .eur, imageURL: nil, ageRestriction: nil, refundPolicy: refundPolicy, version: 1, createdAt: .now)
    }

    func enter(_ transport: InProcessTransport) {
        let members: [(TestCaller, OrganizerID, Role)] = [
            (owner, organizer, .owner), (manager, organizer, .manager), (door, organizer, .door), (analyst, organizer, .analyst),
            (rival, OrganizerID(), .owner),
        ]
        transport.enterMemberships(members.compactMap { caller, organizer, role in caller.userID.map { ($0, organizer, role) } })
        transport.enter(.eventManager) { [self] request in
            guard let id = request.target.split(separator: "/").last.flatMap({ EventID(String($0)) }),
                let event = events.withLock({ $0[id] })
            else { return (404, Problem.notFound("event")) }
            return (200, event)
        }
    }
}

extension TestCaller {
    var userID: UserID? {
        if case .user(let id, _, _, _) = self { id } else { nil }
    }
}

/// Waits for a condition, and fails the test where it does not come true in time.
func eventually(
    within limit: TimeSpan = .seconds(20), _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = Instant.now + limit
    while try await !condition() {
        try #require(Instant.now < deadline, what, sourceLocation: sourceLocation)
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// How long a test's calls may take together: many tests share few processors, and time is not what they are about.
private let patience = TimeSpan.minutes(5)

/// Makes a call again for as long as another one with its key is said to run.
func patiently<S: Microservice>(_ call: () async throws -> ServiceHarness<S>.Answer) async throws -> ServiceHarness<S>.Answer {
    var answer = try await call()
    try await eventually(within: .minutes(2), "the first request never ended") {
        guard answer.problem == "request-in-progress" else { return true }
        answer = try await call()
        return answer.problem != "request-in-progress"
    }
    return answer
}

/// Closed until it is opened; then everybody may pass.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiting = state.withLock { state in
            defer { state = (true, []) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// True for the first who asks.
final class Once: Sendable {
    private let isOver = Mutex(false)

    var isFirst: Bool {
        isOver.withLock { isOver in
            defer { isOver = true }
            return !isOver
        }
    }
}

/// A folder that is there as long as the body runs, for services that are started again on what they left.
func withHouseFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

extension ServiceHarness {
    func sql(_ statement: SQL) async throws {
        try await database.write { tx in _ = try tx.execute(statement) }
    }

    /// The single number that a statement names `number`.
    func number(_ statement: SQL) async throws -> Int64 {
        try await database.read { tx in try tx.row(statement)?["number"] ?? 0 }
    }

    func text(_ statement: SQL) async throws -> String? {
        try await database.read { tx in try tx.row(statement)?["text"] }
    }

    /// Answers of calls that are made at once.
    func atOnce(_ count: Int, _ call: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            for index in 0..<count { group.addTask { try await call(index) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}

extension Array {
    /// How many answers have each status.
    func statuses<S: Microservice>() -> [Int: Int] where Element == ServiceHarness<S>.Answer {
        reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
    }
}

// MARK: TicketManager alone

/// TicketManager with an event on sale.
func withTickets<Result>(
    stage: Stage = Stage(), settings: [AbsoluteConfigKey: ConfigValue] = [:], folder: String? = nil, faults: String = "",
    peers: (InProcessTransport) -> Void = { _ in },
    _ body: (ServiceHarness<TicketManagerService>, Stage) async throws -> Result
) async throws -> Result {
    try await withService(
        TicketManagerService.self, settings: settings, folder: folder, faults: faults,
        peers: { transport in
            stage.enter(transport)
            peers(transport)
        }
    ) { service in
        try await Deadline.$current.withValue(.now + patience) { try await body(service, stage) }
    }
}

extension ServiceHarness<TicketManagerService> {
    func makePool(_ stage: Stage, _ capacity: Int64, event: EventID? = nil) async throws -> PoolID {
        let answer = try await call(
            .post, "/api/v1/events/\(event ?? stage.event)/pools", as: stage.manager, body: NewPool(name: "Floor", capacity: capacity))
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json(Pool.self).id
    }

    func makeType(
        _ stage: Stage, _ pools: [PoolID], event: EventID? = nil, _ set: (inout NewTicketType) -> Void = { _ in }
    ) async throws -> TicketTypeID {
        var new = NewTicketType(name: "Standing", price: Money(1_000, .eur), poolIds: pools, maxPerOrder: 1_000)
        set(&new)
        let answer = try await call(.post, "/api/v1/events/\(event ?? stage.event)/ticket-types", as: stage.manager, body: new)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json(TicketType.self).id
    }

    func changeType(_ stage: Stage, _ id: TicketTypeID, _ change: TicketTypeChange) async throws {
        let answer = try await call(.patch, "/api/v1/ticket-types/\(id)", as: stage.manager, body: change)
        try #require(answer.status == 200, "\(answer.text)")
    }

    func askHold(
        _ event: EventID, _ lines: [(TicketTypeID, Int64)], ttl: Int64? = nil, key: String? = nil, accessCode: String? = nil
    ) async throws -> Answer {
        let lines = lines.map { HoldRequestLine(ticketTypeId: $0.0, quantity: $0.1) }
        return try await call(
            .post, "/api/v1/holds", as: .service(.salesManager), headers: ["Idempotency-Key": key ?? UUID().uuidString],
            body: NewHold(eventId: event, lines: lines, ttlSeconds: ttl, accessCode: accessCode))
    }

    func hold(_ event: EventID, _ lines: [(TicketTypeID, Int64)], ttl: Int64? = nil) async throws -> Hold {
        let answer = try await askHold(event, lines, ttl: ttl)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json(Hold.self)
    }

    func change(
        _ hold: HoldID, _ lines: [(TicketTypeID, Int64)], relative: Bool? = nil, key: String? = nil, accessCode: String? = nil
    ) async throws -> Answer {
        let lines = lines.map { HoldRequestLine(ticketTypeId: $0.0, quantity: $0.1) }
        return try await call(
            .patch, "/api/v1/holds/\(hold)", as: .service(.salesManager), headers: ["Idempotency-Key": key ?? UUID().uuidString],
            body: HoldChange(lines: lines, isRelative: relative, accessCode: accessCode))
    }

    func release(_ hold: HoldID) async throws -> Answer {
        try await call(.delete, "/api/v1/holds/\(hold)", as: .service(.salesManager))
    }

    func bind(_ hold: HoldID, to order: OrderID, until deadline: Instant = .now + .hours(1)) async throws -> Answer {
        try await call(
            .put, "/api/v1/holds/\(hold)/order", as: .service(.salesManager), body: HoldBinding(orderId: order, expiresAt: deadline))
    }

    static func units(_ hold: Hold) -> [FulfilmentUnit] {
        hold.lines.flatMap { line in
            (0..<line.quantity).map {
                FulfilmentUnit(
                    unitId: OrderUnitID(), ticketTypeId: line.ticketTypeId,
                    attendee: Attendee(name: "Guest \($0)", email: "guest\($0)@example.org"))
            }
        }
    }

    func askFulfilment(_ order: OrderID, _ hold: Hold, units: [FulfilmentUnit]? = nil) async throws -> Answer {
        try await call(
            .post, "/api/v1/orders/\(order)/fulfilment", as: .service(.salesManager),
            body: FulfilmentRequest(eventId: hold.eventId, holdId: hold.id, units: units ?? Self.units(hold)))
    }

    func fulfil(_ order: OrderID, _ hold: Hold, units: [FulfilmentUnit]? = nil) async throws -> Fulfilment {
        let answer = try await askFulfilment(order, hold, units: units)
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func refuse(_ order: OrderID, _ hold: Hold) async throws -> Fulfilment {
        let answer = try await call(
            .post, "/api/v1/orders/\(order)/refusal", as: .service(.salesManager),
            body: RefusalRequest(eventId: hold.eventId, holdId: hold.id))
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    /// Holds, binds and fulfils.
    func issue(_ event: EventID, _ lines: [(TicketTypeID, Int64)], order: OrderID = OrderID()) async throws -> [Ticket] {
        let hold = try await hold(event, lines)
        try #require(try await bind(hold.id, to: order).status == 200)
        let fulfilment = try await fulfil(order, hold)
        try #require(fulfilment.outcome == .confirmed)
        return fulfilment.tickets
    }

    func block(_ id: String, _ tickets: [Ticket], reason: String = "refund", insist: Bool = false) async throws -> Answer {
        try await call(
            .put, "/internal/v1/ticket-blocks/\(id)", as: .service(.salesManager),
            body: TicketBlock(orderId: tickets[0].orderId, unitIds: tickets.map(\.unitId), reason: reason, insist: insist))
    }

    func unblock(_ id: String) async throws -> Answer {
        try await call(.delete, "/internal/v1/ticket-blocks/\(id)", as: .service(.salesManager))
    }

    func void(_ id: String) async throws -> Answer {
        try await call(.post, "/internal/v1/ticket-blocks/\(id)/void", as: .service(.salesManager))
    }

    func close(_ event: EventID) async throws -> Answer {
        try await call(
            .put, "/internal/v1/events/\(event)/closure", as: .service(.eventManager), body: EventClosure(reason: "Rain."))
    }

    func tickets(of order: OrderID) async throws -> [Ticket] {
        try await call(.get, "/internal/v1/orders/\(order)/tickets", as: .service(.salesManager)).json(TicketList.self).items
    }

    func read(
        _ code: String, _ stage: Stage, event: EventID? = nil, as caller: TestCaller? = nil, direction: Direction? = nil,
        nonce: String = UUID().uuidString, gate: String? = nil
    ) async throws -> CheckInAnswer {
        let answer = try await call(
            .post, "/api/v1/events/\(event ?? stage.event)/check-ins", as: caller ?? stage.door,
            body: CheckInRequest(code: code, direction: direction, nonce: nonce, gate: gate))
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func pool(_ id: PoolID, _ stage: Stage) async throws -> Pool {
        let answer = try await call(.get, "/api/v1/events/\(stage.event)/pools", as: stage.manager)
        return try #require(try answer.json(Page<Pool>.self).items.first { $0.id == id })
    }

    func availability(of type: TicketTypeID, _ event: EventID) async throws -> Availability {
        let answer = try await call(.get, "/api/v1/events/\(event)/availability")
        return try #require(try answer.json(Page<Availability>.self).items.first { $0.ticketTypeId == type })
    }

    /// Lets a hold's time be over, as if it had passed.
    func expire(_ hold: HoldID) async throws {
        let past = Instant.now - .seconds(1)
        try await sql("UPDATE hold SET expires_at = \(past) WHERE id = \(hold)")
        try await sql("UPDATE hold_claim SET expires_at = \(past) WHERE hold_id = \(hold)")
    }

    /// Lets time pass for all holds.
    func passTime(_ span: TimeSpan) async throws {
        try await sql("UPDATE hold SET expires_at = expires_at - \(span.microseconds)")
        try await sql("UPDATE hold_claim SET expires_at = expires_at - \(span.microseconds)")
    }

    /// What the pool's row says, with nothing reckoned.
    func level(_ pool: PoolID) async throws -> [Int64] {
        [
            try await number("SELECT held AS number FROM pool WHERE id = \(pool)"),
            try await number("SELECT sold AS number FROM pool WHERE id = \(pool)"),
        ]
    }

    /// Every pool counts as held what claims hold, and as sold what tickets use.
    func expectBalancedBooks(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let wrong = try await number(
            """
            SELECT COUNT(*) AS number FROM pool WHERE
                held <> COALESCE((SELECT SUM(quantity) FROM hold_claim WHERE pool_id = pool.id AND state = 'held'), 0)
                OR sold <> (SELECT COUNT(*) FROM ticket JOIN hold_line
                    ON hold_line.hold_id = ticket.hold_id AND hold_line.ticket_type_id = ticket.ticket_type_id
                    WHERE ticket.state <> 'void' AND hold_line.pool_ids LIKE '%' || pool.id || '%')
            """)
        #expect(wrong == 0, "pools whose counters are not what their claims and tickets say", sourceLocation: sourceLocation)
    }
}

// MARK: The house

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
        return try await withHouseFolder {
            try await withHouse(stage: stage, folder: $0, faults: faults, settings: settings, body)
        }
    }
    let transport = InProcessTransport()
    stage.enter(transport)
    let builder = Builder(
        folder: folder, transport: transport, tokens: try await TestTokens(), traffic: Traffic(), faults: faults)
    let house = House(
        stage: stage, transport: transport, tickets: try await builder.open(TicketManagerService.self),
        sales: try await builder.open(SalesManagerService.self, settings: settings),
        coupons: try await builder.open(CouponManagerService.self),
        payments: try await builder.open(
            PaymentProcessingService.self, settings: ["sandbox.enabled": true, "lookup.seconds": 0, "announce.seconds": 0]),
        traffic: builder.traffic)
    let databases = [house.tickets.database, house.sales.database, house.coupons.database, house.payments.database]
    do {
        let result = try await withThrowingTaskGroup(of: Void.self) { group in
            for background in house.tickets.service.services { group.addTask { try await background.run() } }
            defer { group.cancelAll() }
            return try await Deadline.$current.withValue(.now + patience) { try await body(house) }
        }
        for database in databases { try await database.close() }
        return result
    } catch {
        for database in databases { try? await database.close() }
        throw error
    }
}

private struct Builder {
    let folder: String
    let transport: InProcessTransport
    let tokens: TestTokens
    let traffic: Traffic
    let faults: [ServiceName: String]

    func open<S: Microservice>(_ type: S.Type, settings: [AbsoluteConfigKey: ConfigValue] = [:]) async throws -> ServiceHarness<S> {
        let database = try Database.sqlite(name: S.name.description, path: "\(folder)/\(S.name).sqlite")
        var logger = Logger(label: S.name.description)
        logger.logLevel = .critical
        let tokens = tokens
        let environment = ServiceEnvironment(
            database: database, outbox: Outbox(signal: Signal()),
            configuration: ConfigReader(provider: InMemoryProvider(values: settings)), secrets: try Secrets(folder: "\(folder)/secrets"),
            faults: try Faults(faults[S.name] ?? ""), logger: logger, transport: transport,
            ownToken: { try await tokens.token(.service(S.name)) ?? "" })
        try await database.migrate([Outbox.migration, Idempotency.migration] + S.migrations)
        let service = try S(environment)
        try await service.prepare()
        let responder = ServiceResponder(
            service: S.name, endpoints: service.endpoints, verifier: IdentityVerifier { tokens.jwks }, logger: logger)
        let traffic = traffic
        let next: House.Next = { request in
            let reply = await responder.respond(
                to: IncomingRequest(method: request.method, target: request.target, headers: request.headers, body: request.body))
            return PeerResponse(status: reply.status.code, headers: reply.headers, body: reply.body)
        }
        transport.enter(S.name) { request in
            traffic.crossings.withLock { $0.append(.init(service: S.name, method: request.method, target: request.target)) }
            guard let interceptor = traffic.interceptors.withLock({ $0[S.name] }) else { return try await next(request) }
            return try await interceptor(request, next)
        }
        return ServiceHarness(
            service: service, database: database, responder: responder, peers: transport, tokens: tokens, folder: folder)
    }
}

// MARK: What buyers do

enum Card {
    static let captures = "4242424242424242"
    static let isDeclined = "4000000000000002"
    static let asksForConfirmation = "4000002500003155"
    /// Captured at the provider, which has not told yet.
    static let capturesUnseen = "4242424242424242;webhooks=only+late"
}

extension House {
    typealias Answer = ServiceHarness<SalesManagerService>.Answer

    /// A pool with one ticket type.
    func makeOffer(
        _ capacity: Int64, event: EventID? = nil, _ set: (inout NewTicketType) -> Void = { _ in }
    ) async throws -> TicketTypeID {
        let pool = try await tickets.makePool(stage, capacity, event: event)
        return try await tickets.makeType(stage, [pool], event: event, set)
    }

    func makeCoupon(_ code: String, percent: Int64? = nil, amount: Int64? = nil, uses: Int64? = nil, perBuyer: Int64? = nil) async throws {
        let answer = try await coupons.call(
            .post, "/api/v1/coupons", as: stage.manager,
            body: NewCoupon(
                organizerId: stage.organizer, code: code, name: code,
                discount: Discount(percent: percent, amount: amount.map { Money($0, .eur) }), maxRedemptions: uses, perBuyerLimit: perBuyer)
        )
        try #require(answer.status == 201, "\(answer.text)")
    }

    func coupon(_ code: String) async throws -> Coupon {
        let answer = try await coupons.call(.get, "/api/v1/coupons?organizer=\(stage.organizer)", as: stage.manager)
        return try #require(try answer.json(Page<Coupon>.self).items.first { $0.code == code })
    }

    func makeCart(event: EventID? = nil) async throws -> Cart {
        let answer = try await sales.call(.post, "/api/v1/carts", body: NewCart(eventId: event))
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    func add(_ type: TicketTypeID, _ quantity: Int64, to cart: Cart, key: String? = nil, accessCode: String? = nil) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/carts/\(cart.id)/lines", headers: cart.link + ["Idempotency-Key": key ?? UUID().uuidString],
            body: NewCartLine(ticketTypeId: type, quantity: quantity, accessCode: accessCode))
    }

    func set(_ line: CartLineID, _ quantity: Int64, in cart: Cart, headers: [String: String] = [:]) async throws -> Answer {
        try await sales.call(
            .patch, "/api/v1/carts/\(cart.id)/lines/\(line)", headers: cart.link + headers, body: CartLineChange(quantity: quantity))
    }

    func enter(_ code: String, in cart: Cart) async throws -> Answer {
        try await sales.call(.put, "/api/v1/carts/\(cart.id)/coupon", headers: cart.link, body: CouponEntry(code: code))
    }

    func show(_ cart: Cart) async throws -> Cart {
        var shown = try await sales.call(.get, "/api/v1/carts/\(cart.id)", headers: cart.link).json(Cart.self)
        shown.token = cart.token
        return shown
    }

    /// A cart with tickets in it.
    func fill(_ type: TicketTypeID, _ quantity: Int64 = 1) async throws -> Cart {
        let cart = try await makeCart()
        let answer = try await add(type, quantity, to: cart)
        try #require(answer.status == 200, "\(answer.text)")
        return try await show(cart)
    }

    func askCheckout(
        _ cart: Cart, card: String? = Card.captures, provider: String = "sandbox", buyer: String = "ada@example.org",
        as caller: TestCaller = .nobody, key: String? = nil
    ) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/carts/\(cart.id)/checkout", as: caller,
            headers: cart.link + ["Idempotency-Key": key ?? UUID().uuidString],
            body: CheckoutRequest(
                buyer: Buyer(email: buyer, name: "Ada"), payment: card.map { PaymentChoice(provider: provider, method: $0) }))
    }

    func checkOut(
        _ cart: Cart, card: String? = Card.captures, provider: String = "sandbox", buyer: String = "ada@example.org",
        as caller: TestCaller = .nobody
    ) async throws -> CheckoutAnswer {
        let answer = try await askCheckout(cart, card: card, provider: provider, buyer: buyer, as: caller)
        try #require(answer.status == 201, "\(answer.text)")
        return try answer.json()
    }

    /// Fills a cart and checks it out.
    func buy(
        _ type: TicketTypeID, _ quantity: Int64 = 1, card: String? = Card.captures, provider: String = "sandbox",
        as caller: TestCaller = .nobody
    ) async throws -> CheckoutAnswer {
        try await checkOut(try await fill(type, quantity), card: card, provider: provider, as: caller)
    }

    func show(_ bought: CheckoutAnswer) async throws -> Order {
        let answer = try await sales.call(.get, "/api/v1/orders/\(bought.order.id)", headers: ["X-Order-Token": bought.orderToken])
        try #require(answer.status == 200, "\(answer.text)")
        return try answer.json()
    }

    func cancel(_ bought: CheckoutAnswer) async throws -> Answer {
        try await sales.call(.post, "/api/v1/orders/\(bought.order.id)/cancel", headers: ["X-Order-Token": bought.orderToken])
    }

    func refund(
        _ bought: CheckoutAnswer, units: [OrderUnitID]? = nil, amount: Int64? = nil, insist: Bool? = nil, key: String? = nil,
        as caller: TestCaller? = nil
    ) async throws -> Answer {
        try await sales.call(
            .post, "/api/v1/orders/\(bought.order.id)/refunds", as: caller ?? stage.manager,
            headers: ["Idempotency-Key": key ?? UUID().uuidString],
            body: RefundRequest(units: units, amount: amount.map { Money($0, .eur) }, reason: "Illness.", insist: insist))
    }

    func payment(of order: OrderID) async throws -> Payment {
        try await payments.call(.get, "/internal/v1/orders/\(order)/payment", as: .service(.salesManager)).json()
    }

    /// How often money was given back for an order, and how much.
    func refunds(of order: OrderID) async throws -> [Int64] {
        try await payment(of: order).refunds.filter { $0.status == .succeeded }.map(\.amount.amount)
    }

    /// The buyer's answer to their bank, and the webhook that tells of it.
    func confirm(_ bought: CheckoutAnswer, approve: Bool = true) async throws {
        let charge = try #require(
            try await payments.text(
                """
                SELECT sandbox_charge.id AS text FROM sandbox_charge
                JOIN payment_attempt ON payment_attempt.id = sandbox_charge.attempt_id
                JOIN payment ON payment.id = payment_attempt.payment_id
                WHERE payment.order_id = \(bought.order.id) ORDER BY sandbox_charge.created_at DESC LIMIT 1
                """))
        let answer = try await payments.call(
            .post, "/api/v1/sandbox/charges/\(charge)/confirm", body: SandboxConfirmation(approve: approve))
        try #require(answer.status == 200, "\(answer.text)")
        try await payments.run("sandbox.webhooks")
    }

    /// Money that the provider takes although the payment was closed: it cannot be kept from it by anybody.
    func captureLate(_ order: OrderID) async throws {
        let attempt = try #require(try await payment(of: order).attempts.last?.id)
        try await payments.sql("UPDATE sandbox_charge SET state = 'captured' WHERE attempt_id = \(attempt)")
        let amount = try await payments.number("SELECT amount AS number FROM sandbox_charge WHERE attempt_id = \(attempt)")
        let event = """
            {"id":"evt_late_\(attempt)","type":"charge.succeeded","attemptId":"\(attempt)","chargeId":"ch",\
            "amount":{"amount":\(amount),"currency":"EUR"}}
            """
        try await payments.sql("INSERT INTO sandbox_webhook (id, json, deliver_at) VALUES (\(TypeID<DeliveryKind>()), \(event), 0)")
        try await payments.run("sandbox.webhooks")
    }

    private enum DeliveryKind: IdentifierKind { static let prefix = "delivery" }

    /// Lets an order's time be over, and that of its hold.
    func expire(_ order: OrderID, hold: Bool = true) async throws {
        let past = Instant.now - .seconds(1)
        try await sales.sql("UPDATE sales_order SET expires_at = \(past), look_at = \(past) WHERE id = \(order)")
        guard hold, let text = try await sales.text("SELECT hold_id AS text FROM sales_order WHERE id = \(order)") else { return }
        try await tickets.expire(try #require(HoldID(text)))
    }

    /// Everything is due, and looked at once.
    func reconcile() async throws {
        try await sales.sql("UPDATE sales_order SET look_at = 0 WHERE is_settled = FALSE")
        try await sales.run("reconcile-orders")
        try await sales.sql("UPDATE refund SET look_at = 0")
        try await sales.run("reconcile-refunds")
    }

    /// What Payments tells by itself.
    func announce() async throws {
        try await payments.run("payments.lookups")
        try await payments.run("payments.events")
        try await payments.run("payments.announcements")
    }

    func cancelEvent(_ event: EventID? = nil, refund: Bool = true) async throws {
        let event = event ?? stage.event
        try #require(try await tickets.close(event).status == 204)
        let answer = try await sales.call(
            .put, "/internal/v1/events/\(event)/cancellation", as: .service(.eventManager), body: EventCancellation(refund: refund))
        try #require(answer.status == 204, "\(answer.text)")
    }
}

extension Cart {
    var link: [String: String] { ["X-Cart-Token": token ?? ""] }
}

func + (a: [String: String], b: [String: String]) -> [String: String] { a.merging(b) { $1 } }
