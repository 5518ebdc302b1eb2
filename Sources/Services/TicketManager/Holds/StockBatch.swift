import Contracts
import Discovery
import Storage
import Values

/// What happens to a hold once it belongs to an order.
enum StockChange: Sendable {
    /// From here on the order alone ends the hold: no cart's deadline, no second tab, no sweeper. It is extended once.
    case bind(HoldID, HoldBinding)
    /// Confirms the hold and issues the tickets, or refuses.
    /// - codes: one for each unit. Signing costs more than all else here, so it is done before the writer's turn.
    case fulfil(OrderID, FulfilmentRequest, codes: [(id: TicketID, code: String)])
    /// Says no for good, unless the order is fulfilled already.
    case refuse(OrderID, RefusalRequest)

    fileprivate var hold: HoldID? {
        switch self {
        case .bind(let hold, _): hold
        case .fulfil(_, let request, _): request.holdId
        case .refuse(_, let request): request.holdId
        }
    }

    /// The order whose outcome is asked for.
    fileprivate var order: OrderID? {
        switch self {
        case .bind: nil
        case .fulfil(let order, _, _), .refuse(let order, _): order
        }
    }

    var event: EventID {
        switch self {
        case .bind(_, let binding): binding.eventId
        case .fulfil(_, let request, _): request.eventId
        case .refuse(_, let request): request.eventId
        }
    }
}

/// Decides what happens to holds of one event, those that wait at the same time together: reads them under their pools' locks with few
/// statements, decides one after the other in memory, each on what those before it have left, and writes what came of it.
///
/// By itself each would hold the pools for as long as a commit takes, and keep a connection waiting for them.
struct StockBatch {
    /// What a change is answered with.
    enum Answer: Sendable {
        case hold(Hold)
        case fulfilment(Fulfilment)
    }

    private let event: EventID
    private let tx: Transaction
    private let isClosed: Bool
    private var now: Instant
    private var stock: Stock
    private var holds: [HoldID: HoldRecord]
    /// By their orders, those of before and those of this batch.
    private var fulfilments: [OrderID: Fulfilment]

    // What is to be written.
    private var bound: [HoldID] = []
    private var decided: [(fulfilment: Fulfilment, hold: HoldID?)] = []
    private var released: [HoldID] = []
    private var tickets: [TicketStore.Issue] = []

    static let coalescer = Coalescer<StockChange, Answer> { changes, tx in
        var batch = try StockBatch(changes, in: tx)
        let answers = changes.map { change in Result<Answer, any Error> { try batch.decide(change) } }
        if try batch.write() { return answers }
        // Another instance has decided one of these orders a moment ago, and nothing is written here. Each is decided again alone; who
        // asked second gets the word of the first.
        guard changes.count == 1, let order = changes[0].order, let first = try recorded([order], in: tx)[order] else {
            throw Problem.unavailable("The order is being decided at this moment.")
        }
        return [.success(.fulfilment(first))]
    }

    private init(_ changes: [StockChange], in tx: Transaction) throws {
        self.tx = tx
        event = changes[0].event
        let ids = Set(changes.compactMap(\.hold))
        // Who takes nothing from the pools need not know what has expired in them.
        let reclaims = changes.contains { $0.order != nil }
        try HoldStore.lockRows(ids, in: tx)
        let pools = try HoldStore.pools(of: ids, in: tx)
        (stock, now) = try InventoryStore.lock(pools, reclaims: reclaims, in: tx)
        holds = try HoldStore.find(ids, in: tx)
        fulfilments = try StockBatch.recorded(changes.compactMap(\.order), in: tx)
        isClosed = try InventoryStore.isClosed(event, in: tx).get()
    }

    private static func recorded(_ orders: [OrderID], in tx: Transaction) throws -> [OrderID: Fulfilment] {
        var fulfilments: [OrderID: Fulfilment] = [:]
        for (order, outcome) in try TicketStore.outcomes(of: orders, in: tx) {
            fulfilments[order] = Fulfilment(
                orderId: order, outcome: outcome, tickets: try TicketStore.tickets(of: order, in: tx).map(\.ticket))
        }
        return fulfilments
    }

    private mutating func decide(_ change: StockChange) throws -> Answer {
        switch change {
        case .bind(let id, let binding): .hold(try bind(id, binding))
        case .fulfil(let order, let request, let codes): .fulfilment(try fulfil(order, request, codes))
        case .refuse(let order, let request): .fulfilment(refuse(order, request))
        }
    }

    private func hold(_ id: HoldID) throws -> HoldRecord {
        guard let hold = holds[id], hold.eventID == event else { throw Problem.notFound("hold") }
        return hold
    }

    private mutating func bind(_ id: HoldID, _ binding: HoldBinding) throws -> Hold {
        var hold = try hold(id)
        if let order = hold.orderID {
            guard order == binding.orderId else { throw Problem.holdIsBound }
            return hold.wire(at: now)
        }
        try hold.mustBeOpen(at: now)
        hold.orderID = binding.orderId
        hold.expiresAt = max(hold.expiresAt, binding.expiresAt)
        holds[id] = hold
        bound.append(id)
        return hold.wire(at: now)
    }

    /// Confirms the hold, or takes everything again where others have its claims by now, and issues the tickets. If it cannot, refuses.
    private mutating func fulfil(
        _ order: OrderID, _ request: FulfilmentRequest, _ codes: [(id: TicketID, code: String)]
    ) throws -> Fulfilment {
        if let recorded = fulfilments[order] { return recorded }
        var hold = try hold(request.holdId)
        guard hold.orderID == nil || hold.orderID == order else { throw Problem.holdIsBound }
        let quantities = Dictionary(grouping: request.units, by: \.ticketTypeId).mapValues { Int64($0.count) }
        let lines = Dictionary(hold.lines.map { ($0.line.ticketTypeId, $0) }) { first, _ in first }
        guard quantities == lines.mapValues(\.line.quantity) else {
            throw Problem.conflict("units-differ", "The order's units are not those of its hold", "They are fixed at checkout.")
        }
        guard !isClosed, let confirmed = stock.confirming(hold) else {
            release(hold)
            return record(Fulfilment(orderId: order, outcome: .refused, tickets: []), hold.id)
        }
        stock = confirmed
        hold.state = .confirmed
        for index in hold.claims.indices { hold.claims[index].state = .sold }
        holds[hold.id] = hold
        let issued = zip(request.units, codes).map { unit, made in
            Ticket(
                id: made.id, eventId: event, orderId: order, unitId: unit.unitId, ticketTypeId: unit.ticketTypeId,
                ticketTypeName: lines[unit.ticketTypeId]?.line.name ?? "", attendee: unit.attendee, status: .issued, blockedBy: [],
                code: made.code, codeVersion: 1)
        }
        for (ticket, made) in zip(issued, codes) {
            tickets.append(
                TicketStore.Issue(
                    ticket: TicketRecord(ticket: ticket, code: made.code, isTransferred: false), hold: hold.id,
                    pools: lines[ticket.ticketTypeId]?.pools ?? []))
        }
        return record(Fulfilment(orderId: order, outcome: .confirmed, tickets: issued), hold.id)
    }

    private mutating func refuse(_ order: OrderID, _ request: RefusalRequest) -> Fulfilment {
        if let recorded = fulfilments[order] { return recorded }
        if let hold = request.holdId.flatMap({ holds[$0] }), hold.orderID == nil || hold.orderID == order, hold.state == .active {
            release(hold)
        }
        return record(Fulfilment(orderId: order, outcome: .refused, tickets: []), request.holdId)
    }

    private mutating func release(_ hold: HoldRecord) {
        stock.release(hold.claims(.held))
        var hold = hold
        hold.state = .released
        for index in hold.claims.indices where hold.claims[index].state == .held { hold.claims[index].state = .returned }
        holds[hold.id] = hold
        released.append(hold.id)
    }

    private mutating func record(_ fulfilment: Fulfilment, _ hold: HoldID?) -> Fulfilment {
        fulfilments[fulfilment.orderId] = fulfilment
        decided.append((fulfilment, hold))
        return fulfilment
    }

    /// False, with nothing written, if another has decided one of the orders in the meantime: the first outcome is permanent.
    private func write() throws -> Bool {
        guard try TicketStore.record(decided.map { ($0.fulfilment.orderId, $0.fulfilment.outcome, $0.hold) }, at: now, in: tx) else {
            return false
        }
        for id in bound {
            guard let hold = holds[id], let order = hold.orderID else { continue }
            try HoldStore.bind(id, to: order, until: hold.expiresAt, in: tx)
        }
        try HoldStore.confirm(decided.compactMap { $0.fulfilment.outcome == .confirmed ? $0.hold : nil }, in: tx)
        // One that was released may have been taken again in the same batch.
        for id in released where holds[id]?.state == .released {
            try HoldStore.setClaims(of: id, from: .held, to: .returned, in: tx)
            try HoldStore.set(id, .released, in: tx)
        }
        try TicketStore.insert(tickets, at: now, in: tx)
        if !decided.isEmpty { try InventoryStore.save(stock, at: now, in: tx) }
        return true
    }
}

extension Stock {
    /// What is left once the hold is sold; nil where it cannot be. Claims that are still the hold's are simply sold; if any was
    /// reclaimed or given back, everything is taken again.
    fileprivate func confirming(_ hold: HoldRecord) -> Stock? {
        var stock = self
        let claims = Dictionary(hold.claims.map { ($0.pool, $0.quantity) }) { $1 }
        if !hold.claims.allSatisfy({ $0.state == .held }) {
            stock.release(hold.claims(.held))
            guard (try? stock.hold(claims)) != nil else { return nil }
        }
        stock.sell(claims)
        return stock
    }
}

extension Problem {
    fileprivate static let holdIsBound = Problem.conflict(
        "hold-bound", "This hold belongs to another order", "Each order has a hold of its own.")
}

extension Database {
    /// Changes stock together with whatever else of the same event waits to be changed.
    private func change(_ change: StockChange) async throws -> StockBatch.Answer {
        try await write(change, lane: change.event.description, by: StockBatch.coalescer)
    }

    func bind(_ hold: HoldID, _ binding: HoldBinding) async throws -> Hold {
        guard case .hold(let hold) = try await change(.bind(hold, binding)) else { preconditionFailure("a hold was bound") }
        return hold
    }

    func fulfil(_ order: OrderID, _ request: FulfilmentRequest, codes: [(id: TicketID, code: String)]) async throws -> Fulfilment {
        try await fulfilment(.fulfil(order, request, codes: codes))
    }

    func refuse(_ order: OrderID, _ request: RefusalRequest) async throws -> Fulfilment {
        try await fulfilment(.refuse(order, request))
    }

    private func fulfilment(_ decision: StockChange) async throws -> Fulfilment {
        guard case .fulfilment(let fulfilment) = try await change(decision) else { preconditionFailure("an order was decided") }
        return fulfilment
    }
}
