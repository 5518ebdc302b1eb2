import FoundationEssentials

/// A user and a password, as the field `Authorization` of HTTP Basic has them (RFC 7617).
package struct BasicCredentials: Sendable {
    package let user: String
    package let password: String

    /// - Parameter authorization: the field as it came. Nil for none, and for what is none of these.
    package init?(_ authorization: String?) {
        let words = authorization?.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true) ?? []
        guard words.count == 2, words[0].lowercased() == "basic",
            let data = Data(base64Encoded: String(words[1].drop { $0 == " " })), let text = String(validating: data, as: UTF8.self),
            let colon = text.firstIndex(of: ":")
        else { return nil }
        user = String(text[..<colon])
        password = String(text[text.index(after: colon)...])
    }
}
