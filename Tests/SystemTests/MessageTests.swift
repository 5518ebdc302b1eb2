import Contracts
import Discovery
import Storage
import Testing
import Values

extension WholeSystem {
    @Suite struct MessageTests {
        private static let queue = "sales-analytics.projection"

        @Test
        func `18: a message that one consumer cannot handle ends as a dead letter, all else goes on, and it can be replayed`() async throws
        {
            try await withProgram(["TICKETFLOW_BROKER_RETRY_SECONDS": "1,1,1"]) { program in
                let shop = try await program.shop(event: "Poisoned")
                let other = try await program.shop(event: "Healthy")
                // For ever, one consumer fails on whatever is sold of this event.
                try await change(program, MessageTests.poison(shop.event.id))
                let (_, order) = try await shop.paid(2, buyer: Buyer(email: "poisoned@example.org", name: "P"))
                // The others go on: the same consumer with other messages, other consumers with this one.
                _ = try await other.paid(3)
                try await eventually("the healthy sale is counted") { try await sold(of: other) == 3 }
                try await eventually("the mail is there") { try await program.mails(to: "poisoned@example.org").count == 1 }
                #expect(try await sold(of: shop) == 0)
                #expect(try await program.command("messages", "list").output.contains("No message has failed for good"))

                let failed = try await eventually("the message has failed for good", within: .seconds(30)) { () -> String? in
                    let list = try await program.command("messages", "list", "--queue", MessageTests.queue).output
                    return list.contains("orders.paid.v1") ? list : nil
                }
                let id = try #require(failed.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("evt_") })
                #expect(failed.contains(MessageTests.queue) && failed.split(separator: "\n").count == 2, "\(failed)")
                let shown = try await program.command("messages", "show", String(id))
                #expect(shown.output.contains("\(order.id)"))

                // Replayed while the fault is still there, it fails again; afterwards it has its effect, once.
                #expect(try await program.command("messages", "replay", MessageTests.queue, "--id", String(id)).end == .exit(0))
                try await eventually("it has failed again", within: .seconds(30)) {
                    return try await program.command("messages", "list").output.contains(id)
                }
                try await change(program, MessageTests.antidote)
                #expect(try await program.command("messages", "replay", MessageTests.queue, "--all").output.contains("1 message"))
                try await eventually("the sale is counted") { try await sold(of: shop) == 2 }
                #expect(try await program.command("messages", "list").output.contains("No message has failed for good"))
                #expect(try await program.command("messages", "replay", MessageTests.queue, "--all").output.contains("0 messages"))
                #expect(try await sold(of: shop) == 2)
            }
        }

        private static func poison(_ event: EventID) -> [String] {
            switch Shape.chosen {
            case .together:
                [
                    "CREATE TRIGGER poison BEFORE INSERT ON event_hour WHEN NEW.event_id = '\(event)' BEGIN SELECT RAISE(ABORT, 'poison'); END"
                ]
            case .distributed:
                [
                    "CREATE FUNCTION poison() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''poison''; END' LANGUAGE plpgsql",
                    """
                    CREATE TRIGGER poison BEFORE INSERT ON event_hour FOR EACH ROW WHEN (NEW.event_id = '\(event)')
                    EXECUTE FUNCTION poison()
                    """,
                ]
            }
        }

        private static let antidote =
            switch Shape.chosen {
            case .together: ["DROP TRIGGER poison"]
            case .distributed: ["DROP TRIGGER poison ON event_hour"]
            }

        private func change(_ program: RunningProgram, _ statements: [String]) async throws {
            try await program.withDatabase("sales-analytics") { database in
                try await database.write { tx in for statement in statements { try tx.execute(SQL(stringLiteral: statement)) } }
            }
        }

        private func sold(of shop: Shop) async throws -> Int64 {
            let answer = try await shop.program.call(SalesAnalyticsRoutes.eventReport, ["\(shop.event.id)"], as: shop.owner.caller)
            return answer.status == 404 ? 0 : try answer.json(EventReport.self).ticketsSold
        }
    }
}
