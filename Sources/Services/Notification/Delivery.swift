import Contracts
import Discovery
import Values

/// One mail to one person: what it is about, and how far it came. Its words are made when it is sent.
struct Delivery: Hashable, Sendable {
    enum Kind: String, Sendable {
        case orderConfirmation = "order-confirmation"
        case orderEnded = "order-ended"
        case refund
        case ticketTransfer = "ticket-transfer"
        case verifyEmail = "verify-email"
    }

    /// What the kind needs to know beside the order. Forgotten once the mail is sent.
    struct Details: Codable, Hashable, Sendable {
        var reason: String?
        var amount: Money?
        var name: String?
        var token: String?
        /// As its new holder has it.
        var ticket: Ticket?
    }

    var id: DeliveryID
    var kind: Kind
    var subjectID: String
    var orderId: OrderID?
    var userId: UserID?
    var address: String
    var subject: String
    var details: Details
    var attempts: Int64 = 0
    var createdAt: Instant

    /// The same mailbox in any way of writing it, as users find their mails.
    var email: String { address.lowercased() }

    /// How long a mail is tried.
    static let patience = TimeSpan.days(3)

    /// When to try again what could not be sent now; nil when it has been tried for long enough. Waits grow threefold from ten
    /// seconds to six hours.
    func nextAttempt(after now: Instant) -> Instant? {
        var wait = TimeSpan.seconds(10)
        for _ in 1..<max(attempts, 1) where wait < .hours(6) { wait.microseconds *= 3 }
        let next = now + min(wait, .hours(6))
        return next <= createdAt + Delivery.patience ? next : nil
    }
}

extension Delivery {
    init(_ kind: Kind, of order: OrderFacts, about subjectID: String, subject: String, details: Details = Details()) {
        self.init(
            id: DeliveryID(), kind: kind, subjectID: subjectID, orderId: order.id, userId: order.userId,
            address: order.buyer.email, subject: subject, details: details, createdAt: .now)
    }

    init(_ paid: OrderPaid) {
        self.init(.orderConfirmation, of: paid.order, about: "\(paid.order.id)", subject: "Your tickets, order \(paid.order.number)")
    }

    /// Nil for what a buyer need not be told: an order that was not paid in time, or that they have given up themselves. Whether
    /// one that was canceled had been paid is seen when its turn comes.
    init?(_ ended: OrderEnded) {
        guard ["unfulfillable", "event-canceled", "canceled"].contains(ended.reason) else { return nil }
        self.init(
            .orderEnded, of: ended.order, about: "\(ended.order.id)", subject: "Your order \(ended.order.number) was canceled",
            details: Details(reason: ended.reason))
    }

    init(_ refunded: OrderRefunded) {
        self.init(
            .refund, of: refunded.order, about: "\(refunded.refundId)", subject: "Refund for your order \(refunded.order.number)",
            details: Details(reason: refunded.reason, amount: refunded.amount))
    }

    /// Each time a ticket is handed on, to whoever has it now. It is not told as of the order, which is another's.
    init(_ transferred: TicketTransferred) {
        let ticket = transferred.ticket
        self.init(
            id: DeliveryID(), kind: .ticketTransfer, subjectID: "\(ticket.id):\(ticket.codeVersion)", orderId: nil, userId: nil,
            address: transferred.email, subject: "A ticket for you",
            details: Details(name: transferred.name, token: transferred.ticketToken, ticket: ticket), createdAt: .now)
    }

    init(_ registered: UserRegistered) {
        self.init(
            id: DeliveryID(), kind: .verifyEmail, subjectID: "\(registered.userId)", orderId: nil, userId: registered.userId,
            address: registered.email, subject: "Confirm your e-mail address",
            details: Details(name: registered.name, token: registered.verificationToken), createdAt: .now)
    }
}
