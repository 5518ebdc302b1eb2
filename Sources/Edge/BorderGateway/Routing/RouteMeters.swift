import CoreMetrics
import Synchronization

/// What is measured of one route: how long its requests took at the gateway, and how many were answered with which class of status.
package final class RouteMeters: Sendable {
    /// By route: what was counted stays while settings change.
    private static let all = Mutex<[String: RouteMeters]>([:])
    /// Of requests for which there is no route.
    static let none = of("none")

    private let time: Timer
    /// `1xx` to `5xx`.
    private let answers: [Counter]
    private let requestCount = Atomic<Int>(0)
    private let failureCount = Atomic<Int>(0)

    static func of(_ route: String) -> RouteMeters {
        all.withLock { all in
            if let known = all[route] { return known }
            let meters = RouteMeters(route)
            all[route] = meters
            return meters
        }
    }

    private init(_ route: String) {
        time = Timer(label: "gateway_request_duration_seconds", dimensions: [("route", route)])
        answers = (1...5).map { Counter(label: "gateway_requests_total", dimensions: [("route", route), ("status", "\($0)xx")]) }
    }

    /// How many were answered since the process began.
    var requests: Int { requestCount.load(ordering: .relaxed) }
    /// Of them with 500 and above.
    var failures: Int { failureCount.load(ordering: .relaxed) }

    func count(_ status: Int, nanoseconds: Int64) {
        time.recordNanoseconds(nanoseconds)
        requestCount.add(1, ordering: .relaxed)
        if status >= 500 { failureCount.add(1, ordering: .relaxed) }
        if (100...599).contains(status) { answers[status / 100 - 1].increment() }
    }
}
