package import Values

package enum OrganizerKind: IdentifierKind { package static let prefix = "org" }
package typealias OrganizerID = TypeID<OrganizerKind>
package enum VenueKind: IdentifierKind { package static let prefix = "venue" }
package typealias VenueID = TypeID<VenueKind>
package enum EventKind: IdentifierKind { package static let prefix = "event" }
package typealias EventID = TypeID<EventKind>

package struct Organizer: Codable, Hashable, Sendable {
    package var id: OrganizerID
    package var name: String
    package var slug: String
    /// Where buyers can ask.
    package var email: String?
    package var createdAt: Instant

    package init(id: OrganizerID, name: String, slug: String, email: String?, createdAt: Instant) {
        self.id = id
        self.name = name
        self.slug = slug
        self.email = email
        self.createdAt = createdAt
    }
}

package struct NewOrganizer: Codable, Sendable {
    package var name: String
    package var email: String?

    package init(name: String, email: String? = nil) {
        self.name = name
        self.email = email
    }
}

/// Only what is given changes.
package struct OrganizerChange: Codable, Sendable {
    package var name: String?
    package var email: String?

    package init(name: String? = nil, email: String? = nil) {
        self.name = name
        self.email = email
    }
}

package struct Venue: Codable, Hashable, Sendable {
    package var id: VenueID
    package var organizerId: OrganizerID
    package var name: String
    package var street: String?
    package var city: String
    /// ISO 3166-1 alpha-2, in capital letters.
    package var country: String
    package var createdAt: Instant

    package init(
        id: VenueID, organizerId: OrganizerID, name: String, street: String?, city: String, country: String, createdAt: Instant
    ) {
        self.id = id
        self.organizerId = organizerId
        self.name = name
        self.street = street
        self.city = city
        self.country = country
        self.createdAt = createdAt
    }
}

package struct NewVenue: Codable, Sendable {
    package var organizerId: OrganizerID
    package var name: String
    package var street: String?
    package var city: String
    package var country: String

    package init(organizerId: OrganizerID, name: String, street: String? = nil, city: String, country: String) {
        self.organizerId = organizerId
        self.name = name
        self.street = street
        self.city = city
        self.country = country
    }
}

/// Only what is given changes.
package struct VenueChange: Codable, Sendable {
    package var name: String?
    package var street: String?
    package var city: String?
    package var country: String?

    package init(name: String? = nil, street: String? = nil, city: String? = nil, country: String? = nil) {
        self.name = name
        self.street = street
        self.city = city
        self.country = country
    }
}

package enum EventState: String, Codable, Hashable, Sendable {
    case draft, published, postponed, canceled, completed
}

/// Until when buyers may refund themselves, and whether fees are refunded then. Without one they cannot.
package struct RefundPolicy: Codable, Hashable, Sendable {
    package var until: Instant
    package var feesRefunded: Bool

    package init(until: Instant, feesRefunded: Bool) {
        self.until = until
        self.feesRefunded = feesRefunded
    }
}

package struct Event: Codable, Hashable, Sendable {
    package var id: EventID
    package var slug: String
    package var organizerId: OrganizerID
    package var name: String
    package var summary: String?
    /// Markdown.
    package var description: String?
    package var state: EventState
    package var startsAt: Instant
    /// The same in the event's zone, as it was said: `2027-05-01T19:30:00`.
    package var localStartsAt: String
    package var endsAt: Instant?
    /// IANA name.
    package var timeZone: String
    package var venueId: VenueID?
    package var venue: Venue?
    package var onlineURL: String?
    package var currency: Currency
    package var imageURL: String?
    package var ageRestriction: Int?
    package var refundPolicy: RefundPolicy?
    /// Grows with each change; its ETag.
    package var version: Int64
    package var createdAt: Instant
    /// The end in the event's zone, as it was said.
    package var localEndsAt: String?

    package init(
        id: EventID, slug: String, organizerId: OrganizerID, name: String, summary: String?, description: String?,
        state: EventState, startsAt: Instant, localStartsAt: String, endsAt: Instant?, timeZone: String, venueId: VenueID?,
        venue: Venue?, onlineURL: String?, currency: Currency, imageURL: String?, ageRestriction: Int?,
        refundPolicy: RefundPolicy?, version: Int64, createdAt: Instant, localEndsAt: String? = nil
    ) {
        self.id = id
        self.slug = slug
        self.organizerId = organizerId
        self.name = name
        self.summary = summary
        self.description = description
        self.state = state
        self.startsAt = startsAt
        self.localStartsAt = localStartsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
        self.venueId = venueId
        self.venue = venue
        self.onlineURL = onlineURL
        self.currency = currency
        self.imageURL = imageURL
        self.ageRestriction = ageRestriction
        self.refundPolicy = refundPolicy
        self.version = version
        self.createdAt = createdAt
        self.localEndsAt = localEndsAt
    }
}

/// Times are RFC 3339 with an offset, or local times of the event's zone (`2027-05-01T19:30:00`).
package struct NewEvent: Codable, Sendable {
    package var organizerId: OrganizerID
    package var name: String
    package var summary: String?
    package var description: String?
    package var startsAt: String
    package var endsAt: String?
    package var timeZone: String
    package var venueId: VenueID?
    package var onlineURL: String?
    package var currency: Currency
    package var imageURL: String?
    package var ageRestriction: Int?
    package var refundPolicy: RefundPolicy?

    package init(
        organizerId: OrganizerID, name: String, summary: String? = nil, description: String? = nil, startsAt: String,
        endsAt: String? = nil, timeZone: String, venueId: VenueID? = nil, onlineURL: String? = nil, currency: Currency,
        imageURL: String? = nil, ageRestriction: Int? = nil, refundPolicy: RefundPolicy? = nil
    ) {
        self.organizerId = organizerId
        self.name = name
        self.summary = summary
        self.description = description
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
        self.venueId = venueId
        self.onlineURL = onlineURL
        self.currency = currency
        self.imageURL = imageURL
        self.ageRestriction = ageRestriction
        self.refundPolicy = refundPolicy
    }
}

/// Only what is given changes.
package struct EventChange: Codable, Sendable {
    package var name: String?
    package var summary: String?
    package var description: String?
    package var startsAt: String?
    package var endsAt: String?
    /// Without new times, the event keeps its local ones in the new zone.
    package var timeZone: String?
    package var venueId: VenueID?
    package var onlineURL: String?
    package var imageURL: String?
    package var ageRestriction: Int?
    package var refundPolicy: RefundPolicy?

    package init(
        name: String? = nil, summary: String? = nil, description: String? = nil, startsAt: String? = nil,
        endsAt: String? = nil, timeZone: String? = nil, venueId: VenueID? = nil, onlineURL: String? = nil,
        imageURL: String? = nil, ageRestriction: Int? = nil, refundPolicy: RefundPolicy? = nil
    ) {
        self.name = name
        self.summary = summary
        self.description = description
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
        self.venueId = venueId
        self.onlineURL = onlineURL
        self.imageURL = imageURL
        self.ageRestriction = ageRestriction
        self.refundPolicy = refundPolicy
    }
}

package struct CancelEvent: Codable, Sendable {
    /// Whether every order is refunded; without it orders stay as they are.
    package var refund: Bool?
    package var reason: String?

    package init(refund: Bool? = nil, reason: String? = nil) {
        self.refund = refund
        self.reason = reason
    }
}

package struct PostponeEvent: Codable, Sendable {
    package var startsAt: String?
    package var endsAt: String?

    package init(startsAt: String? = nil, endsAt: String? = nil) {
        self.startsAt = startsAt
        self.endsAt = endsAt
    }
}
