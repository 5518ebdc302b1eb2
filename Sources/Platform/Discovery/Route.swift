package import HTTPTypes

/// One operation of the HTTP API: who serves it is told by where it is listed, who may call it by `access`.
///
/// The same value registers the handler, dispatches at the front, and addresses the call of a peer.
package struct Route: Sendable {
    package enum Access: Hashable, Sendable {
        /// No identity is asked for; the handler may ask for a secret of the thing itself.
        case anyone
        /// A signed-in user. What they may see is the handler's to decide.
        case user
        /// A service under its own token with this scope. Never forwarded from outside.
        case service(scope: String)
    }

    package let method: HTTPRequest.Method
    /// With parameters in braces: `/api/v1/orders/{id}`.
    package let path: String
    package let access: Access
    /// Whether it asks for an `Idempotency-Key`, under which a request that comes again is the same request.
    package let takesKey: Bool
    /// Whether an API key may do it, if its scopes do: a key is never good for making another, nor for letting somebody in.
    package let isForPrograms: Bool

    package init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, takesKey: Bool = false, isForPrograms: Bool = true
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.takesKey = takesKey
        self.isForPrograms = isForPrograms
    }

    /// Whether a request may arrive twice and still have its effect once, whatever its fields say. What services ask of each other is
    /// made so: each names the thing that it is about.
    package var isRepeatable: Bool {
        if case .service = access { return true }
        if path.hasPrefix("/internal/") { return true }
        return [.get, .head, .put, .delete].contains(method)
    }

    /// The path with its parameters filled in, in their order, percent-encoded.
    package func path(_ parameters: [String]) -> String {
        guard !parameters.isEmpty else { return path }
        var (parameters, filled) = (parameters[...], "")
        for segment in path.utf8.split(separator: UInt8(ascii: "/")) {
            filled += "/"
            if segment.first == UInt8(ascii: "{"), let value = parameters.popFirst() {
                filled += value.percentEncoded()
            } else {
                filled += Substring(segment)
            }
        }
        return filled
    }
}

extension String {
    /// All but RFC 3986's unreserved characters as `%XX`.
    package func percentEncoded() -> String {
        func isUnreserved(_ byte: UInt8) -> Bool {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
            default: false
            }
        }
        // As every id is.
        if utf8.allSatisfy(isUnreserved) { return self }
        var result = ""
        for byte in utf8 {
            if isUnreserved(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }
}
