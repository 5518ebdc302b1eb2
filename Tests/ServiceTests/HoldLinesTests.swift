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
            let (pool, type, hold, empty) = (PoolID(), TicketTypeID(), HoldID(), HoldID())
            let (order, ticket) = (OrderID(), TicketID())
            let before = try await TestEngine.chosen.open(TicketManagerService.name.description, in: folder)
            let old = TicketManagerService.migrations.filter { $0.id < "0005" }
            try await before.migrate([Outbox.migration, Idempotency.migration] + old)
            // More holds without lines than are converted in one go.
            let others = (0..<1_200).map { _ in HoldID() }.sorted()
            try await before.write { tx in
                for id in others.prefix(600) + [hold, empty] + others.suffix(600) {
                    try tx.execute(
                        """
                        INSERT INTO hold (id, event_id, state, expires_at, created_at) VALUES (\(id), \(stage.event), 'confirmed', 1, 1)
                        """)
                }
                try tx.execute(
                    """
                    INSERT INTO hold_line (hold_id, ticket_type_id, name, quantity, price, currency, tax_rate, fee, is_fee_included, pool_ids)
                    VALUES (\(hold), \(type), \("Früh \"1\""), 2, 1000, 'EUR', 1900, 50, TRUE, \("\(pool) \(pool)"))
                    """)
                try tx.execute(
                    """
                    INSERT INTO ticket (id, event_id, order_id, order_unit_id, hold_id, ticket_type_id, ticket_type_name, state, code, issued_at)
                    VALUES (\(ticket), \(stage.event), \(order), 'unit', \(hold), \(type), 'x', 'issued', 'code', 1)
                    """)
            }
            try await before.close()

            try await withTickets(stage: stage, folder: folder) { service, _ in
                let moved = try await service.call(.get, "/api/v1/holds/\(hold)", as: .service(.salesManager)).json(Hold.self)
                #expect(
                    moved.lines == [
                        HoldLine(
                            ticketTypeId: type, name: "Früh \"1\"", quantity: 2, price: Money(1_000, .eur), taxRate: 1_900, fee: 50,
                            feeIncluded: true)
                    ])
                #expect(try await service.call(.get, "/api/v1/holds/\(empty)", as: .service(.salesManager)).json(Hold.self).lines == [])
                let pools = try await service.database.read { tx in
                    try #require(try tx.row("SELECT pool_ids FROM ticket WHERE id = \(ticket)"))["pool_ids"] as String
                }
                #expect(pools == "\(pool) \(pool)")
            }
        }
    }
}
