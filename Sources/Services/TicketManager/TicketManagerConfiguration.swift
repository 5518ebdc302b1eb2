import Configuration
import Values

/// TicketManager's settings.
struct TicketManagerConfiguration: Sendable {
    /// `hold.seconds`: how long a hold lives where its request does not say; 1 to 3,600, default 600.
    let holdTime: TimeSpan
    /// `sweep.seconds`: how often expired holds are swept. They are free at their expiry also without it; default 5.
    let sweepInterval: TimeSpan

    init(_ reader: ConfigReader) {
        holdTime = .seconds(Int64(min(max(reader.int(forKey: "hold.seconds", default: 600), 1), 3_600)))
        sweepInterval = .seconds(Int64(max(reader.int(forKey: "sweep.seconds", default: 5), 1)))
    }
}
