import Configuration
import ServiceKit
import Values

/// The settings of EventManager. All may change while it runs.
struct EventManagerConfiguration: Sendable {
    /// `organizers.per.user`: how many organizers one user may make. Default 100.
    let organizersPerUser: Int
    /// `cancellation.retry.seconds`: how often what a canceled event still needs is tried again. Default 5.
    let cancellationRetry: TimeSpan
    /// `owner.retry.seconds`: how often it is tried again to make an organizer's creator its owner. Default 5.
    let ownerRetry: TimeSpan
    /// `completion.seconds`: how often it is looked which events are over. Default 60.
    let completion: TimeSpan

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        // Below the number of memberships that Authentication lists of one user.
        organizersPerUser = try reader.number("organizers.per.user", default: 100, in: 1...400)
        cancellationRetry = .seconds(Int64(try reader.number("cancellation.retry.seconds", default: 5, in: 1...3_600)))
        ownerRetry = .seconds(Int64(try reader.number("owner.retry.seconds", default: 5, in: 1...3_600)))
        completion = .seconds(Int64(try reader.number("completion.seconds", default: 60, in: 1...86_400)))
    }
}
