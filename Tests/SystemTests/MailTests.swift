import Contracts
import Discovery
import Foundation
import Storage
import Testing
import Values

extension WholeSystem {
    @Suite struct MailTests {
        @Test
        func `the confirmation of an order carries its tickets as codes that a scanner reads, and text for every program`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(event: "Žižek & Söhne: „Live“ 🎸 <b>עברית</b>")
                let buyer = Buyer(email: "jana@example.org", name: "Jana Nováková")
                let (_, order) = try await shop.paid(3, buyer: buyer)
                let mail = try await eventually("the mail is there") { try await program.mails(to: buyer.email).first }
                #expect(mail.defects.isEmpty, "\(mail.defects)")
                #expect(mail.subject.contains(order.number) && mail.subject.contains(shop.event.name), "\(mail.subject)")
                for word in [buyer.name, order.number, shop.event.name, "135.00 EUR", "Test Hall", "Wien"] {
                    #expect(mail.text.contains(word), "the text lacks \(word)")
                }
                #expect(mail.html.contains(buyer.name) && mail.html.contains(order.number))
                #expect(!mail.html.contains("<b>עברית"), "a name became markup")
                #expect(mail.html.contains("&lt;b&gt;עברית"))

                let codes = Set(order.tickets.compactMap(\.code))
                #expect(codes.count == 3)
                for code in codes { #expect(mail.text.contains(code), "the text lacks a code") }
                let pictures = mail.attachments.filter { $0.type == "image/png" }
                #expect(pictures.count == 3)
                for picture in pictures { #expect(mail.html.contains("cid:\(picture.id)"), "the page does not show \(picture.id)") }
                let folder = try TemporaryFolder()
                defer { folder.remove() }
                var scanned: Set<String> = []
                for (index, picture) in pictures.enumerated() {
                    let file = "\(folder.path)/\(index).png"
                    try picture.bytes.write(to: URL(fileURLWithPath: file))
                    let scanner = try await ChildProcess.run(
                        "/usr/bin/zbarimg", ["--raw", "--quiet", "-Sdisable", "-Sqrcode.enable", file])
                    scanned.insert(scanner.output.trimmingCharacters(in: .newlines))
                }
                #expect(scanned == codes)

                // The link in the mail is the order's, and the door lets a code of the mail in.
                #expect(mail.text.contains("/orders/\(order.id)"))
                let answer: CheckInAnswer = try await program.ask(
                    TicketManagerRoutes.checkIn, ["\(shop.event.id)"], as: shop.owner.caller,
                    body: CheckInRequest(code: try #require(scanned.first), nonce: "1"))
                #expect(answer.result == .admitted)
            }
        }

        @Test
        func `an address is verified with the code of its mail, and then finds what was bought with it as a guest`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let email = "guest@example.org"
                let (_, order) = try await shop.paid(buyer: Buyer(email: "Guest@Example.org", name: "Guest"))
                let account = try await program.account("Guest", email: email)
                let mine = { (caller: Caller) in
                    try await program.ask(SalesManagerRoutes.orders, as: caller, for: Listed<Order>.self).items.map(\.id)
                }
                #expect(try await mine(account.caller).isEmpty)
                try await program.verify(account)
                let verified = try await program.signIn(email, account.password)
                #expect(verified.user.isEmailVerified)
                #expect(try await mine(verified.caller) == [order.id])
            }
        }

        @Test
        func `a mail whose sending the process did not survive is sent after its restart`() async throws {
            try await withProgram(["TICKETFLOW_NOTIFICATION_MAIL_LEASE_SECONDS": "1"]) { program in
                let shop = try await program.shop()
                // Only the mail to come may meet the fault, not the one to the shop's owner.
                try await eventually("the owner's mail is sent") {
                    try await program.rows("notification", "SELECT id FROM delivery WHERE state = 'sent'").count == 1
                }
                try await program.restart(["TICKETFLOW_FAULTS": "notification.mail-composed=crash:1"])
                _ = try? await shop.buy(buyer: Buyer(email: "late@example.org", name: "Late"))
                try await program.died()
                #expect(try await program.mails(to: "late@example.org").isEmpty)
                try await program.start(["TICKETFLOW_FAULTS": ""])
                try await eventually("the mail is there", within: .seconds(60)) {
                    try await program.mails(to: "late@example.org").count == 1
                }
            }
        }
    }
}
