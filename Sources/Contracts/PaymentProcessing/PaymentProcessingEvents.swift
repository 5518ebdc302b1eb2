import Messaging

/// A payment or one of its refunds stands otherwise than before.
package struct PaymentChanged: DomainEvent {
    package static let name = "payments.changed.v1"
    package var payment: Payment

    package init(payment: Payment) {
        self.payment = payment
    }
}
