import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// Inventory pools, for the organizer's staff.
struct PoolRoutes: Sendable {
    static let largestCapacity: Int64 = 10_000_000

    let database: Database
    let staff: Staff

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.pools, list),
            Endpoint(TicketManagerRoutes.createPool, create),
            Endpoint(TicketManagerRoutes.changePool, change),
            Endpoint(TicketManagerRoutes.deletePool, delete),
        ]
    }

    @Sendable private func list(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        try await staff.require(.manager, of: event, for: call.identity)
        return try .ok(Page(items: try await database.read { tx in try InventoryStore.pools(of: event, in: tx) }, next: nil))
    }

    @Sendable private func create(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let body = try call.body(NewPool.self)
        try PoolRoutes.validate(name: body.name, capacity: body.capacity)
        try await staff.require(.manager, of: event, for: call.identity)
        let pool = Pool(
            id: PoolID(), eventId: event, name: body.name, capacity: body.capacity, held: 0, sold: 0, allocated: 0, version: 1)
        let actor = try call.user.id
        return try await database.write { tx in
            try InventoryStore.insert(pool, in: tx)
            try InventoryStore.history("\(pool.id)", "created", actor: "\(actor)", in: tx)
            return try .created(pool, at: "/api/v1/pools/\(pool.id)")
        }
    }

    /// The ETag leaves the counters out: what sells meanwhile is no conflict.
    @Sendable private func change(_ call: Call) async throws -> Reply {
        let id: PoolID = try call.id("id")
        let body = try call.body(PoolChange.self)
        try PoolRoutes.validate(name: body.name, capacity: body.capacity)
        try await requireManager(of: id, call)
        let actor = try call.user.id
        return try await database.write { tx in
            let (stock, now) = try InventoryStore.lock([id], in: tx)
            guard let level = stock.levels[id], let event = try InventoryStore.event(ofPool: id, in: tx),
                var pool = try InventoryStore.pools(of: event, in: tx).first(where: { $0.id == id })
            else { throw Problem.notFound("pool") }
            try call.mustMatch(version: pool.version)
            pool.capacity = body.capacity ?? pool.capacity
            pool.name = body.name ?? pool.name
            pool.version += 1
            let taken = level.held + level.sold + level.allocated
            guard pool.capacity >= taken else {
                throw Problem(
                    409, "capacity-in-use", "The capacity cannot go below what is in use",
                    detail: "\(taken) are held, sold or allocated; \(pool.capacity) were asked for.")
            }
            try InventoryStore.save(stock, at: now, in: tx)
            try tx.queue(
                "UPDATE pool SET name = \(pool.name), capacity = \(pool.capacity), version = \(pool.version) WHERE id = \(id)")
            try InventoryStore.history("\(id)", "changed", actor: "\(actor)", reason: "capacity \(pool.capacity)", in: tx)
            pool.held = level.held
            return try .ok(pool, etag: "\"\(pool.version)\"")
        }
    }

    @Sendable private func delete(_ call: Call) async throws -> Reply {
        let id: PoolID = try call.id("id")
        try await requireManager(of: id, call)
        return try await database.write { tx in
            // A pool of which something is or was held has a ticket type: one that was held is archived, and not deleted.
            _ = try InventoryStore.lock([id], reclaims: false, in: tx)
            let isUsed = try tx.row("SELECT 1 AS used FROM ticket_type_pool WHERE pool_id = \(id) LIMIT 1") != nil
            guard !isUsed else {
                throw Problem.conflict("pool-in-use", "Ticket types use this pool", "Delete them first, or lower its capacity.")
            }
            try tx.queue("DELETE FROM pool WHERE id = \(id)")
            return .noContent
        }
    }

    private func requireManager(of pool: PoolID, _ call: Call) async throws {
        guard let event = try await database.read({ tx in try InventoryStore.event(ofPool: pool, in: tx) }) else {
            throw Problem.notFound("pool")
        }
        try await staff.require(.manager, of: event, for: call.identity, what: "pool")
    }

    private static func validate(name: String?, capacity: Int64?) throws {
        var validation = Validation()
        validation.text(name, "name", atMost: 200)
        validation.check(
            capacity.map { (0...largestCapacity).contains($0) } ?? true, "capacity", "must be from 0 to \(largestCapacity)")
        try validation.end()
    }
}
