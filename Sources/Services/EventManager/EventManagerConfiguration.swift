import Configuration
import Discovery
import Values

/// The settings of EventManager. All are read once, at start.
struct EventManagerConfiguration: Sendable {
    /// `organizers.per.user`: how many organizers one user may make. Default 100.
    let organizersPerUser: Int
    /// `cancellation.retry.seconds`: how often what a canceled event still needs is tried again. Default 5.
    let cancellationRetry: TimeSpan
    /// `owner.retry.seconds`: how often it is tried again to make an organizer's creator its owner. Default 5.
    let ownerRetry: TimeSpan
    /// `completion.seconds`: how often it is looked which events are over. Default 60.
    let completion: TimeSpan

    init(_ reader: ConfigReader) throws {
        func setting(_ key: ConfigKey, default value: Int, _ range: ClosedRange<Int>) throws -> Int {
            let setting = reader.int(forKey: key, default: value)
            guard range.contains(setting) else {
                throw Problem.badRequest("The setting \(key) is \(setting); it must be from \(range.lowerBound) to \(range.upperBound).")
            }
            return setting
        }
        // Below the number of memberships that Authentication lists of one user.
        organizersPerUser = try setting("organizers.per.user", default: 100, 1...400)
        cancellationRetry = .seconds(Int64(try setting("cancellation.retry.seconds", default: 5, 1...3_600)))
        ownerRetry = .seconds(Int64(try setting("owner.retry.seconds", default: 5, 1...3_600)))
        completion = .seconds(Int64(try setting("completion.seconds", default: 60, 1...86_400)))
    }
}
