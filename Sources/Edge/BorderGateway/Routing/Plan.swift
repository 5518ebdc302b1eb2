package import Discovery
package import Values

/// Where requests of a route go, and within which bounds.
package final class Plan: Sendable {
    package enum Destination: Sendable {
        case service(ServiceName)
        /// Instances that an operator's route names.
        case addresses(NetworkTransport.Peer)
        /// Whether the process is alive and ready.
        case operations(Route)
        /// The merged OpenAPI document.
        case document
    }

    /// Where an operator's route says nothing else.
    static let usualBodyLimit = 64 * 1024
    static let usualTime = TimeSpan.seconds(12)

    /// What it is called in metrics: its path with parameters in braces.
    package let name: String
    package let destination: Destination
    /// Whether a request may arrive twice and still have its effect once.
    package let isRepeatable: Bool
    /// The largest body, in bytes.
    package let bodyLimit: Int
    /// From the head of a request to the end of its answer; between two pieces where bodies are streams.
    package let time: TimeSpan
    /// Whether bodies go through as they come. Others are whole before the service is asked, which therefore can be asked twice.
    package let isStream: Bool
    package let limits: [RateRule]
    /// What an operator's route changes on the way.
    package let rule: RouteRule?
    let meters: RouteMeters

    init(
        name: String, destination: Destination, isRepeatable: Bool, bodyLimit: Int = usualBodyLimit,
        time: TimeSpan = usualTime, isStream: Bool = false, limits: [RateRule] = [], rule: RouteRule? = nil
    ) {
        self.name = name
        self.destination = destination
        self.isRepeatable = isRepeatable
        self.bodyLimit = bodyLimit
        self.time = time
        self.isStream = isStream
        self.limits = limits
        self.rule = rule
        meters = .of(name)
    }
}
