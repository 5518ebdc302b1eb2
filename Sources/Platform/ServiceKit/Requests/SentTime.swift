import Discovery
package import Values

extension ZonedTime {
    /// A time from a body, or the `Problem` that says what is wrong with it. Years are 2000 to 2200.
    package init(sent text: String, _ field: String, zone: String) throws {
        do {
            try self.init(text, zone: zone)
        } catch {
            let message =
                switch error {
                case .unknownZone: "needs a time zone of the IANA database, such as Europe/Berlin"
                case .unreadable: "must be a time such as 2027-05-01T19:30:00, or with an offset as 2027-05-01T19:30:00+02:00"
                case .skipped: "does not exist: clocks jump over this time in \(zone)"
                }
            throw Problem.invalid(field, message)
        }
        guard (2000...2200).contains(instant.civil.year) else { throw Problem.invalid(field, "must be in the years 2000 to 2200") }
    }
}
