import Contracts
import Discovery
import Graphics
import HTTPTypes
import Messaging
import ServiceKit
import Storage
import Values

/// Tickets, for who holds them.
struct TicketRoutes: Sendable {
    let database: Database
    let outbox: Outbox
    let signer: TicketSigner
    let holderSecret: LinkSecret
    let staff: Staff
    let sales: SalesManagerClient

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.ticket, show),
            Endpoint(TicketManagerRoutes.transferTicket, transfer),
            Endpoint(TicketManagerRoutes.ticketKeys, keys),
        ]
    }

    @Sendable private func keys(_ call: Call) async throws -> Reply {
        try .ok(TicketKeyList(items: [signer.publicKey]))
    }

    /// As JSON, or its code as a picture where the id ends in `.png` or `.svg`.
    @Sendable private func show(_ call: Call) async throws -> Reply {
        let name = call.text("id")
        let format = ["png", "svg"].first { name.hasSuffix("." + $0) }
        guard let id = TicketID(format == nil ? name : String(name.dropLast(4))) else { throw Problem.notFound("ticket") }
        let record = try await authorized(id, call)
        guard let format else { return try .ok(record.ticket) }
        guard let code = record.ticket.code else {
            throw Problem.conflict("ticket-transferred", "This ticket has another holder now", "Only they see its code.")
        }
        let picture = try QRCode(code)
        return format == "png" ? .bytes(picture.png(), type: "image/png") : .bytes(Array(picture.svg().utf8), type: "image/svg+xml")
    }

    /// The same ticket under another name: the old code is revoked at once, the new one only its new holder sees.
    @Sendable private func transfer(_ call: Call) async throws -> Reply {
        let id: TicketID = try call.id("id")
        let body = try call.body(TransferRequest.self)
        var validation = Validation()
        validation.text(body.name, "name", atMost: 200)
        validation.email(body.email, "email")
        try validation.end()
        let record = try await authorized(id, call)
        let version = record.ticket.codeVersion
        guard version < 60_000 else {
            throw Problem.conflict("ticket-used", "This ticket cannot be transferred", "It was transferred too often.")
        }
        var ticket = record.ticket
        ticket.codeVersion += 1
        ticket.attendee = Attendee(name: body.name, email: body.email)
        let code = try signer.code(for: id, of: ticket.eventId, version: ticket.codeVersion)
        ticket.code = code
        let changed = ticket
        // Who gives it away learns neither the code nor the secret.
        ticket.code = nil
        let shown = ticket
        let token = holderSecret.token(for: "\(id)", version: changed.codeVersion)
        return try await database.write { tx in
            guard try TicketStore.transfer(changed, code: code, from: version, in: tx) else {
                throw Problem.conflict(
                    "ticket-used", "This ticket cannot be transferred", "It was scanned, blocked, voided, or transferred at this moment.")
            }
            try InventoryStore.history("\(id)", "transferred", actor: call.principal ?? "link", in: tx)
            try outbox.append(
                TicketTransferred(ticket: changed, email: body.email, name: body.name, ticketToken: token), of: "\(id)",
                version: changed.codeVersion, in: tx)
            return try .ok(shown)
        }
    }

    /// The ticket as the caller may see it: its holder by the ticket's secret, the order's buyer as long as it is theirs, and staff
    /// who work at the door. These look at it, but only who holds it gives it away.
    private func authorized(_ id: TicketID, _ call: Call) async throws -> TicketRecord {
        guard var record = try await database.read({ tx in try TicketStore.find(id, in: tx) }) else { throw Problem.notFound("ticket") }
        let isReading = call.route.method == .get
        // The link of a mail carries it as `token`.
        let token = call.headers[.ticketToken] ?? (isReading ? call.query("token") : nil)
        if record.isTransferred, holderSecret.accepts(token, for: "\(id)", version: record.ticket.codeVersion) {
            record.ticket.code = record.code
            return record
        }
        if isReading, try await staff.includes(call.identity, of: record.ticket.eventId, as: .door) { return record }
        let user = call.identity.user
        let access = try await sales.access(
            record.ticket.orderId,
            OrderAccessQuestion(
                orderToken: call.headers[.orderToken], userId: user?.id,
                verifiedEmail: user?.isEmailVerified == true ? user?.email : nil))
        guard access.isBuyer else { throw Problem.notFound("ticket") }
        if !isReading, record.isTransferred { throw Problem.notFound("ticket") }
        return record
    }
}

extension HTTPField.Name {
    static let ticketToken = HTTPField.Name("X-Ticket-Token")!
}
