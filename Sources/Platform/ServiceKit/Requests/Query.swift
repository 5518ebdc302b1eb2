import Discovery

/// Names and values as they stand behind the question mark of an address, or in the body of a form.
package struct Query: Sendable {
    /// In their order; a name may come again.
    package let pairs: [(name: String, value: String)]

    /// Throws `Problem` 400 for what cannot be decoded.
    package init(_ text: Substring) throws {
        pairs = try text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts[0].percentDecoded(plusIsSpace: true),
                let value = (parts.count > 1 ? parts[1] : "").percentDecoded(plusIsSpace: true)
            else {
                throw Problem.badRequest("The query has a broken percent-encoding, bytes that are not UTF-8, or NUL.")
            }
            return (name, value)
        }
    }

    /// - Parameter target: of a request, with path and query.
    package init(of target: String) throws {
        try self.init(target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).dropFirst().first ?? "")
    }

    /// By name; of those that come again the last.
    package var values: [String: String] { Dictionary(pairs) { $1 } }

    /// The last of this name.
    package subscript(name: String) -> String? { pairs.last { $0.name == name }?.value }
}
