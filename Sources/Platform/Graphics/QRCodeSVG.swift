extension QRCode {
    /// An SVG image with a unit of one module, to be placed in a page or scaled to any size.
    ///
    /// - Parameters:
    ///   - quietZone: modules left white on each side. Readers want 4.
    ///   - title: what a screen reader says. Any text; it is escaped.
    package func svg(quietZone: Int = 4, title: String = "QR code") -> String {
        let border = max(quietZone, 0)
        let side = size + 2 * border
        var svg = #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(side) \#(side)" role="img">"#
        svg += "<title>\(QRCode.escaped(title))</title>"
        // Its own white ground: on a page with a dark theme a transparent code would be unreadable.
        svg += #"<rect width="\#(side)" height="\#(side)" fill="white"/>"#
        svg += #"<path shape-rendering="crispEdges" d=""#
        for row in 0..<size {
            var column = 0
            while column < size {
                let first = column
                while column < size, isDark(column: column, row: row) { column += 1 }
                if column > first {
                    svg += "M\(first + border) \(row + border)h\(column - first)v1H\(first + border)z"
                }
                column += 1
            }
        }
        svg += #""/></svg>"#
        return svg
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
