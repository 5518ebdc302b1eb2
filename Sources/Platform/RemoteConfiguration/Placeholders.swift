/// Fills in `${key}` and `${key:what else}` from other settings; what nothing is known for stays as it is.
package struct Placeholders {
    private let values: [String: SettingValue]
    /// A value may ask for others, and those again; deeper is a circle.
    private static let deepest = 16
    /// A text that doubles itself at each step stays bounded.
    private static let longest = 1 << 20
    /// And so does the work where texts ask for many others, and those again.
    private static let mostSteps = 10_000

    package init(_ values: [String: SettingValue]) {
        self.values = values
    }

    package static func filled(_ values: [String: SettingValue]) -> [String: SettingValue] {
        let placeholders = Placeholders(values)
        return values.mapValues { value in
            guard case .text(let text) = value, text.contains("${") else { return value }
            return .text(placeholders.fill(text))
        }
    }

    package func fill(_ text: String) -> String {
        var steps = 0
        return fill(text[...], depth: 0, &steps)
    }

    private func fill(_ text: Substring, depth: Int, _ steps: inout Int) -> String {
        var result = ""
        var rest = text
        while let start = rest.firstRange(of: "${"), result.utf8.count < Placeholders.longest {
            result += rest[..<start.lowerBound]
            steps += 1
            guard depth < Placeholders.deepest, steps < Placeholders.mostSteps, let end = end(of: rest[start.upperBound...]) else {
                return result + rest[start.lowerBound...]
            }
            result += value(of: rest[start.upperBound..<end], depth: depth, &steps) ?? String(rest[start.lowerBound...end])
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private func value(of inside: Substring, depth: Int, _ steps: inout Int) -> String? {
        // `${a-${b}:c}`: the inner one first.
        let inside = fill(inside, depth: depth + 1, &steps)
        if let value = values[inside] { return fill(value.text[...], depth: depth + 1, &steps) }
        guard let colon = inside.firstIndex(of: ":") else { return nil }
        if let value = values[String(inside[..<colon])] { return fill(value.text[...], depth: depth + 1, &steps) }
        return String(inside[inside.index(after: colon)...])
    }

    /// Where the brace closes that was opened just before the text.
    private func end(of text: Substring) -> Substring.Index? {
        var depth = 0
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix("${") {
                depth += 1
                index = text.index(after: index)
            } else if text[index] == "}" {
                guard depth > 0 else { return index }
                depth -= 1
            }
            index = text.index(after: index)
        }
        return nil
    }
}
