import EventLoops
import Logging
import Metrics
import Observability

/// What a process sets up once, before anything else.
enum ProcessStart {
    static func prepare(logLevel: Logger.Level) -> PrometheusMetrics {
        ProcessLimits.raise()
        TaskExecution.moveToEventLoops()
        LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: logLevel) }
        let metrics = PrometheusMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }
}
