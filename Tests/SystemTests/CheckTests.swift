import Contracts
import Storage
import Testing

extension WholeSystem {
    /// What `ticketflow check` finds.
    @Suite struct CheckTests {
        /// Columns without a foreign key, and what they name.
        private static let references: [(service: String, columns: [(table: String, column: String, target: String)])] = [
            (
                "ticket-manager",
                [
                    ("hold", "event_id", "event"), ("hold_claim", "hold_id", "hold"), ("hold_claim", "pool_id", "pool"),
                    ("ticket", "event_id", "event"),
                    ("ticket", "order_id", "fulfilment"), ("ticket", "hold_id", "hold"), ("ticket", "ticket_type_id", "ticket_type"),
                    ("scan", "ticket_id", "ticket"),
                ]
            ),
            (
                "sales-manager",
                [
                    ("cart", "event_id", "event"), ("cart_line", "cart_id", "cart"), ("sales_order", "cart_id", "cart"),
                    ("sales_order", "event_id", "event"), ("order_line", "order_id", "sales_order"),
                    ("order_unit", "order_id", "sales_order"), ("order_unit", "line_id", "order_line"),
                ]
            ),
            (
                "payment-processing",
                [
                    ("payment_attempt", "payment_id", "payment"), ("ledger_entry", "payment_id", "payment"),
                    ("sandbox_charge", "attempt_id", "payment_attempt"),
                ]
            ),
        ]

        @Test
        func `whatever names a row that is not there is found`() async throws {
            try await withProgram { program in
                let shop = try await program.shop()
                let (_, order) = try await shop.paid(1)
                let code = try #require(order.tickets.first?.code)
                #expect(try await shop.scan(code, nonce: "a").result == .admitted)
                try await program.stop()
                try await program.expectCleanBooks()
                for (service, columns) in CheckTests.references {
                    for (table, column, target) in columns {
                        func change(_ value: String) async throws {
                            let statement = SQL(stringLiteral: "UPDATE \(table) SET \(column) = \(value)")
                            let changed = try await program.withDatabase(service) { database in
                                try await database.write { tx in try tx.execute(statement) }
                            }
                            #expect(changed > 0, "\(table) is empty")
                        }
                        try await change("'lost ' || \(column)")
                        let check = try await program.command("check")
                        #expect(check.end == .exit(1))
                        let said = check.output + check.errors
                        #expect(said.contains("\(table) names the \(target) lost "), "\(table).\(column): \(said)")
                        try await change("SUBSTR(\(column), 6)")
                    }
                }
                // Lines are text: a claim's pool and a ticket's type stand in them.
                for (inLines, said) in [("pool_", "no line that takes of it"), ("type_", "is of the type ")] {
                    func change(_ old: String, _ new: String) async throws {
                        _ = try await program.withDatabase("ticket-manager") { database in
                            try await database.write { tx in try tx.execute("UPDATE hold SET lines = REPLACE(lines, \(old), \(new))") }
                        }
                    }
                    try await change(inLines, "lost.")
                    let check = try await program.command("check")
                    #expect(check.end == .exit(1) && (check.output + check.errors).contains(said), "\(check.output) \(check.errors)")
                    try await change("lost.", inLines)
                }
                try await program.expectCleanBooks()
            }
        }
    }
}
