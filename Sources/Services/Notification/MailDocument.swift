import Values

/// A mail's words, once for both its forms. Whatever is put into a block is text: in HTML it is escaped, and it stays in its line.
struct MailDocument: Hashable, Sendable {
    struct Amount: Hashable, Sendable {
        var label: String
        var amount: Money
        var isTotal = false
    }

    struct ShownTicket: Hashable, Sendable {
        var title: String
        var attendee: String?
        /// Nil for one that was passed on.
        var code: String?
        var imageID: String?
    }

    enum Block: Hashable, Sendable {
        case paragraph(String)
        case heading(String)
        /// Lines that belong together, such as an address.
        case lines([String])
        case amounts([Amount])
        case ticket(ShownTicket)
        case link(label: String, url: String)
        case code(String)
    }

    var subject: String
    var blocks: [Block]

    var text: String {
        blocks.map { block in
            switch block {
            case .paragraph(let text): text.oneLine
            case .heading(let text): text.oneLine + "\n" + String(repeating: "-", count: min(text.oneLine.count, 70))
            case .lines(let lines): lines.map(\.oneLine).joined(separator: "\n")
            case .amounts(let amounts): amounts.map { "\($0.label.oneLine): \($0.amount)" }.joined(separator: "\n")
            case .ticket(let ticket): MailDocument.text(of: ticket)
            case .link(let label, let url): "\(label.oneLine):\n\(url.oneLine)"
            case .code(let code): "    \(code.oneLine)"
            }
        }.joined(separator: "\n\n") + "\n"
    }

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>\(subject.inHTML)</title></head>
        <body style="font-family:sans-serif;line-height:1.5;color:#222;max-width:40em;margin:1em auto;padding:0 1em">
        \(blocks.map(MailDocument.html).joined(separator: "\n"))
        </body></html>

        """
    }

    private static func text(of ticket: ShownTicket) -> String {
        let code = ticket.code.map { "Code: \($0.oneLine)" } ?? "Passed on to somebody else; only they have its code."
        return ([ticket.title.oneLine] + (ticket.attendee.map { [$0.oneLine] } ?? []) + [code]).joined(separator: "\n")
    }

    private static func html(of block: Block) -> String {
        switch block {
        case .paragraph(let text): return "<p>\(text.inHTML)</p>"
        case .heading(let text): return "<h2 style=\"font-size:1.2em;margin-top:1.5em\">\(text.inHTML)</h2>"
        case .lines(let lines): return "<p>\(lines.map(\.inHTML).joined(separator: "<br>"))</p>"
        case .amounts(let amounts):
            let rows = amounts.map { amount in
                let style = amount.isTotal ? " style=\"font-weight:bold\"" : ""
                return "<tr\(style)><td>\(amount.label.inHTML)</td><td align=\"right\">\("\(amount.amount)".inHTML)</td></tr>"
            }
            return "<table cellpadding=\"4\" style=\"border-collapse:collapse\">\(rows.joined())</table>"
        case .ticket(let ticket): return html(of: ticket)
        case .link(let label, let url): return "<p><a href=\"\(url.inHTML)\">\(label.inHTML)</a><br>\(url.inHTML)</p>"
        case .code(let code): return "<p><code style=\"word-break:break-all\">\(code.inHTML)</code></p>"
        }
    }

    private static func html(of ticket: ShownTicket) -> String {
        var html = "<div style=\"border:1px solid #ccc;border-radius:8px;padding:1em;margin:1em 0\"><strong>\(ticket.title.inHTML)</strong>"
        if let attendee = ticket.attendee { html += "<br>\(attendee.inHTML)" }
        if let imageID = ticket.imageID { html += "<br><img src=\"cid:\(imageID.inHTML)\" alt=\"QR code\" width=\"240\">" }
        if let code = ticket.code {
            html += "<br><code style=\"word-break:break-all\">\(code.inHTML)</code>"
        } else {
            html += "<br>Passed on to somebody else; only they have its code."
        }
        return html + "</div>"
    }
}

extension String {
    /// Without what ends a line or turns the direction of what follows: others' words cannot pretend to be ours.
    var oneLine: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    var inHTML: String {
        var result = ""
        for scalar in oneLine.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
