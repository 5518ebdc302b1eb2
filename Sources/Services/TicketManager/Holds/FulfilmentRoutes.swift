import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// Whether an order gets its tickets: decided once, permanently.
struct FulfilmentRoutes: Sendable {
    let database: Database
    let signer: TicketSigner

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.fulfil, fulfil),
            Endpoint(TicketManagerRoutes.refuse, refuse),
            Endpoint(TicketManagerRoutes.ticketsOfOrder, tickets),
        ]
    }

    @Sendable private func fulfil(_ call: Call) async throws -> Reply {
        let order: OrderID = try call.id("id")
        let request = try call.body(FulfilmentRequest.self)
        guard (1...HoldRecord.mostTickets).contains(Int64(request.units.count)) else {
            throw Problem.invalid("units", "must be 1 to 1,000")
        }
        let codes = try request.units.map { _ in
            let id = TicketID()
            return (id: id, code: try signer.code(for: id, of: request.eventId, version: 1))
        }
        return try call.ok(try await database.fulfil(order, request, codes: codes))
    }

    @Sendable private func refuse(_ call: Call) async throws -> Reply {
        try call.ok(try await database.refuse(try call.id("id"), try call.body()))
    }

    @Sendable private func tickets(_ call: Call) async throws -> Reply {
        let order: OrderID = try call.id("id")
        return try .ok(TicketList(items: try await database.read { tx in try TicketStore.tickets(of: order, in: tx).map(\.ticket) }))
    }
}
