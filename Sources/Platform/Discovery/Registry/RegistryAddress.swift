import FoundationEssentials

/// Where a registry is reached: `http://user:password@10.0.0.7:8761/eureka`.
package struct RegistryAddress: Hashable, Sendable, CustomStringConvertible {
    /// Without user and password, and without a slash at its end.
    package let url: String
    /// The field `Authorization`, where it wants one.
    let authorization: String?

    /// - Parameter text: nil for what is no URL of HTTP with a host.
    package init?(_ text: String) {
        guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else { return nil }
        var rest = text.dropFirst(scheme.count)
        var credentials: String?
        let authority = rest.prefix { $0 != "/" }
        if let at = authority.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let user = parts[0].percentDecoded(), let password = parts[1].percentDecoded() else { return nil }
            credentials = "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
            rest = rest[rest.index(after: at)...]
        }
        let host = rest.prefix { $0 != "/" }
        guard !host.isEmpty, !host.hasPrefix(":"), rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") }),
            !rest.contains("#")
        else { return nil }
        while rest.hasSuffix("/") { rest.removeLast() }
        url = scheme + rest
        authorization = credentials
    }

    /// Never with its password.
    package var description: String { url }
}
