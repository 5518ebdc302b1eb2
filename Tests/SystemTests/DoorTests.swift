import Contracts
import Discovery
import Foundation
import Storage
import Testing
import Values

extension WholeSystem {
    /// Who comes in.
    @Suite struct DoorTests {
        @Test
        func `13: from the moment that a refund is asked for, its ticket opens no door`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let (purchase, order) = try await shop.paid(2)
                let codes = order.tickets.compactMap(\.code)
                // The provider takes its time with the refund.
                try await program.restart(["TICKETFLOW_FAULTS": "payments.refund-submitted=stall:5"])
                let unit = try #require(order.tickets.first?.unitId)
                async let refund = program.call(
                    SalesManagerRoutes.refundOrder, ["\(order.id)"], as: shop.owner.caller, key: "one",
                    body: RefundRequest(units: [unit], reason: "ill"))
                try await eventually("the ticket is blocked") {
                    try await program.order(purchase).tickets.first { $0.unitId == unit }?.blockedBy == ["refund"]
                }
                #expect(try await program.ledger(purchase).movements("refund").isEmpty, "the provider was too fast for this test")
                let refused = try await shop.scan(codes[0], nonce: "a")
                #expect(refused.result == .refused && refused.reason == "blocked")
                #expect(try await shop.scan(codes[1], nonce: "b").result == .admitted)
                #expect(try await refund.status == 201)
                try await eventually("the ticket is void") { try await shop.scan(codes[0], nonce: UUID().uuidString).reason == "void" }
            }
        }

        @Test
        func `14: of two doors that scan a code at once one lets in, and the other sees when and where it was used`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let door = try await shop.hire(.door)
                let (_, order) = try await shop.paid(10)
                for ticket in order.tickets {
                    let code = try #require(ticket.code)
                    let before = Instant.now
                    let answers = try await atOnce(2) { index in
                        try await shop.scan(code, nonce: "door \(index)", gate: index == 0 ? "North" : "South", as: door)
                    }
                    #expect(Set(answers.map(\.result)) == [.admitted, .refused])
                    let first = try #require(answers.firstIndex { $0.result == .admitted })
                    let second = answers[1 - first]
                    #expect(second.reason == "already-used" && !second.repeated)
                    #expect(second.previous?.gate == (first == 0 ? "North" : "South"))
                    let used = try #require(second.previous?.at)
                    #expect(used >= before - .seconds(1) && used <= .now)
                    #expect(answers[first].ticket?.attendee.name == "Ada Lovelace")
                }
            }
        }

        @Test
        func `23: a scan that is repeated gets its first answer for a minute, and a nonce used for every code changes nothing`()
            async throws
        {
            try await withProgram { program in
                let shop = try await program.shop()
                let door = try await shop.hire(.door)
                let (_, order) = try await shop.paid(3)
                let codes = order.tickets.compactMap(\.code)
                // A scanner that says the same nonce for every code.
                for code in codes {
                    let first = try await shop.scan(code, nonce: "0", gate: "North", as: door)
                    #expect(first.result == .admitted && !first.repeated)
                    for _ in 0..<2 {
                        let again = try await shop.scan(code, nonce: "0", gate: "North", as: door)
                        #expect(again.result == .admitted && again.repeated && again.previous?.gate == "North")
                    }
                    #expect(try await shop.scan(code, nonce: "1", as: door).reason == "already-used")
                }
                // A minute passes.
                try await program.withDatabase("ticket-manager") { database in
                    try await database.write { tx in _ = try tx.execute("UPDATE ticket SET checked_in_at = checked_in_at - 61000000") }
                }
                for code in codes {
                    let late = try await shop.scan(code, nonce: "0", as: door)
                    #expect(late.result == .refused && late.reason == "already-used" && !late.repeated)
                }
            }
        }

        @Test
        func `a ticket that was handed on opens the door for its new holder alone`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let (purchase, order) = try await shop.paid()
                let ticket = try #require(order.tickets.first)
                let shown: Ticket = try await program.ask(
                    TicketManagerRoutes.transferTicket, ["\(ticket.id)"], as: purchase.caller,
                    body: TransferRequest(email: "bob@example.org", name: "Bob"))
                let old = try #require(ticket.code)
                #expect(shown.code == nil, "the sender learns the code")
                let mail = try await eventually("the new holder's mail is there") { try await program.mails(to: "bob@example.org").first }
                let new = String(try #require(mail.text.firstMatch(of: /TF1[0-9A-Z]+/)?.output))
                let token = String(try #require(mail.text.firstMatch(of: /\?token=([A-Za-z0-9_-]+)/)?.output.1))
                #expect(try await program.order(purchase).tickets.first?.code == nil, "the sender still sees a code")
                #expect(try await shop.scan(old, nonce: "a").reason == "revoked-code")
                #expect(try await shop.scan(new, nonce: "b").result == .admitted)
                let holder = Caller(fields: ["X-Ticket-Token": token])
                let again = try await program.call(
                    TicketManagerRoutes.transferTicket, ["\(ticket.id)"], as: holder,
                    body: TransferRequest(email: "c@example.org", name: "C"))
                #expect(again.problem == "ticket-used")
            }
        }
    }
}

extension Shop {
    func scan(_ code: String, nonce: String, gate: String? = nil, as account: Account? = nil) async throws -> CheckInAnswer {
        try await program.ask(
            TicketManagerRoutes.checkIn, ["\(event.id)"], as: (account ?? owner).caller,
            body: CheckInRequest(code: code, nonce: nonce, gate: gate))
    }
}
