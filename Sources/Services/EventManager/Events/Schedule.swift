import ServiceKit
import Values

/// When an event is: local times, their zone, and the instants that they mean.
struct Schedule: Hashable, Sendable {
    let start: ZonedTime
    let end: ZonedTime?

    /// Years in which events happen. Beyond them a date is a slip of the keyboard.
    static let years = Instant(year: 2000, month: 1, day: 1)!...Instant(year: 2200, month: 1, day: 1)!

    /// Nil, with every mistake told to `validation`, for what is no time, does not exist in the zone, or ends before it begins.
    init?(startsAt: String, endsAt: String?, timeZone: String, _ validation: inout Validation) {
        guard Schedule.mayBeZone(timeZone), ZonedTime.isZone(timeZone) else {
            validation.check(false, "timeZone", "must be a time zone of the IANA database, such as Europe/Berlin")
            return nil
        }
        let start = Schedule.time(startsAt, "startsAt", timeZone, &validation)
        let end = endsAt.flatMap { Schedule.time($0, "endsAt", timeZone, &validation) }
        guard let start, (end != nil) == (endsAt != nil) else { return nil }
        if let end, end.instant <= start.instant {
            validation.check(false, "endsAt", "must be later than startsAt")
            return nil
        }
        self.start = start
        self.end = end
    }

    private static func time(_ text: String, _ field: String, _ zone: String, _ validation: inout Validation) -> ZonedTime? {
        do {
            let time = try ZonedTime(text, zone: zone)
            if years.contains(time.instant) { return time }
            validation.check(false, field, "must be in the years 2000 to 2199")
        } catch .skipped {
            validation.check(false, field, "does not exist in \(zone): clocks are put forward over it")
        } catch {
            validation.check(false, field, "must be a time in RFC 3339, or a local time such as 2027-05-01T19:30:00")
        }
        return nil
    }

    /// Bounds what is looked up in the system's database of zones.
    private static func mayBeZone(_ name: String) -> Bool {
        name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "/_+-".utf8.contains(byte)
            }
    }
}
