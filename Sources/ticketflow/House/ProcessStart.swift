import Logging
import Metrics
import NIOCore
import NIOPosix
import Observability

/// What a process sets up once, before anything else.
enum ProcessStart {
    static func prepare(logLevel: Logger.Level) -> PrometheusMetrics {
        ProcessLimits.raise()
        // Tasks run on the event loops: a request that stays on its connection's thread wakes no other.
        _ = NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()
        LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: logLevel) }
        let metrics = PrometheusMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }
}
