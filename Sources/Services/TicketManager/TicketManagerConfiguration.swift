import Configuration
import ServiceKit
import Values

/// TicketManager's settings. All may change while it runs; a hold keeps the time that it began with.
struct TicketManagerConfiguration: Sendable {
    /// `hold.seconds`: how long a hold lives where its request does not say; 1 to 3,600, default 600.
    let holdTime: TimeSpan
    /// `sweep.seconds`: how often expired holds are swept. They are free at their expiry also without it; 1 to 3,600, default 5.
    let sweepInterval: TimeSpan

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        holdTime = .seconds(Int64(try reader.number("hold.seconds", default: 600, in: 1...3_600)))
        sweepInterval = .seconds(Int64(try reader.number("sweep.seconds", default: 5, in: 1...3_600)))
    }
}
