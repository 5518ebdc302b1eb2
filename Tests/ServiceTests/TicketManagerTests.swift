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

/// Pools, ticket types, fulfilment, and what becomes of tickets.
@Suite("TicketManager", .serialized) struct TicketManagerTests {
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

    // MARK: Fulfilment

    @Test func `an order gets one ticket for each unit`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let (adult, child) = (
                try await service.makeType(stage, [pool]) { $0.name = "Adult" },
                try await service.makeType(stage, [pool]) { $0.name = "Child" }
            )
            let hold = try await service.hold(stage.event, [(adult, 2), (child, 1)])
            let units = Service.units(hold)
            let order = OrderID()
            let fulfilment = try await service.fulfil(order, hold, units: units)
            #expect(fulfilment.outcome == .confirmed && fulfilment.orderId == order)
            #expect(Set(fulfilment.tickets.map(\.unitId)) == Set(units.map(\.unitId)) && fulfilment.tickets.count == 3)
            for ticket in fulfilment.tickets {
                let unit = try #require(units.first { $0.unitId == ticket.unitId })
                #expect(ticket.ticketTypeId == unit.ticketTypeId && ticket.attendee == unit.attendee && ticket.status == .issued)
                #expect(ticket.ticketTypeName == (unit.ticketTypeId == adult ? "Adult" : "Child"))
                #expect(ticket.eventId == stage.event && ticket.orderId == order && ticket.blockedBy.isEmpty)
            }
            #expect(Set(fulfilment.tickets.compactMap(\.code)).count == 3)
            #expect(try await service.level(pool) == [0, 3])
            let shown = try await service.call(.get, "/api/v1/holds/\(hold.id)", as: .service(.salesManager)).json(Hold.self)
            #expect(shown.state == .confirmed)
        }
    }

    @Test func `a unit has one ticket, whatever asks for it`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let (first, second) = (try await service.hold(stage.event, [(type, 1)]), try await service.hold(stage.event, [(type, 1)]))
            let units = Service.units(first)
            _ = try await service.fulfil(OrderID(), first, units: units)
            #expect(try await service.askFulfilment(OrderID(), second, units: units).status != 200)
            #expect(try await service.number("SELECT COUNT(*) AS number FROM ticket") == 1)
            try await service.expectBalancedBooks()
        }
    }

    @Test func `fulfilled again, an order is answered what is recorded`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 2)])
            let (order, units) = (OrderID(), Service.units(hold))
            let answers = try await service.atOnce(8) { _ in try await service.askFulfilment(order, hold, units: units) }
            #expect(answers.statuses() == [200: 8])
            let codes = try Set(answers.map { Set(try $0.json(Fulfilment.self).tickets.compactMap(\.code)) })
            #expect(codes.count == 1 && codes.first?.count == 2)
            #expect(try await service.level(pool) == [0, 2])
            // Also long after, when a ticket has changed.
            let ticket = try await service.tickets(of: order)[0]
            _ = try await service.block("refund-1", [ticket])
            _ = try await service.void("refund-1")
            let again = try await service.fulfil(order, hold, units: units)
            #expect(again.outcome == .confirmed && Set(again.tickets.map(\.status)) == [.void, .issued])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `an order whose claims were reclaimed takes everything again, or is refused`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 2), try await service.makePool(stage, 2))
            let (both, first) = (try await service.makeType(stage, [a, b]), try await service.makeType(stage, [a]))
            let (lucky, unlucky) = (try await service.hold(stage.event, [(both, 1)]), try await service.hold(stage.event, [(both, 1)]))
            let (luckyOrder, unluckyOrder) = (OrderID(), OrderID())
            _ = try await service.bind(lucky.id, to: luckyOrder)
            _ = try await service.bind(unlucky.id, to: unluckyOrder)
            for hold in [lucky, unlucky] { try await service.expire(hold.id) }
            // One pool reclaims, the other has not been looked at: a rival takes one of two.
            let rival = try await service.hold(stage.event, [(first, 1)])
            let confirmed = try await service.fulfil(luckyOrder, lucky)
            #expect(confirmed.outcome == .confirmed && confirmed.tickets.count == 1)
            #expect(try await service.level(a) == [1, 1])
            #expect(try await service.level(b) == [0, 1])
            let refused = try await service.fulfil(unluckyOrder, unlucky)
            #expect(refused.outcome == .refused && refused.tickets.isEmpty)
            #expect(try await service.level(b) == [0, 1], "a refused order keeps nothing")
            try await service.expectBalancedBooks()
            // The refusal stands, also when stock returns.
            _ = try await service.release(rival.id)
            #expect(try await service.fulfil(unluckyOrder, unlucky).outcome == .refused)
            #expect(try await service.tickets(of: unluckyOrder).isEmpty)
        }
    }

    @Test func `an order of which only a part was reclaimed is not confirmed with the rest`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 1), try await service.makePool(stage, 1))
            let (both, first) = (try await service.makeType(stage, [a, b]), try await service.makeType(stage, [a]))
            let hold = try await service.hold(stage.event, [(both, 1)])
            let order = OrderID()
            _ = try await service.bind(hold.id, to: order)
            try await service.expire(hold.id)
            _ = try await service.hold(stage.event, [(first, 1)])
            #expect(try await service.fulfil(order, hold).outcome == .refused)
            #expect(try await service.level(a) == [1, 0])
            #expect(try await service.level(b) == [0, 0])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `an expired hold that nobody took anything from is simply confirmed`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 1)])
            let order = OrderID()
            _ = try await service.bind(hold.id, to: order)
            try await service.expire(hold.id)
            #expect(try await service.fulfil(order, hold).outcome == .confirmed)
            #expect(try await service.level(pool) == [0, 1])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `the first outcome of an order is permanent`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 2)
            let type = try await service.makeType(stage, [pool])
            let (refused, confirmed) = (try await service.hold(stage.event, [(type, 1)]), try await service.hold(stage.event, [(type, 1)]))
            let (refusedOrder, confirmedOrder) = (OrderID(), OrderID())
            #expect(try await service.refuse(refusedOrder, refused).outcome == .refused)
            #expect(try await service.level(pool) == [1, 0], "its claims are free")
            #expect(try await service.fulfil(refusedOrder, refused).outcome == .refused)
            #expect(try await service.tickets(of: refusedOrder).isEmpty)
            #expect(try await service.fulfil(confirmedOrder, confirmed).outcome == .confirmed)
            let answer = try await service.refuse(confirmedOrder, confirmed)
            #expect(answer.outcome == .confirmed && answer.tickets.count == 1)
            #expect(try await service.level(pool) == [0, 1])
            #expect(try await service.tickets(of: confirmedOrder).map(\.status) == [.issued])
        }
    }

    @Test func `an order without any hold can be refused, once and for all`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 2)])
            let order = OrderID()
            let answer = try await service.call(
                .post, "/api/v1/orders/\(order)/refusal", as: .service(.salesManager), body: RefusalRequest(eventId: stage.event))
            #expect(try answer.json(Fulfilment.self).outcome == .refused)
            let hold = try await service.hold(stage.event, [(type, 1)])
            #expect(try await service.fulfil(order, hold).outcome == .refused)
        }
    }

    @Test func `fulfilled and refused at once, an order has one outcome, and the stock follows it`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 40)
            let type = try await service.makeType(stage, [pool])
            for _ in 0..<10 {
                let hold = try await service.hold(stage.event, [(type, 1)])
                let order = OrderID()
                let units = Service.units(hold)
                async let yes = service.fulfil(order, hold, units: units)
                async let no = service.refuse(order, hold)
                let outcomes = try await [yes.outcome, no.outcome]
                #expect(Set(outcomes).count == 1)
            }
            try await service.expectBalancedBooks()
        }
    }

    @Test func `an order gets nothing from another order's hold, nor anything but what was held`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let (type, dear) = (try await service.makeType(stage, [pool]), try await service.makeType(stage, [pool]))
            let hold = try await service.hold(stage.event, [(type, 2)])
            let order = OrderID()
            _ = try await service.bind(hold.id, to: order)
            #expect(try await service.askFulfilment(OrderID(), hold).problem == "hold-bound")
            let one = FulfilmentUnit(unitId: OrderUnitID(), ticketTypeId: type, attendee: Attendee())
            let other = FulfilmentUnit(unitId: OrderUnitID(), ticketTypeId: dear, attendee: Attendee())
            for units in [[one], Service.units(hold) + [one], [one, other]] {
                #expect(try await service.askFulfilment(order, hold, units: units).problem == "units-differ")
            }
            #expect(try await service.askFulfilment(order, hold, units: []).status == 422)
            #expect(try await service.refuse(OrderID(), hold).outcome == .refused)
            #expect(try await service.level(pool) == [2, 0], "a refusal of another order leaves the hold alone")
            #expect(try await service.fulfil(order, hold).outcome == .confirmed)
        }
    }

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
        try await withHouseFolder { folder in
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
            #expect(try answer.json(TransferAnswer.self).ticketToken == event.ticketToken)
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
            // What the door sees.
            #expect(try await service.read(old, stage).reason == "revoked-code")
            #expect(try await service.read(new, stage).result == .admitted)
            #expect(try await service.level(pool) == [0, 1])
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
