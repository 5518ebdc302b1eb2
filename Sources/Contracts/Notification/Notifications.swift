package import Values

package enum DeliveryKind: IdentifierKind { package static let prefix = "mail" }
package typealias DeliveryID = TypeID<DeliveryKind>

/// One message to one person, and how far it came.
package struct Notification: Codable, Hashable, Sendable {
    package enum State: String, Codable, Sendable {
        case pending, sent, failed
        /// Not sent, because it was no longer true when its turn came. Not shown to users.
        case canceled
    }

    package var id: DeliveryID
    /// `order-confirmation`, `order-ended`, `refund`, `ticket-transfer`, `verify-email`.
    package var kind: String
    package var subject: String
    package var state: State
    package var orderId: OrderID?
    package var createdAt: Instant
    package var sentAt: Instant?

    package init(
        id: DeliveryID, kind: String, subject: String, state: State, orderId: OrderID? = nil, createdAt: Instant,
        sentAt: Instant? = nil
    ) {
        self.id = id
        self.kind = kind
        self.subject = subject
        self.state = state
        self.orderId = orderId
        self.createdAt = createdAt
        self.sentAt = sentAt
    }
}
