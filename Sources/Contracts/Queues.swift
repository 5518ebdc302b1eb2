package import Messaging

extension Contracts {
    /// What the services listen to: every queue, with the events that its consumer handles. Whoever sends declares all of them first,
    /// so that no queue is missing when an event is sent.
    package static let queues: [QueueDeclaration] = [
        QueueDeclaration(name: "sales-manager.payments", patterns: [PaymentChanged.name]),
        QueueDeclaration(name: "sales-manager.events", patterns: [EventChanged.name, EventCanceled.name]),
        QueueDeclaration(
            name: "sales-analytics.projection",
            patterns: [OrderPaid.name, OrderRefunded.name, EventChanged.name, TicketTypeChanged.name]),
        QueueDeclaration(
            name: "notification.deliveries",
            patterns: [OrderPaid.name, OrderEnded.name, OrderRefunded.name, TicketTransferred.name, UserRegistered.name]),
    ]
}
