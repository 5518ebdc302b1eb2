import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// Holds, for SalesManager.
struct HoldRoutes: Sendable {
    let database: Database
    let events: EventDirectory
    let coalescer: Coalescer<HoldQuestion, Hold>
    let faults: Faults

    init(database: Database, events: EventDirectory, configuration: LiveSettings<TicketManagerConfiguration>, faults: Faults) {
        self.database = database
        self.events = events
        self.faults = faults
        coalescer = HoldBatch.coalescer(configuration)
    }

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.createHold, create),
            Endpoint(TicketManagerRoutes.hold, show),
            Endpoint(TicketManagerRoutes.changeHold, change),
            Endpoint(TicketManagerRoutes.releaseHold, release),
            Endpoint(TicketManagerRoutes.bindHold, bind),
        ]
    }

    @Sendable private func create(_ call: Call) async throws -> Reply {
        let request = try call.body(NewHold.self)
        var validation = Validation()
        validation.check((1...HoldRecord.mostLines).contains(request.lines.count), "lines", "must be 1 to \(HoldRecord.mostLines) lines")
        validation.check(Set(request.lines.map(\.ticketTypeId)).count == request.lines.count, "lines", "must not name a ticket type twice")
        validation.check(request.lines.allSatisfy { (1...1_000).contains($0.quantity) }, "lines.quantity", "must be from 1 to 1,000")
        validation.check(
            request.lines.reduce(0) { $0 + max(0, min($1.quantity, HoldRecord.mostTickets)) } <= HoldRecord.mostTickets, "lines",
            "must be at most 1,000 tickets together")
        validation.check(request.ttlSeconds.map { (1...3_600).contains($0) } ?? true, "ttlSeconds", "must be from 1 to 3,600")
        try validation.end()
        guard try await events.facts(request.eventId).isPublic else { throw Problem.notFound("event") }
        let question = HoldQuestion(request: request, key: try call.idempotencyKey(), id: HoldID())
        let lane = request.eventId.description
        try await faults.point("tickets.hold(\(lane))")
        let hold = try await database.write(question, lane: lane, by: coalescer)
        return try call.created(hold, at: "/api/v1/holds/\(hold.id)")
    }

    @Sendable private func show(_ call: Call) async throws -> Reply {
        let id: HoldID = try call.id("id")
        let hold = try await database.read { tx in try HoldStore.find(id, in: tx)?.wire(at: try tx.now) }
        guard let hold else { throw Problem.notFound("hold") }
        return try .ok(hold)
    }

    /// One atomic change under all pool locks. The deadline stays; lines that stay keep their price.
    @Sendable private func change(_ call: Call) async throws -> Reply {
        let id: HoldID = try call.id("id")
        let change = try call.body(HoldChange.self)
        guard change.lines.allSatisfy({ (0...1_000).contains($0.quantity) }), !change.lines.isEmpty else {
            throw Problem.invalid("lines.quantity", "must be from 0 to 1,000")
        }
        let key = try call.idempotencyKey()
        return try await database.write { tx in
            try Idempotency.once(key, in: tx) {
                let hold = try apply(change, to: id, in: tx)
                return try .ok(hold)
            }
        }
    }

    private func apply(_ change: HoldChange, to id: HoldID, in tx: Transaction) throws -> Hold {
        let wanted = Set(change.lines.map(\.ticketTypeId))
        let pools = Set(try InventoryStore.ticketTypes(wanted, in: tx).get().values.flatMap(\.poolIds))
        guard case (var hold, var stock, let now)? = try HoldStore.lock(id, alsoPools: pools, in: tx) else {
            throw Problem.notFound("hold")
        }
        try hold.mustBeOpen(at: now)
        // As they are under the locks: a type may have been deleted before they were there.
        let types = try InventoryStore.ticketTypes(wanted, in: tx)
        let isClosed = try InventoryStore.isClosed(hold.eventID, in: tx)
        let decision = HoldDecision(event: hold.eventID, types: try types.get(), isClosed: try isClosed.get(), now: now)
        let before = hold.need
        for var line in change.lines {
            let index = hold.lines.firstIndex { $0.line.ticketTypeId == line.ticketTypeId }
            if change.isRelative == true, let index { line.quantity += hold.lines[index].line.quantity }
            if line.quantity == 0 {
                if let index { hold.lines.remove(at: index) }
            } else if let index {
                hold.lines[index] = try decision.line(line, accessCode: change.accessCode, existing: hold.lines[index])
            } else {
                hold.lines.append(try decision.line(line, accessCode: change.accessCode))
            }
        }
        guard hold.lines.reduce(0, { $0 + $1.line.quantity }) <= HoldRecord.mostTickets else {
            throw Problem.invalid("lines.quantity", "must be at most 1,000 tickets together")
        }
        guard hold.lines.count <= HoldRecord.mostLines else {
            throw Problem.invalid("lines", "must be at most \(HoldRecord.mostLines) lines together")
        }
        let after = hold.need
        stock.release(before)
        try decision.take(after, for: hold.lines, from: &stock)
        hold.claims = after.sorted { $0.key < $1.key }.map { HoldRecord.Claim(pool: $0.key, quantity: $0.value, state: .held) }
        hold.version += 1
        try HoldStore.replace(hold, in: tx)
        try HoldStore.markHeld(wanted, in: tx)
        try InventoryStore.save(stock, at: now, in: tx)
        return hold.wire(at: now)
    }

    @Sendable private func release(_ call: Call) async throws -> Reply {
        let id: HoldID = try call.id("id")
        return try await database.write { tx in
            guard case (let hold, var stock, let now)? = try HoldStore.lock(id, in: tx) else { throw Problem.notFound("hold") }
            guard hold.orderID == nil else {
                throw Problem.conflict("hold-bound", "This hold belongs to an order", "The order alone ends it now.")
            }
            if hold.state == .active {
                stock.release(hold.claims(.held))
                try HoldStore.setClaims(of: id, from: .held, to: .returned, in: tx)
                try HoldStore.set(id, .released, in: tx)
            }
            try InventoryStore.save(stock, at: now, in: tx)
            return .noContent
        }
    }

    @Sendable private func bind(_ call: Call) async throws -> Reply {
        try call.ok(try await database.bind(try call.id("id"), try call.body()))
    }
}

extension HoldRecord {
    /// A cart may still change it.
    func mustBeOpen(at now: Instant) throws {
        guard orderID == nil else {
            throw Problem.conflict("hold-bound", "This hold belongs to an order", "The order alone decides over it now.")
        }
        guard state == .active, now < expiresAt, claims.allSatisfy({ $0.state == .held }) else {
            throw Problem.conflict("hold-expired", "The time for these tickets is over", "They went back on sale; choose again.")
        }
    }
}
