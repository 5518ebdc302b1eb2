import CoreMetrics
import Values

/// A limit as it is held: what it is called, whether each route counts for itself, and how often it was refused.
package struct RateRule: Sendable {
    let name: String
    let limit: RateLimit
    let isPerRoute: Bool
    let refusals: Counter
    /// As the field `RateLimit-Policy` says it.
    let policy: String

    init(_ name: String, _ limit: RateLimit, isPerRoute: Bool = false) {
        self.name = name
        self.limit = limit
        self.isPerRoute = isPerRoute
        refusals = Counter(label: "gateway_rate_limited_total", dimensions: [("limit", name)])
        policy = "\"\(name)\";q=\(limit.requests);w=\(limit.per.roundedUpToSeconds)"
    }
}
