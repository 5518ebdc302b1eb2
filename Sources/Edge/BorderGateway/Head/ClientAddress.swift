import Glibc

/// An address of IPv4 or IPv6, in 16 bytes: one of IPv4 as it is mapped into IPv6.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    let high: UInt64
    let low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter text: `10.0.0.7`, `2001:db8::1`, without port, brackets or zone.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
        let text = String(text)
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 {
            self.init(high: 0, low: bytes[..<4].reduce(0xffff) { $0 << 8 | UInt64($1) })
            return
        }
        guard inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
        self.init(
            high: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }, low: bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
    }

    static let loopback = IPAddress(high: 0, low: 0xffff_7f00_0001)

    private var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    package var description: String {
        if isIPv4 { return "\(low >> 24 & 0xff).\(low >> 16 & 0xff).\(low >> 8 & 0xff).\(low & 0xff)" }
        return [high, low].flatMap { half in [48, 32, 16, 0].map { String(half >> UInt64($0) & 0xffff, radix: 16) } }.joined(separator: ":")
    }

    /// Whom limits count together: of IPv6 a whole /64, which one household has.
    package var household: IPAddress { isIPv4 ? self : IPAddress(high: high, low: 0) }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
package struct Network: Hashable, Sendable {
    private let address: IPAddress
    private let bits: Int

    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let isIPv4 = !parts[0].contains(":")
        let most = isIPv4 ? 32 : 128
        guard parts.count == 1 || parts[1].utf8.allSatisfy({ (48...57).contains($0) }),
            let said = parts.count == 1 ? most : Int(parts[1]), (0...most).contains(said)
        else { return nil }
        self.address = address
        bits = said + (isIPv4 ? 96 : 0)
    }

    package func contains(_ other: IPAddress) -> Bool {
        let high = Network.mask(min(bits, 64))
        let low = Network.mask(max(bits - 64, 0))
        return address.high & high == other.high & high && address.low & low == other.low & low
    }

    private static func mask(_ bits: Int) -> UInt64 { bits == 0 ? 0 : ~UInt64(0) << UInt64(64 - bits) }
}

/// Tells where a request came from.
package struct ClientAddress: Sendable {
    /// How far a chain is followed.
    private static let longestChain = 32

    private let trusted: [Network]

    /// - Parameter trusted: the networks of the proxies before this gateway.
    package init(trusted: [Network]) {
        self.trusted = trusted
    }

    package func isTrusted(_ address: IPAddress) -> Bool { trusted.contains { $0.contains(address) } }

    /// Whoever a trusted neighbour says it spoke for: from the right, the first that is not trusted itself. What stands to the left of it
    /// anybody may have written. One that cannot be read ends the chain.
    /// - Parameters:
    ///   - peer: the other end of the connection.
    ///   - fields: the values of `X-Forwarded-For`, in their order.
    package func find(peer: IPAddress, forwardedFor fields: @autoclosure () -> [String]) -> IPAddress {
        guard isTrusted(peer) else { return peer }
        var client = peer
        let entries = fields().joined(separator: ",").split(separator: ",", omittingEmptySubsequences: false)
        for entry in entries.reversed().prefix(ClientAddress.longestChain) {
            guard let address = ClientAddress.address(entry.trimmingBlanks()) else { return client }
            client = address
            guard isTrusted(address) else { return client }
        }
        return client
    }

    /// With or without a port: `10.0.0.7`, `10.0.0.7:1234`, `2001:db8::1`, `[2001:db8::1]:1234`.
    private static func address(_ text: Substring) -> IPAddress? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || (rest.hasPrefix(":") && UInt16(rest.dropFirst()) != nil) else { return nil }
            return IPAddress(text[text.index(after: text.startIndex)..<end])
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 2, parts[0].contains("."), UInt16(parts[1]) != nil { return IPAddress(parts[0]) }
        return IPAddress(text)
    }
}
