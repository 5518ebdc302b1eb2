import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Testing
import Values

@testable import Storage
@testable import TicketManager

/// Whether an order gets its tickets.
@Suite("Fulfilment", .serialized) struct FulfilmentTests {
    typealias Service = ServiceHarness<TicketManagerService>

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

    @Test func `of orders that are decided at once as many get tickets as there are, and the others are refused`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            var holds: [Hold] = []
            for _ in 0..<10 { holds.append(try await service.hold(stage.event, [(type, 1)])) }
            for hold in holds { try await service.expire(hold.id) }
            // Takes back all ten, and keeps four.
            _ = try await service.hold(stage.event, [(type, 4)])
            let expired = holds
            let answers = try await service.atOnce(10) { try await service.askFulfilment(OrderID(), expired[$0]) }
            let outcomes = try answers.map { try $0.json(Fulfilment.self) }
            #expect(outcomes.filter { $0.outcome == .confirmed && $0.tickets.count == 1 }.count == 6)
            #expect(outcomes.filter { $0.outcome == .refused && $0.tickets.isEmpty }.count == 4)
            #expect(try await service.level(pool) == [4, 6])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `what one order gives back another may take, also where both are decided together`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let hold = try await service.hold(stage.event, [(try await service.makeType(stage, [pool]), 1)])
            let (first, second) = (OrderID(), OrderID())
            let units = Service.units(hold)
            let outcomes = try await service.database.write { tx in
                try StockBatch.coalescer.decide(
                    [
                        .refuse(first, RefusalRequest(eventId: hold.eventId, holdId: hold.id)),
                        .fulfil(
                            second, FulfilmentRequest(eventId: hold.eventId, holdId: hold.id, units: units),
                            codes: units.map { _ in (TicketID(), "code") }),
                    ], tx
                ).map { answer in
                    guard case .fulfilment(let fulfilment) = try answer.get() else { return nil as FulfilmentOutcome? }
                    return fulfilment.outcome
                }
            }
            #expect(outcomes == [.refused, .confirmed])

            #expect(try await service.level(pool) == [0, 1])
            let shown = try await service.call(.get, "/api/v1/holds/\(hold.id)", as: .service(.salesManager)).json(Hold.self)
            #expect(shown.state == .confirmed)
            let claims = try await service.number("SELECT COUNT(*) AS number FROM hold_claim WHERE hold_id = \(hold.id) AND state = 'sold'")
            #expect(claims == 1)
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
}
