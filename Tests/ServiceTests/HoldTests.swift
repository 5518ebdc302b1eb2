import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

/// What may be held, by whom, for how long, and at which price.
@Suite("Holds", .serialized) struct HoldTests {
    // MARK: All or nothing

    @Test func `a hold over several pools takes one of each, or nothing`() async throws {
        try await withTickets { service, stage in
            let (floor, balcony) = (try await service.makePool(stage, 5), try await service.makePool(stage, 1))
            let type = try await service.makeType(stage, [floor, balcony])
            let refused = try await service.askHold(stage.event, [(type, 2)])
            #expect(refused.status == 409 && refused.problem == "sold-out")
            #expect(try await service.level(floor) == [0, 0])
            #expect(try await service.level(balcony) == [0, 0])
            _ = try await service.hold(stage.event, [(type, 1)])
            #expect(try await service.level(floor) == [1, 0])
            #expect(try await service.level(balcony) == [1, 0])
        }
    }

    @Test func `a hold of several lines takes all of them, or nothing`() async throws {
        try await withTickets { service, stage in
            let (big, small) = (try await service.makePool(stage, 5), try await service.makePool(stage, 1))
            let (many, few) = (try await service.makeType(stage, [big]), try await service.makeType(stage, [small]))
            let refused = try await service.askHold(stage.event, [(many, 3), (few, 2)])
            #expect(refused.status == 409)
            #expect(try refused.json(Problem.self).members["ticketTypeId"] == "\(few)")
            #expect(try await service.level(big) == [0, 0])
            let hold = try await service.hold(stage.event, [(many, 3), (few, 1)])
            #expect(Set(hold.lines.map(\.quantity)) == [3, 1])
        }
    }

    @Test func `lines that share a pool are counted together`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 3)
            let (adult, child) = (try await service.makeType(stage, [pool]), try await service.makeType(stage, [pool]))
            #expect(try await service.askHold(stage.event, [(adult, 2), (child, 2)]).status == 409)
            _ = try await service.hold(stage.event, [(adult, 2), (child, 1)])
            #expect(try await service.level(pool) == [3, 0])
        }
    }

    @Test func `pools are decided in the order of their ids, so that the same shortage is always named`() async throws {
        try await withTickets { service, stage in
            var types: [TicketTypeID] = []
            for _ in 0..<6 { types.append(try await service.makeType(stage, [try await service.makePool(stage, 0)])) }
            for _ in 0..<10 {
                let answer = try await service.askHold(stage.event, types.shuffled().map { ($0, 1) })
                #expect(try answer.json(Problem.self).members["ticketTypeId"] == "\(types[0])")
            }
        }
    }

    @Test func `sold out and all held are told apart, and name the line`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 1), try await service.makePool(stage, 1))
            let (sold, held) = (try await service.makeType(stage, [a]), try await service.makeType(stage, [b]))
            _ = try await service.issue(stage.event, [(sold, 1)])
            _ = try await service.hold(stage.event, [(held, 1)])
            for (type, code) in [(sold, "sold-out"), (held, "all-held")] {
                let answer = try await service.askHold(stage.event, [(type, 1)])
                #expect(answer.status == 409 && answer.problem == code)
                #expect(try answer.json(Problem.self).members["ticketTypeId"] == "\(type)")
            }
            #expect(try await service.availability(of: sold, stage.event).state == .soldOut)
            #expect(try await service.availability(of: held, stage.event).state == .allHeld)
        }
    }

    @Test func `of many who want the last ticket at once exactly one gets it, and the others learn it`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let answers = try await service.atOnce(40) { _ in try await service.askHold(stage.event, [(type, 1)]) }
            #expect(answers.statuses() == [201: 1, 409: 39])
            #expect(Set(answers.compactMap(\.problem)) == ["all-held"])
            #expect(try await service.level(pool) == [1, 0])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `a hold that is refused in the same batch takes nothing from its rival`() async throws {
        let stage = Stage()
        try await withTickets(stage: stage, faults: "tickets.hold(\(stage.event))=stall:0.05") { service, stage in
            let (last, none) = (try await service.makePool(stage, 1), try await service.makePool(stage, 0))
            let (wanted, gone) = (try await service.makeType(stage, [last]), try await service.makeType(stage, [none]))
            // While the first is stalled, the others gather in one batch.
            let answers = try await service.atOnce(30) { index in
                if index == 20 { return try await service.askHold(stage.event, [(wanted, 1)]) }
                return try await service.askHold(stage.event, [(wanted, 1), (gone, 1)])
            }
            #expect(answers.statuses() == [201: 1, 409: 29])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `the schema itself refuses more than the capacity`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 2)
            await #expect(throws: StorageError.self) { try await service.sql("UPDATE pool SET held = 3 WHERE id = \(pool)") }
            await #expect(throws: StorageError.self) { try await service.sql("UPDATE pool SET held = 2, sold = 1 WHERE id = \(pool)") }
            await #expect(throws: StorageError.self) { try await service.sql("UPDATE pool SET held = -1 WHERE id = \(pool)") }
        }
    }

    // MARK: Expiry

    @Test func `a hold is free again exactly at its expiry, with no sweeper, also in availability`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            var seen: Set<Availability.State> = []
            // Where the machine is so busy that the time is over before the first look, it takes a longer one.
            for seconds in [1, 2, 4, 8, 16, 32] as [Int64] where !seen.contains(.allHeld) {
                let hold = try await service.hold(stage.event, [(type, 1)], ttl: seconds)
                try await eventually(within: .minutes(2), "the hold never expired") {
                    let before = Instant.now
                    let shown = try await service.availability(of: type, stage.event)
                    let held = try await service.pool(pool, stage).held
                    if before >= hold.expiresAt {
                        #expect(shown.state == .onSale && shown.remaining == 1 && held == 0)
                    } else if Instant.now < hold.expiresAt {
                        #expect(shown.state == .allHeld && shown.remaining == nil && held == 1)
                        seen.insert(.allHeld)
                    }
                    return before >= hold.expiresAt
                }
            }
            #expect(seen.contains(.allHeld))
            #expect(try await service.level(pool) == [1, 0], "nothing has reclaimed it yet")
            _ = try await service.hold(stage.event, [(type, 1)])
            #expect(try await service.level(pool) == [1, 0])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `an expired hold can neither be changed nor bound`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            let hold = try await service.hold(stage.event, [(type, 1)])
            try await service.expire(hold.id)
            let shown = try await service.call(.get, "/api/v1/holds/\(hold.id)", as: .service(.salesManager)).json(Hold.self)
            #expect(shown.state == .expired)
            for answer in [try await service.change(hold.id, [(type, 2)]), try await service.bind(hold.id, to: OrderID())] {
                #expect(answer.status == 409 && answer.problem == "hold-expired")
            }
        }
    }

    @Test func `a hold of which a part was reclaimed can neither be changed nor bound`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 1), try await service.makePool(stage, 1))
            let both = try await service.makeType(stage, [a, b])
            let hold = try await service.hold(stage.event, [(both, 1)])
            try await service.sql("UPDATE hold_claim SET state = 'reclaimed' WHERE hold_id = \(hold.id) AND pool_id = \(a)")
            try await service.sql("UPDATE pool SET held = 0 WHERE id = \(a)")
            #expect(try await service.change(hold.id, [(both, 1)]).problem == "hold-expired")
            #expect(try await service.bind(hold.id, to: OrderID()).problem == "hold-expired")
        }
    }

    @Test func `a pool reclaims its own claims of expired holds only`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 1), try await service.makePool(stage, 1))
            let (both, first) = (try await service.makeType(stage, [a, b]), try await service.makeType(stage, [a]))
            let expired = try await service.hold(stage.event, [(both, 1)])
            try await service.expire(expired.id)
            _ = try await service.hold(stage.event, [(first, 1)])
            #expect(try await service.level(a) == [1, 0])
            #expect(try await service.level(b) == [1, 0], "nobody looked at this pool")
            try await service.expectBalancedBooks()
            try await service.run("sweep-holds")
            #expect(try await service.level(b) == [0, 0])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `the sweeper takes back what has expired, and nothing else`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 10)
            let type = try await service.makeType(stage, [pool])
            let expired = try await service.hold(stage.event, [(type, 4)])
            let living = try await service.hold(stage.event, [(type, 3)])
            try await service.expire(expired.id)
            for _ in 0..<2 {
                try await service.run("sweep-holds")
                #expect(try await service.level(pool) == [3, 0])
            }
            #expect(try await service.change(living.id, [(type, 4)]).status == 200)
        }
    }

    @Test func `released claims come back once`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 3)])
            _ = try await service.hold(stage.event, [(type, 2)])
            for _ in 0..<3 { #expect(try await service.release(hold.id).status == 204) }
            #expect(try await service.level(pool) == [2, 0])
            #expect(try await service.change(hold.id, [(type, 1)]).status == 409)
            try await service.expectBalancedBooks()
        }
    }

    @Test func `claims come back to the pools that were recorded, not to those that a ticket type has today`() async throws {
        try await withTickets { service, stage in
            let (then, today) = (try await service.makePool(stage, 5), try await service.makePool(stage, 5))
            let type = try await service.makeType(stage, [then])
            let released = try await service.hold(stage.event, [(type, 1)])
            let changed = try await service.hold(stage.event, [(type, 2)])
            let tickets = try await service.issue(stage.event, [(type, 2)])
            try await service.sql("UPDATE ticket_type_pool SET pool_id = \(today) WHERE ticket_type_id = \(type)")
            _ = try await service.hold(stage.event, [(type, 1)])
            #expect(try await service.level(then) == [3, 2])
            #expect(try await service.level(today) == [1, 0])
            #expect(try await service.release(released.id).status == 204)
            #expect(try await service.change(changed.id, [(type, 1)]).status == 200)
            #expect(try await service.level(then) == [1, 2])
            _ = try await service.block("refund-1", tickets)
            #expect(try await service.void("refund-1").status == 204)
            #expect(try await service.level(then) == [1, 0])
            #expect(try await service.level(today) == [1, 0])
            try await service.expectBalancedBooks()
        }
    }

    // MARK: Clocks

    @Test func `what expired by a clock that a pool has seen does not live again when a clock goes back`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let old = try await service.hold(stage.event, [(type, 1)], ttl: 600)
            // An instance whose clock is 20 minutes ahead was here.
            try await service.sql("UPDATE pool SET last_seen_at = \(Instant.now + .minutes(20)) WHERE id = \(pool)")
            let rival = try await service.askHold(stage.event, [(type, 1)])
            #expect(rival.status == 201)
            #expect(try await service.change(old.id, [(type, 1)]).problem == "hold-expired")
            #expect(try await service.bind(old.id, to: OrderID()).problem == "hold-expired")
        }
    }

    @Test func `an instance whose clock is behind makes holds that live their whole time by the latest clock`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let seen = Instant.now + .hours(1)
            try await service.sql("UPDATE pool SET last_seen_at = \(seen) WHERE id = \(pool)")
            let hold = try await service.hold(stage.event, [(type, 1)], ttl: 60)
            #expect(hold.expiresAt >= seen + .seconds(60))
            // Whoever comes next, with the clock that is ahead, must not sell the living hold again.
            let rival = try await service.askHold(stage.event, [(type, 1)])
            #expect(rival.status == 409 && rival.problem == "all-held")
            #expect(try await service.number("SELECT last_seen_at AS number FROM pool WHERE id = \(pool)") >= seen.microseconds)
        }
    }

    @Test func `sale windows are judged by the latest clock that was seen`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool]) { $0.salesEnd = "\(Instant.now + .minutes(30))" }
            _ = try await service.hold(stage.event, [(type, 1)])
            try await service.sql("UPDATE pool SET last_seen_at = \(Instant.now + .hours(1)) WHERE id = \(pool)")
            #expect(try await service.askHold(stage.event, [(type, 1)]).problem == "sales-ended")
        }
    }

    // MARK: Price

    @Test func `the buyer keeps price, tax and fee as long as the hold lives`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)]) {
                $0.price = Money(1_000, .eur)
                $0.taxRate = 1_000
                $0.fee = 50
            }
            let hold = try await service.hold(stage.event, [(type, 1)])
            try await service.changeType(
                stage, type, TicketTypeChange(price: Money(2_000, .eur), taxRate: 2_000, fee: 90, feeIncluded: true))
            for quantity in [3, 1] as [Int64] {
                let line = try #require(try await service.change(hold.id, [(type, quantity)]).json(Hold.self).lines.first)
                #expect(line.price == Money(1_000, .eur) && line.taxRate == 1_000 && line.fee == 50 && !line.feeIncluded)
            }
            let newer = try #require(try await service.hold(stage.event, [(type, 1)]).lines.first)
            #expect(newer.price == Money(2_000, .eur) && newer.taxRate == 2_000 && newer.fee == 90 && newer.feeIncluded)
        }
    }

    // MARK: Changes

    @Test func `a change keeps the deadline`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
            let hold = try await service.hold(stage.event, [(type, 1)], ttl: 100)
            let changed = try await service.change(hold.id, [(type, 5)]).json(Hold.self)
            #expect(changed.expiresAt == hold.expiresAt && changed.version == hold.version + 1)
            #expect(
                try await service.number("SELECT MIN(expires_at) AS number FROM hold_claim WHERE hold_id = \(hold.id)")
                    == hold.expiresAt.microseconds)
        }
    }

    @Test func `a change of several lines is made whole, or not at all`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 5), try await service.makePool(stage, 2))
            let (many, few) = (try await service.makeType(stage, [a]), try await service.makeType(stage, [b]))
            let hold = try await service.hold(stage.event, [(many, 1), (few, 1)])
            let refused = try await service.change(hold.id, [(many, 4), (few, 3)])
            #expect(refused.status == 409)
            #expect(try await service.level(a) == [1, 0])
            #expect(try await service.level(b) == [1, 0])
            #expect(try await service.change(hold.id, [(many, 0), (few, 2)]).status == 200)
            #expect(try await service.level(a) == [0, 0])
            #expect(try await service.level(b) == [2, 0])
            try await service.expectBalancedBooks()
        }
    }

    @Test func `a change needs no more than the difference`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 3)])
            #expect(try await service.change(hold.id, [(type, 5)]).status == 200)
            #expect(try await service.level(pool) == [5, 0])
        }
    }

    @Test func `two additions at once both count`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 50)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 1)])
            let answers = try await service.atOnce(10) { _ in try await service.change(hold.id, [(type, 2)], relative: true) }
            #expect(answers.statuses() == [200: 10])
            #expect(try await service.level(pool) == [21, 0])
        }
    }

    // MARK: Bound holds

    @Test func `a hold that is bound obeys its order alone`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 1)], ttl: 60)
            let order = OrderID()
            #expect(try await service.bind(hold.id, to: order).status == 200)
            // No second tab,
            for answer in [
                try await service.change(hold.id, [(type, 0)]), try await service.change(hold.id, [(type, 1)], relative: true),
                try await service.release(hold.id), try await service.bind(hold.id, to: OrderID()),
            ] {
                #expect(answer.status == 409 && answer.problem == "hold-bound")
            }
            // neither the cart's deadline nor the sweeper ends it.
            try await service.passTime(.seconds(61))
            try await service.run("sweep-holds")
            #expect(try await service.askHold(stage.event, [(type, 1)]).problem == "all-held")
            #expect(try await service.availability(of: type, stage.event).state == .allHeld)
            #expect(try await service.fulfil(order, hold).outcome == .confirmed)
        }
    }

    @Test func `binding extends a hold once, and never shortens it`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            let (long, short) = (
                try await service.hold(stage.event, [(type, 1)], ttl: 3_000), try await service.hold(stage.event, [(type, 1)], ttl: 10)
            )
            let order = OrderID()
            let deadline = Instant.now + .seconds(1_000)
            let extended = try await service.bind(short.id, to: order, until: deadline).json(Hold.self)
            #expect(extended.expiresAt == deadline && extended.orderId == order)
            let again = try await service.bind(short.id, to: order, until: deadline + .hours(1))
            #expect(again.status == 200)
            #expect(try again.json(Hold.self).expiresAt == deadline)
            #expect(
                try await service.number("SELECT MAX(expires_at) AS number FROM hold_claim WHERE hold_id = \(short.id)")
                    == deadline.microseconds)
            let kept = try await service.bind(long.id, to: OrderID(), until: deadline).json(Hold.self)
            #expect(kept.expiresAt == long.expiresAt)
        }
    }

    // MARK: What is on sale

    @Test func `a ticket type is sold within its window and its limits`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 100)
            let future = try await service.makeType(stage, [pool]) { $0.salesStart = "\(Instant.now + .hours(1))" }
            let past = try await service.makeType(stage, [pool]) { $0.salesEnd = "\(Instant.now - .hours(1))" }
            let limited = try await service.makeType(stage, [pool]) { ($0.minPerOrder, $0.maxPerOrder) = (2, 4) }
            #expect(try await service.askHold(stage.event, [(future, 1)]).problem == "not-yet-on-sale")
            #expect(try await service.askHold(stage.event, [(past, 1)]).problem == "sales-ended")
            #expect(try await service.availability(of: future, stage.event).state == .notYet)
            #expect(try await service.availability(of: past, stage.event).state == .ended)
            for quantity in [1, 5] as [Int64] {
                let answer = try await service.askHold(stage.event, [(limited, quantity)])
                #expect(answer.status == 422)
            }
            let hold = try await service.hold(stage.event, [(limited, 4)])
            #expect(try await service.change(hold.id, [(limited, 1)], relative: true).status == 422)
            #expect(try await service.change(hold.id, [(limited, 1)]).status == 422)
            #expect(try await service.change(hold.id, [(limited, 2)]).status == 200)
        }
    }

    @Test func `a hidden ticket type is opened by its access code alone`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5)]) {
                $0.hidden = true
                $0.accessCode = "sésame"
            }
            for code in [nil, "", "Sésame"] {
                let answer = try await service.askHold(stage.event, [(type, 1)], accessCode: code)
                #expect(answer.status == 422 && answer.problem == "unknown-ticket-type")
            }
            #expect(try await service.askHold(stage.event, [(type, 1)], accessCode: "sésame").status == 201)
            let answer = try await service.call(.get, "/api/v1/events/\(stage.event)/availability")
            #expect(!answer.text.contains("\(type)"))
        }
    }

    @Test func `a hold is for one event's ticket types`() async throws {
        try await withTickets { service, stage in
            let other = stage.add(Stage.makeEvent(of: stage.organizer))
            let foreign = try await service.makeType(stage, [try await service.makePool(stage, 5, event: other)], event: other)
            let own = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            #expect(try await service.askHold(stage.event, [(foreign, 1)]).problem == "unknown-ticket-type")
            #expect(try await service.askHold(stage.event, [(TicketTypeID(), 1)]).problem == "unknown-ticket-type")
            let hold = try await service.hold(stage.event, [(own, 1)])
            #expect(try await service.change(hold.id, [(foreign, 1)]).problem == "unknown-ticket-type")
            #expect(try await service.level(try await service.makePool(stage, 1)) == [0, 0])
        }
    }

    @Test func `an event that was closed sells nothing any more`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let open = try await service.hold(stage.event, [(type, 1)])
            let bound = try await service.hold(stage.event, [(type, 1)])
            let order = OrderID()
            #expect(try await service.bind(bound.id, to: order).status == 200)
            for _ in 0..<2 { #expect(try await service.close(stage.event).status == 204) }
            #expect(try await service.askHold(stage.event, [(type, 1)]).problem == "event-closed")
            #expect(try await service.change(open.id, [(type, 2)]).problem == "event-closed")
            #expect(try await service.availability(of: type, stage.event).state == .ended)
            #expect(try await service.fulfil(order, bound).outcome == .refused)
            #expect(try await service.level(pool) == [1, 0])
            #expect(try await service.release(open.id).status == 204)
            #expect(try await service.level(pool) == [0, 0])
        }
    }

    @Test func `one event's stall is not felt by another, and its own callers leave at their deadline`() async throws {
        let stage = Stage()
        try await withTickets(stage: stage, faults: "tickets.hold(\(stage.event))=stall:30") { service, stage in
            let other = stage.add(Stage.makeEvent(of: stage.organizer))
            let stalled = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            let free = try await service.makeType(stage, [try await service.makePool(stage, 50, event: other)], event: other)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        let begun = Instant.now
                        let answer = try await Deadline.$current.withValue(begun + .seconds(1)) {
                            try await service.askHold(stage.event, [(stalled, 1)])
                        }
                        #expect(answer.status == 503 && answer.headers[.retryAfter] != nil)
                        #expect(Instant.now - begun < .seconds(10))
                    }
                }
                for _ in 0..<10 {
                    #expect(try await service.askHold(other, [(free, 1)]).status == 201)
                    #expect(try await service.availability(of: stalled, stage.event).state == .onSale)
                }
                try await group.waitForAll()
            }
        }
    }

    // MARK: Idempotency

    @Test func `the same request under the same key gets the first answer, and takes nothing again`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let first = try await service.askHold(stage.event, [(type, 2)], key: "k")
            let again = try await service.askHold(stage.event, [(type, 2)], key: "k")
            #expect(again.status == 201 && again.body == first.body && again.headers[.location] == first.headers[.location])
            #expect(try await service.level(pool) == [2, 0])
            let hold = try first.json(Hold.self).id
            let changed = try await service.change(hold, [(type, 1)], relative: true, key: "c")
            #expect(try await service.change(hold, [(type, 1)], relative: true, key: "c").body == changed.body)
            #expect(try await service.level(pool) == [3, 0])
        }
    }

    @Test func `a key of another body or another route is refused`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.askHold(stage.event, [(type, 2)], key: "k").json(Hold.self)
            for answer in [
                try await service.askHold(stage.event, [(type, 3)], key: "k"), try await service.change(hold.id, [(type, 2)], key: "k"),
            ] {
                #expect(answer.status == 422 && answer.problem == "idempotency-key-reused")
            }
            #expect(try await service.level(pool) == [2, 0])
        }
    }

    @Test func `a refusal for lack of stock is not remembered`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let rival = try await service.hold(stage.event, [(type, 1)])
            #expect(try await service.askHold(stage.event, [(type, 1)], key: "k").status == 409)
            #expect(try await service.release(rival.id).status == 204)
            let answer = try await service.askHold(stage.event, [(type, 1)], key: "k")
            #expect(answer.status == 201)
            let hold = try answer.json(Hold.self).id
            #expect(try await service.change(hold, [(type, 2)], key: "c").status == 409)
            try await service.sql("UPDATE pool SET capacity = 2 WHERE id = \(pool)")
            #expect(try await service.change(hold, [(type, 2)], key: "c").status == 200)
        }
    }

    @Test func `holds and their changes need a key`() async throws {
        try await withTickets { service, stage in
            let type = try await service.makeType(stage, [try await service.makePool(stage, 5)])
            let hold = try await service.hold(stage.event, [(type, 1)])
            let line = HoldRequestLine(ticketTypeId: type, quantity: 1)
            let made = try await service.call(
                .post, "/api/v1/holds", as: .service(.salesManager), body: NewHold(eventId: stage.event, lines: [line]))
            let changed = try await service.call(
                .patch, "/api/v1/holds/\(hold.id)", as: .service(.salesManager), body: HoldChange(lines: [line]))
            for answer in [made, changed] { #expect(answer.status == 400 && answer.problem == "idempotency-key-required") }
        }
    }

    // MARK: Bad input

    @Test(arguments: [
        #"{}"#, #"{"eventId":"EVENT","lines":[]}"#, #"{"eventId":"EVENT","lines":[LINE,LINE]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":0}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":-1}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":1.5}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":9223372036854775807}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":9223372036854775808}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"TYPE","quantity":"1"}]}"#,
        #"{"eventId":"EVENT","lines":[{"ticketTypeId":"type_💣","quantity":1}]}"#,
        #"{"eventId":"EVENT","lines":[LINE],"ttlSeconds":0}"#, #"{"eventId":"EVENT","lines":[LINE],"ttlSeconds":3601}"#,
        #"{"eventId":"EVENT","lines":[LINE],"ttlSeconds":-9223372036854775808}"#,
    ])
    func `a hold that cannot be is refused`(json: String) async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let line = #"{"ticketTypeId":"TYPE","quantity":1}"#
            let json = json.replacing("LINE", with: line).replacing("TYPE", with: "\(type)").replacing("EVENT", with: "\(stage.event)")
            let answer = try await service.call(
                .post, "/api/v1/holds", as: .service(.salesManager), headers: ["Idempotency-Key": "k"], json: json)
            #expect([400, 422].contains(answer.status), "\(answer.text)")
            #expect(try await service.level(pool) == [0, 0])
        }
    }

    @Test func `a change by more than any number is refused, and harms nothing`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 5)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 1)])
            for quantity in [-1, 1_001, Int64.max, Int64.min] {
                for relative in [true, false] {
                    #expect(try await service.change(hold.id, [(type, quantity)], relative: relative).status == 422)
                }
            }
            #expect(try await service.change(hold.id, []).status == 422)
            #expect(try await service.level(pool) == [1, 0])
        }
    }

    // MARK: Everything together

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `whatever is done in whatever order, the counters are what claims and tickets say`(seed: UInt64) async throws {
        try await withTickets { service, stage in
            var random = SeededGenerator(seed: seed)
            var pools: [PoolID] = []
            for capacity in [3, 8, 20] as [Int64] { pools.append(try await service.makePool(stage, capacity)) }
            let types = [
                try await service.makeType(stage, [pools[0]]), try await service.makeType(stage, [pools[1], pools[2]]),
                try await service.makeType(stage, pools),
            ]
            var holds: [(hold: Hold, order: OrderID)] = []
            var tickets: [Ticket] = []
            for step in 0..<120 {
                let type = types.randomElement(using: &random)!
                let quantity = Int64.random(in: 0...3, using: &random)
                let chosen = holds.randomElement(using: &random)
                switch (Int.random(in: 0..<10, using: &random), chosen) {
                case (0...2, _), (_, nil):
                    let answer = try await service.askHold(stage.event, [(type, max(1, quantity))])
                    if answer.status == 201 { holds.append((try answer.json(), OrderID())) }
                case (3, let chosen?): _ = try await service.change(chosen.hold.id, [(type, quantity)])
                case (4, let chosen?): _ = try await service.release(chosen.hold.id)
                case (5, let chosen?): try await service.expire(chosen.hold.id)
                case (6, let chosen?): _ = try await service.bind(chosen.hold.id, to: chosen.order)
                case (7, let chosen?):
                    let now = try await service.call(.get, "/api/v1/holds/\(chosen.hold.id)", as: .service(.salesManager)).json(Hold.self)
                    let answer = try await service.askFulfilment(chosen.order, now)
                    if answer.status == 200 { tickets += try answer.json(Fulfilment.self).tickets }
                case (8, let chosen?): _ = try await service.refuse(chosen.order, chosen.hold)
                default:
                    if let ticket = tickets.randomElement(using: &random) {
                        _ = try await service.block("refund-\(step % 7)", [ticket], insist: true)
                        _ = try await service.void("refund-\(step % 7)")
                    }
                }
                try await service.expectBalancedBooks()
            }
            #expect(!tickets.isEmpty)
        }
    }
}

/// The same numbers for the same seed, so that what failed fails again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
