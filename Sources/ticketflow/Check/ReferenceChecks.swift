import Contracts
import Discovery
import Storage

/// Rows that name others of their service. The tables that each purchase writes have no foreign keys (`docs/decisions/0032`).
private struct Reference {
    let table: String
    let column: String
    let target: String
    let id: String

    /// - Parameters:
    ///   - column: of `table`, with the id of a row of `target`, or null.
    ///   - id: the column of `target` with its id.
    init(_ table: String, _ column: String, to target: String, id: String = "id") {
        self.table = table
        self.column = column
        self.target = target
        self.id = id
    }

    /// Gives a row for each one that names what is not there.
    var dangling: SQL {
        SQL(
            stringLiteral: """
                SELECT '\(table) names the \(target) ' || \(table).\(column) || ', which is not there' AS finding FROM \(table)
                WHERE \(table).\(column) IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM \(target) WHERE \(target).\(id) = \(table).\(column))
                """)
    }
}

extension Check {
    /// Whatever a row names is there.
    static let references = [
        references(
            in: .ticketManager, Reference("hold", "event_id", to: "event"), Reference("hold_claim", "hold_id", to: "hold"),
            Reference("hold_claim", "pool_id", to: "pool"), Reference("ticket", "event_id", to: "event"),
            Reference("ticket", "order_id", to: "fulfilment", id: "order_id"), Reference("ticket", "hold_id", to: "hold"),
            Reference("ticket", "ticket_type_id", to: "ticket_type"), Reference("scan", "ticket_id", to: "ticket")),
        references(
            in: .salesManager, Reference("cart", "event_id", to: "event"), Reference("cart_line", "cart_id", to: "cart"),
            Reference("sales_order", "cart_id", to: "cart"), Reference("sales_order", "event_id", to: "event"),
            Reference("order_line", "order_id", to: "sales_order"), Reference("order_unit", "order_id", to: "sales_order"),
            Reference("order_unit", "line_id", to: "order_line")),
        references(
            in: .paymentProcessing, Reference("payment_attempt", "payment_id", to: "payment"),
            Reference("ledger_entry", "payment_id", to: "payment"), Reference("sandbox_charge", "attempt_id", to: "payment_attempt")),
    ]

    private static func references(in service: ServiceName, _ references: Reference...) -> Check {
        Check("references of \(service)", in: service, SQL.joined(references.map(\.dangling), by: " UNION ALL "))
    }
}
