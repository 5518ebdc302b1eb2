package import Configuration
import ServiceKit

/// Where operators look at the gateway, below `borderGateway.admin`. Read at the start.
package struct AdminConfiguration: Sendable {
    /// The address to listen on: `host`, `127.0.0.1` by default. Whoever reaches it needs no token.
    package let host: String
    /// `port`; nil, the default, for the next after the front door's.
    package let port: Int?

    package init(_ settings: ConfigSnapshotReader) throws {
        host = try settings.text("host", default: "127.0.0.1")
        let said = try settings.number("port", default: -1, in: -1...65_535)
        port = said < 0 ? nil : said
    }
}
