import Configuration
import Contracts
import Discovery
import Foundation
import HTTPTypes
import Messaging
import ServiceKit
import Storage
import Synchronization
import TestServers
import Testing
import Values

@testable import Notification

@Suite("Notification")
struct NotificationTests {
    typealias Harness = ServiceHarness<NotificationService>

    private let world = World()
    let buyer = UserID()

    // MARK: Exactly once

    @Test func `a mail is created once, however often it is told`() async throws {
        try await withNotification { service in
            let order = world.sell()
            let refunded = OrderRefunded(
                order: order, refundId: RefundID(), amount: Money(100, .eur), units: [], reason: "asked", refundedAt: .now)
            let id = MessageID()
            for _ in 0..<3 {
                try await service.deliver(OrderPaid(order: order, paidAt: .now), id: id)
                try await service.deliver(OrderPaid(order: order, paidAt: .now))
                try await service.deliver(refunded)
            }
            #expect(try await service.states() == ["order-confirmation pending", "refund pending"])
            try await service.sendAll()
            try await service.deliver(OrderPaid(order: order, paidAt: .now))
            #expect(try await service.states() == ["order-confirmation sent", "refund sent"])
            #expect(try service.mails().count == 2)
        }
    }

    @Test func `a mail whose sender died is sent after the restart`() async throws {
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await withNotification(folder: folder) { service in
            try await service.deliver(OrderPaid(order: world.sell(), paidAt: .now))
            let claimed = try await service.database.write { tx in try DeliveryStore.claim(limit: 10, lease: .hours(1), in: tx) }
            #expect(claimed.count == 1)
            #expect(try service.mails().isEmpty)
        }
        try await withNotification(folder: folder) { service in
            try await service.run("send-mails")
            #expect(try service.mails().isEmpty, "its sender may still be alive")
            // As when the lease is over.
            try await service.makeDue()
            try await service.sendAll()
            #expect(try await service.states() == ["order-confirmation sent"])
            #expect(try service.mails().count == 1)
        }
    }

    @Test func `a mail that may have been sent before has the same Message-ID and bytes`() async throws {
        try await withNotification { service in
            try await service.deliver(OrderPaid(order: world.sell(), paidAt: .now))
            try await service.sendAll()
            let path = try #require(try service.mails().first)
            let first = try Data(contentsOf: path)
            try await service.database.write { tx in
                _ = try tx.execute("UPDATE delivery SET state = 'pending', sent_at = NULL, next_attempt_at = 0")
            }
            try await service.sendAll()
            #expect(try service.mails() == [path])
            #expect(try Data(contentsOf: path) == first)
        }
    }

    // MARK: What is said

    @Test func `a confirmation has the tickets with their codes as pictures that a scanner reads`() async throws {
        try await withNotification { service in
            let order = world.sell(
                names: ["Ada <script>alert(1)</script>", "Grace \"O'Hopper\" & Sons"], event: "Rock & <b>Roll</b>\r\nBcc: x@example.org")
            try await service.deliver(OrderPaid(order: order, paidAt: .now))
            try await service.sendAll()
            let mail = try Eml(try #require(try service.mails().first))
            #expect(mail.defects.isEmpty)
            #expect(mail.to == "ada@example.org")
            #expect(mail.headers["Bcc"] == nil)
            #expect(mail.subject == "Your tickets for Rock & <b>Roll</b>  Bcc: x@example.org, order \(order.number)")
            #expect(mail.headers["Message-ID"]?.contains("mail_") == true)
            let codes = world.state.withLock { $0.tickets[order.id]!.map { $0.code! } }
            #expect(mail.codes.sorted() == codes.sorted())
            for code in codes { #expect(mail.text.contains(code) && mail.html.contains(code)) }
            let link = "https://tickets.example.org/api/v1/orders/\(order.id)?token=secret%2Ftoken"
            #expect(mail.text.contains(link) && mail.html.contains(link))
            for part in [mail.text, mail.html] {
                #expect(part.contains("Saturday, 1 May 2027, 19:30 (Europe/Vienna)"))
                #expect(part.contains("Stadthalle") && part.contains("Wien, AT"))
                #expect(part.contains(order.number) && part.contains("90.00 EUR") && part.contains("-5.00 EUR"))
                #expect(part.contains("85.00 EUR"))
            }
            #expect(!mail.html.contains("<script>") && !mail.html.contains("<b>Roll"))
            #expect(mail.html.contains("Ada &lt;script&gt;alert(1)&lt;/script&gt;"))
            #expect(mail.html.contains("Grace &quot;O&#39;Hopper&quot; &amp; Sons"))
            #expect(mail.html.components(separatedBy: "<img src=\"cid:").count == 3)
        }
    }

    @Test func `an order whose tickets are void by then gets no confirmation`() async throws {
        try await withNotification { service in
            let refunded = world.sell()
            let partly = world.sell(names: ["Ada", "Grace"])
            world.void(refunded)
            world.void(partly)
            try await service.deliver(OrderPaid(order: refunded, paidAt: .now))
            try await service.deliver(OrderPaid(order: partly, paidAt: .now))
            try await service.sendAll()
            #expect(try await service.states() == ["order-confirmation canceled", "order-confirmation sent"])
            let mail = try Eml(try #require(try service.mails().first))
            #expect(mail.codes == [world.state.withLock { $0.tickets[partly.id]![1].code! }])
        }
    }

    @Test func `a ticket that was passed on is named without its code`() async throws {
        try await withNotification { service in
            let order = world.sell()
            world.state.withLock { $0.tickets[order.id]![0].code = nil }
            try await service.deliver(OrderPaid(order: order, paidAt: .now))
            try await service.sendAll()
            let mail = try Eml(try #require(try service.mails().first))
            #expect(mail.codes.isEmpty && mail.text.contains("Passed on"))
        }
    }

    @Test func `buyers are told of an end that takes something from them, and of no other`() async throws {
        try await withNotification { service in
            let unfulfillable = world.sell()
            world.state.withLock { $0.tickets[unfulfillable.id] = [] }
            let unpaid = world.sell()
            world.state.withLock { $0.tickets[unpaid.id] = [] }
            let paid = world.sell()
            try await service.deliver(OrderEnded(order: unfulfillable, reason: "unfulfillable"))
            try await service.deliver(OrderEnded(order: world.sell(), reason: "event-canceled"))
            try await service.deliver(OrderEnded(order: paid, reason: "canceled"))
            try await service.deliver(OrderEnded(order: unpaid, reason: "canceled"))
            try await service.deliver(OrderEnded(order: world.sell(), reason: "expired"))
            try await service.sendAll()
            #expect(
                try await service.states() == ["order-ended canceled", "order-ended sent", "order-ended sent", "order-ended sent"])
            let texts = try service.mails().map { try Eml($0).text }
            #expect(texts.count == 3)
            #expect(texts.contains { $0.contains("no longer there") && $0.contains(unfulfillable.number) })
            #expect(texts.contains { $0.contains("the event was canceled") })
            #expect(texts.contains { $0.contains(paid.number) && $0.contains("was canceled") })
        }
    }

    @Test func `a refund and a new account are told`() async throws {
        try await withNotification { service in
            let order = world.sell()
            try await service.deliver(
                OrderRefunded(
                    order: order, refundId: RefundID(), amount: Money(1_234, .eur), units: [], reason: "asked", refundedAt: .now))
            try await service.deliver(
                UserRegistered(
                    userId: buyer, email: "new@example.org", name: "Ünï 👩‍💻 עדה", locale: "en", verificationToken: "the-token"))
            try await service.sendAll()
            let mails = try service.mails().map { try Eml($0) }
            let refund = try #require(mails.first { $0.to == "ada@example.org" })
            #expect(refund.subject == "Refund of 12.34 EUR for your order \(order.number)")
            let verification = try #require(mails.first { $0.to == "new@example.org" })
            #expect(verification.text.contains("the-token") && verification.text.contains("Ünï 👩‍💻 עדה"))
            let kept = try await service.database.read { tx in
                try tx.rows("SELECT id FROM delivery WHERE details LIKE '%token%'").count
            }
            #expect(kept == 0, "the token is forgotten once it is sent")
        }
    }

    @Test func `who is given a ticket gets its code and the secret that leads to it, as long as it is theirs`() async throws {
        try await withNotification { service in
            func handOn(_ order: OrderFacts, to name: String, version: Int64) -> TicketTransferred {
                world.state.withLock { state in
                    state.tickets[order.id]![0].codeVersion = version
                    var ticket = state.tickets[order.id]![0]
                    state.tickets[order.id]![0].code = nil
                    ticket.code = "TF1.\(name).\(version)"
                    ticket.attendee = Attendee(name: name, email: "\(name)@example.org")
                    return TicketTransferred(ticket: ticket, email: "\(name)@example.org", name: name, ticketToken: "secret/\(name)")
                }
            }
            let order = world.sell()
            let (first, second) = (handOn(order, to: "grace", version: 2), handOn(order, to: "linus", version: 3))
            let void = world.sell()
            let useless = handOn(void, to: "eve", version: 2)
            world.void(void)
            for transferred in [first, second, second, useless] { try await service.deliver(transferred) }
            try await service.sendAll()
            #expect(try await service.states() == ["ticket-transfer canceled", "ticket-transfer canceled", "ticket-transfer sent"])
            let mail = try Eml(try #require(try service.mails().first))
            #expect(mail.to == "linus@example.org" && mail.subject == "Your ticket for Concert" && mail.codes == ["TF1.linus.3"])
            for part in [mail.text, mail.html] {
                #expect(part.contains("linus") && part.contains("TF1.linus.3") && part.contains("Stadthalle"))
                #expect(part.contains("https://tickets.example.org/api/v1/tickets/\(second.ticket.id)?token=secret%2Flinus"))
                #expect(!part.contains(order.number) && !part.contains("Ada"), "nothing of who gave it")
            }
            let kept = try await service.database.read { tx in
                try tx.rows("SELECT id FROM delivery WHERE details LIKE '%secret%' OR details LIKE '%TF1%'").count
            }
            #expect(kept == 0, "code and secret are forgotten once they are sent")
        }
    }

    // MARK: Failing

    @Test func `while a peer is down a mail waits, each time longer, and is given up after three days`() async throws {
        try await withNotification { service in
            let order = world.sell()
            world.state.withLock { $0.areTicketsDown = true }
            try await service.deliver(OrderPaid(order: order, paidAt: .now))
            try await service.sendAll()
            #expect(try await service.states() == ["order-confirmation pending"])
            let due = try await service.database.read { tx in
                try tx.rows("SELECT next_attempt_at FROM delivery").map { try $0["next_attempt_at"] as Instant }
            }
            #expect(due.count == 1 && due[0] > .now + .seconds(5) && due[0] < .now + .seconds(15))
            try await service.makeDue()
            world.state.withLock { $0.areTicketsDown = false }
            try await service.sendAll()
            #expect(try await service.states() == ["order-confirmation sent"])
        }
    }

    @Test func `waits grow to six hours and end after three days`() {
        var delivery = Delivery(OrderPaid(order: world.sell(), paidAt: .now))
        var now = delivery.createdAt
        var waits: [TimeSpan] = []
        for attempt in 1...100 {
            delivery.attempts = Int64(attempt)
            guard let next = delivery.nextAttempt(after: now) else { break }
            waits.append(next - now)
            now = next
        }
        #expect(waits.prefix(3) == [.seconds(10), .seconds(30), .seconds(90)])
        #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(waits.last == .hours(6))
        #expect(now <= delivery.createdAt + .days(3) && now > delivery.createdAt + .hours(60))
    }

    @Test func `an address that no mail can go to fails at once`() async throws {
        try await withNotification { service in
            try await service.deliver(OrderPaid(order: world.sell(email: "ünï@example.org"), paidAt: .now))
            try await service.sendAll()
            #expect(try await service.states() == ["order-confirmation failed"])
        }
    }

    @Test(arguments: [("refusing", "failed"), ("greylisting", "pending"), ("plain", "sent")])
    func `a refusal by the mail server is final, a delay is not`(mode: String, state: String) async throws {
        try await withMailServer(mode) { port in
            let settings: [AbsoluteConfigKey: ConfigValue] = [
                "smtp.host": "127.0.0.1", "smtp.port": .init(.int(port), isSecret: false), "smtp.security": "none",
            ]
            try await withNotification(settings: settings) { service in
                try await service.deliver(OrderPaid(order: world.sell(), paidAt: .now))
                try await service.sendAll()
                #expect(try await service.states() == ["order-confirmation \(state)"])
            }
        }
    }

    @Test func `settings that cannot be meant stop the start`() async throws {
        let wrong: [[AbsoluteConfigKey: ConfigValue]] = [
            ["mail.from": "nobody"], ["publicURL": "ftp://x"], ["smtp.host": "localhost", "smtp.port": 70_000],
            ["smtp.host": "localhost", "smtp.security": "maybe"],
        ]
        for settings in wrong {
            await #expect(throws: Problem.self) { try await withNotification(settings: settings) { _ in } }
        }
    }

    // MARK: What people see

    @Test func `everybody sees their own, by account and by verified address, and nobody else's`() async throws {
        try await withNotification { service in
            let mine = world.sell(email: "Ada@Example.org")
            try await service.deliver(OrderPaid(order: mine, paidAt: .now))
            try await service.deliver(OrderPaid(order: world.sell(email: "other@example.org", user: buyer), paidAt: .now))
            try await service.deliver(OrderPaid(order: world.sell(email: "eve@example.org"), paidAt: .now))
            let void = world.sell()
            world.void(void)
            try await service.deliver(OrderPaid(order: void, paidAt: .now))
            try await service.sendAll()
            func list(_ caller: TestCaller, _ query: String = "") async throws -> Page<Contracts::Notification> {
                try await service.call(.get, "/api/v1/notifications\(query)", as: caller).json()
            }
            let ada = TestCaller.user(buyer, email: "ada@example.ORG")
            let all = try await list(ada).items
            #expect(all.count == 2 && all.allSatisfy { $0.state == .sent && $0.sentAt != nil })
            #expect(all.last?.orderId == mine.id)
            #expect(try await list(.user(buyer, email: "ada@example.org", verified: false)).items.count == 1)
            #expect(try await list(.user(UserID(), email: "ada@example.org", verified: false)).items.isEmpty)
            #expect(try await list(.user(UserID(), email: "mallory@example.org", admin: true)).items.isEmpty)
            let first = try await list(ada, "?limit=1")
            let second = try await list(ada, "?limit=1&after=\(try #require(first.next))")
            #expect((first.items + second.items) == all && second.next == nil)
            #expect(try await service.call(.get, "/api/v1/notifications").status == 401)
            #expect(try await service.call(.get, "/api/v1/notifications", as: .service(.salesManager)).status == 401)
            for query in ["limit=0", "limit=x", "after=x", "after=👩‍💻"] {
                let target = "/api/v1/notifications?" + query.addingPercentEncoding(withAllowedCharacters: .urlQueryAllowed)!
                #expect(try await service.call(.get, target, as: ada).status == 422)
            }
            #expect(try await service.call(.get, "/api/v1/notifications?after=%00", as: ada).status == 400)
        }
    }

    // MARK: Harness

    func withNotification<Result>(
        settings: [AbsoluteConfigKey: ConfigValue] = [:], folder: String? = nil, _ body: (Harness) async throws -> Result
    ) async throws -> Result {
        let path = folder ?? NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { if folder == nil { try? FileManager.default.removeItem(atPath: path) } }
        var all: [AbsoluteConfigKey: ConfigValue] = [
            "mail.directory": .init(.string("\(path)/mail"), isSecret: false), "publicURL": "https://tickets.example.org/",
        ]
        all.merge(settings) { $1 }
        return try await withService(NotificationService.self, settings: all, folder: path, peers: world.enter, body)
    }
}

/// The peers, as this test plays them.
private final class World: Sendable {
    struct State: Sendable {
        var orders: [OrderID: OrderFacts] = [:]
        var tickets: [OrderID: [Ticket]] = [:]
        var events: [EventID: Event] = [:]
        var areTicketsDown = false
    }

    let state = Mutex(State())

    func sell(
        names: [String] = ["Ada"], email: String = "ada@example.org", user: UserID? = nil, event name: String = "Concert"
    ) -> OrderFacts {
        func money(_ amount: Int64) -> Money { Money(amount, .eur) }
        let organizer = OrganizerID()
        let event = Event(
            id: EventID(), slug: "e", organizerId: organizer, name: name, summary: nil, description: nil, state: .published,
            startsAt: Instant("2027-05-01T17:30:00Z")!, localStartsAt: "2027-05-01T19:30:00", endsAt: nil, timeZone: "Europe/Vienna",
            venueId: nil,
            venue: Venue(
                id: VenueID(), organizerId: organizer, name: "Stadthalle", street: "Roland-Rainer-Platz 1", city: "Wien", country: "AT",
                createdAt: .now),
            onlineURL: nil, currency: .eur, imageURL: nil, ageRestriction: nil, refundPolicy: nil, version: 1, createdAt: .now)
        let count = Int64(names.count)
        let type = TicketTypeID()
        let total = count * 4_500 - 500
        let order = OrderFacts(
            id: OrderID(), number: "N\(UInt32.random(in: 0 ... .max))", eventId: event.id, organizerId: organizer, status: .paid,
            buyer: Buyer(email: email, name: "Ada"), userId: user,
            lines: [
                OrderLine(
                    id: OrderLineID(), ticketTypeId: type, name: "Standing", quantity: count, unitPrice: money(4_500),
                    discount: money(500), tax: money(0), fees: money(0), total: money(total), units: [])
            ],
            totals: Totals(
                subtotal: money(count * 4_500), discount: money(500), tax: money(0), fees: money(0), total: money(total)),
            orderToken: "secret/token")
        let tickets = names.map { name in
            Ticket(
                id: TicketID(), eventId: event.id, orderId: order.id, unitId: OrderUnitID(), ticketTypeId: type,
                ticketTypeName: "Standing", attendee: Attendee(name: name), status: .issued, blockedBy: [],
                code: "TF1.\(UUID().uuidString)\(UUID().uuidString)", codeVersion: 1)
        }
        state.withLock { state in
            state.orders[order.id] = order
            state.tickets[order.id] = tickets
            state.events[event.id] = event
        }
        return order
    }

    /// The first ticket of the order.
    func void(_ order: OrderFacts) {
        state.withLock { $0.tickets[order.id]![0].status = TicketState.void }
    }

    func enter(_ transport: InProcessTransport) {
        let world = self
        transport.enter(.salesManager) { request in
            let id = OrderID(String(request.target.split(separator: "/")[3]))!
            guard let order = world.state.withLock({ $0.orders[id] }) else { return (404, Problem.notFound("order")) }
            return (200, order)
        }
        transport.enter(.ticketManager) { request in
            let id = OrderID(String(request.target.split(separator: "/")[3]))!
            if world.state.withLock({ $0.areTicketsDown }) { return (503, Problem.unavailable("It is down.")) }
            return (200, TicketList(items: world.state.withLock { $0.tickets[id] ?? [] }))
        }
        transport.enter(.eventManager) { request in
            let id = EventID(String(request.target.split(separator: "/")[3]))!
            guard let event = world.state.withLock({ $0.events[id] }) else { return (404, Problem.notFound("event")) }
            return (200, event)
        }
    }
}

extension ServiceHarness where S == NotificationService {
    /// Runs the sender until nothing is due.
    fileprivate func sendAll() async throws {
        func isDue() async throws -> Bool {
            try await database.read { tx in
                try tx.row("SELECT id FROM delivery WHERE state = 'pending' AND next_attempt_at <= \(tx.now)") != nil
            }
        }
        while try await isDue() { try await run("send-mails") }
    }

    fileprivate func makeDue() async throws {
        try await database.write { tx in _ = try tx.execute("UPDATE delivery SET next_attempt_at = 0 WHERE state = 'pending'") }
    }

    fileprivate func states() async throws -> [String] {
        try await database.read { tx in
            try tx.rows("SELECT kind, state FROM delivery ORDER BY kind, state").map { row in
                "\(try row["kind"] as String) \(try row["state"] as String)"
            }
        }
    }

    fileprivate func mails() throws -> [URL] {
        let directory = URL(filePath: "\(folder)/mail")
        guard FileManager.default.fileExists(atPath: directory.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }
    }
}

/// A mail as Python's email package and zbarimg read it.
private struct Eml: Decodable {
    let headers: [String: String]
    let subject: String
    let to: String
    let text: String
    let html: String
    let codes: [String]
    let defects: [String]

    private static let script = """
        import json, subprocess, sys
        from email import message_from_binary_file, policy
        message = message_from_binary_file(open(sys.argv[1], "rb"), policy=policy.default)
        pictures = [p.get_payload(decode=True) for p in message.walk() if p.get_content_type() == "image/png"]
        read = lambda picture: subprocess.run(
            ["zbarimg", "--quiet", "--raw", "--oneshot", "-"], input=picture, capture_output=True, check=True).stdout.decode().strip()
        print(json.dumps({
            "headers": {name: str(value) for name, value in message.items()},
            "subject": message["Subject"],
            "to": message["To"].addresses[0].addr_spec,
            "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
            "codes": [read(picture) for picture in pictures],
            "defects": [str(d) for p in message.walk() for d in p.defects]
            + [str(d) for p in message.walk() for v in p.values() for d in v.defects],
        }))
        """

    init(_ file: URL) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Eml.script, file.path]
        let output = Pipe()
        process.standardOutput = output
        try process.start()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        self = try JSONDecoder().decode(Eml.self, from: data)
    }
}

/// The mail server of the platform's tests, for the length of a test.
private func withMailServer<Result>(_ mode: String, _ body: (Int) async throws -> Result) async throws -> Result {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let process = Process()
    process.executableURL = tests.deletingLastPathComponent().appending(path: ".venv/bin/python")
    process.arguments = [tests.appending(path: "PlatformTests/smtp_server.py").path, mode]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.start()
    // Its standard input ends, and so does it.
    defer { try? input.fileHandleForWriting.close() }
    var line = Data()
    while line.last != 10 {
        let data = output.fileHandleForReading.availableData
        try #require(!data.isEmpty, "the mail server ended")
        line += data
    }
    let port = try #require(Int(String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)))
    return try await body(port)
}
