import Contracts
import Crypto
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

/// What becomes of tickets: blocked, voided, read offline, given to somebody else.
@Suite("Tickets", .serialized) struct TicketTests {
    typealias Service = ServiceHarness<TicketManagerService>

    // MARK: Blocks

    @Test func `one reason's end does not lift another's block`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let code = try #require(ticket.code)
            #expect(try await service.block("refund-1", [ticket]).status == 204)
            #expect(try await service.block("dispute-1", [ticket], reason: "dispute").status == 204)
            #expect(try await service.tickets(of: ticket.orderId)[0].blockedBy == ["dispute", "refund"])
            #expect(try await service.unblock("refund-1").status == 204)
            #expect(try await service.tickets(of: ticket.orderId)[0].blockedBy == ["dispute"])
            #expect(try await service.read(code, stage).reason == "blocked")
            #expect(try await service.unblock("dispute-1").status == 204)
            #expect(try await service.tickets(of: ticket.orderId)[0].blockedBy == [])
            #expect(try await service.read(code, stage).result == .admitted)
        }
    }

    @Test func `a block is of the named tickets alone, and may be laid and lifted again`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            let foreign = try await service.issue(stage.event, [(type, 1)])[0]
            let answer = try await service.call(
                .put, "/internal/v1/ticket-blocks/refund-1", as: .service(.salesManager),
                body: TicketBlock(
                    orderId: tickets[0].orderId, unitIds: [tickets[0].unitId, foreign.unitId], reason: "refund", insist: false))
            #expect(answer.status == 204)
            #expect(try await service.number("SELECT COUNT(*) AS number FROM ticket_block") == 1)
            #expect(try await service.unblock("refund-1").status == 204)
            #expect(try await service.block("refund-1", [tickets[0]]).status == 204)
            let shown = try await service.tickets(of: tickets[0].orderId)
            #expect(
                Dictionary(uniqueKeysWithValues: shown.map { ($0.id, $0.blockedBy) }) == [tickets[0].id: ["refund"], tickets[1].id: []])
        }
    }

    @Test func `a ticket whose holder is inside is blocked only by who insists`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            #expect(try await service.read(try #require(tickets[1].code), stage).result == .admitted)
            let refused = try await service.block("refund-1", tickets)
            #expect(refused.status == 409 && refused.problem == "ticket-inside")
            #expect(try await service.tickets(of: tickets[0].orderId).allSatisfy { $0.blockedBy.isEmpty }, "none of them")
            #expect(try await service.block("refund-1", [tickets[0]]).status == 204)
            #expect(try await service.block("refund-1", tickets, insist: true).status == 204)
            #expect(try await service.tickets(of: tickets[0].orderId).allSatisfy { $0.blockedBy == ["refund"] })
        }
    }

    @Test func `who is outside again can be blocked without insisting`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let code = try #require(ticket.code)
            _ = try await service.read(code, stage)
            _ = try await service.read(code, stage, direction: .out)
            #expect(try await service.block("refund-1", [ticket]).status == 204)
        }
    }

    @Test func `voiding returns a ticket's claims once, whoever voids it and however often`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 10), try await service.makePool(stage, 10))
            let type = try await service.makeType(stage, [a, b])
            let tickets = try await service.issue(stage.event, [(type, 3)])
            _ = try await service.block("refund-1", [tickets[0], tickets[1]])
            _ = try await service.block("refund-2", [tickets[1], tickets[2]])
            let answers = try await service.atOnce(8) { try await service.void("refund-\($0 % 2 + 1)") }
            #expect(answers.statuses() == [204: 8])
            #expect(try await service.level(a) == [0, 0])
            #expect(try await service.level(b) == [0, 0])
            #expect(try await service.tickets(of: tickets[0].orderId).allSatisfy { $0.status == .void })
            #expect(try await service.read(try #require(tickets[1].code), stage).reason == "void")
            #expect(try await service.availability(of: type, stage.event).remaining == 10)
            try await service.expectBalancedBooks()
        }
    }

    @Test func `voiding touches nothing but what its block names`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            _ = try await service.block("refund-1", [tickets[0]])
            #expect(try await service.void("refund-2").status == 204)
            #expect(try await service.level(pool) == [0, 2])
            #expect(try await service.void("refund-1").status == 204)
            #expect(try await service.level(pool) == [0, 1])
            #expect(
                try await service.tickets(of: tickets[0].orderId).map(\.status).sorted { $0.rawValue < $1.rawValue } == [.issued, .void])
        }
    }

    // MARK: Codes

    @Test func `a code is verified offline, with the public key and the documented form alone`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let code = try #require(ticket.code)
            let keys = try await service.call(.get, "/api/v1/ticket-keys").json(TicketKeyList.self).items
            let key = try #require(keys.first)
            #expect(keys.count == 1 && key.algorithm == "Ed25519")
            let read = try #require(OfflineCode(code, key))
            #expect(read.ticket == ticket.id && read.event == stage.event && read.version == 1 && read.keyID == key.keyId)
            // Digits and capitals: the compact mode of a QR code.
            #expect(code.allSatisfy { $0.isASCII && ($0.isNumber || $0.isUppercase) })
        }
    }

    @Test func `a forged code is refused offline and at the door`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            let code = try #require(tickets[0].code)
            let other = try #require(tickets[1].code)
            let key = try #require(try await service.call(.get, "/api/v1/ticket-keys").json(TicketKeyList.self).items.first)
            // Any change of any character of it: of ticket, event, version or signature.
            for position in stride(from: 3, to: code.count, by: 5) {
                var characters = Array(code)
                characters[position] = characters[position] == "0" ? "1" : "0"
                let forged = String(characters)
                #expect(OfflineCode(forged, key) == nil, "position \(position)")
                #expect(try await service.read(forged, stage).result == .refused)
            }
            // One ticket's body under another's signature.
            let mixed = code.prefix(60) + other.dropFirst(60)
            #expect(OfflineCode(String(mixed), key) == nil)
            #expect(try await service.read(String(mixed), stage).result == .refused)
            // Signed with a key of one's own.
            let own = Curve25519.Signing.PrivateKey()
            let forged = try OfflineCode.sign(ticket: tickets[0].id, event: stage.event, version: 1, keyID: key.keyId, with: own)
            #expect(OfflineCode(forged, key) == nil)
            #expect(try await service.read(forged, stage).reason == "revoked-code")
            #expect(try await service.tickets(of: tickets[0].orderId).allSatisfy { $0.status == .issued })
        }
    }

    @Test func `a code's signing key outlives the process`() async throws {
        let stage = Stage()
        try await withFolder { folder in
            let keys = try await withTickets(stage: stage, folder: folder) { service, _ in
                try await service.call(.get, "/api/v1/ticket-keys").body
            }
            try await withTickets(stage: stage, folder: folder) { service, _ in
                let again = try await service.call(.get, "/api/v1/ticket-keys").body
                #expect(again == keys)
            }
        }
    }

    @Test func `a ticket's code is a picture too`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let png = try await service.call(.get, "/api/v1/tickets/\(ticket.id).png", headers: ["X-Order-Token": "secret"])
            #expect(png.status == 200 && png.headers[.contentType] == "image/png" && png.body.starts(with: [0x89, 0x50, 0x4E, 0x47]))
            let svg = try await service.call(.get, "/api/v1/tickets/\(ticket.id).svg", headers: ["X-Order-Token": "secret"])
            #expect(svg.status == 200 && svg.headers[.contentType] == "image/svg+xml" && svg.text.contains("<svg"))
            for name in ["\(ticket.id).gif", "\(ticket.id).PNG", ".png", "x.png", "\(TicketID()).png"] {
                #expect(try await service.call(.get, "/api/v1/tickets/\(name)", headers: ["X-Order-Token": "secret"]).status == 404)
            }
            #expect(try await service.call(.get, "/api/v1/tickets/\(ticket.id).png").status == 404)
        }
    }

    // MARK: Who sees it

    @Test func `a ticket is seen by its buyer, and by nobody else`() async throws {
        let buyer = TestCaller.user(UserID(), email: "ada@example.org")
        try await withTickets(peers: { $0.enterBuyer("secret", email: "ada@example.org") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let path = "/api/v1/tickets/\(ticket.id)"
            #expect(try await service.call(.get, path, as: buyer).status == 200)
            #expect(try await service.call(.get, path, headers: ["X-Order-Token": "secret"]).status == 200)
            let unverified = TestCaller.user(UserID(), email: "ada@example.org", verified: false)
            for caller in [TestCaller.nobody, stage.stranger, stage.rival, unverified] {
                for token in ["X-Order-Token", "X-Ticket-Token"] {
                    let answer = try await service.call(.get, path, as: caller, headers: [token: "wrong"])
                    #expect(answer.status == 404)
                    #expect(!answer.text.contains("\(stage.event)"))
                }
            }
            #expect(try await service.call(.get, "/api/v1/tickets/\(TicketID())", as: buyer).status == 404)
        }
    }

    // MARK: Transfer

    @Test func `a transfer keeps the ticket, revokes the old code at once, and gives the new one to its new holder alone`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let old = try #require(ticket.code)
            let answer = try await service.transfer(ticket.id, "secret")
            #expect(answer.status == 200)
            // What the sender sees from here on.
            let event = try #require(try await service.sent(TicketTransferred.self).first)
            let new = try #require(event.ticket.code)
            #expect(try answer.json(Ticket.self).codeVersion == 2)
            #expect(!answer.text.contains(new) && !answer.text.contains(event.ticketToken), "the sender learns neither code nor secret")
            let seen = try await service.call(.get, "/api/v1/tickets/\(ticket.id)", headers: ["X-Order-Token": "secret"])
            let listed = try await service.tickets(of: ticket.orderId)[0]
            #expect(seen.status == 200)
            #expect(!seen.text.contains(new) && !seen.text.contains(old) && !seen.text.contains(event.ticketToken))
            #expect(listed.code == nil && listed.id == ticket.id && listed.codeVersion == 2 && listed.attendee.name == "Grace")
            let picture = try await service.call(.get, "/api/v1/tickets/\(ticket.id).png", headers: ["X-Order-Token": "secret"])
            #expect(picture.status == 409 && picture.problem == "ticket-transferred")
            #expect(try await service.transfer(ticket.id, "secret").status == 404, "it is not the sender's any more")
            // What the new holder sees.
            #expect(event.email == "grace@example.org" && event.name == "Grace")
            let held = try await service.call(.get, "/api/v1/tickets/\(ticket.id)", headers: ["X-Ticket-Token": event.ticketToken])
            #expect(try held.json(Ticket.self).code == new)
            #expect(
                try await service.call(.get, "/api/v1/tickets/\(ticket.id).svg", headers: ["X-Ticket-Token": event.ticketToken]).status
                    == 200)
            #expect(try await service.call(.get, "/api/v1/tickets/\(ticket.id)?token=\(event.ticketToken)").json(Ticket.self).code == new)
            // What the door sees.
            #expect(try await service.read(old, stage).reason == "revoked-code")
            #expect(try await service.read(new, stage).result == .admitted)
            #expect(try await service.level(pool) == [0, 1])
        }
    }

    @Test func `who handed a ticket on gets nothing back for it by themselves, for another stands at the door with it`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            #expect(try await service.transfer(tickets[0].id, "secret").status == 200)
            let refused = try await service.block("refund-1", tickets)
            #expect(refused.status == 409 && refused.problem == "ticket-transferred")
            let new = try #require(try await service.sent(TicketTransferred.self).first?.ticket.code)
            #expect(try await service.read(new, stage).result == .admitted)
            // What was not handed on, and what staff insist on, goes back.
            #expect(try await service.block("refund-2", [tickets[1]]).status == 204)
            #expect(try await service.block("refund-3", tickets, insist: true).status == 204)
        }
    }

    @Test func `who got a ticket may hand it on, and then has it no more`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            #expect(try await service.transfer(ticket.id, "secret").status == 200)
            let first = try #require(try await service.sent(TicketTransferred.self).last)
            let path = "/api/v1/tickets/\(ticket.id)/transfer"
            let on = TransferRequest(email: "linus@example.org", name: "Linus")
            #expect(try await service.call(.post, path, headers: ["X-Ticket-Token": first.ticketToken], body: on).status == 200)
            let second = try #require(try await service.sent(TicketTransferred.self).last)
            #expect(second.ticket.codeVersion == 3 && second.ticketToken != first.ticketToken)
            #expect(try await service.call(.post, path, headers: ["X-Ticket-Token": first.ticketToken], body: on).status == 404)
            #expect(
                try await service.call(.get, "/api/v1/tickets/\(ticket.id)", headers: ["X-Ticket-Token": first.ticketToken]).status == 404)
            #expect(try await service.read(try #require(first.ticket.code), stage).reason == "revoked-code")
            #expect(try await service.read(try #require(second.ticket.code), stage).result == .admitted)
        }
    }

    @Test func `of two transfers at once one wins`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let answers = try await service.atOnce(6) { _ in try await service.transfer(ticket.id, "secret") }
            #expect(answers.count { $0.status == 200 } == 1)
            #expect(answers.allSatisfy { [200, 404, 409].contains($0.status) })
            #expect(try await service.sent(TicketTransferred.self).count == 1)
            #expect(try await service.tickets(of: ticket.orderId)[0].codeVersion == 2)
        }
    }

    @Test func `a ticket that was scanned, blocked or voided cannot be transferred`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let tickets = try await service.issue(stage.event, [(type, 4)])
            _ = try await service.read(try #require(tickets[0].code), stage)
            _ = try await service.read(try #require(tickets[1].code), stage)
            _ = try await service.read(try #require(tickets[1].code), stage, direction: .out)
            _ = try await service.block("refund-2", [tickets[2]])
            _ = try await service.block("refund-3", [tickets[3]])
            _ = try await service.void("refund-3")
            _ = try await service.unblock("refund-3")
            for ticket in tickets {
                let answer = try await service.transfer(ticket.id, "secret")
                #expect(answer.status == 409 && answer.problem == "ticket-used", "\(ticket.id)")
            }
            #expect(try await service.sent(TicketTransferred.self).isEmpty)
        }
    }

    @Test func `staff see a ticket, but cannot make it their own`() async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            for caller in [stage.owner, stage.manager, stage.door, stage.analyst, stage.rival, stage.stranger] {
                let answer = try await service.call(
                    .post, "/api/v1/tickets/\(ticket.id)/transfer", as: caller, body: TransferRequest(email: "e@example.org", name: "E"))
                #expect(answer.status == 404)
            }
            for caller in [stage.owner, stage.manager, stage.door] {
                #expect(try await service.call(.get, "/api/v1/tickets/\(ticket.id)", as: caller).status == 200)
            }
            // Reports are no reason to see a code that opens a door.
            #expect(try await service.call(.get, "/api/v1/tickets/\(ticket.id)", as: stage.analyst).status == 404)
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"email":"grace","name":"Grace"}"#, #"{"email":"grace@example.org","name":" "}"#,
        #"{"email":"grace@example.org","name":"LONG"}"#, #"{"email":"LONG@example.org","name":"Grace"}"#,
        #"{"email":"grace@example.org\r\nBcc: x@y.z","name":"Grace"}"#, #"{"email":["grace@example.org"],"name":"Grace"}"#,
    ])
    func `a transfer to nobody is refused`(json: String) async throws {
        try await withTickets(peers: { $0.enterBuyer("secret") }) { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let ticket = try await service.issue(stage.event, [(type, 1)])[0]
            let answer = try await service.call(
                .post, "/api/v1/tickets/\(ticket.id)/transfer", headers: ["X-Order-Token": "secret"],
                json: json.replacing("LONG", with: String(repeating: "x", count: 10_000)))
            #expect(answer.status == 422, "\(answer.text)")
            #expect(try await service.tickets(of: ticket.orderId)[0].codeVersion == 1)
        }
    }
}

/// A code as a scanner without a network reads it: by the documented form and the public key, with no code of the service.
private struct OfflineCode {
    let keyID: String
    let ticket: TicketID
    let event: EventID
    let version: Int

    init?(_ text: String, _ key: TicketKey) {
        guard text.hasPrefix("TF1"), let bytes = Self.base32(text.dropFirst(3)), bytes.count == 102,
            let raw = Data(base64Encoded: key.publicKey), let publicKey = try? Curve25519.Signing.PublicKey(rawRepresentation: raw),
            publicKey.isValidSignature(Data(bytes.suffix(64)), for: Data("TF1".utf8) + Data(bytes.prefix(38))),
            let ticket = TicketID(bytes: bytes[4..<20]), let event = EventID(bytes: bytes[20..<36])
        else { return nil }
        keyID = bytes.prefix(4).map { String(format: "%02x", $0) }.joined()
        (self.ticket, self.event, version) = (ticket, event, Int(bytes[36]) * 256 + Int(bytes[37]))
    }

    static func sign(
        ticket: TicketID, event: EventID, version: UInt8, keyID: String, with key: Curve25519.Signing.PrivateKey
    ) throws -> String {
        let id = stride(from: 0, to: 8, by: 2).map { UInt8(keyID.dropFirst($0).prefix(2), radix: 16)! }
        let body = id + ticket.bytes + event.bytes + [0, version]
        let signature = try key.signature(for: Data("TF1".utf8) + Data(body))
        return "TF1" + CrockfordBase32.encode(body + Array(signature), uppercase: true)
    }

    private static func base32(_ text: Substring) -> [UInt8]? {
        var (bits, count, bytes) = (0, 0, [UInt8]())
        for character in text {
            guard let value = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ").firstIndex(of: character) else { return nil }
            (bits, count) = (bits << 5 | value, count + 5)
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(bits >> count & 0xFF))
                bits &= (1 << count) - 1
            }
        }
        return bits == 0 ? bytes : nil
    }
}

extension InProcessTransport {
    /// Plays Sales: whoever has this secret, or this verified address, is the buyer of every order.
    fileprivate func enterBuyer(_ token: String, email: String? = nil) {
        enter(.salesManager) { request in
            let question = try JSON.value(OrderAccessQuestion.self, from: request.body)
            let isBuyer = question.orderToken == token || (email != nil && question.verifiedEmail == email)
            return (200, OrderAccess(isBuyer: isBuyer, organizerId: OrganizerID(), eventId: EventID()))
        }
    }
}

extension ServiceHarness<TicketManagerService> {
    fileprivate func transfer(_ ticket: TicketID, _ token: String) async throws -> Answer {
        try await call(
            .post, "/api/v1/tickets/\(ticket)/transfer", headers: ["X-Order-Token": token],
            body: TransferRequest(email: "grace@example.org", name: "Grace"))
    }
}
