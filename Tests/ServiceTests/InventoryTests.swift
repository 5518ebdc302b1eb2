import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

/// Pools and ticket types.
@Suite("Inventory", .serialized) struct InventoryTests {
    typealias Service = ServiceHarness<TicketManagerService>

    // MARK: Pools

    @Test func `a pool's ETag leaves its counters out, so that what sells is no conflict`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            func change(_ capacity: Int64, ifMatch: String) async throws -> Service.Answer {
                try await service.call(
                    .patch, "/api/v1/pools/\(pool)", as: stage.manager, headers: ["If-Match": ifMatch], body: PoolChange(capacity: capacity)
                )
            }
            let first = try await change(6, ifMatch: "\"1\"")
            let tag = try #require(first.headers[.eTag])
            #expect(first.status == 200 && tag == "\"2\"")
            _ = try await service.hold(stage.event, [(type, 2)])
            _ = try await service.issue(stage.event, [(type, 1)])
            let second = try await change(7, ifMatch: tag)
            #expect(second.status == 200)
            let shown = try second.json(Pool.self)
            #expect(shown.held == 2 && shown.sold == 1 && shown.capacity == 7)
            let stale = try await change(8, ifMatch: tag)
            #expect(stale.status == 412 && stale.problem == "precondition-failed")
            #expect(try await service.pool(pool, stage).capacity == 7)
        }
    }

    @Test func `a pool's capacity never goes below what is held, sold and allocated`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            _ = try await service.issue(stage.event, [(type, 2)])
            let hold = try await service.hold(stage.event, [(type, 3)])
            try await service.sql("UPDATE pool SET allocated = 1 WHERE id = \(pool)")
            func change(_ capacity: Int64) async throws -> Service.Answer {
                try await service.call(.patch, "/api/v1/pools/\(pool)", as: stage.manager, body: PoolChange(capacity: capacity))
            }
            let refused = try await change(5)
            #expect(refused.status == 409 && refused.problem == "capacity-in-use")
            #expect(try await change(6).status == 200)
            // What has expired is taken back first, and so is not in use.
            try await service.expire(hold.id)
            #expect(try await change(3).status == 200)
            #expect(try await change(2).status == 409)
            try await service.expectBalancedBooks()
        }
    }

    @Test func `a pool that ticket types use is not deleted`() async throws {
        try await withTickets { service, stage in
            let (used, unused) = (try await service.makePool(stage, 1), try await service.makePool(stage, 1))
            _ = try await service.makeType(stage, [used])
            let refused = try await service.call(.delete, "/api/v1/pools/\(used)", as: stage.manager)
            #expect(refused.status == 409 && refused.problem == "pool-in-use")
            #expect(try await service.call(.delete, "/api/v1/pools/\(unused)", as: stage.manager).status == 204)
            #expect(try await service.call(.delete, "/api/v1/pools/\(unused)", as: stage.manager).status == 404)
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"name":"x"}"#, #"{"name":"","capacity":1}"#, #"{"name":" \t","capacity":1}"#, #"{"name":"LONG","capacity":1}"#,
        #"{"name":"x","capacity":-1}"#, #"{"name":"x","capacity":10000001}"#, #"{"name":"x","capacity":1e400}"#,
        #"{"name":"x","capacity":9223372036854775808}"#, #"{"name":7,"capacity":1}"#, #"{"name":null,"capacity":1}"#, "[]",
    ])
    func `a pool that cannot be is refused`(json: String) async throws {
        try await withTickets { service, stage in
            let answer = try await service.call(
                .post, "/api/v1/events/\(stage.event)/pools", as: stage.manager,
                json: json.replacing("LONG", with: String(repeating: "é", count: 10_000)))
            #expect([400, 422].contains(answer.status), "\(answer.text)")
            #expect(try await service.number("SELECT COUNT(*) AS number FROM pool") == 0)
        }
    }

    @Test func `names may be in any script, but hold no NUL`() async throws {
        try await withTickets { service, stage in
            for name in ["🎪👨‍👩‍👧", "قاعة الحفل", "e\u{301}"] {
                let answer = try await service.call(
                    .post, "/api/v1/events/\(stage.event)/pools", as: stage.manager, body: NewPool(name: name, capacity: 1))
                #expect(try answer.json(Pool.self).name == name)
            }
            let answer = try await service.call(
                .post, "/api/v1/events/\(stage.event)/pools", as: stage.manager, json: #"{"name":"a\u0000b","capacity":1}"#)
            #expect(answer.status == 400)
        }
    }

    // MARK: Ticket types

    @Test func `a ticket type that was ever held is archived and not deleted`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let (held, added, fresh) = (
                try await service.makeType(stage, [pool]), try await service.makeType(stage, [pool]),
                try await service.makeType(stage, [pool])
            )
            let hold = try await service.hold(stage.event, [(held, 1)])
            #expect(try await service.change(hold.id, [(added, 1), (held, 0)]).status == 200)
            #expect(try await service.release(hold.id).status == 204)
            for type in [held, added, fresh] {
                #expect(try await service.call(.delete, "/api/v1/ticket-types/\(type)", as: stage.manager).status == 204)
                #expect(try await service.call(.get, "/api/v1/ticket-types/\(type)").status == 404)
            }
            for type in [held, added] {
                let shown = try await service.call(.get, "/api/v1/ticket-types/\(type)", as: stage.manager).json(TicketType.self)
                #expect(shown.archived)
                #expect(try await service.askHold(stage.event, [(type, 1)]).problem == "sales-ended")
            }
            #expect(try await service.call(.get, "/api/v1/ticket-types/\(fresh)", as: stage.manager).status == 404)
            #expect(try await service.number("SELECT COUNT(*) AS number FROM ticket_type") == 2)
        }
    }

    @Test func `hidden ticket types and access codes are shown to staff only`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let open = try await service.makeType(stage, [pool]) { $0.accessCode = "sesame" }
            let hidden = try await service.makeType(stage, [pool]) { ($0.hidden, $0.accessCode) = (true, "sesame") }
            for caller in [TestCaller.nobody, stage.stranger, stage.rival] {
                let list = try await service.call(.get, "/api/v1/events/\(stage.event)/ticket-types", as: caller)
                #expect(list.status == 200 && !list.text.contains("sesame"))
                #expect(try list.json(Page<TicketType>.self).items.map(\.id) == [open])
                let one = try await service.call(.get, "/api/v1/ticket-types/\(open)", as: caller)
                #expect(one.status == 200 && !one.text.contains("sesame"))
                #expect(try await service.call(.get, "/api/v1/ticket-types/\(hidden)", as: caller).status == 404)
            }
            for caller in [stage.door, stage.owner, stage.admin] {
                let list = try await service.call(.get, "/api/v1/events/\(stage.event)/ticket-types", as: caller)
                #expect(try list.json(Page<TicketType>.self).items.map(\.id) == [open, hidden] && list.text.contains("sesame"))
            }
        }
    }

    @Test func `what a draft offers is seen by its organizer's staff alone, and sold to nobody, until it is published`() async throws {
        try await withTickets { service, stage in
            let draft = stage.add(Stage.makeEvent(of: stage.organizer, state: .draft))
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5, event: draft)], event: draft)
            let paths = ["/api/v1/events/\(draft)/ticket-types", "/api/v1/events/\(draft)/availability", "/api/v1/ticket-types/\(type)"]
            for path in paths {
                for caller in [TestCaller.nobody, stage.stranger, stage.rival] {
                    let answer = try await service.call(.get, path, as: caller)
                    let missing = try await service.call(
                        .get, path.replacing("\(draft)", with: "\(EventID())").replacing("\(type)", with: "\(TicketTypeID())"), as: caller)
                    let details = try [answer, missing].map { try $0.json(Problem.self).detail }
                    #expect(answer.status == 404 && missing.status == 404 && details[0] == details[1], "\(path)")
                }
                for caller in [stage.door, stage.analyst, stage.manager, stage.admin] {
                    let answer = try await service.call(.get, path, as: caller)
                    #expect(answer.status == 200 && answer.text.contains("\(type)"), "\(path)")
                }
            }
            #expect(try await service.askHold(draft, [(type, 1)]).status == 404)
            _ = stage.change(draft) { $0.state = .published }
            for path in paths { #expect(try await service.call(.get, path).status == 200) }
            #expect(try await service.askHold(draft, [(type, 1)]).status == 201)
        }
    }

    @Test func `of two changes at once under one ETag one wins, and loses nothing to the other`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let path = "/api/v1/ticket-types/\(type)"
            for round in 1...8 {
                let etag = try await service.call(.get, path, as: stage.manager).headers[.eTag]
                let changes = [
                    TicketTypeChange(price: Money(Int64(2_000 + round), .eur)), TicketTypeChange(maxPerOrder: Int64(10 + round)),
                ]
                let answers = try await service.atOnce(2) { number in
                    try await service.call(.patch, path, as: stage.manager, headers: ["If-Match": etag ?? ""], body: changes[number])
                }
                #expect(answers.statuses() == [200: 1, 412: 1])
                let now = try await service.call(.get, path, as: stage.manager).json(TicketType.self)
                #expect((now.price == changes[0].price) != (now.maxPerOrder == changes[1].maxPerOrder))
            }
            let versions = try await service.sent(TicketTypeChanged.self).map(\.ticketType.version)
            #expect(versions.sorted() == Array(1...9))
        }
    }

    @Test func `sale windows are read in the time zone that the event has now`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let vienna = try await service.makeType(stage, [pool]) { $0.salesStart = "2027-05-01T10:00:00" }
            _ = stage.change(stage.event) { $0.timeZone = "America/New_York" }
            let newYork = try await service.makeType(stage, [pool]) { $0.salesStart = "2027-05-01T10:00:00" }
            func start(_ type: TicketTypeID) async throws -> Instant? {
                try await service.call(.get, "/api/v1/ticket-types/\(type)", as: stage.manager).json(TicketType.self).salesStart
            }
            #expect(try await start(vienna) == Instant("2027-05-01T08:00:00Z"))
            #expect(try await start(newYork) == Instant("2027-05-01T14:00:00Z"))
            try await service.changeType(stage, vienna, TicketTypeChange(salesStart: "2027-05-01T10:00:00"))
            #expect(try await start(vienna) == Instant("2027-05-01T14:00:00Z"))
        }
    }

    @Test func `a ticket type is changed under its ETag, and told of`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            let shown = try await service.call(.get, "/api/v1/ticket-types/\(type)")
            let tag = try #require(shown.headers[.eTag])
            for (expected, status) in [(tag, 200), (tag, 412)] {
                let answer = try await service.call(
                    .patch, "/api/v1/ticket-types/\(type)", as: stage.manager, headers: ["If-Match": expected],
                    body: TicketTypeChange(price: Money(1_500, .eur)))
                #expect(answer.status == status)
            }
            let told = try await service.sent(TicketTypeChanged.self).map(\.ticketType)
            #expect(told.map(\.version) == [1, 2] && told.map(\.price.amount) == [1_000, 1_500])
        }
    }

    @Test func `sale windows keep the event's local time; one that the clocks skip is refused, a doubled one is the earlier`() async throws
    {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool]) {
                $0.salesStart = "2027-10-31T02:30:00"
                $0.salesEnd = "2027-12-01T10:00:00+00:00"
            }
            let shown = try await service.call(.get, "/api/v1/ticket-types/\(type)").json(TicketType.self)
            #expect(shown.salesStart == Instant("2027-10-31T00:30:00Z"))
            #expect(shown.salesEnd == Instant("2027-12-01T10:00:00Z"))
            #expect(
                try await service.text("SELECT sales_end_local AS text FROM ticket_type WHERE id = \(type)") == "2027-12-01T11:00:00")
            for time in ["2027-03-28T02:30:00", "2027-02-30T10:00:00", "1999-01-01T00:00:00Z", "2201-01-01T00:00:00Z", "tomorrow"] {
                let answer = try await service.call(
                    .patch, "/api/v1/ticket-types/\(type)", as: stage.manager, body: TicketTypeChange(salesStart: time))
                #expect(answer.status == 422, "\(time)")
            }
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"name":"x","price":{"amount":-1,"currency":"EUR"},"poolIds":["POOL"]}"#,
        #"{"name":"x","price":{"amount":1000000001,"currency":"EUR"},"poolIds":["POOL"]}"#,
        #"{"name":"x","price":{"amount":1,"currency":"USD"},"poolIds":["POOL"]}"#,
        #"{"name":"x","price":{"amount":1,"currency":"eur"},"poolIds":["POOL"]}"#,
        #"{"name":"x","price":1,"poolIds":["POOL"]}"#, #"{"name":"x","price":PRICE,"poolIds":[]}"#,
        #"{"name":"x","price":PRICE,"poolIds":["OTHER"]}"#, #"{"name":"LONG","price":PRICE,"poolIds":["POOL"]}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"minPerOrder":0}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"minPerOrder":5,"maxPerOrder":4}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"maxPerOrder":1001}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"taxRate":10001}"#, #"{"name":"x","price":PRICE,"poolIds":["POOL"],"taxRate":-1}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"fee":-9223372036854775808}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"fee":1001,"feeIncluded":true}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"salesStart":"2027-05-02T00:00:00","salesEnd":"2027-05-01T00:00:00"}"#,
        #"{"name":"x","price":PRICE,"poolIds":["POOL"],"accessCode":""}"#, #"{"name":"x","price":PRICE,"poolIds":["POOL"],"hidden":"no"}"#,
        #"{"name":"x","description":"HUGE","price":PRICE,"poolIds":["POOL"]}"#,
    ])
    func `a ticket type that cannot be is refused`(json: String) async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let other = stage.add(Stage.makeEvent(of: stage.organizer))
            let foreign = try await service.makePool(stage, 5, event: other)
            let json =
                json.replacing("PRICE", with: #"{"amount":1000,"currency":"EUR"}"#).replacing("POOL", with: "\(pool)")
                .replacing("OTHER", with: "\(foreign)").replacing("LONG", with: String(repeating: "x", count: 201))
                .replacing("HUGE", with: String(repeating: "x", count: 20_001))
            let answer = try await service.call(.post, "/api/v1/events/\(stage.event)/ticket-types", as: stage.manager, json: json)
            #expect(answer.status == 422, "\(answer.text)")
            #expect(try await service.number("SELECT COUNT(*) AS number FROM ticket_type") == 0)
        }
    }

    // MARK: Who may what

    @Test func `what belongs to an event is its managers' alone: nobody is 401, strangers 404, lesser roles 403`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let new = NewTicketType(name: "x", price: Money(1, .eur), poolIds: [pool])
            let calls: [(HTTPRequest.Method, String, any Encodable & Sendable)] = [
                (.get, "/api/v1/events/\(stage.event)/pools", [String]()),
                (.post, "/api/v1/events/\(stage.event)/pools", NewPool(name: "x", capacity: 1)),
                (.patch, "/api/v1/pools/\(pool)", PoolChange(capacity: 9)), (.delete, "/api/v1/pools/\(pool)", [String]()),
                (.post, "/api/v1/events/\(stage.event)/ticket-types", new),
                (.patch, "/api/v1/ticket-types/\(type)", TicketTypeChange(name: "x")),
                (.delete, "/api/v1/ticket-types/\(type)", [String]()),
            ]
            for (method, path, body) in calls {
                let json = try JSON.text(of: body)
                for (caller, status) in [
                    (TestCaller.nobody, 401), (stage.stranger, 404), (stage.rival, 404), (stage.door, 403), (stage.analyst, 403),
                    (.service(.salesManager), 401),
                ] {
                    let answer = try await service.call(method, path, as: caller, json: json)
                    #expect(answer.status == status, "\(method) \(path) as \(caller)")
                }
            }
            // The same words for what is another's and what does not exist.
            let foreign = try await service.call(.delete, "/api/v1/pools/\(pool)", as: stage.rival)
            let missing = try await service.call(.delete, "/api/v1/pools/\(PoolID())", as: stage.rival)
            let details = try [foreign, missing].map { try $0.json(Problem.self).detail }
            #expect(details[0] == details[1])
            #expect(try await service.call(.get, "/api/v1/events/\(EventID())/pools", as: stage.manager).status == 404)
            #expect(try await service.call(.get, "/api/v1/events/💣/pools", as: stage.manager).status == 404)
            #expect(try await service.pool(pool, stage).capacity == 5)
            for caller in [stage.owner, stage.admin] {
                #expect(try await service.call(.get, "/api/v1/events/\(stage.event)/pools", as: caller).status == 200)
            }
        }
    }

    @Test func `what is for services is for those with the scope alone`() async throws {
        try await withTickets { service, stage in
            for route in TicketManagerRoutes.all {
                guard case .service = route.access else { continue }
                let path = route.path([route.path.contains("orders") ? "\(OrderID())" : "\(HoldID())"])
                for (caller, status) in [(TestCaller.nobody, 401), (stage.admin, 403), (.service(.couponManager), 403)] {
                    let answer = try await service.call(route.method, path, as: caller)
                    #expect(answer.status == status, "\(path)")
                }
            }
        }
    }

    @Test func `who changed what is kept`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            try await service.changeType(stage, type, TicketTypeChange(name: "Seated"))
            _ = try await service.call(.delete, "/api/v1/ticket-types/\(type)", as: stage.owner)
            let actors = try await service.database.read { tx in
                try tx.rows("SELECT action, actor FROM history WHERE subject_id = \(type) ORDER BY id").map { row in
                    "\(try row["action"] as String) \(try row["actor"] as String)"
                }
            }
            let (manager, owner) = (try #require(stage.manager.userID), try #require(stage.owner.userID))
            #expect(actors == ["created \(manager)", "changed \(manager)", "deleted \(owner)"])
        }
    }
}
