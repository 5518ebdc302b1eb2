package import Configuration
import ServiceKit
package import Values

/// The settings of the gateway, below `borderGateway`. All but where it listens may change while it runs.
package struct BorderGatewayConfiguration: Hashable, Sendable {
    /// A setting that cannot be used, and why.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    /// The networks of the proxies before this gateway, whose `X-Forwarded-For` is believed: `trustedProxies`, none by default.
    package var trustedProxies: [Network]
    /// Requests of one address (of IPv6 a /64): `limits.address`, `500/s burst 5000` by default, for many people share one; `off` for none.
    package var perAddress: RateLimit?
    /// Requests of one signed-in user: `limits.user`, `50/s burst 200` by default; `off` for none.
    package var perUser: RateLimit?
    /// Requests of one API key: `limits.key`, `50/s burst 200` by default; `off` for none.
    package var perKey: RateLimit?
    /// Signing in, registering and the like, for each address: `limits.signIn`, `60/min burst 30` by default; `off` for none.
    package var signIn: RateLimit?
    /// Trying coupons, for each address: `limits.coupons`, `60/min burst 20` by default; `off` for none.
    package var coupons: RateLimit?
    /// Routes before those of the API: `routes`, a list in JSON, none by default; see `RouteRule`.
    package var routes: [RouteRule]
    /// How many connections one address may have: `connectionsPerAddress`, 2,000 by default.
    package var connectionsPerAddress: Int
    /// How long a request may take from its first byte to the last of its head: `headSeconds`, 10 by default.
    package var headTime: TimeSpan
    /// How long a body may take to arrive: `bodySeconds`, 30 by default.
    package var bodyTime: TimeSpan
    /// How long a connection is kept open between two requests: `idleSeconds`, 75 by default.
    package var idleTime: TimeSpan
    /// How long a connection that was upgraded to WebSocket lives without a byte either way: `tunnelIdleSeconds`, 600 by default.
    package var tunnelIdleTime: TimeSpan

    /// What holds attacks back: `firewall.mode`, `on` by default, `report` to log what it would refuse, or `off`; and the folder of the OWASP
    /// Core Rule Set, `firewall.rules`, `/usr/share/modsecurity-crs` by default.
    package var firewall: Firewall.Settings
    /// Whether each request is logged, without its query: `accessLog`, false by default.
    package var hasAccessLog: Bool

    package init(_ settings: ConfigSnapshotReader) throws {
        trustedProxies = try settings.texts("trustedProxies", default: []).map { text in
            guard let network = Network(text) else {
                throw Invalid(description: "borderGateway.trustedProxies cannot be \(text); say networks such as 10.0.0.0/8.")
            }
            return network
        }
        perAddress = try BorderGatewayConfiguration.limit(settings, "limits.address", "500/s burst 5000")
        perUser = try BorderGatewayConfiguration.limit(settings, "limits.user", "50/s burst 200")
        perKey = try BorderGatewayConfiguration.limit(settings, "limits.key", "50/s burst 200")
        signIn = try BorderGatewayConfiguration.limit(settings, "limits.signIn", "60/min burst 30")
        coupons = try BorderGatewayConfiguration.limit(settings, "limits.coupons", "60/min burst 20")
        routes = try settings.text("routes").map { try RouteRule.list($0) } ?? []
        connectionsPerAddress = try settings.number("connectionsPerAddress", default: 2_000, in: 1...1_000_000)
        let mode = try settings.text("firewall.mode", default: Firewall.Mode.on.rawValue)
        guard let mode = Firewall.Mode(rawValue: mode) else {
            throw Invalid(description: "borderGateway.firewall.mode cannot be \(mode); say on, report or off.")
        }
        firewall = Firewall.Settings(mode: mode, rules: try settings.text("firewall.rules", default: "/usr/share/modsecurity-crs"))
        hasAccessLog = try settings.flag("accessLog", default: false)
        headTime = .seconds(Int64(try settings.number("headSeconds", default: 10, in: 1...600)))
        bodyTime = .seconds(Int64(try settings.number("bodySeconds", default: 30, in: 1...3_600)))
        idleTime = .seconds(Int64(try settings.number("idleSeconds", default: 75, in: 1...3_600)))
        tunnelIdleTime = .seconds(Int64(try settings.number("tunnelIdleSeconds", default: 600, in: 1...86_400)))
    }

    private static func limit(_ settings: ConfigSnapshotReader, _ key: String, _ usual: String) throws -> RateLimit? {
        let text = try settings.text(ConfigKey(key), default: usual)
        if text == "off" { return nil }
        guard let limit = RateLimit(text) else {
            throw Invalid(description: "borderGateway.\(key) cannot be \(text); say such as 20/s, 600/min, 10/h, 20/s burst 100, or off.")
        }
        return limit
    }
}
