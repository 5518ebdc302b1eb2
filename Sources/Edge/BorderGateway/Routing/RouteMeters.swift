import CoreMetrics

/// What is measured of one route: how long its requests took at the gateway, and how many were answered with which class of status.
package final class RouteMeters: Sendable {
    /// Of requests for which there is no route.
    static let none = RouteMeters("none")

    private let time: Timer
    /// `1xx` to `5xx`.
    private let answers: [Counter]

    init(_ route: String) {
        time = Timer(label: "gateway_request_duration_seconds", dimensions: [("route", route)])
        answers = (1...5).map { Counter(label: "gateway_requests_total", dimensions: [("route", route), ("status", "\($0)xx")]) }
    }

    func count(_ status: Int, nanoseconds: Int64) {
        time.recordNanoseconds(nanoseconds)
        if (100...599).contains(status) { answers[status / 100 - 1].increment() }
    }
}
