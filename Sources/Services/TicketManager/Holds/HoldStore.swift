import Contracts
import Storage
import Values

/// A hold with the claims that were recorded when it was made; returns always use these.
struct HoldRecord: Sendable {
    struct Claim: Sendable {
        var pool: PoolID
        var quantity: Int64
        var state: ClaimState
    }

    struct Line: Sendable {
        var line: HoldLine
        /// One of each is taken per ticket.
        var pools: [PoolID]
    }

    /// No more are fulfilled in one go.
    static let mostTickets: Int64 = 1_000
    static let mostLines = 20

    var id: HoldID
    var eventID: EventID
    var state: HoldState
    var expiresAt: Instant
    var orderID: OrderID?
    var lines: [Line]
    var claims: [Claim]
    var version: Int64 = 1

    /// What its claims in one state add up to.
    func claims(_ state: ClaimState) -> [PoolID: Int64] {
        Dictionary(claims.filter { $0.state == state && $0.quantity > 0 }.map { ($0.pool, $0.quantity) }) { $1 }
    }

    /// What its lines need, one of each pool per ticket.
    var need: [PoolID: Int64] {
        lines.reduce(into: [:]) { need, line in
            for pool in line.pools { need[pool, default: 0] += line.line.quantity }
        }
    }

    func wire(at now: Instant) -> Hold {
        let state = self.state == .active && expiresAt <= now ? .expired : self.state
        return Hold(
            id: id, eventId: eventID, state: state, expiresAt: expiresAt, orderId: orderID, lines: lines.map(\.line), version: version)
    }
}

enum ClaimState: String, SQLTextValue {
    /// Counted in the pool's `held`.
    case held
    /// Counted in the pool's `sold`.
    case sold
    /// Expired, and given to others.
    case reclaimed
    /// Given back by release or refusal.
    case returned
}

extension HoldState: SQLTextValue {}

/// As it is stored: a list, for names would be most of it.
extension HoldRecord.Line: JSONWritable, Decodable {
    func write(to json: inout JSONText) {
        json.list { list in
            list.element(line.ticketTypeId)
            list.element(line.name)
            list.element(line.quantity)
            list.element(line.price.amount)
            list.element(line.price.currency)
            list.element(line.taxRate)
            list.element(line.fee)
            list.element(line.feeIncluded)
            list.element(pools)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        try list.encode(line.ticketTypeId)
        try list.encode(line.name)
        try list.encode(line.quantity)
        try list.encode(line.price.amount)
        try list.encode(line.price.currency)
        try list.encode(line.taxRate)
        try list.encode(line.fee)
        try list.encode(line.feeIncluded)
        try list.encode(pools)
    }

    init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        line = HoldLine(
            ticketTypeId: try list.decode(TicketTypeID.self), name: try list.decode(String.self), quantity: try list.decode(Int64.self),
            price: Money(try list.decode(Int64.self), try list.decode(Currency.self)), taxRate: try list.decode(Int64.self),
            fee: try list.decode(Int64.self), feeIncluded: try list.decode(Bool.self))
        pools = try list.decode([PoolID].self)
    }
}

/// The SQL of holds.
enum HoldStore {
    static func find(_ id: HoldID, in tx: Transaction) throws -> HoldRecord? {
        try find([id], in: tx)[id]
    }

    static func find(_ ids: Set<HoldID>, in tx: Transaction) throws -> [HoldID: HoldRecord] {
        var holds: [HoldID: HoldRecord] = [:]
        try tx.inChunks(ids.sorted()) { ids in
            let rows = try tx.ask("SELECT id, event_id, state, expires_at, order_id, lines, version FROM hold WHERE id IN \(list: ids)")
            let claims = try tx.ask(
                "SELECT hold_id, pool_id, quantity, state FROM hold_claim WHERE hold_id IN \(list: ids) ORDER BY hold_id, pool_id")
            for row in try rows.get() {
                let id: HoldID = try row["id"]
                holds[id] = HoldRecord(
                    id: id, eventID: try row["event_id"], state: try row["state"], expiresAt: try row["expires_at"],
                    orderID: try row["order_id"], lines: try JSON.value(from: try row["lines"] as String), claims: [],
                    version: try row["version"])
            }
            for row in try claims.get() {
                holds[try row["hold_id"]]?.claims.append(
                    HoldRecord.Claim(pool: try row["pool_id"], quantity: try row["quantity"], state: try row["state"]))
            }
        }
        return holds
    }

    /// The pools of which some holds have claims, before any of them is locked.
    static func pools(of holds: Set<HoldID>, in tx: Transaction) throws -> Set<PoolID> {
        var pools: Set<PoolID> = []
        try tx.inChunks(holds.sorted()) { holds in
            for row in try tx.rows("SELECT DISTINCT pool_id FROM hold_claim WHERE hold_id IN \(list: holds)") {
                pools.insert(try row["pool_id"])
            }
        }
        return pools
    }

    /// Locks the rows of holds, in the order of their ids, before any pool: whoever changes a hold has its row, so that its pools stay
    /// the same. Two that change an emptied hold share no pool.
    static func lockRows(_ ids: Set<HoldID>, in tx: Transaction) throws {
        try tx.inChunks(ids.sorted()) { ids in
            try tx.lock("SELECT id FROM hold WHERE id IN \(list: ids) ORDER BY id \(.forUpdate)")
        }
    }

    /// The hold with its pools locked: first its row, then the pools, whose locks order everything, then the hold as it is under them.
    static func lock(_ id: HoldID, alsoPools more: Set<PoolID> = [], in tx: Transaction) throws -> (HoldRecord, Stock, Instant)? {
        try lockRows([id], in: tx)
        let pools = more.union(try pools(of: [id], in: tx))
        let (stock, now) = try InventoryStore.lock(pools, in: tx)
        return try find(id, in: tx).map { ($0, stock, now) }
    }

    /// Inserts many holds with few statements.
    static func insert(_ holds: [HoldRecord], at now: Instant, in tx: Transaction) throws {
        try tx.insert("INSERT INTO hold (id, event_id, state, expires_at, lines, created_at) VALUES", holds) { rows, hold in
            rows.append(hold.id, hold.eventID, hold.state, hold.expiresAt, JSONText(hold.lines), now)
        }
        try insertClaims(of: holds, in: tx)
    }

    private static func insertClaims(of holds: [HoldRecord], in tx: Transaction) throws {
        try tx.insert(
            "INSERT INTO hold_claim (hold_id, pool_id, quantity, state, expires_at) VALUES",
            holds.flatMap { hold in hold.claims.map { (hold.id, $0, hold.expiresAt) } }
        ) { rows, part in
            let (id, claim, expiresAt) = part
            rows.append(id, claim.pool, claim.quantity, claim.state, expiresAt)
        }
    }

    /// Writes what a change left of a hold.
    static func replace(_ hold: HoldRecord, in tx: Transaction) throws {
        try tx.queue("UPDATE hold SET lines = \(JSONText(hold.lines)), version = \(hold.version) WHERE id = \(hold.id)")
        try tx.queue("DELETE FROM hold_claim WHERE hold_id = \(hold.id)")
        try insertClaims(of: [hold], in: tx)
    }

    static func set(_ id: HoldID, _ state: HoldState, in tx: Transaction) throws {
        try tx.queue("UPDATE hold SET state = \(state) WHERE id = \(id)")
    }

    /// The claims are found by their hold alone. With a condition on `state` a planner may go through the index of all claims that are
    /// held, which is the smaller one while next to nothing is held.
    static func setClaims(of id: HoldID, from old: ClaimState, to new: ClaimState, in tx: Transaction) throws {
        try tx.queue("UPDATE hold_claim SET state = CASE WHEN state = \(old) THEN \(new) ELSE state END WHERE hold_id = \(id)")
    }

    /// Their claims are sold, whatever became of them before.
    static func confirm(_ ids: [HoldID], in tx: Transaction) throws {
        try tx.inChunks(ids) { ids in
            try tx.queue("UPDATE hold SET state = \(HoldState.confirmed) WHERE id IN \(list: ids)")
            try tx.queue("UPDATE hold_claim SET state = \(ClaimState.sold) WHERE hold_id IN \(list: ids)")
        }
    }

    static func bind(_ id: HoldID, to order: OrderID, until deadline: Instant, in tx: Transaction) throws {
        try tx.queue("UPDATE hold SET order_id = \(order), expires_at = \(deadline) WHERE id = \(id)")
        // Also of claims that are no longer held, where it means nothing; see `setClaims`.
        try tx.queue("UPDATE hold_claim SET expires_at = \(deadline) WHERE hold_id = \(id)")
    }

    /// Those of which there has never been a hold.
    static func neverHeld(_ types: Set<TicketTypeID>, in tx: Transaction) throws -> Answer<Set<TicketTypeID>> {
        let rows = try tx.ask("SELECT id FROM ticket_type WHERE id IN \(list: types.sorted()) AND was_held = FALSE")
        return Answer { Set(try rows.get().map { try $0["id"] }) }
    }

    static func markHeld(_ types: Set<TicketTypeID>, in tx: Transaction) throws {
        try tx.queue("UPDATE ticket_type SET was_held = TRUE WHERE id IN \(list: types.sorted()) AND was_held = FALSE")
    }
}
