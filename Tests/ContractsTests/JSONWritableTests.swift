import Contracts
import Foundation
import Testing
import Values

/// What writes its own JSON against Foundation, which writes the `Encodable` form member by member.
@Suite struct JSONWritableTests {
    private static let lines = [
        HoldLine(
            ticketTypeId: TicketTypeID(), name: "Stehplatz \"vorn\" \\ \n ñ 🎟", quantity: 2, price: Money(.max, .eur), taxRate: 1_900,
            fee: 150,
            feeIncluded: true),
        HoldLine(ticketTypeId: TicketTypeID(), name: "", quantity: 0, price: Money(-1, .eur), taxRate: 0, fee: .min, feeIncluded: false),
    ]
    private static let holds = [
        Hold(id: HoldID(), eventId: EventID(), state: .active, expiresAt: .now, lines: lines, version: 1),
        Hold(
            id: HoldID(), eventId: EventID(), state: .expired, expiresAt: Instant(seconds: 0), orderId: OrderID(), lines: [lines[0]],
            version: .max),
        Hold(id: HoldID(), eventId: EventID(), state: .released, expiresAt: .now, lines: [], version: 0),
    ]

    @Test(arguments: holds) func `a hold`(hold: Hold) throws { try expectSame(hold) }
    @Test(arguments: lines) func `a line of a hold`(line: HoldLine) throws { try expectSame(line) }
    @Test func `an amount`() throws { try expectSame(Money(-1_200, .eur)) }

    private func expectSame(_ value: some JSONWritable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(try JSON.text(of: value) == String(decoding: encoder.encode(value), as: UTF8.self))
    }

    @Test func `nothing else writes its own JSON`() throws {
        let types = try SourceTree().files(under: "Sources").flatMap { file in
            file.text.matches(of: #/extension ([\w.]+): JSONWritable/#).map { String($0.output.1) }
        }
        // That of HoldRecord is stored; see HoldLinesTests.
        #expect(Set(types) == ["Hold", "HoldLine", "HoldRecord.Line", "Money"], "a new one needs a test here")
    }
}
