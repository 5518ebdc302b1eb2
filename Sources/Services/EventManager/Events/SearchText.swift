import Discovery
import Foundation
import Storage

/// Text as it is searched: without case and accents, folded here because the engines fold differently.
enum SearchText {
    private static let mostWords = 10

    static func folded(_ text: String) -> String {
        text.folding(options: [.caseInsensitive, .diacriticInsensitive, .widthInsensitive], locale: nil)
    }

    static func folded(_ texts: String?...) -> String {
        folded(texts.compactMap(\.self).joined(separator: "\n"))
    }

    /// Patterns that all have to match, one for each word. `%` and `_` in a word mean themselves.
    static func patterns(_ query: String) throws -> [String] {
        let words = folded(query).split(whereSeparator: \.isWhitespace)
        guard query.count <= 200, words.count <= mostWords else {
            throw Problem.invalid("query", "must be at most 200 characters and \(mostWords) words long")
        }
        return words.map { word in
            "%" + word.replacing("!", with: "!!").replacing("%", with: "!%").replacing("_", with: "!_") + "%"
        }
    }

    /// A condition for each word: it is in one of the columns, which hold folded text.
    static func conditions(_ patterns: [String], in columns: [SQL]) -> [SQL] {
        patterns.map { pattern in
            let alternatives: [SQL] = columns.map { column in "\(column) LIKE \(pattern) ESCAPE '!'" }
            return "(\(SQL.joined(alternatives, by: " OR ")))"
        }
    }
}
