import Configuration
import Values

/// The settings of SalesAnalytics. None changes while it runs.
struct SalesAnalyticsConfiguration: Sendable {
    /// `projection.concurrency`: how many messages are taken in side by side, and so may share a commit. 1 to 256, default 128.
    let concurrency: Int
    /// `reports.days`: how far back a report goes that does not say. In days, default 30.
    let defaultPeriod: TimeSpan

    init(_ reader: ConfigReader) {
        concurrency = min(max(reader.int(forKey: "projection.concurrency", default: 128), 1), 256)
        defaultPeriod = .days(Int64(min(max(reader.int(forKey: "reports.days", default: 30), 1), 3_660)))
    }
}
