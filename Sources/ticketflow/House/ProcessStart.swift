import EventLoops
import Logging
import Metrics
import Observability

/// What a process sets up once, before anything else.
enum ProcessStart {
    static func prepare() -> PrometheusMetrics {
        ProcessLimits.raise()
        TaskExecution.moveToEventLoops()
        LoggingSystem.bootstrap { JSONLogHandler(label: $0) }
        let metrics = PrometheusMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }
}
