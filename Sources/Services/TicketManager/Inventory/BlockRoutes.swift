import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// What keeps tickets from opening a door, and events from being sold.
struct BlockRoutes: Sendable {
    let database: Database
    let events: EventDirectory

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.blockTickets, block),
            Endpoint(TicketManagerRoutes.unblockTickets, unblock),
            Endpoint(TicketManagerRoutes.voidTickets, void),
            Endpoint(TicketManagerRoutes.closeEvent, closeEvent),
        ]
    }

    @Sendable private func block(_ call: Call) async throws -> Reply {
        let id = call.text("id")
        let block = try call.body(TicketBlock.self)
        return try await database.write { tx in
            let tickets = try TicketStore.lock(block.unitIds, of: block.orderId, in: tx)
            if !block.insist, tickets.contains(where: { $0.state == .checkedIn }) {
                throw Problem.conflict(
                    "ticket-inside", "A ticket's holder is inside", "Check it out first, or insist.")
            }
            // Whoever has it now, and may have paid for it, would stand outside.
            if !block.insist, tickets.contains(where: { $0.isTransferred && $0.state != .void }) {
                throw Problem.conflict(
                    "ticket-transferred", "A ticket was handed on", "Leave it out, or ask the organizer, who may insist.")
            }
            try TicketStore.block(tickets.map(\.id), id: id, reason: block.reason, in: tx)
            return .noContent
        }
    }

    @Sendable private func unblock(_ call: Call) async throws -> Reply {
        let id = call.text("id")
        return try await database.write { tx in
            try TicketStore.unblock(id, in: tx)
            return .noContent
        }
    }

    /// A ticket that is void already gives nothing back again.
    @Sendable private func void(_ call: Call) async throws -> Reply {
        let id = call.text("id")
        return try await database.write { tx in
            let pools = Set(try TicketStore.toVoid(id, in: tx).flatMap(\.pools))
            let (stock, now) = try InventoryStore.lock(pools, in: tx)
            // Once more under the locks.
            let tickets = try TicketStore.toVoid(id, in: tx)
            var after = stock
            for (_, pools) in tickets { after.takeBack(pools) }
            try TicketStore.void(tickets.map(\.ticket), in: tx)
            try InventoryStore.save(after, at: now, in: tx)
            return .noContent
        }
    }

    @Sendable private func closeEvent(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let closure = try call.body(EventClosure.self)
        // Only what is known here can be closed.
        _ = try await events.facts(event)
        return try await database.write { tx in
            // Under the pools' locks: what holds are decided after this, see it.
            let pools = try InventoryStore.pools(of: event, in: tx).map(\.id)
            let (stock, now) = try InventoryStore.lock(pools, in: tx)
            try InventoryStore.save(stock, at: now, in: tx)
            try tx.queue(
                "UPDATE event SET closed_at = \(tx.now), closed_reason = \(closure.reason) WHERE id = \(event) AND closed_at IS NULL")
            return .noContent
        }
    }
}
