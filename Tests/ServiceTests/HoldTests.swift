import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import TestServers
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

    @Test func `additions to a hold that was emptied take turns, though they share no pool`() async throws {
        try await withTickets { service, stage in
            let pools = [try await service.makePool(stage, 50), try await service.makePool(stage, 50)]
            var types: [TicketTypeID] = []
            for pool in pools { types.append(try await service.makeType(stage, [pool])) }
            for _ in 0..<5 {
                let hold = try await service.hold(stage.event, [(types[0], 1)])
                #expect(try await service.change(hold.id, [(types[0], 0)]).status == 200)
                let answers = try await service.atOnce(4) { [types] number in
                    try await service.change(hold.id, [(types[number % 2], 1)], relative: true)
                }
                #expect(answers.statuses() == [200: 4])
                let held = try await service.call(.get, "/api/v1/holds/\(hold.id)", as: .service(.salesManager)).json(Hold.self)
                #expect(Set(held.lines.map(\.ticketTypeId)) == Set(types) && held.lines.allSatisfy { $0.quantity == 2 })
            }
            try await service.expectBalancedBooks()
        }
    }

    @Test func `a hold has no more tickets than can be fulfilled in one go`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 3_000)
            let types = [try await service.makeType(stage, [pool]), try await service.makeType(stage, [pool])]
            let refused = try await service.askHold(stage.event, [(types[0], 600), (types[1], 401)])
            #expect(refused.status == 422 && refused.text.contains("1,000 tickets together"))
            for quantity in [Int64.max, .min] {
                #expect(try await service.askHold(stage.event, [(types[0], quantity), (types[1], quantity)]).status == 422)
            }
            let hold = try await service.hold(stage.event, [(types[0], 600), (types[1], 400)])
            for relative in [true, false] {
                let more = try await service.change(hold.id, [(types[1], relative ? 1 : 401)], relative: relative)
                #expect(more.status == 422 && more.text.contains("1,000 tickets together"))
            }
            #expect(try await service.level(pool) == [1_000, 0])
            #expect(try await service.issue(stage.event, [(types[0], 600), (types[1], 400)]).count == 1_000)
        }
    }

    @Test func `a hold has no more lines than a request for one`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 100)
            var types: [TicketTypeID] = []
            for _ in 0...20 { types.append(try await service.makeType(stage, [pool])) }
            let refused = try await service.askHold(stage.event, types.map { ($0, 1) })
            #expect(refused.status == 422 && refused.text.contains("1 to 20 lines"))
            let hold = try await service.hold(stage.event, types.dropLast().map { ($0, 1) })
            let more = try await service.change(hold.id, [(types[20], 1)], relative: true)
            #expect(more.status == 422 && more.text.contains("20 lines together"))
            #expect(try await service.change(hold.id, [(types[20], 1), (types[0], 0)]).status == 200)
            #expect(try await service.level(pool) == [20, 0])
        }
    }

    // MARK: Bound holds

    @Test func `a hold that is bound obeys its order alone`() async throws {
        try await withTickets { service, stage in
            let pool = try await service.makePool(stage, 1)
            let type = try await service.makeType(stage, [pool])
            let hold = try await service.hold(stage.event, [(type, 1)], ttl: 60)
            let order = OrderID()
            #expect(try await service.bind(hold.id, of: EventID(), to: order).status == 404)
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

    // MARK: PostgreSQL

    @Test func `holds that are decided together cost as few round trips as one`() async throws {
        let network = try FragileNetwork(to: try await PostgreSQLServer.shared.value.port)
        try await TestEngine.$network.withValue(network) {
            try await withTickets { service, stage in
                let type = try await service.makeType(stage, [try await service.makePool(stage, 1_000)])
                _ = try await service.hold(stage.event, [(type, 1)])
                let before = network.questions
                try await withThrowingTaskGroup { group in
                    for _ in 0..<200 { group.addTask { _ = try await service.hold(stage.event, [(type, 1)]) } }
                    try await group.waitForAll()
                }
                let asked = network.questions - before
                let batches: Int = try await service.database.read { tx in
                    try tx.row("SELECT COUNT(DISTINCT created_at) AS n FROM hold")!["n"]
                }
                let decided = batches - 1
                #expect(asked == 2 * decided, "\(asked) round trips for \(decided) batches")
            }
        }
    }

    @Test func `a ticket type that is deleted while a hold's change waits for its pools is not held`() async throws {
        try await TestEngine.$only.withValue(.postgres) {
            try await withTickets { service, stage in
                let pool = try await service.makePool(stage, 10)
                let (kept, deleted) = (try await service.makeType(stage, [pool]), try await service.makeType(stage, [pool]))
                let hold = try await service.hold(stage.event, [(kept, 1)])
                let change = try await service.database.write { tx in
                    try tx.execute("UPDATE pool SET name = name WHERE id = \(pool)")
                    let change = Task { try await service.change(hold.id, [(deleted, 1)]) }
                    let waiting: SQL = """
                        SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
                            AND CAST(transactionid AS TEXT) = CAST(pg_current_xact_id() AS TEXT)
                        """
                    let end = Instant.now + .seconds(10)
                    while try tx.rows(waiting).isEmpty, .now < end { usleep(5_000) }
                    #expect(.now < end, "the change does not wait")
                    try tx.execute("DELETE FROM ticket_type_pool WHERE ticket_type_id = \(deleted)")
                    try tx.execute("DELETE FROM ticket_type WHERE id = \(deleted)")
                    return change
                }
                let answer = try await change.value
                #expect(answer.status == 422 && answer.problem == "unknown-ticket-type", "\(answer.text)")
                #expect(try await service.level(pool) == [1, 0])
            }
        }
    }
}
