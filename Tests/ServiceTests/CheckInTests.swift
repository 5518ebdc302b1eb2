import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Testing
import TicketManager
import Values

/// The door.
@Suite("Check-in", .serialized) struct CheckInTests {
    typealias Service = ServiceHarness<TicketManagerService>

    /// An issued ticket's code.
    private func ticket(_ service: Service, _ stage: Stage) async throws -> (ticket: Ticket, code: String) {
        let type = try await service.makeType(stage, [try await service.makePool(stage, 10)])
        let ticket = try await service.issue(stage.event, [(type, 1)])[0]
        return (ticket, try #require(ticket.code))
    }

    @Test func `the same code at two doors at once admits one; the other sees when and where it was used`() async throws {
        try await withTickets { service, stage in
            let (ticket, code) = try await ticket(service, stage)
            let before = Instant.now
            let answers = try await withThrowingTaskGroup(of: (String, CheckInAnswer).self) { group in
                for gate in 0..<12 { group.addTask { ("Gate \(gate)", try await service.read(code, stage, gate: "Gate \(gate)")) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let admitted = answers.filter { $0.1.result == .admitted }
            #expect(admitted.count == 1 && admitted[0].1.ticket?.status == .checkedIn && admitted[0].1.previous == nil)
            #expect(admitted[0].1.ticket?.id == ticket.id && admitted[0].1.ticket?.attendee == ticket.attendee)
            for (_, answer) in answers where answer.result == .refused {
                #expect(answer.reason == "already-used" && !answer.repeated)
                let previous = try #require(answer.previous)
                #expect(previous.gate == admitted[0].0 && previous.at >= before && previous.at <= .now)
            }
            #expect(try await service.number("SELECT entries AS number FROM ticket") == 1)
        }
    }

    @Test func `a scanner that repeats its request gets the first answer, marked, for a minute; then it is refused as used`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            let first = try await service.read(code, stage, nonce: "n", gate: "North")
            #expect(first.result == .admitted && !first.repeated)
            for _ in 0..<2 {
                let again = try await service.read(code, stage, nonce: "n", gate: "North")
                #expect(again.result == .admitted && again.repeated && again.previous?.gate == "North")
            }
            #expect(try await service.number("SELECT entries AS number FROM ticket") == 1)
            try await service.sql("UPDATE ticket SET checked_in_at = \(Instant.now - .seconds(61))")
            let late = try await service.read(code, stage, nonce: "n", gate: "North")
            #expect(late.result == .refused && late.reason == "already-used" && !late.repeated && late.previous?.gate == "North")
        }
    }

    @Test func `of one reading that comes many times at once the first is the answer, and the others are its repeats`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            let answers = try await withThrowingTaskGroup(of: CheckInAnswer.self) { group in
                for _ in 0..<20 { group.addTask { try await service.read(code, stage, nonce: "n", gate: "North") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.result == .admitted })
            #expect(answers.count { !$0.repeated } == 1)
            #expect(answers.filter(\.repeated).allSatisfy { $0.previous?.gate == "North" })
            #expect(try await service.number("SELECT entries AS number FROM ticket") == 1)
            #expect(try await service.number("SELECT COUNT(*) AS number FROM scan") == 1)
        }
    }

    @Test func `a scanner that sends the same nonce for every code gets each code's own answer`() async throws {
        try await withTickets { service, stage in
            let (_, one) = try await ticket(service, stage)
            let (other, two) = try await ticket(service, stage)
            #expect(try await service.read(one, stage, nonce: "same").result == .admitted)
            let second = try await service.read(two, stage, nonce: "same")
            #expect(second.result == .admitted && !second.repeated && second.ticket?.id == other.id)
            #expect(try await service.read("TF1", stage, nonce: "same").reason == "unknown-code")
        }
    }

    @Test func `another nonce is another reading`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            #expect(try await service.read(code, stage, nonce: "a").result == .admitted)
            let other = try await service.read(code, stage, nonce: "b")
            #expect(other.result == .refused && other.reason == "already-used" && !other.repeated)
        }
    }

    @Test func `a repeated exit is the same exit, and an entry's nonce is none of an exit's`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            #expect(try await service.read(code, stage, direction: .out, nonce: "n").reason == "not-inside")
            #expect(try await service.read(code, stage, nonce: "n").result == .admitted)
            let out = try await service.read(code, stage, direction: .out, nonce: "n")
            #expect(out.result == .admitted && !out.repeated && out.ticket?.status == .checkedOut)
            #expect(try await service.read(code, stage, direction: .out, nonce: "n").repeated)
            #expect(try await service.read(code, stage, direction: .out, nonce: "m").reason == "not-inside")
            let again = try await service.read(code, stage, nonce: "o")
            #expect(again.result == .admitted && again.ticket?.status == .checkedIn)
            #expect(try await service.number("SELECT entries AS number FROM ticket") == 2)
        }
    }

    @Test func `an entry that is repeated after the exit lets nobody in again`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            #expect(try await service.read(code, stage, nonce: "in").result == .admitted)
            #expect(try await service.read(code, stage, direction: .out, nonce: "out").ticket?.status == .checkedOut)
            let repeated = try await service.read(code, stage, nonce: "in")
            #expect(repeated.result == .admitted && repeated.repeated)
            #expect(try await service.number("SELECT entries AS number FROM ticket") == 1)
            let again = try await service.read(code, stage, nonce: "again")
            #expect(again.result == .admitted && !again.repeated)
        }
    }

    @Test func `a ticket whose refund was requested opens no door from that moment`() async throws {
        try await withTickets { service, stage in
            let (ticket, code) = try await ticket(service, stage)
            #expect(try await service.block("refund-1", [ticket]).status == 204)
            let answer = try await service.read(code, stage)
            #expect(answer.result == .refused && answer.reason == "blocked")
            _ = try await service.void("refund-1")
            #expect(try await service.read(code, stage).reason == "void")
            #expect(try await service.read(code, stage, direction: .out).reason == "void")
        }
    }

    @Test func `a ticket for another event is refused, and nothing is told of it`() async throws {
        try await withTickets { service, stage in
            let (ticket, code) = try await ticket(service, stage)
            let other = stage.add(Stage.makeEvent(of: stage.organizer))
            let answer = try await service.call(
                .post, "/api/v1/events/\(other)/check-ins", as: stage.door, body: CheckInRequest(code: code, nonce: "n"))
            let refused = try answer.json(CheckInAnswer.self)
            #expect(refused.result == .refused && refused.reason == "other-event" && refused.ticket == nil && refused.previous == nil)
            #expect(!answer.text.contains("\(ticket.id)") && !answer.text.contains("guest0"))
            #expect(try await service.read(code, stage).result == .admitted)
        }
    }

    @Test(arguments: ["TF1", "TF10", "💣", "https://example.org", "tf1", "NUL-free", " TF1 "])
    func `what is no code is refused`(code: String) async throws {
        try await withTickets { service, stage in
            let answer = try await service.read(code, stage)
            #expect(answer.result == .refused && answer.reason == "unknown-code" && answer.ticket == nil)
        }
    }

    @Test func `a well-formed code of no ticket is refused`() async throws {
        try await withTickets { service, stage in
            let (ticket, code) = try await ticket(service, stage)
            try await service.sql("DELETE FROM ticket WHERE id = \(ticket.id)")
            #expect(try await service.read(code, stage).reason == "unknown-code")
        }
    }

    @Test func `every reading of a ticket is kept as a fact, with gate, device and who read it`() async throws {
        try await withTickets { service, stage in
            let (ticket, code) = try await ticket(service, stage)
            for (direction, nonce) in [(Direction.in, "1"), (.in, "2"), (.out, "3")] {
                _ = try await service.call(
                    .post, "/api/v1/events/\(stage.event)/check-ins", as: stage.door,
                    body: CheckInRequest(code: code, direction: direction, nonce: nonce, gate: "Nord 🚪", device: "D1"))
            }
            let door = try #require(stage.door.userID)
            let facts = try await service.database.read { tx in
                try tx.rows("SELECT * FROM scan WHERE ticket_id = \(ticket.id) AND scanned_by = \("\(door)") ORDER BY nonce").map { row in
                    try ["direction", "result", "gate", "device"].map { try row[$0] as String }.joined(separator: " ")
                }
            }
            #expect(facts == ["in admitted Nord 🚪 D1", "in refused Nord 🚪 D1", "out admitted Nord 🚪 D1"])
        }
    }

    @Test func `the door is for door staff and managers`() async throws {
        try await withTickets { service, stage in
            let (_, code) = try await ticket(service, stage)
            for (caller, status) in [
                (TestCaller.nobody, 401), (stage.stranger, 404), (stage.rival, 404), (stage.analyst, 403), (.service(.salesManager), 401),
            ] {
                let answer = try await service.call(
                    .post, "/api/v1/events/\(stage.event)/check-ins", as: caller, body: CheckInRequest(code: code, nonce: "n"))
                #expect(answer.status == status, "\(caller)")
            }
            #expect(try await service.read(code, stage, as: stage.manager).result == .admitted)
            #expect(try await service.read(code, stage, as: stage.owner, direction: .out).result == .admitted)
            let unknown = try await service.call(
                .post, "/api/v1/events/\(EventID())/check-ins", as: stage.door, body: CheckInRequest(code: code, nonce: "n"))
            #expect(unknown.status == 404)
        }
    }

    @Test(arguments: [
        #"{}"#, #"{"code":"TF1"}"#, #"{"code":"","nonce":"n"}"#, #"{"code":"TF1","nonce":" "}"#, #"{"code":"LONG","nonce":"n"}"#,
        #"{"code":"TF1","nonce":"LONG"}"#, #"{"code":"TF1","nonce":"n","gate":"LONG"}"#, #"{"code":"TF1","nonce":"n","direction":"up"}"#,
        #"{"code":1,"nonce":"n"}"#,
    ])
    func `a reading that cannot be is refused`(json: String) async throws {
        try await withTickets { service, stage in
            let answer = try await service.call(
                .post, "/api/v1/events/\(stage.event)/check-ins", as: stage.door,
                json: json.replacing("LONG", with: String(repeating: "x", count: 10_000)))
            #expect(answer.status == 422, "\(answer.text)")
        }
    }
}
