import Foundation

/// A calendar time as a person said it, with its zone and the instant that it means.
///
/// Read from `2027-05-01T19:30:00` (a local time in the zone) or from RFC 3339 with an offset. A local time that the zone
/// skips is refused, one that it has twice means the earlier.
public struct ZonedTime: Hashable, Sendable {
    public let local: String
    public let zone: String
    public let instant: Instant

    public enum Mistake: Error, Hashable, Sendable {
        case unknownZone
        case unreadable
        /// Clocks jump over this time.
        case skipped
    }

    public init(_ text: String, zone: String) throws(Mistake) {
        guard let timeZone = ZonedTime.timeZone(zone) else { throw .unknownZone }
        self.zone = zone
        if let instant = Instant(text) {
            self.instant = instant
            local = String((instant + ZonedTime.offset(of: timeZone, at: instant)).description.prefix(19))
            return
        }
        guard let asUTC = Instant(text + "Z") else { throw .unreadable }
        // Of all offsets that the zone has around then, those count that lead back to the same local time.
        let offsets = [-86_400, 0, 86_400].map { ZonedTime.offset(of: timeZone, at: asUTC + .seconds(Int64($0))) }
        let candidates = Set(offsets).map { asUTC - $0 }.filter { $0 + ZonedTime.offset(of: timeZone, at: $0) == asUTC }
        guard let earliest = candidates.min() else { throw .skipped }
        instant = earliest
        local = String(asUTC.description.prefix(19))
    }

    public static func isZone(_ name: String) -> Bool {
        timeZone(name) != nil
    }

    /// Only names of the IANA database, not the abbreviations that Foundation accepts besides.
    private static func timeZone(_ name: String) -> TimeZone? {
        guard name == "UTC" || name.contains("/") else { return nil }
        return TimeZone(identifier: name)
    }

    private static func offset(of zone: TimeZone, at instant: Instant) -> TimeSpan {
        .seconds(Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant.seconds)))))
    }
}

extension Instant {
    /// `Saturday, 1 May 2027, 19:30` in the zone, as mails and pages say it.
    public func described(in zone: String, locale: String = "en_GB") -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: locale)
        formatter.timeZone = TimeZone(identifier: zone)
        formatter.dateFormat = "EEEE, d MMMM yyyy, HH:mm"
        return formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
    }
}
