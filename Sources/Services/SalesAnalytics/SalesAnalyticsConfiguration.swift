import Configuration
import ServiceKit
import Values

/// The settings of SalesAnalytics.
struct SalesAnalyticsConfiguration: Sendable {
    /// `projection.concurrency`: how many messages are taken in side by side, and so may share a commit. 1 to 256, default 256. Read at
    /// the start.
    let concurrency: Int
    /// `reports.days`: how far back a report goes that does not say. In days, 1 to 3,660, default 30. May change while it runs.
    let defaultPeriod: TimeSpan

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        concurrency = try reader.number("projection.concurrency", default: 256, in: 1...256)
        defaultPeriod = .days(Int64(try reader.number("reports.days", default: 30, in: 1...3_660)))
    }
}
