import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// Whether an order gets its tickets: decided once, permanently.
struct FulfilmentRoutes: Sendable {
    let database: Database
    let signer: TicketSigner
    let faults: Faults

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.fulfil, fulfil),
            Endpoint(TicketManagerRoutes.refuse, refuse),
            Endpoint(TicketManagerRoutes.ticketsOfOrder, tickets),
        ]
    }

    /// Confirms the hold, or takes everything again where others have its claims by now, and issues the tickets. If it cannot, refuses.
    @Sendable private func fulfil(_ call: Call) async throws -> Reply {
        let order: OrderID = try call.id("id")
        let request = try call.body(FulfilmentRequest.self)
        guard (1...1_000).contains(request.units.count) else { throw Problem.invalid("units", "must be 1 to 1,000") }
        // Signing costs more than all else here, so it is done before the writer's turn.
        let codes = try request.units.map { _ in
            let id = TicketID()
            return (id: id, code: try signer.code(for: id, of: request.eventId, version: 1))
        }
        return try await database.changeStock(of: request.eventId, by: request.holdId) { tx in
            if let recorded = try recorded(order, in: tx) { return recorded }
            guard case (let hold, var stock, let now)? = try HoldStore.lock(request.holdId, in: tx) else { throw Problem.notFound("hold") }
            guard hold.orderID == nil || hold.orderID == order else {
                throw Problem.conflict("hold-bound", "This hold belongs to another order", "Each order has a hold of its own.")
            }
            let quantities = Dictionary(grouping: request.units, by: \.ticketTypeId).mapValues { Int64($0.count) }
            guard quantities == Dictionary(uniqueKeysWithValues: hold.lines.map { ($0.line.ticketTypeId, $0.line.quantity) }) else {
                throw Problem.conflict("units-differ", "The order's units are not those of its hold", "They are fixed at checkout.")
            }
            let isClosed = try InventoryStore.isClosed(hold.eventID, in: tx).get()
            let confirmed = isClosed ? nil : FulfilmentRoutes.confirm(hold, from: stock)
            guard try TicketStore.record(confirmed == nil ? .refused : .confirmed, of: order, hold: hold.id, in: tx) else {
                return try rivalsWord(order, in: tx)
            }
            guard let confirmed else {
                stock.release(hold.claims(.held))
                try HoldStore.setClaims(of: hold.id, from: .held, to: .returned, in: tx)
                try HoldStore.set(hold.id, .released, in: tx)
                try InventoryStore.save(stock, at: now, in: tx)
                return try .ok(Fulfilment(orderId: order, outcome: .refused, tickets: []))
            }
            try HoldStore.sellClaims(of: hold.id, in: tx)
            try HoldStore.set(hold.id, .confirmed, in: tx)
            try InventoryStore.save(confirmed, at: now, in: tx)
            let names = Dictionary(uniqueKeysWithValues: hold.lines.map { ($0.line.ticketTypeId, $0.line.name) })
            let tickets = zip(request.units, codes).map { unit, made in
                TicketRecord(
                    ticket: Ticket(
                        id: made.id, eventId: hold.eventID, orderId: order, unitId: unit.unitId, ticketTypeId: unit.ticketTypeId,
                        ticketTypeName: names[unit.ticketTypeId] ?? "", attendee: unit.attendee, status: .issued, blockedBy: [],
                        code: made.code, codeVersion: 1),
                    code: made.code, isTransferred: false)
            }
            try TicketStore.insert(tickets, hold: hold.id, at: now, in: tx)
            return try .ok(Fulfilment(orderId: order, outcome: .confirmed, tickets: tickets.map(\.ticket)))
        }
    }

    /// The stock once the hold is sold; nil where it cannot be. Claims that are still the hold's are simply sold; if any was
    /// reclaimed or given back, everything is taken again.
    static func confirm(_ hold: HoldRecord, from stock: Stock) -> Stock? {
        var stock = stock
        let claims = Dictionary(hold.claims.map { ($0.pool, $0.quantity) }) { $1 }
        if !hold.claims.allSatisfy({ $0.state == .held }) {
            stock.release(hold.claims(.held))
            guard (try? stock.hold(claims)) != nil else { return nil }
        }
        stock.sell(claims)
        return stock
    }

    /// Says no for good, unless the order is fulfilled already; then it answers that.
    @Sendable private func refuse(_ call: Call) async throws -> Reply {
        let order: OrderID = try call.id("id")
        let request = try call.body(RefusalRequest.self)
        return try await database.changeStock(of: request.eventId, by: request.holdId) { tx in
            if let recorded = try recorded(order, in: tx) { return recorded }
            // First the locks, as when it is fulfilled: two who decide the same order at once do not wait for each other.
            let locked = try request.holdId.flatMap { try HoldStore.lock($0, in: tx) }
            guard try TicketStore.record(.refused, of: order, hold: request.holdId, in: tx) else { return try rivalsWord(order, in: tx) }
            if case (let hold, var stock, let now)? = locked, hold.orderID == nil || hold.orderID == order, hold.state == .active {
                stock.release(hold.claims(.held))
                try HoldStore.setClaims(of: hold.id, from: .held, to: .returned, in: tx)
                try HoldStore.set(hold.id, .released, in: tx)
                try InventoryStore.save(stock, at: now, in: tx)
            }
            return try .ok(Fulfilment(orderId: order, outcome: .refused, tickets: []))
        }
    }

    /// What somebody else has recorded a moment ago: who asked second has waited for the first, whose word counts.
    private func rivalsWord(_ order: OrderID, in tx: Transaction) throws -> Reply {
        guard let recorded = try recorded(order, in: tx) else { throw Problem.unavailable("The order is being decided at this moment.") }
        return recorded
    }

    private func recorded(_ order: OrderID, in tx: Transaction) throws -> Reply? {
        guard let outcome = try TicketStore.outcome(of: order, in: tx) else { return nil }
        return try .ok(
            Fulfilment(orderId: order, outcome: outcome, tickets: try TicketStore.tickets(of: order, in: tx).map(\.ticket)))
    }

    @Sendable private func tickets(_ call: Call) async throws -> Reply {
        let order: OrderID = try call.id("id")
        return try .ok(TicketList(items: try await database.read { tx in try TicketStore.tickets(of: order, in: tx).map(\.ticket) }))
    }
}
