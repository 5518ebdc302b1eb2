import Contracts
import ServiceKit

/// What can become of an order.
///
/// ```
/// draft -> awaitingPayment -> paid -> canceled
/// draft | awaitingPayment -> expired | canceled
/// expired -> paid      a capture that comes late decides by fulfilment; one for a canceled order goes back
/// ```
extension OrderStatus {
    func next(_ target: OrderStatus) throws(IllegalTransition) -> OrderStatus {
        switch (self, target) {
        case (.draft, .awaitingPayment), (.draft, .paid), (.draft, .expired), (.draft, .canceled),
            (.awaitingPayment, .paid), (.awaitingPayment, .expired), (.awaitingPayment, .canceled),
            (.paid, .canceled), (.expired, .paid):
            target
        default:
            throw IllegalTransition(of: "order", from: rawValue, to: target.rawValue)
        }
    }

    /// Waits for its payment, or for being handed to it.
    var isOpen: Bool { self == .draft || self == .awaitingPayment }
}
