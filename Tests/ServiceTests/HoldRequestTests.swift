import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

/// What may be held, and by which request.
@Suite("Hold requests", .serialized) struct HoldRequestTests {
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

    @Test func `a key that comes twice in one batch makes one hold, and harms nobody else in it`() async throws {
        let stage = Stage()
        // While the first request is stalled, the others gather.
        try await withTickets(stage: stage, faults: "tickets.hold(\(stage.event))=stall:0.05") { service, stage in
            let pool = try await service.makePool(stage, 100)
            let type = try await service.makeType(stage, [pool])
            let other = service.behindAnotherDoor()
            for round in 0..<3 {
                let answers = try await service.atOnce(20) { index in
                    let door = index == 11 ? other : service
                    return try await door.askHold(stage.event, [(type, 1)], key: "\(round) \(index == 11 ? 10 : index)")
                }
                #expect(answers.statuses() == [201: 20])
                #expect(Set(answers.map(\.text)).count == 19)
                #expect(try await service.level(pool) == [Int64(round + 1) * 19, 0])
            }
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
}
