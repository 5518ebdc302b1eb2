import Contracts
import Discovery
import ServiceKit
import Values

/// What people may say about events, venues and organizers, within its bounds.
extension NewEvent {
    func validated() throws -> Schedule {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.details(
            summary: summary, description: description, onlineURL: onlineURL, imageURL: imageURL, ageRestriction: ageRestriction,
            refundPolicy: refundPolicy)
        let schedule = Schedule(startsAt: startsAt, endsAt: endsAt, timeZone: timeZone, &validation)
        try validation.end()
        // Without a mistake there is a schedule.
        guard let schedule else { throw Problem.invalid("startsAt", "is not a time") }
        return schedule
    }
}

extension EventChange {
    /// Only what is given changes. Throws `Problem` 422 with all mistakes.
    func apply(to event: inout Event) throws {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.details(
            summary: summary, description: description, onlineURL: onlineURL, imageURL: imageURL, ageRestriction: ageRestriction,
            refundPolicy: refundPolicy)
        let schedule = schedule(of: event, &validation)
        try validation.end()
        if let schedule { event.take(schedule) }
        event.name = name ?? event.name
        event.summary = summary ?? event.summary
        event.description = description ?? event.description
        event.venueId = venueId ?? event.venueId
        event.onlineURL = onlineURL ?? event.onlineURL
        event.imageURL = imageURL ?? event.imageURL
        event.ageRestriction = ageRestriction ?? event.ageRestriction
        event.refundPolicy = refundPolicy ?? event.refundPolicy
    }

    /// Nil where no time changes. In a new zone the event keeps its local times, in the old one its instants.
    private func schedule(of event: Event, _ validation: inout Validation) -> Schedule? {
        guard startsAt != nil || endsAt != nil || timeZone != nil else { return nil }
        let isMoved = timeZone != nil && timeZone != event.timeZone
        return Schedule(
            startsAt: startsAt ?? (isMoved ? event.localStartsAt : event.startsAt.description),
            endsAt: endsAt ?? (isMoved ? event.localEndsAt : event.endsAt?.description),
            timeZone: timeZone ?? event.timeZone, &validation)
    }
}

extension PostponeEvent {
    /// New times, where there are some already.
    func apply(to event: inout Event) throws {
        try EventChange(startsAt: startsAt, endsAt: endsAt).apply(to: &event)
    }
}

extension NewOrganizer {
    func validate() throws {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.email(email, "email")
        try validation.end()
    }
}

extension OrganizerChange {
    func apply(to organizer: inout Organizer) throws {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.email(email, "email")
        try validation.end()
        organizer.name = name ?? organizer.name
        organizer.email = email ?? organizer.email
    }
}

extension NewVenue {
    func validate() throws {
        try VenueChange(name: name, street: street, city: city, country: country).validate()
    }
}

extension VenueChange {
    func apply(to venue: inout Venue) throws {
        try validate()
        venue.name = name ?? venue.name
        venue.street = street ?? venue.street
        venue.city = city ?? venue.city
        venue.country = country ?? venue.country
    }

    fileprivate func validate() throws {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.line(street, "street", atMost: 200)
        validation.line(city, "city", atMost: 200)
        if let country { validation.check(country.isCountry, "country", "must be a code of ISO 3166-1 in capital letters, such as DE") }
        try validation.end()
    }
}

extension String {
    /// Two capital letters, the form of ISO 3166-1 alpha-2.
    var isCountry: Bool { utf8.count == 2 && utf8.allSatisfy { (65...90).contains($0) } }
}

extension Validation {
    /// Text of one line: a line break in a name would become one in a mail's head or a file's name.
    fileprivate mutating func line(_ value: String?, _ field: String, atMost limit: Int) {
        text(value, field, atMost: limit)
        check(value?.unicodeScalars.contains { $0.properties.generalCategory == .control } != true, field, "must be one line")
    }

    fileprivate mutating func details(
        summary: String?, description: String?, onlineURL: String?, imageURL: String?, ageRestriction: Int?,
        refundPolicy: RefundPolicy?
    ) {
        text(summary, "summary", atMost: 500, isRequired: false)
        text(description, "description", atMost: 20_000, isRequired: false)
        url(onlineURL, "onlineURL")
        url(imageURL, "imageURL")
        if let ageRestriction { check((0...99).contains(ageRestriction), "ageRestriction", "must be a whole number from 0 to 99") }
        if let until = refundPolicy?.until {
            check(Schedule.years.contains(until), "refundPolicy.until", "must be in the years 2000 to 2199")
        }
    }

    /// Only what a browser opens as a page or a picture, in the characters of RFC 3986: no `javascript:`, and nothing that ends
    /// an attribute.
    private mutating func url(_ value: String?, _ field: String) {
        guard let value else { return }
        let rest = ["https://", "http://"].lazy.filter { value.hasPrefix($0) }.map { value.utf8.dropFirst($0.utf8.count) }.first
        let isPlausible =
            rest.map { rest in
                rest.first.map(Validation.isLetterOrDigit) == true && value.utf8.count <= 2_000
                    && rest.allSatisfy { Validation.isLetterOrDigit($0) || "!#$%&()*+,-./:;=?@[]_~".utf8.contains($0) }
            } ?? false
        check(isPlausible, field, "must be an address of the web, such as https://example.org/")
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
}
