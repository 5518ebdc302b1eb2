package import Configuration
package import Discovery
package import Logging
package import ServiceLifecycle

/// A server beside the services that answers in a protocol of its own. It has no database and no messages.
package protocol EdgeServer: Sendable {
    static var name: ServiceName { get }
    /// Where it listens if nothing else is said.
    static var usualPort: Int { get }
    /// The largest body that it takes, in bytes.
    static var largestBody: Int { get }
    init(_ environment: EdgeEnvironment) throws
    /// Reads all its settings, and throws for those that it could not start with.
    static func readSettings(_ reader: ConfigReader) throws
    /// Answers all but what an operator asks of every process.
    func respond(to request: IncomingRequest) async -> Reply
    /// What it does beside answering, until the process stops.
    var services: [any Service] { get }
    /// What must be well so that it can answer.
    var checks: [Operations.Check] { get }
}

/// What a server of the edge is given.
package struct EdgeEnvironment: Sendable {
    /// Its own part of the configuration.
    package let configuration: ConfigReader
    /// Where it may keep files, one folder for each server; not yet made.
    package let folder: String
    package let logger: Logger

    package init(configuration: ConfigReader, folder: String, logger: Logger) {
        self.configuration = configuration
        self.folder = folder
        self.logger = logger
    }
}
