import Messaging

/// An event was published, or what is public of it changed.
package struct EventChanged: DomainEvent {
    package static let name = "events.changed.v1"
    package var event: Event

    package init(event: Event) {
        self.event = event
    }
}

package struct EventCanceled: DomainEvent {
    package static let name = "events.canceled.v1"
    package var eventId: EventID
    package var refund: Bool
    package var reason: String?

    package init(eventId: EventID, refund: Bool, reason: String?) {
        self.eventId = eventId
        self.refund = refund
        self.reason = reason
    }
}
