package import Values

package enum PaymentKind: IdentifierKind { package static let prefix = "pay" }
package typealias PaymentID = TypeID<PaymentKind>
package enum AttemptKind: IdentifierKind { package static let prefix = "attempt" }
package typealias AttemptID = TypeID<AttemptKind>
package enum RefundKind: IdentifierKind { package static let prefix = "refund" }
package typealias RefundID = TypeID<RefundKind>
package enum DisputeKind: IdentifierKind { package static let prefix = "dispute" }
package typealias DisputeID = TypeID<DisputeKind>

package enum PaymentState: String, Codable, Hashable, Sendable {
    case open, captured, closed
}

package enum AttemptState: String, Codable, Hashable, Sendable {
    case created, requiresAction, authorized, captured, failed, canceled
}

/// What the buyer has to do next.
package struct PaymentAction: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// Open the address, such as a bank's confirmation.
        case redirect
        /// Follow the instructions, such as a bank transfer.
        case instructions
    }

    package var type: Kind
    package var url: String?
    package var text: String?

    package init(type: Kind, url: String? = nil, text: String? = nil) {
        self.type = type
        self.url = url
        self.text = text
    }
}

extension PaymentAction: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("text", text)
            json.member("type", type)
            json.member("url", url)
        }
    }
}

package struct PaymentAttempt: Codable, Hashable, Sendable {
    package var id: AttemptID
    package var provider: String
    package var status: AttemptState
    /// For the buyer: `card-declined`, `insufficient-funds`, `provider-unavailable`.
    package var failure: String?
    package var createdAt: Instant

    package init(id: AttemptID, provider: String, status: AttemptState, failure: String? = nil, createdAt: Instant) {
        self.id = id
        self.provider = provider
        self.status = status
        self.failure = failure
        self.createdAt = createdAt
    }
}

extension PaymentAttempt: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("createdAt", createdAt)
            json.member("failure", failure)
            json.member("id", id)
            json.member("provider", provider)
            json.member("status", status)
        }
    }
}

package struct PaymentRefund: Codable, Hashable, Sendable {
    package var id: RefundID
    package var status: RefundState
    package var amount: Money
    /// What it is for: unique within the order.
    package var cause: String

    package init(id: RefundID, status: RefundState, amount: Money, cause: String) {
        self.id = id
        self.status = status
        self.amount = amount
        self.cause = cause
    }
}

extension PaymentRefund: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("amount", amount)
            json.member("cause", cause)
            json.member("id", id)
            json.member("status", status)
        }
    }
}

package enum DisputeState: String, Codable, Hashable, Sendable {
    case opened, won, lost
}

/// The buyer's bank wants money back (a chargeback). While it is open, and when it is lost, that money cannot be refunded.
package struct PaymentDispute: Codable, Hashable, Sendable {
    package var id: DisputeID
    package var state: DisputeState
    package var amount: Money

    package init(id: DisputeID, state: DisputeState, amount: Money) {
        self.id = id
        self.state = state
        self.amount = amount
    }
}

extension PaymentDispute: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("amount", amount)
            json.member("id", id)
            json.member("state", state)
        }
    }
}

package struct Payment: Codable, Hashable, Sendable {
    package var id: PaymentID
    package var orderId: OrderID
    package var state: PaymentState
    package var amount: Money
    /// The newest attempt's.
    package var status: AttemptState?
    package var action: PaymentAction?
    package var attempts: [PaymentAttempt]
    /// Captured in all; what is beyond `amount` goes back by itself.
    package var captured: Money
    package var refunded: Money
    package var refunds: [PaymentRefund]
    package var disputes: [PaymentDispute]?
    /// Whether the buyer may have the tickets before the money is there (pay at the door).
    package var isPayLater: Bool
    package var version: Int64

    package init(
        id: PaymentID, orderId: OrderID, state: PaymentState, amount: Money, status: AttemptState? = nil,
        action: PaymentAction? = nil, attempts: [PaymentAttempt], captured: Money, refunded: Money,
        refunds: [PaymentRefund], disputes: [PaymentDispute]? = nil, isPayLater: Bool, version: Int64
    ) {
        self.id = id
        self.orderId = orderId
        self.state = state
        self.amount = amount
        self.status = status
        self.action = action
        self.attempts = attempts
        self.captured = captured
        self.refunded = refunded
        self.refunds = refunds
        self.disputes = disputes
        self.isPayLater = isPayLater
        self.version = version
    }
}

extension Payment: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("action", action)
            json.member("amount", amount)
            json.member("attempts", attempts)
            json.member("captured", captured)
            json.member("disputes", disputes)
            json.member("id", id)
            json.member("isPayLater", isPayLater)
            json.member("orderId", orderId)
            json.member("refunded", refunded)
            json.member("refunds", refunds)
            json.member("state", state)
            json.member("status", status)
            json.member("version", version)
        }
    }
}

package struct NewPayment: Codable, Sendable {
    package var orderId: OrderID
    package var organizerId: OrganizerID
    package var amount: Money
    package var description: String
    package var buyerEmail: String
    package var choice: PaymentChoice
    package var expiresAt: Instant

    package init(
        orderId: OrderID, organizerId: OrganizerID, amount: Money, description: String, buyerEmail: String,
        choice: PaymentChoice, expiresAt: Instant
    ) {
        self.orderId = orderId
        self.organizerId = organizerId
        self.amount = amount
        self.description = description
        self.buyerEmail = buyerEmail
        self.choice = choice
        self.expiresAt = expiresAt
    }
}

extension NewPayment: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("amount", amount)
            json.member("buyerEmail", buyerEmail)
            json.member("choice", choice)
            json.member("description", description)
            json.member("expiresAt", expiresAt)
            json.member("orderId", orderId)
            json.member("organizerId", organizerId)
        }
    }
}

package struct PaymentReceipt: Codable, Sendable {
    package var amount: Money
    package var reference: String?

    package init(amount: Money, reference: String? = nil) {
        self.amount = amount
        self.reference = reference
    }
}

package enum CloseReason: String, Codable, Sendable {
    case expired, canceled
}

package struct ClosePayment: Codable, Sendable {
    package var reason: CloseReason

    package init(reason: CloseReason) {
        self.reason = reason
    }
}

package enum SettlementOutcome: String, Codable, Sendable {
    case fulfilled, refunded
}

package struct SettlePayment: Codable, Sendable {
    package var outcome: SettlementOutcome

    package init(outcome: SettlementOutcome) {
        self.outcome = outcome
    }
}

package enum RefundState: String, Codable, Hashable, Sendable {
    case requested, submitted, succeeded, failed, canceled
}

package struct NewRefund: Codable, Sendable {
    package var orderId: OrderID
    /// Names the reason; a second request with it is the same refund.
    package var causeId: String
    package var amount: Money
    package var reason: String

    package init(orderId: OrderID, causeId: String, amount: Money, reason: String) {
        self.orderId = orderId
        self.causeId = causeId
        self.amount = amount
        self.reason = reason
    }
}

package struct Refund: Codable, Hashable, Sendable {
    package var id: RefundID
    package var orderId: OrderID
    package var causeId: String
    package var amount: Money
    package var status: RefundState
    package var createdAt: Instant

    package init(
        id: RefundID, orderId: OrderID, causeId: String, amount: Money, status: RefundState, createdAt: Instant
    ) {
        self.id = id
        self.orderId = orderId
        self.causeId = causeId
        self.amount = amount
        self.status = status
        self.createdAt = createdAt
    }
}

/// One side of a money movement. Those of one movement sum to zero.
package struct LedgerEntry: Codable, Hashable, Sendable {
    package var movementId: String
    /// `buyer`, `provider`, `organizer`.
    package var account: String
    /// Positive into the account.
    package var amount: Money
    package var kind: String
    package var at: Instant

    package init(movementId: String, account: String, amount: Money, kind: String, at: Instant) {
        self.movementId = movementId
        self.account = account
        self.amount = amount
        self.kind = kind
        self.at = at
    }
}

package struct LedgerAnswer: Codable, Sendable {
    package var items: [LedgerEntry]

    package init(items: [LedgerEntry]) {
        self.items = items
    }
}

package struct SandboxConfirmation: Codable, Sendable {
    package var approve: Bool

    package init(approve: Bool) {
        self.approve = approve
    }
}

/// How a charge of the sandbox stands after the confirmation.
package struct SandboxConfirmationAnswer: Codable, Sendable {
    /// `captured` or `failed`.
    package var status: String
    /// Where the shop wants the buyer back.
    package var returnURL: String?

    package init(status: String, returnURL: String? = nil) {
        self.status = status
        self.returnURL = returnURL
    }
}

/// The event is stored; what it changes follows.
package struct WebhookAnswer: Codable, Sendable {
    package var received: Bool

    package init(received: Bool) {
        self.received = received
    }
}
