package import Discovery
import HTTPTypes

package enum EventManagerRoutes {
    package static let createOrganizer = Route(.post, "/api/v1/organizers", .user)
    package static let organizers = Route(.get, "/api/v1/organizers", .anyone)
    package static let organizer = Route(.get, "/api/v1/organizers/{id}", .anyone)
    package static let changeOrganizer = Route(.patch, "/api/v1/organizers/{id}", .user)
    package static let createVenue = Route(.post, "/api/v1/venues", .user)
    package static let venues = Route(.get, "/api/v1/venues", .anyone)
    package static let venue = Route(.get, "/api/v1/venues/{id}", .anyone)
    package static let changeVenue = Route(.patch, "/api/v1/venues/{id}", .user)
    package static let events = Route(.get, "/api/v1/events", .anyone)
    package static let createEvent = Route(.post, "/api/v1/events", .user)
    /// By id or slug.
    package static let event = Route(.get, "/api/v1/events/{id}", .anyone)
    package static let changeEvent = Route(.patch, "/api/v1/events/{id}", .user)
    package static let deleteEvent = Route(.delete, "/api/v1/events/{id}", .user)
    package static let publishEvent = Route(.post, "/api/v1/events/{id}/publish", .user)
    package static let postponeEvent = Route(.post, "/api/v1/events/{id}/postpone", .user)
    package static let cancelEvent = Route(.post, "/api/v1/events/{id}/cancel", .user)
    /// In any state, for services.
    package static let eventForServices = Route(.get, "/internal/v1/events/{id}", .service(scope: Scope.readEvents))
    package static let organizerForServices = Route(.get, "/internal/v1/organizers/{id}", .service(scope: Scope.readEvents))

    package static let all = [
        createOrganizer, organizers, organizer, changeOrganizer, createVenue, venues, venue, changeVenue, events, createEvent,
        event, changeEvent, deleteEvent, publishEvent, postponeEvent, cancelEvent, eventForServices, organizerForServices,
    ]
}
