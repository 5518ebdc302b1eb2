import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Values

/// A table as RFC 4180 has it, safe to open in a spreadsheet.
struct CSV: Hashable, Sendable {
    enum Cell: Hashable, Sendable {
        /// Somebody's words: never taken for a formula.
        case text(String)
        case number(Int64)
        /// In major units, without the currency, which has a column of its own.
        case amount(Money)
        case time(Instant)

        fileprivate var field: String {
            switch self {
            case .text(let text): CSV.quoted(CSV.defused(text))
            case .number(let number): "\(number)"
            case .amount(let money): String(money.description.prefix { $0 != " " })
            case .time(let time): "\(time)"
            }
        }
    }

    let columns: [String]
    let rows: [[Cell]]

    var text: String {
        ([columns.joined(separator: ",")] + rows.map { $0.map(\.field).joined(separator: ",") })
            .map { $0 + "\r\n" }.joined()
    }

    /// - Parameters:
    ///   - next: the cursor of the page that follows, told in the field `Link` (RFC 8288) together with all else that was asked.
    ///   - call: what was asked.
    func reply(named name: String, next: String? = nil, to call: Call) -> Reply {
        var reply = Reply.bytes(Array(text.utf8), type: "text/csv; charset=utf-8")
        reply.headers[.contentDisposition] = "attachment; filename=\"\(name).csv\""
        if let next {
            let asked = call.query.pairs.filter { !["after", "format"].contains($0.name) } + [("format", "csv"), ("after", next)]
            let query = asked.map { "\($0.name.percentEncoded())=\($0.value.percentEncoded())" }.joined(separator: "&")
            reply.headers[.link] = "<?\(query)>; rel=\"next\""
        }
        return reply
    }

    /// A spreadsheet takes what begins so for a formula, also behind white space.
    private static func defused(_ text: String) -> String {
        guard let first = text.unicodeScalars.first(where: { !$0.properties.isWhitespace }) else { return text }
        return "=+-@\u{FF1D}\u{FF0B}\u{FF0D}\u{FF20}".unicodeScalars.contains(first) ? "'" + text : text
    }

    private static func quoted(_ text: String) -> String {
        guard text.utf8.contains(where: { "\",\r\n\t;".utf8.contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}

extension HTTPField.Name {
    fileprivate static let link = HTTPField.Name("Link")!
}

extension CSV {
    init(_ items: [PopularEvent]) {
        columns = ["eventId", "name", "orders", "ticketsSold", "revenue", "currency"]
        rows = items.map { item in
            [
                .text("\(item.eventId)"), .text(item.name), .number(item.orders), .number(item.ticketsSold), .amount(item.revenue),
                .text(item.revenue.currency.code),
            ]
        }
    }

    init(_ items: [TopTicket]) {
        columns = ["ticketTypeId", "name", "eventId", "eventName", "ticketsSold", "revenue", "currency"]
        rows = items.map { item in
            [
                .text("\(item.ticketTypeId)"), .text(item.name), .text("\(item.eventId)"), .text(item.eventName),
                .number(item.ticketsSold), .amount(item.revenue), .text(item.revenue.currency.code),
            ]
        }
    }

    init(_ items: [RevenuePoint]) {
        columns = ["from", "orders", "ticketsSold", "gross", "refunded", "net", "currency"]
        rows = items.map { item in
            [
                .time(item.from), .number(item.orders), .number(item.ticketsSold), .amount(item.gross), .amount(item.refunded),
                .amount(item.net), .text(item.gross.currency.code),
            ]
        }
    }
}
