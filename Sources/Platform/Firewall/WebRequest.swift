/// A request as it is judged.
package struct WebRequest: Sendable {
    /// The other end's address, without port.
    package var peer: String
    package var method: String
    /// Path and query.
    package var target: String
    /// `1.1`
    package var version: String
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        peer: String = "127.0.0.1", method: String, target: String, version: String = "1.1", fields: [(name: String, value: String)],
        body: [UInt8] = []
    ) {
        self.peer = peer
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.body = body
    }
}
