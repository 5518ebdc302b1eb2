package import Discovery
import HTTPTypes
package import Logging
package import Observability
import Synchronization
import Values

/// What an operator's tools ask of a process: is it alive, is it ready, what has it measured.
package final class Operations: Sendable {
    /// Something without which requests cannot be answered, such as a database, or not as well.
    package struct Check: Sendable {
        package let name: String
        package let isNeeded: Bool
        package let run: @Sendable () async throws -> Void

        /// - Parameters:
        ///   - isNeeded: whether the process is not ready while it is not well. What is not is only told.
        ///   - run: throws where it is not well.
        package init(_ name: String, isNeeded: Bool = true, _ run: @escaping @Sendable () async throws -> Void) {
            self.name = name
            self.isNeeded = isNeeded
            self.run = run
        }

        package func passes() async -> Bool {
            do {
                try await run()
                return true
            } catch {
                return false
            }
        }
    }

    package static let live = Route(.get, "/health/live", .anyone)
    package static let ready = Route(.get, "/health/ready", .anyone)
    package static let metrics = Route(.get, "/metrics", .anyone)
    /// What may be known to everybody.
    package static let healthRoutes = [live, ready]
    package static let routes = healthRoutes + [metrics]

    private struct Health: Encodable {
        let status: String
        var checks: [String: String]?
    }

    private let checks: [Check]
    private let measured: PrometheusMetrics
    private let logger: Logger
    private let stopping = Atomic<Bool>(false)

    package init(checks: [Check], metrics: PrometheusMetrics, logger: Logger) {
        self.checks = checks
        measured = metrics
        self.logger = logger
    }

    /// From now on no new requests are wanted here.
    package func stopIsNear() {
        stopping.store(true, ordering: .relaxed)
    }

    package var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Nil where the path is not one of `routes`.
    package func answer(_ route: Route) async throws -> Reply? {
        switch route.path {
        case Operations.live.path: try Reply.ok(Health(status: "live"))
        case Operations.ready.path: try await readiness()
        case Operations.metrics.path: .bytes(Array(measured.render().utf8), type: "text/plain; version=0.0.4; charset=utf-8")
        default: nil
        }
    }

    private func readiness() async throws -> Reply {
        let results = await withTaskGroup(of: (String, Bool).self) { group in
            for check in checks { group.addTask { (check.name, await self.passes(check)) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        let isStopping = isStopping
        let isReady = !isStopping && checks.allSatisfy { !$0.isNeeded || results[$0.name] ?? false }
        var reply = try Reply.ok(
            Health(
                status: isReady ? "ready" : isStopping ? "stopping" : "notReady",
                checks: results.mapValues { $0 ? "ok" : "failed" }))
        if !isReady {
            reply.status = .serviceUnavailable
            reply.headers[.retryAfter] = "1"
        }
        return reply
    }

    private func passes(_ check: Check) async -> Bool {
        do {
            try await check.run()
            return true
        } catch {
            logger.log(
                level: check.isNeeded ? .warning : .debug, "a check of readiness failed",
                metadata: ["check": "\(check.name)", "error": "\(error)"])
            return false
        }
    }
}
