package import Discovery
package import Values

/// Where requests of a route go, and within which bounds.
package struct Plan: Sendable {
    package enum Destination: Sendable {
        case service(ServiceName)
        /// Instances that an operator's route names.
        case addresses(NetworkTransport.Peer)
        /// Whether the process is alive and ready.
        case operations(Route)
        /// The merged OpenAPI document.
        case document
    }

    /// What it is called in metrics: its path with parameters in braces.
    package var name: String
    package var destination: Destination
    /// Whether a request may arrive twice and still have its effect once.
    package var isRepeatable: Bool
    /// The largest body, in bytes.
    package var bodyLimit: Int
    /// From the head of a request to the end of its answer; between two pieces where bodies are streams.
    package var time: TimeSpan
    /// Whether bodies go through as they come. Others are whole before the service is asked, which therefore can be asked twice.
    package var isStream: Bool
    package var limits: [RateRule]
    /// What an operator's route changes on the way.
    package var rule: RouteRule?
    let meters: RouteMeters

    package init(
        name: String, destination: Destination, isRepeatable: Bool, bodyLimit: Int = 64 * 1024, time: TimeSpan = .seconds(12),
        isStream: Bool = false, limits: [RateRule] = []
    ) {
        self.name = name
        self.destination = destination
        self.isRepeatable = isRepeatable
        self.bodyLimit = bodyLimit
        self.time = time
        self.isStream = isStream
        self.limits = limits
        meters = .of(name)
    }
}
