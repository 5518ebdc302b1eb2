import HTTPTypes

/// A page for operators as it grows, in the one look of all servers: for small screens, keyboards, screen readers and dark rooms.
package struct OperatorPage: Sendable {
    private(set) var html: String
    private let hasScript: Bool

    /// - Parameter script: where the page's script is on the same server; nil for none.
    package init(_ title: String, script: String? = nil) {
        hasScript = script != nil
        html = """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title)</title><style>\(OperatorPage.style)</style>\(script.map { "<script src=\"\($0)\" defer></script>" } ?? "")</head><body>

            """
    }

    /// What is part of the page itself.
    package mutating func raw(_ html: String) {
        self.html += html
    }

    /// What comes from elsewhere, or may.
    package mutating func text(_ plain: String) {
        for character in plain.unicodeScalars {
            switch character {
            case "<": html += "&lt;"
            case ">": html += "&gt;"
            case "&": html += "&amp;"
            case "\"": html += "&quot;"
            case "'": html += "&#39;"
            default: html.unicodeScalars.append(character)
            }
        }
    }

    package mutating func cell(_ plain: String, isNumber: Bool = false) {
        raw(isNumber ? "<td class=\"number\">" : "<td>")
        text(plain)
        raw("</td>")
    }

    /// The first cell of a row.
    package mutating func rowTitle(_ plain: String) {
        raw("<th scope=\"row\">")
        text(plain)
        raw("</th>")
    }

    /// A table that scrolls by itself where the screen is narrow, also by keyboard.
    /// - Parameter heading: the id of what names it.
    package mutating func beginTable(labelledBy heading: String, _ titles: [String]) {
        raw("<div class=\"wide\" role=\"region\" aria-labelledby=\"\(heading)\" tabindex=\"0\"><table><thead><tr>")
        for title in titles { raw("<th scope=\"col\">\(title)</th>") }
        raw("</tr></thead>")
    }

    package mutating func endTable() {
        raw("</table></div>")
    }

    package var reply: Reply {
        var reply = Reply.bytes(Array("\(html)</body></html>\n".utf8), type: "text/html; charset=utf-8").uncached
        let script = hasScript ? "script-src 'self'; connect-src 'self'; " : ""
        reply.headers[.contentSecurityPolicy] =
            "default-src 'none'; \(script)style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return reply
    }

    private static let style = """
        :root { color-scheme: light dark }
        body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem }
        .wide { overflow-x: auto }
        .wide:focus-visible, a:focus-visible, button:focus-visible { outline: 3px solid; outline-offset: 2px }
        table { border-collapse: collapse; width: 100% }
        th, td { border-bottom: 1px solid #8888; padding: .4rem .6rem; text-align: left; vertical-align: top }
        .number { font-variant-numeric: tabular-nums; text-align: right }
        button { font: inherit; min-height: 2.75rem; padding: 0 1rem }
        .well { font-weight: 600 }
        .ill { background: #8b0000; border-radius: .2rem; color: #fff; font-weight: 600; padding: 0 .3rem }
        """
}
