import Discovery
package import NIOHTTP1

/// What a head must be, and what of it is handed on. Names of fields are in lower case, as both decoders give them.
package enum HeadPolicy {
    /// Only between two neighbours (RFC 9110, section 7.6.1), or said anew by each. In lower case.
    static let ofOneConnection: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "expect", "http2-settings",
    ]
    /// What only those inside may say: who somebody is, how much time is left, where a request came from. In lower case.
    private static let identity: Set<String> = [
        "x-time-left", "x-user", "x-user-id", "x-user-email", "x-username", "x-remote-user", "remote-user", "x-forwarded-user",
        "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-auth-request-user", "x-auth-request-email",
        "x-auth-request-groups", "x-auth-user", "x-authenticated-user", "x-authenticated-userid", "x-identity", "x-roles", "x-role",
        "x-scopes", "x-scope", "x-organizer-id", "x-tenant-id", "x-internal", "x-internal-token", "x-service-token", "x-service",
        "x-admin", "x-consumer-id", "x-consumer-username", "x-credential-identifier", "x-client-cert", "x-client-verify",
        "x-ssl-client-cert", "x-ssl-client-verify", "x-original-url", "x-original-uri", "x-rewrite-url", "x-original-host",
        "x-http-method-override", "x-http-method", "x-method-override",
    ]
    /// Where a request came from, as the gateway itself says it.
    private static let origin: Set<String> = [
        "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server",
        "x-forwarded-prefix", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip", "x-originating-ip",
    ]
    /// Two of them would leave it to each reader which one counts.
    private static let single: Set<String> = [
        "host", "content-length", "content-type", "authorization", "idempotency-key", "if-match", "x-request-id", "traceparent",
    ]

    /// What there is to know about a field by its name.
    private struct Kind: OptionSet {
        let rawValue: UInt8
        static let ofOneConnection = Kind(rawValue: 1)
        static let inner = Kind(rawValue: 2)
        static let single = Kind(rawValue: 4)
        /// Said anew by the gateway.
        static let ofRequest = Kind(rawValue: 8)
    }

    /// Of all names that there is something to know about.
    private static let kinds: [String: Kind] = {
        var kinds: [String: Kind] = [:]
        let all = [
            (ofOneConnection, Kind.ofOneConnection), (identity.union(origin), .inner), (single, .single),
            (["host", "content-length", "x-request-id"], .ofRequest),
        ]
        for (names, kind) in all { for name in names { kinds[name, default: []].insert(kind) } }
        return kinds
    }()
    private static let lengthsOfConnection = ofOneConnection.reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1.utf8.count) }

    private static func kind(of name: String) -> Kind { kinds[name] ?? [] }

    /// Refuses what is no proper request of this API.
    /// - Returns: the target in its one form.
    package static func check(_ head: HTTPRequestHead) throws(Refusal) -> RequestTarget {
        guard head.method != .CONNECT, head.method != .TRACE else { throw .malformed("The method \(head.method) is not known here.") }
        if head.version.major == 2 { try checkFields(of: head) }
        var seen: [String] = []
        var host: String?
        for (name, value) in head.headers {
            if name.utf8.contains(where: { $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }) {
                // To some readers it is the name with hyphens.
                let plain = String(name.map { $0 == "_" || $0 == "." ? "-" : $0 })
                guard kind(of: plain).isEmpty else { throw .malformed("The field \(name) looks like another.") }
            }
            if kind(of: name).contains(.single) {
                guard !seen.contains(name) else { throw .malformed("There are two \(name) fields.") }
                seen.append(name)
            }
            switch name {
            case "host": host = value
            case "content-length" where !value.utf8.allSatisfy({ (48...57).contains($0) }) || value.isEmpty:
                throw .malformed("Content-Length is malformed.")
            case "upgrade" where value.lowercased() != "websocket": throw .malformed("There is nothing to upgrade to but websocket.")
            case "expect" where value.lowercased() != "100-continue":
                throw Refusal(
                    .init(417, "expectation-failed", "This expectation cannot be met", detail: "Only 100-continue is."), closes: true)
            default: break
            }
        }
        if head.version.major == 1, head.version.minor == 1, host == nil { throw .malformed("There is no Host field.") }
        if let host, !Authority.isValid(host) { throw .malformed("The Host field is malformed.") }
        guard head.uri != "*" else {
            throw .malformed(head.method == .OPTIONS ? "Options of the whole server are not told." : "The address is malformed.")
        }
        let target = try RequestTarget(head.uri)
        if let authority = target.authority {
            guard Authority.isValid(authority), host.map({ $0.lowercased() == authority.lowercased() }) ?? true else {
                throw .malformed("The address and the Host field disagree.")
            }
        }
        return target
    }

    /// What the decoder of HTTP/1 has seen to.
    private static func checkFields(of head: HTTPRequestHead) throws(Refusal) {
        guard head.headers.count <= RequestDecoder.mostFields else { throw .headTooLarge }
        guard head.uri.utf8.count <= RequestDecoder.longestTarget else { throw .targetTooLong }
        guard !head.method.rawValue.isEmpty, head.method.rawValue.utf8.allSatisfy(\.isTokenByte) else {
            throw .malformed("The method is malformed.")
        }
        for (_, value) in head.headers {
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                throw .malformed("The value of a field has a control character.")
            }
            // What was no UTF-8 cannot be told from it any more.
            guard !value.unicodeScalars.contains("\u{fffd}") else { throw .malformed("The value of a field is not UTF-8.") }
        }
    }

    /// The fields that go to a service: without those of one connection, those that are named by `Connection`, and those that only the
    /// inside may say.
    package static func forwarded(_ fields: HTTPHeaders) -> HTTPHeaders {
        let named = named(by: fields)
        var result = HTTPHeaders()
        result.reserveCapacity(fields.count + 4)
        for (name, value) in fields {
            guard kind(of: name).isDisjoint(with: [.ofOneConnection, .inner, .ofRequest]), !named.contains(name) else { continue }
            result.add(name: name, value: value)
        }
        return result
    }

    /// The fields of an answer that go to the client.
    package static func returned(_ fields: HTTPHeaders) -> HTTPHeaders {
        // Most answers have none that stays behind.
        guard fields.contains(where: { isOfOneConnection($0.name, or: []) }) else { return fields }
        let named = named(by: fields)
        var result = HTTPHeaders()
        result.reserveCapacity(fields.count + 2)
        for (name, value) in fields {
            if !isOfOneConnection(name, or: named) { result.add(name: name, value: value) }
        }
        return result
    }

    /// - Parameter name: in any case. Of most the length tells enough.
    private static func isOfOneConnection(_ name: String, or named: Set<String>) -> Bool {
        let length = UInt64(min(name.utf8.count, 63))
        guard !named.isEmpty || lengthsOfConnection & 1 << length != 0 else { return false }
        let lower = name.lowercased()
        return ofOneConnection.contains(lower) || named.contains(lower)
    }

    /// What cannot be taken away by naming it: a client could remove what the way depends on.
    private static let unremovable: Set<String> = ["host", "content-length", "authorization", "idempotency-key", "content-type"]

    private static func named(by fields: HTTPHeaders) -> Set<String> {
        var named: Set<String> = []
        for value in fields["connection"] {
            for name in value.split(separator: ",") { named.insert(name.trimmingBlanks().lowercased()) }
        }
        return named.subtracting(unremovable)
    }
}

extension Substring {
    func trimmingBlanks() -> Substring {
        var text = self
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}

/// `example.org`, `example.org:8080`, `10.0.0.7:80`, `[::1]:8080`.
enum Authority {
    static func isValid(_ text: String) -> Bool {
        var host = text.utf8[...]
        if host.first == UInt8(ascii: "[") {
            guard let end = host.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let inner = host[host.index(after: host.startIndex)..<end]
            guard !inner.isEmpty, inner.allSatisfy({ $0.hexValue != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }) else {
                return false
            }
            host = host[host.index(after: end)...]
            return host.isEmpty || isPort(host)
        }
        if let colon = host.firstIndex(of: UInt8(ascii: ":")) {
            guard isPort(host[colon...]) else { return false }
            host = host[..<colon]
        }
        return (1...253).contains(host.count) && host.allSatisfy { $0.isUnreserved && $0 != UInt8(ascii: "~") }
    }

    private static func isPort(_ text: Substring.UTF8View) -> Bool {
        let digits = text.dropFirst()
        return text.first == UInt8(ascii: ":") && (1...5).contains(digits.count) && digits.allSatisfy { (48...57).contains($0) }
            && (Int(Substring(digits)) ?? 0) <= 65_535
    }
}
