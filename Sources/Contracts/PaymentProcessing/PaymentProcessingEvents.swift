import Messaging

/// A payment or one of its refunds stands otherwise than before. Its capture is not told so: Payments asks and tells Sales of it by
/// calls until Sales has said what became of it.
package struct PaymentChanged: DomainEvent {
    package static let name = "payments.changed.v1"
    package var payment: Payment

    package init(payment: Payment) {
        self.payment = payment
    }
}
