import Configuration
import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

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

    /// - Parameter event: the hold's, where no other is named.
    func bind(
        _ hold: HoldID, of event: EventID? = nil, to order: OrderID, until deadline: Instant = .now + .hours(1)
    ) async throws -> Answer {
        let itsEvent = try await call(.get, "/api/v1/holds/\(hold)", as: .service(.salesManager)).json(Hold.self).eventId
        return try await call(
            .put, "/api/v1/holds/\(hold)/order", as: .service(.salesManager),
            body: HoldBinding(eventId: event ?? itsEvent, orderId: order, expiresAt: deadline))
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
                OR sold <> (SELECT COUNT(*) FROM ticket WHERE state <> 'void' AND pool_ids LIKE '%' || pool.id || '%')
            """)
        #expect(wrong == 0, "pools whose counters are not what their claims and tickets say", sourceLocation: sourceLocation)
    }
}
