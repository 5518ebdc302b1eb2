/// One running copy of a service.
package struct Instance: Hashable, Sendable, CustomStringConvertible {
    /// Scheme, host and port: `http://10.0.0.7:8102`.
    package let address: String
    /// Host and port, as the field `Host` names them: `10.0.0.7:8102`.
    package let authority: String
    /// Without brackets.
    package let host: String
    package let port: Int

    /// - Parameter text: `10.0.0.7:8102`, `ticket-manager:8102`, `[::1]:8102`, or the same after `http://`. Nil for anything else.
    package init?(_ text: String) {
        let authority = text.hasPrefix("http://") ? text.dropFirst("http://".count) : text[...]
        guard let colon = authority.lastIndex(of: ":"), let port = UInt16(authority[authority.index(after: colon)...]), port > 0
        else { return nil }
        let host = authority[..<colon]
        let name = host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host
        let isIPv6 = name.startIndex != host.startIndex
        guard !name.isEmpty, name.utf8.allSatisfy({ isIPv6 ? Instance.isOfIPv6($0) : Instance.isOfHost($0) }) else { return nil }
        address = "http://\(authority)"
        self.authority = String(authority)
        self.host = String(name)
        self.port = Int(port)
    }

    package var description: String { address }

    // All else follows from the address.
    package static func == (one: Instance, other: Instance) -> Bool { one.address == other.address }

    package func hash(into hasher: inout Hasher) { hasher.combine(address) }

    private static func isOfHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func isOfIPv6(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: ":"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
