import Contracts
import Values

/// What the sandbox writes into a webhook. Like a real provider's, it names the attempt that came with the charge as metadata.
struct SandboxEvent: Codable, Sendable {
    var id: String
    /// `charge.succeeded`, `charge.failed`, `refund.succeeded`, `refund.failed`, `dispute.opened`, `dispute.won`, `dispute.lost`.
    var type: String
    var attemptId: AttemptID?
    var chargeId: String?
    var refundId: RefundID?
    var submission: Int64?
    var disputeId: String?
    var amount: Money?
    var failure: String?

    /// Nil where the type is known but its fields are not there.
    var fact: ProviderEvent.Fact? {
        switch type {
        case "charge.succeeded":
            guard let attemptId, let amount else { return nil }
            return .charge(attemptId, .captured(amount, reference: chargeId ?? ""))
        case "charge.failed":
            guard let attemptId else { return nil }
            return .charge(attemptId, .failed(failure ?? "card-declined"))
        case "refund.succeeded", "refund.failed":
            guard let refundId, let submission else { return nil }
            return .refund(
                refundId, submission: submission, type == "refund.succeeded" ? .succeeded : .failed(failure ?? "refused"))
        case "dispute.opened", "dispute.won", "dispute.lost":
            guard let disputeId, let attemptId, let amount, let state = DisputeState(rawValue: String(type.dropFirst(8))) else {
                return nil
            }
            return .dispute(reference: disputeId, attempt: attemptId, state, amount)
        default:
            return .other(type)
        }
    }
}
