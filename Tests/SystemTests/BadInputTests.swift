import Contracts
import Discovery
import Foundation
import HTTPTypes
import Testing
import Values

extension WholeSystem {
    /// What no request may do: break something, be believed, or be answered with anything but what is wrong with it.
    @Suite struct BadInputTests {
        /// An operation with a body, as JSON that can be spoilt.
        private struct Spoilable {
            let operation: Operation
            let body: JSONValue

            var name: String { operation.name }
        }

        private func spoilable(_ world: World) throws -> [Spoilable] {
            try world.operations.compactMap { operation in
                // What the sandbox's webhooks say is believed by its signature alone, and read after that.
                guard let text = try operation.text(), operation.route.path != PaymentProcessingRoutes.webhook.path else { return nil }
                return Spoilable(operation: operation, body: try JSON.value(from: text))
            }
        }

        private func send(_ operation: Operation, _ bytes: [UInt8], _ world: World, type: String = "application/json") async throws
            -> Answer
        {
            try await world.program.send(
                operation.route.method, operation.route.path(operation.parameters),
                as: world.rightful(operation), headers: ["Content-Type": type, "Idempotency-Key": UUID().uuidString], bytes: bytes)
        }

        /// Refused for what is wrong with it, in a problem document.
        private func expectRefusal(_ answer: Answer, with statuses: Set<Int> = [400, 422], _ what: String) {
            #expect(
                statuses.contains(answer.status) && answer.problem != nil,
                "\(what): \(answer.status) \(answer.text.prefix(300))")
            if answer.status == 422, answer.problem == "invalid" {
                #expect(answer.text.contains("\"errors\":["), "\(what) does not name the field: \(answer.text)")
            }
        }

        @Test
        func `a body that is too large, not JSON, or not an object is refused by every operation`() async throws {
            try await withProgram { program in
                let world = try await World(program)
                for entry in try spoilable(world) {
                    let (operation, name) = (entry.operation, entry.name)
                    let large = Array("{\"x\":\"".utf8) + Array(repeating: UInt8(ascii: "x"), count: 65_536) + Array("\"}".utf8)
                    expectRefusal(try await send(operation, large, world), with: [413], "\(name), too large")
                    expectRefusal(
                        try await send(operation, Array(try entry.body.text.utf8), world, type: "text/plain"), with: [415],
                        "\(name), as text")
                    for text in [
                        "{", "nonsense", "{'a':1}", "<x/>", "\u{FEFF}", "{\"a\":\"\\u0000\"}", "NaN",
                    ] {
                        expectRefusal(try await send(operation, Array(text.utf8), world), "\(name), \(text)")
                    }
                    let deep = String(repeating: "[", count: 30_000) + String(repeating: "]", count: 30_000)
                    expectRefusal(try await send(operation, Array("{\"name\":\(deep)}".utf8), world), "\(name), deeply nested")
                    expectRefusal(
                        try await send(operation, Array("{\"name\":\"".utf8) + [0xFF, 0xFE, 0x80] + Array("\"}".utf8), world),
                        "\(name), not UTF-8")
                    for text in ["[]", "1", "\"text\"", "true", "null", "[{}]"] {
                        expectRefusal(try await send(operation, Array(text.utf8), world), "\(name), \(text)")
                    }
                    // A body that may be left out is none of these.
                    guard ![EventManagerRoutes.postponeEvent.path, EventManagerRoutes.cancelEvent.path].contains(operation.route.path)
                    else { continue }
                    expectRefusal(try await send(operation, [], world), "\(name), empty")
                }
                // Also where nobody says how long it is.
                let chunked = try await sendChunked(program, size: 200_000)
                #expect(chunked == 413, "chunked: \(chunked)")
            }
        }

        /// By curl, for a body without a length.
        private func sendChunked(_ program: RunningProgram, size: Int) async throws -> Int {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let file = "\(folder.path)/body"
            try Data(repeating: UInt8(ascii: "x"), count: size).write(to: URL(fileURLWithPath: file))
            let run = try await ChildProcess.run(
                "/usr/bin/curl",
                [
                    "-s", "-o", "\(folder.path)/answer", "-w", "%{http_code}", "-H", "Transfer-Encoding: chunked", "-H",
                    "Content-Type: application/json", "--data-binary", "@\(file)",
                    "\(program.address)\(SalesManagerRoutes.createCart.path)",
                ])
            return Int(run.output) ?? 0
        }

        @Test
        func `a value of another type, out of range, or impossible is refused, and its field is named`() async throws {
            try await withProgram { program in
                let world = try await World(program)
                for entry in try spoilable(world) {
                    for path in entry.body.leaves {
                        for (what, wrong) in wrongValues(for: entry.body[path], at: path) {
                            var body = entry.body
                            body[path] = wrong
                            let name = "\(entry.name), \(path.joined(separator: ".")) \(what)"
                            let answer = try await send(entry.operation, Array(try body.text.utf8), world)
                            expectRefusal(answer, name)
                        }
                    }
                }
            }
        }

        /// Fields that hold times, which must be such.
        private static let times: Set = ["startsAt", "endsAt", "salesStart", "salesEnd", "validFrom", "validUntil", "until"]
        private static let impossibleTimes = [
            "2030-02-30T19:30:00Z", "2030-13-01T19:30:00Z", "2030-06-01T25:00:00Z", "2030-06-01T19:61:00Z", "9999-01-01T00:00:00Z",
            "1066-10-14T09:00:00Z", "0000-00-00T00:00:00Z", "99999999999-01-01T00:00:00Z", "-2030-06-01T19:30:00Z", "tomorrow", "", "0",
            "2030-06-01", "2030-06-01T19:30:00+99:00", "٢٠٣٠-٠٦-٠١T19:30:00Z",
        ]

        private func wrongValues(for value: JSONValue, at path: [String]) -> [(String, JSONValue)] {
            switch value {
            case .string:
                let types: [(String, JSONValue)] = [
                    ("= 5", .integer(5)), ("= true", .bool(true)), ("= []", .array([])), ("= {}", .object([:])),
                    ("with NUL", .string("a\u{0}b")),
                ]
                guard BadInputTests.times.contains(path.last ?? "") else { return types }
                return types + BadInputTests.impossibleTimes.map { ("= \($0)", .string($0)) }
            case .integer:
                return [
                    ("= text", .string("5")), ("= true", .bool(true)), ("= []", .array([])), ("= {}", .object([:])),
                    ("= 1.5", .literal("1.5")),
                    ("= -1", .integer(-1)), ("= -2^63", .integer(.min)), ("= 2^63-1", .integer(.max)),
                    ("= 2^63", .literal("9223372036854775808")),
                    ("= 1e400", .literal("1e400")), ("= -2^64", .literal("-18446744073709551616")),
                ]
            case .bool:
                return [("= text", .string("true")), ("= 1", .integer(1)), ("= []", .array([])), ("= {}", .object([:]))]
            case .null, .array, .object, .literal: return []
            }
        }

        @Test
        func `text of 10,000 characters is refused wherever a name is meant`() async throws {
            try await withProgram { program in
                let world = try await World(program)
                let long = String(repeating: "x", count: 10_000)
                for entry in try spoilable(world) {
                    for path in entry.body.leaves {
                        guard case .string = entry.body[path], path.last != "description" else { continue }
                        var body = entry.body
                        body[path] = .string(long)
                        let name = "\(entry.name), \(path.joined(separator: ".")) of 10,000 characters"
                        let answer = try await send(entry.operation, Array(try body.text.utf8), world)
                        // Signing in and asking for a code tell of nothing but that it is wrong.
                        let isSecret = [AuthenticationRoutes.login.path, AuthenticationRoutes.refresh.path].contains(
                            entry.operation.route.path)
                        if entry.operation.route.path == CouponManagerRoutes.validateCoupon.path, path == ["code"], answer.status == 200 {
                            #expect(answer.text.contains("false"))
                        } else if entry.operation.route.path == AuthenticationRoutes.logout.path, answer.status == 204 {
                            continue
                        } else {
                            expectRefusal(answer, with: isSecret ? [400, 401, 422, 429] : [400, 422], name)
                        }
                    }
                }
            }
        }

        @Test
        func `names in any script and with emoji come back as they were sent, up to the mail and the CSV`() async throws {
            try await withProgram { program in
                let names = [
                    "Zoë 👩‍👩‍👧‍👦🎟️", "مهرجان الموسيقى", "שלום עולם", "e\u{301}cole", "日本語コンサート", "\u{202E}txet desrever\u{202C}", "🏳️‍🌈",
                    "O'Brien \"The\" <b>Great</b> & Söhne; DROP TABLE event;--", "{{name}}", "%s%n%00",
                ]
                let owner = try await program.account("Olga")
                for (index, name) in names.enumerated() {
                    let shop = try await program.shop(owner: owner, event: name) { $0.name = name }
                    #expect(shop.event.name == name && shop.type.name == name)
                    #expect(try await program.ask(EventManagerRoutes.event, ["\(shop.event.slug)"], for: Event.self).name == name)
                    let (_, order) = try await shop.paid(buyer: Buyer(email: "b\(index)@example.org", name: name))
                    #expect(order.buyer.name == name && order.tickets.first?.attendee.name == name)
                    #expect(order.lines.first?.name == name)
                    let mail = try await eventually("the mail is there") { try await program.mails(to: "b\(index)@example.org").first }
                    // Marks that turn the direction of all that follows are kept, but not let loose in a mail.
                    let name = name.filter { !"\u{202E}\u{202C}".contains($0) }
                    #expect(
                        mail.text.contains(name) || mail.text.contains(name.precomposedStringWithCanonicalMapping),
                        "\(name) is not in \(mail.text)")
                    #expect(mail.defects.isEmpty, "\(name): \(mail.defects)")
                    #expect(!mail.html.contains("<b>Great"))
                    let found: Listed<Event> = try await program.ask(
                        EventManagerRoutes.events, query: "?query=\(name.percentEncoded())&organizer=\(shop.organizer.id)")
                    #expect(found.items.allSatisfy { $0.organizerId == shop.organizer.id })
                }
            }
        }

        @Test
        func `a path, a query or a field that makes no sense is refused, and never breaks anything`() async throws {
            try await withProgram { program in
                let world = try await World(program)
                let long = String(repeating: "x", count: 7_000)
                let ids = [
                    "x", "0", "-1", "null", long, "event_", "event_00000000000000000000000000", "EVENT_01h455vb4pex5vsknk084sn02q", "%00",
                    "%zz", "%ff",
                    "..", "%2e%2e", "a%2fb", "%0d%0aX:y", "😀", "' OR 1=1 --", "{id}", "*", "\(world.shop.event.id)%20", "+", "a;b",
                ]
                for operation in world.operations where !operation.parameters.isEmpty {
                    for id in ids {
                        var target = operation.route.path
                        let segment = id.contains("%") ? id : id.percentEncoded()
                        for name in target.matches(of: /\{[A-Za-z]+\}/).map({ String($0.output) }) {
                            target = target.replacing(name, with: segment)
                        }
                        let text = try operation.text()
                        let answer = try await program.send(
                            operation.route.method, target, as: world.rightful(operation),
                            headers: ["Idempotency-Key": UUID().uuidString].merging(
                                text == nil ? [:] : ["Content-Type": "application/json"]
                            ) { $1 },
                            bytes: text.map { Array($0.utf8) })
                        // A path has one form, and with dots it may be that of another operation.
                        let isOther = [200, 422].contains(answer.status) && ["..", "%2e%2e"].contains(id)
                        #expect(
                            isOther || [400, 404, 405, 414].contains(answer.status),
                            "\(operation.name) with \(id.prefix(40)): \(answer.status) \(answer.text.prefix(200))")
                    }
                }
                let lists = world.operations.filter { $0.route.method == .get && $0.parameters.allSatisfy { $0.contains("_") } }
                for operation in lists {
                    for query in [
                        "limit=0", "limit=-1", "limit=201", "limit=x", "limit=9223372036854775808", "limit=1.5", "limit=", "after=x",
                        "after=%00",
                        "after=%zz", "after=\(long)", "from=yesterday", "to=9999-99-99",
                        "from=2030-01-01T00:00:00Z&to=2029-01-01T00:00:00Z",
                        "interval=never", "sort=random", "status=odd", "event=x", "organizer=x", "city=%00", "query=\(long)",
                        "query=%25_%25",
                        "country=xx", "format=xml", "a=b&a=c&&=&===", "%ff=1",
                    ] {
                        let answer = try await program.send(
                            .get, operation.route.path(operation.parameters) + "?" + query, as: world.rightful(operation))
                        #expect(
                            [200, 400, 404, 414, 422].contains(answer.status),
                            "\(operation.name)?\(query.prefix(40)): \(answer.status) \(answer.text.prefix(200))")
                        if answer.status != 200 { #expect(answer.problem != nil) }
                    }
                }
                // Fields of the head.
                for key in ["", String(repeating: "k", count: 201)] {
                    let answer = try await world.cart.add(of: world.shop.type.id, key: key)
                    #expect(answer.status == 400 && answer.problem == "idempotency-key-required")
                }
                for tag in ["nonsense", "\"x\"", "W/\"1\"", "", "\"1\", \"999\"", long] {
                    let answer = try await program.send(
                        .patch, TicketManagerRoutes.changePool.path(["\(world.shop.pool.id)"]), as: world.shop.owner.caller,
                        headers: ["If-Match": tag, "Content-Type": "application/json"], bytes: Array("{\"name\":\"Hall\"}".utf8))
                    #expect([200, 400, 412].contains(answer.status), "If-Match: \(tag.prefix(20)): \(answer.status)")
                }
            }
        }

        @Test
        func `sums that would not fit are refused before they are made`() async throws {
            try await withProgram { program in
                let shop = try await program.shop(capacity: 10_000_000, price: 1_000_000_000) {
                    $0.maxPerOrder = 1_000
                    $0.fee = 1_000_000_000
                    $0.taxRate = 10_000
                }
                let cart = try await program.cart(for: shop.event.id)
                let full = try await cart.fill(1_000, of: shop.type.id)
                #expect(full.totals?.total.amount == 2_000_000_000_000)
                #expect(try await cart.add(1, of: shop.type.id).status == 422)
                for quantity in [0, -1, 1_001, Int64.max, Int64.min] {
                    #expect(try await cart.add(quantity, of: shop.type.id).status == 422)
                }
                for (index, amount) in [Int64.max, 1_000_000_000_001, 0, -1].enumerated() {
                    let answer = try await program.call(
                        CouponManagerRoutes.createCoupon, as: shop.owner.caller,
                        body: NewCoupon(
                            organizerId: shop.organizer.id, code: "BIG\(index)", name: "Big",
                            discount: Discount(amount: Money(amount, .eur))))
                    #expect(answer.status == 422)
                }
                let checkout = try await cart.checkOut()
                #expect([201, 422].contains(checkout.status), "\(checkout.text)")
            }
        }
    }
}
