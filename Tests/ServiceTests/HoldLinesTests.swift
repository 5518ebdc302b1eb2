import Contracts
import Discovery
import Foundation
import HTTPTypes
import Messaging
import ServiceKit
import Storage
import Testing
import Values

@testable import TicketManager

/// A hold's lines stand in its own row, as JSON.
@Suite struct HoldLinesTests {
    @Test
    func `they are a list of lists, and what its encoder would write`() async throws {
        try await withTickets { service, stage in
            let (a, b) = (try await service.makePool(stage, 10), try await service.makePool(stage, 10))
            let name = "Front \"left\" \\ \u{1} ñ 🎟"
            let both = try await service.makeType(stage, [a, b]) { $0.name = name }
            let one = try await service.makeType(stage, [a]) { $0.fee = 150 }
            let hold = try await service.hold(stage.event, [(both, 2), (one, 1)])

            let text = try await service.database.read { tx in
                try #require(try tx.row("SELECT lines FROM hold WHERE id = \(hold.id)"))["lines"] as String
            }
            let lines = try JSONDecoder().decode([HoldRecord.Line].self, from: Data(text.utf8))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.withoutEscapingSlashes]
            #expect(try String(decoding: encoder.encode(lines), as: UTF8.self) == text)
            #expect(lines.map(\.line) == hold.lines)
            #expect(lines.map { Set($0.pools) } == [[a, b], [a]])
            #expect(text.hasPrefix("[[\"\(both)\",\"Front \\\"left"))
        }
    }

    @Test
    func `those of before moved into their holds, and their pools to the tickets`() async throws {
        try await withFolder { folder in
            let stage = Stage()
            let (a, b, adult, child) = (PoolID(), PoolID(), TicketTypeID(), TicketTypeID())
            let (order, ticket) = (OrderID(), TicketID())
            // More than are converted in one go. Those without lines stand between the others.
            let holds = (0..<1_200).map { _ in HoldID() }.sorted()
            let withLines = [0, 499, 500, 501, 1_199]
            let before = try await TestEngine.chosen.open(TicketManagerService.name.description, in: folder)
            try await before.migrate([Outbox.migration, Idempotency.migration] + TicketManagerService.migrations.filter { $0.id < "0005" })
            try await before.write { tx in
                for id in holds {
                    try tx.execute(
                        """
                        INSERT INTO hold (id, event_id, state, expires_at, created_at) VALUES (\(id), \(stage.event), 'confirmed', 1, 1)
                        """)
                }
                func line(_ hold: HoldID, _ type: TicketTypeID, _ quantity: Int64, _ pools: [PoolID]) throws {
                    try tx.execute(
                        """
                        INSERT INTO hold_line
                            (hold_id, ticket_type_id, name, quantity, price, currency, tax_rate, fee, is_fee_included, pool_ids)
                        VALUES (\(hold), \(type), \("Früh \"1\""), \(quantity), 1000, 'EUR', 1900, 50, TRUE,
                            \(pools.map(\.description).joined(separator: " ")))
                        """)
                }
                for place in withLines {
                    try line(holds[place], child, Int64(place + 1), [b])
                    try line(holds[place], adult, 2, [a, b])
                }
                try tx.execute(
                    """
                    INSERT INTO ticket (id, event_id, order_id, order_unit_id, hold_id, ticket_type_id, ticket_type_name, state, code, issued_at)
                    VALUES (\(ticket), \(stage.event), \(order), 'unit', \(holds[500]), \(adult), 'x', 'issued', 'code', 1)
                    """)
            }
            try await before.close()

            try await withTickets(stage: stage, folder: folder) { service, _ in
                let stored = try await service.database.read { tx in
                    try tx.rows("SELECT lines FROM hold ORDER BY id").map { try $0["lines"] as String }
                }
                let expected = holds.indices.map { place in
                    guard withLines.contains(place) else { return "[]" }
                    // What was once written by this migration stays so.
                    return #"""
                        [["\#(adult)","Früh \"1\"",2,1000,"EUR",1900,50,true,["\#(a)","\#(b)"]],\#
                        ["\#(child)","Früh \"1\"",\#(place + 1),1000,"EUR",1900,50,true,["\#(b)"]]]
                        """#
                }
                #expect(stored == expected)
                let moved = try await service.call(.get, "/api/v1/holds/\(holds[499])", as: .service(.salesManager)).json(Hold.self)
                #expect(moved.lines.map(\.quantity) == [2, 500])
                let pools = try await service.database.read { tx in
                    try #require(try tx.row("SELECT pool_ids FROM ticket WHERE id = \(ticket)"))["pool_ids"] as String
                }
                #expect(pools == "\(a) \(b)")
            }
        }
    }
}
