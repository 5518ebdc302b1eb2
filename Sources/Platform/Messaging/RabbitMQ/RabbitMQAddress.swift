internal import FoundationEssentials

/// Where a RabbitMQ listens and as whom to speak to it: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS.
///
/// Parts are percent-encoded where they need to be. Without a port it is 5672 (5671 with TLS), without a path the virtual host `/`.
/// It never shows its password.
package struct RabbitMQAddress: Hashable, Sendable {
    let host: String
    let port: Int
    let virtualHost: String
    let user: String
    let password: String
    let isEncrypted: Bool

    /// Nil for what is no such address.
    package init?(_ text: String) {
        guard let components = URLComponents(string: text), let scheme = components.scheme?.lowercased(),
            ["amqp", "amqps"].contains(scheme),
            let host = components.host, !host.isEmpty, components.query == nil, components.fragment == nil,
            (1...65_535).contains(components.port ?? 1), !components.path.dropFirst().contains("/") || components.path == "//"
        else { return nil }
        isEncrypted = scheme == "amqps"
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        port = components.port ?? (isEncrypted ? 5_671 : 5_672)
        virtualHost = components.path.count > 1 ? String(components.path.dropFirst()) : "/"
        user = components.user ?? "guest"
        password = components.password ?? "guest"
    }
}

extension RabbitMQAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        let host = host.contains(":") ? "[\(host)]" : host
        return "\(isEncrypted ? "amqps" : "amqp")://\(user)@\(host):\(port)\(virtualHost == "/" ? "" : "/\(virtualHost)")"
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
