import Contracts
import Discovery
import Foundation
import HTTPTypes
import Messaging
import SalesAnalytics
import ServiceKit
import Storage
import Testing
import Values

@Suite("SalesAnalytics")
struct SalesAnalyticsTests {
    typealias Harness = ServiceHarness<SalesAnalyticsService>

    let organizer = OrganizerID()
    let stranger = OrganizerID()
    let analyst = UserID()
    let rival = UserID()
    let door = UserID()
    var staff: TestCaller { .user(analyst, email: "analyst@example.org") }
    let event = EventID()
    let standing = TicketTypeID()
    let seated = TicketTypeID()
    /// Wednesday.
    let noon = Instant("2026-07-15T12:20:00Z")!

    func withAnalytics<Result>(_ body: (Harness) async throws -> Result) async throws -> Result {
        try await withService(
            SalesAnalyticsService.self,
            peers: {
                $0.enterMemberships([(analyst, organizer, .analyst), (rival, stranger, .owner), (door, organizer, .door)])
            }, body)
    }

    func order(
        _ lines: [(TicketTypeID, String, Int64, Int64)], of organizer: OrganizerID? = nil, event: EventID? = nil,
        currency: Currency = .eur, status: OrderStatus = .paid
    ) -> OrderFacts {
        func money(_ amount: Int64) -> Money { Money(amount, currency) }
        let orderLines = lines.map { type, name, quantity, price in
            OrderLine(
                id: OrderLineID(), ticketTypeId: type, name: name, quantity: quantity, unitPrice: money(price), discount: money(0),
                tax: money(0), fees: money(0), total: money(price * quantity),
                units: (0..<quantity).map { _ in
                    OrderUnit(
                        id: OrderUnitID(), price: price, discount: 0, tax: 0, fee: 0, total: price, attendee: Attendee(), refunded: false)
                })
        }
        let total = orderLines.reduce(0) { $0 + $1.total.amount }
        return OrderFacts(
            id: OrderID(), number: "A1", eventId: event ?? self.event, organizerId: organizer ?? self.organizer, status: status,
            buyer: Buyer(email: "ada@example.org", name: "Ada"), lines: orderLines,
            totals: Totals(subtotal: money(total), discount: money(0), tax: money(0), fees: money(0), total: money(total)),
            orderToken: "secret")
    }

    func eventChanged(_ name: String, version: Int64, id: EventID? = nil, of organizer: OrganizerID? = nil) -> EventChanged {
        EventChanged(
            event: Event(
                id: id ?? event, slug: "e", organizerId: organizer ?? self.organizer, name: name, summary: nil, description: nil,
                state: .published, startsAt: noon, localStartsAt: "2026-07-15T14:20:00", endsAt: nil, timeZone: "Europe/Vienna",
                venueId: nil, venue: nil, onlineURL: nil, currency: .eur, imageURL: nil, ageRestriction: nil, refundPolicy: nil,
                version: version, createdAt: noon))
    }

    func typeChanged(_ id: TicketTypeID, _ name: String, version: Int64) -> TicketTypeChanged {
        TicketTypeChanged(
            ticketType: TicketType(
                id: id, eventId: event, name: name, price: Money(1, .eur), poolIds: [], minPerOrder: 1, maxPerOrder: 10, hidden: false,
                taxRate: 0, fee: 0, feeIncluded: true, archived: false, version: version))
    }

    func refund(
        _ order: OrderFacts, _ amount: Int64, units: [OrderUnitID] = [], at time: Instant, reason: String = "asked"
    ) -> OrderRefunded {
        OrderRefunded(
            order: order, refundId: RefundID(), amount: Money(amount, order.totals.total.currency), units: units, reason: reason,
            refundedAt: time)
    }

    let july = "from=2026-07-01T00:00:00Z&to=2026-08-01T00:00:00Z"

    @Test func `any order of arrival and any repetition gives the same figures`() async throws {
        let first = order([(standing, "Standing", 2, 4_500), (seated, "Seated", 1, 6_001)])
        let second = order([(seated, "Seated", 3, 6_001)])
        typealias Delivery = @Sendable (Harness) async throws -> Void
        let ids = (0..<6).map { _ in MessageID() }
        let paid = [OrderPaid(order: first, paidAt: noon), OrderPaid(order: second, paidAt: noon + .hours(3))]
        let refunds = [
            refund(first, 4_500, units: [first.lines[0].units[0].id], at: noon + .hours(1)), refund(second, 10, at: noon + .hours(30)),
        ]
        let names = [eventChanged("Old name", version: 1), eventChanged("Concert", version: 2)]
        let deliveries: [Delivery] = [
            { try await $0.deliver(paid[0], id: ids[0]) }, { try await $0.deliver(paid[1], id: ids[1]) },
            { try await $0.deliver(refunds[0], id: ids[2]) }, { try await $0.deliver(refunds[1], id: ids[3]) },
            { try await $0.deliver(names[0], id: ids[4]) }, { try await $0.deliver(names[1], id: ids[5]) },
        ]
        var seen: Set<String> = []
        var orders = [deliveries, deliveries.reversed(), deliveries + deliveries]
        orders += (0..<5).map { _ in (deliveries + deliveries).shuffled() }
        for order in orders {
            try await withAnalytics { service in
                for delivery in order { try await delivery(service) }
                var all = ""
                for path in ["popular-events?\(july)", "top-tickets?\(july)", "revenue?interval=hour&\(july)"] {
                    all += try await service.call(.get, "/api/v1/reports/\(path)", as: staff).text + "\n"
                }
                all += try await service.call(.get, "/api/v1/events/\(event)/report", as: staff).text
                seen.insert(all)
            }
        }
        #expect(seen.count == 1)
        let expected = """
            {"items":[{"eventId":"\(event)","name":"Concert","orders":2,"revenue":{"amount":28494,"currency":"EUR"},"ticketsSold":6}],"next":null}
            """
        #expect(seen.first?.split(separator: "\n").first.map(String.init) == expected)
        #expect(seen.first?.contains(#""gross":{"amount":33004,"currency":"EUR"},"name":"Concert","net":{"amount":28494"#) == true)
    }

    @Test func `a refund is counted where its tickets were, and by amount alone over all`() async throws {
        try await withAnalytics { service in
            let sold = order([(standing, "Standing", 1, 1_000), (seated, "Seated", 1, 2_000)])
            try await service.deliver(OrderPaid(order: sold, paidAt: noon))
            try await service.deliver(refund(sold, 500, units: [sold.lines[1].units[0].id], at: noon))
            try await service.deliver(refund(sold, 100, at: noon))
            let report: EventReport = try await service.call(.get, "/api/v1/events/\(event)/report", as: staff).json()
            #expect(report.ticketTypes.map(\.revenue.amount).sorted() == [967, 1_433])
            #expect((report.gross.amount, report.refunded.amount, report.net.amount) == (3_000, 600, 2_400))
        }
    }

    @Test func `money of an order that never had its tickets is not counted`() async throws {
        try await withAnalytics { service in
            let refused = order([(standing, "Standing", 1, 1_000)], status: .canceled)
            try await service.deliver(refund(refused, 1_000, at: noon, reason: "event-canceled"))
            let sold = order([(standing, "Standing", 1, 700)], status: .canceled)
            try await service.deliver(refund(sold, 700, at: noon, reason: "event-canceled"))
            try await service.deliver(OrderPaid(order: sold, paidAt: noon))
            let report: RevenueReport = try await service.call(.get, "/api/v1/reports/revenue?\(july)", as: staff).json()
            #expect(report.items.map(\.refunded.amount) == [700] && report.items.map(\.net.amount) == [0])
        }
    }

    @Test func `an order that is told of twice is counted once, and an old one's refund is counted at once`() async throws {
        try await withAnalytics { service in
            let sold = order([(standing, "Standing", 1, 700)])
            try await service.deliver(OrderPaid(order: sold, paidAt: noon))
            try await service.deliver(OrderPaid(order: sold, paidAt: noon))
            var old = order([(standing, "Standing", 1, 500)])
            let month = Instant.now - .days(61)
            let milliseconds = UInt64(month.microseconds / 1_000)
            old.id = OrderID(bytes: (0..<6).map { UInt8(truncatingIfNeeded: milliseconds >> (40 - 8 * $0)) } + old.id.bytes.dropFirst(6))!
            try await service.deliver(refund(old, 500, at: noon))
            try await service.run("forget-old-orders")
            let report: EventReport = try await service.call(.get, "/api/v1/events/\(event)/report", as: staff).json()
            #expect((report.orders, report.gross.amount, report.refunded.amount) == (1, 700, 500))
        }
    }

    @Test(arguments: [
        (Interval.hour, ["07-13T00", "07-15T12", "07-19T23", "07-20T00", "08-01T00"]),
        (.day, ["07-13T00", "07-15T00", "07-19T00", "07-20T00", "08-01T00"]),
        (.week, ["07-13T00", "07-20T00", "07-27T00"]),
        (.month, ["07-01T00", "08-01T00"]),
    ])
    func `revenue is summed by interval, in pages that join without a gap`(interval: Interval, beginnings: [String]) async throws {
        try await withAnalytics { service in
            let times = [
                "2026-07-13T00:00:00Z", "2026-07-15T12:20:00Z", "2026-07-15T12:59:59.999999Z", "2026-07-19T23:59:59Z",
                "2026-07-20T00:00:00Z", "2026-08-01T00:30:00Z",
            ]
            for time in times {
                try await service.deliver(OrderPaid(order: order([(standing, "Standing", 1, 100)]), paidAt: Instant(time)!))
            }
            try await service.deliver(
                OrderPaid(order: order([(seated, "S", 1, 70)], event: EventID(), currency: Currency("CHF")!), paidAt: noon))
            var items: [RevenuePoint] = []
            var next: String?
            repeat {
                let path = "/api/v1/reports/revenue?interval=\(interval.rawValue)&from=2026-07-01T00:00:00Z&to=2026-09-01T00:00:00Z&limit=1"
                let report: RevenueReport = try await service.call(.get, path + (next.map { "&after=\($0)" } ?? ""), as: staff).json()
                #expect(Set(report.items.map(\.from)).count == 1)
                items += report.items
                next = report.next
            } while next != nil
            let euros = items.filter { $0.gross.currency == .eur }
            #expect(euros.map { "\($0.from)" } == beginnings.map { "2026-\($0):00:00Z" })
            #expect(euros.reduce(0) { $0 + $1.gross.amount } == 600)
            #expect(items.filter { $0.gross.currency.code == "CHF" }.map(\.gross.amount) == [70], "currencies are never mixed")
        }
    }

    @Test func `a report is of the time that is asked for, and of the last 30 days by default`() async throws {
        try await withAnalytics { service in
            for time in [Instant.now - .days(31), .now - .days(29), .now] {
                try await service.deliver(OrderPaid(order: order([(standing, "Standing", 1, 100)]), paidAt: time))
            }
            let recent: PopularEventsReport = try await service.call(.get, "/api/v1/reports/popular-events", as: staff).json()
            #expect(recent.items.map(\.ticketsSold) == [2])
            let from = Instant.now - .days(40)
            let all: PopularEventsReport = try await service.call(.get, "/api/v1/reports/popular-events?from=\(from)", as: staff).json()
            #expect(all.items.map(\.ticketsSold) == [3])
            let none: PopularEventsReport = try await service.call(
                .get, "/api/v1/reports/popular-events?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z", as: staff
            ).json()
            #expect(none.items.isEmpty && none.next == nil)
        }
    }

    @Test func `rankings are by tickets, in pages that join`() async throws {
        try await withAnalytics { service in
            let events = (0..<5).map { _ in EventID() }
            for (index, id) in events.enumerated() {
                let type = TicketTypeID()
                for _ in 0...(index / 2) {
                    try await service.deliver(OrderPaid(order: order([(type, "T", 1, 100)], event: id), paidAt: noon))
                }
            }
            for report in ["popular-events", "top-tickets"] {
                var ids: [EventID] = []
                var next: String?
                repeat {
                    let path = "/api/v1/reports/\(report)?\(july)&limit=2" + (next.map { "&after=\($0)" } ?? "")
                    let answer = try await service.call(.get, path, as: staff)
                    if report == "popular-events" {
                        let page: PopularEventsReport = try answer.json()
                        ids += page.items.map(\.eventId)
                        next = page.next
                    } else {
                        let page: TopTicketsReport = try answer.json()
                        ids += page.items.map(\.eventId)
                        next = page.next
                    }
                } while next != nil
                #expect(ids == [events[4], events[2], events[3], events[0], events[1]])
            }
        }
    }

    @Test func `the newest names are shown, whenever they arrive`() async throws {
        try await withAnalytics { service in
            try await service.deliver(OrderPaid(order: order([(standing, "As sold", 1, 100)]), paidAt: noon))
            func top() async throws -> TopTicket? {
                try await service.call(.get, "/api/v1/reports/top-tickets?\(july)", as: staff).json(TopTicketsReport.self).items.first
            }
            #expect(try await top()?.name == "As sold")
            #expect(try await top()?.eventName == "\(event)")
            try await service.deliver(typeChanged(standing, "New", version: 3))
            try await service.deliver(typeChanged(standing, "Old", version: 2))
            try await service.deliver(eventChanged("New event", version: 3))
            try await service.deliver(eventChanged("Old event", version: 1))
            #expect(try await top()?.name == "New")
            #expect(try await top()?.eventName == "New event")
        }
    }

    @Test func `an event that has sold nothing has a report of zeros`() async throws {
        try await withAnalytics { service in
            try await service.deliver(eventChanged("Concert", version: 1))
            try await service.deliver(typeChanged(standing, "Standing", version: 1))
            let report: EventReport = try await service.call(.get, "/api/v1/events/\(event)/report", as: staff).json()
            #expect(report.net == Money(0, .eur) && report.orders == 0)
            #expect(report.ticketTypes.map(\.name) == ["Standing"])
        }
    }

    @Test func `a table for spreadsheets holds no formula`() async throws {
        try await withAnalytics { service in
            let types = (0..<4).map { _ in TicketTypeID() }
            let names = ["=HYPERLINK(\"x\",\"y\")", "+1", " @SUM(A1)", "a, \"b\"\nc"]
            try await service.deliver(
                OrderPaid(order: order(zip(types, names).map { ($0, $1, 1, 4_550) }), paidAt: noon))
            try await service.deliver(eventChanged("-2+3", version: 1))
            let answer = try await service.call(.get, "/api/v1/reports/top-tickets?\(july)&format=csv", as: staff)
            #expect(answer.headers[.contentType] == "text/csv; charset=utf-8")
            var expected = "ticketTypeId,name,eventId,eventName,ticketsSold,revenue,currency\r\n"
            let cells = ["\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"", "'+1", "' @SUM(A1)", "\"a, \"\"b\"\"\nc\""]
            for (type, cell) in zip(types, cells) { expected += "\(type),\(cell),\(event),'-2+3,1,45.50,EUR\r\n" }
            #expect(answer.text == expected)
            let page = try await service.call(
                .get, "/api/v1/reports/top-tickets?\(july)&limit=3", as: staff, headers: ["Accept": "text/csv"])
            // With all that was asked: what stands behind the question mark is replaced as a whole.
            let link = try #require(page.headers[HTTPField.Name("Link")!]?.wholeMatch(of: #/<(\?.+)>; rel="next"/#)).output.1
            let next = try await service.call(.get, "/api/v1/reports/top-tickets\(link)", as: staff)
            #expect(next.text.hasSuffix("\(types[3]),\(cells[3]),\(event),'-2+3,1,45.50,EUR\r\n"))
            #expect(next.headers[.contentType] == "text/csv; charset=utf-8" && next.headers[HTTPField.Name("Link")!] == nil)
            for path in ["reports/popular-events?\(july)&", "reports/revenue?\(july)&", "events/\(event)/report?"] {
                let answer = try await service.call(.get, "/api/v1/\(path)format=csv", as: staff)
                #expect(answer.status == 200 && answer.text.contains("EUR\r\n"))
            }
        }
    }

    @Test func `everybody sees their own organizers and nobody else's`() async throws {
        try await withAnalytics { service in
            let foreign = EventID()
            try await service.deliver(OrderPaid(order: order([(standing, "S", 1, 100)]), paidAt: noon))
            try await service.deliver(OrderPaid(order: order([(seated, "S", 1, 100)], of: stranger, event: foreign), paidAt: noon))
            let admin = TestCaller.user(UserID(), admin: true)
            for report in ["popular-events", "top-tickets", "revenue"] {
                let path = "/api/v1/reports/\(report)?\(july)"
                func sold(_ caller: TestCaller, _ more: String = "") async throws -> Int {
                    let answer = try await service.call(.get, path + more, as: caller)
                    try #require(answer.status == 200, "\(answer.text)")
                    return answer.text.components(separatedBy: "\"ticketsSold\":1").count - 1
                        + 2 * (answer.text.components(separatedBy: "\"ticketsSold\":2").count - 1)
                }
                #expect(try await sold(staff) == 1)
                #expect(try await sold(.user(rival)) == 1)
                #expect(try await sold(.user(door)) == 0)
                #expect(try await sold(.user(UserID())) == 0)
                #expect(try await sold(admin) == 2)
                #expect(try await sold(admin, "&organizer=\(stranger)") == 1)
                #expect(try await sold(staff, "&organizer=\(organizer)") == 1)
                #expect(try await service.call(.get, path).status == 401)
                #expect(try await service.call(.get, path, as: .service(.notification)).status == 401)
                #expect(try await service.call(.get, path + "&organizer=\(organizer)", as: .user(door)).status == 403)
                #expect(try await service.call(.get, path + "&organizer=\(organizer)", as: .user(rival)).status == 404)
            }
            let path = "/api/v1/events/\(event)/report"
            #expect(try await service.call(.get, path).status == 401)
            #expect(try await service.call(.get, path, as: .user(door)).status == 403)
            #expect(try await service.call(.get, path, as: admin).status == 200)
            let strangers = try await service.call(.get, path, as: .user(rival))
            let nobodys = try await service.call(.get, "/api/v1/events/\(EventID())/report", as: .user(rival))
            #expect(strangers.status == 404 && nobodys.status == 404 && strangers.problem == nobodys.problem)
            #expect(try await service.call(.get, "/api/v1/events/x/report", as: staff).status == 404)
        }
    }

    @Test(arguments: [
        "from=yesterday", "to=2026-02-30T00:00:00Z", "from=1999-01-01T00:00:00Z", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2001-01-01T00:00:00Z", "limit=0", "limit=-1", "limit=99999999999999999999", "after=%F0%9F%8E%9F", "organizer=x",
        "format=pdf", "interval=year",
    ])
    func `a question that cannot be answered is refused`(query: String) async throws {
        try await withAnalytics { service in
            for report in ["popular-events", "top-tickets", "revenue"] where report == "revenue" || !query.hasPrefix("interval") {
                let answer = try await service.call(.get, "/api/v1/reports/\(report)?\(query)", as: staff)
                #expect(answer.status == 422, "\(answer.text)")
            }
            #expect(try await service.call(.get, "/api/v1/reports/revenue?from=%00", as: staff).status == 400)
        }
    }

    @Test func `what is kept grows with hours, not with orders`() async throws {
        try await withAnalytics { service in
            for _ in 0..<50 {
                try await service.deliver(
                    OrderPaid(order: order([(standing, "S", 1, 100), (seated, "T", 1, 100), (standing, "S", 1, 100)]), paidAt: noon))
            }
            let rows = try await service.database.read { tx in
                try ["event", "event_hour", "ticket_type", "ticket_type_hour"].map { table in
                    try tx.row("SELECT COUNT(*) AS n FROM \(SQL(stringLiteral: table))")?["n"] ?? -1
                }
            }
            #expect(rows == [1, 1, 2, 2])
            let report: EventReport = try await service.call(.get, "/api/v1/events/\(event)/report", as: staff).json()
            #expect((report.orders, report.ticketsSold, report.gross.amount) == (50, 150, 15_000))
        }
    }
}
