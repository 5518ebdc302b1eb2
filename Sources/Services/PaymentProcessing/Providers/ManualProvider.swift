import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Values

/// Money that the organizer takes with their own hands: by bank transfer, or at the door. Staff record that it arrived.
///
/// It keeps nothing, so an attempt of which nothing was recorded was, as far as it knows, never begun.
struct ManualProvider: PaymentProvider {
    static let name = "manual"
    private static let methods = ["bank-transfer", "door"]

    let configuration: LiveSettings<PaymentProcessingConfiguration>

    var name: String { ManualProvider.name }
    var holder: LedgerAccount { .organizer }
    var tellsOutcomes: Bool { false }

    func mistake(in method: String?) -> String? {
        method.map(ManualProvider.methods.contains) == true
            ? nil : "must be one of \(ManualProvider.methods.joined(separator: ", "))"
    }

    func begin(_ attempt: ProviderAttempt) async throws -> ProviderOutcome {
        if attempt.method == "door" { return .authorized(isPayLater: true) }
        let text = "Transfer \(attempt.amount) with the reference \(attempt.orderID)."
        let account = configuration.manualAccount
        return .requiresAction(PaymentAction(type: .instructions, text: account.isEmpty ? text : "\(text) \(account)"))
    }

    func lookUp(_ attempt: ProviderAttempt) async throws -> ProviderOutcome { .notFound }

    func cancel(_ attempt: ProviderAttempt) async throws -> ProviderOutcome { .canceled }

    /// Staff hand the money back.
    func refund(_ refund: ProviderRefund) async throws -> RefundOutcome { .succeeded }

    func lookUpRefund(_ refund: ProviderRefund) async throws -> RefundOutcome { .notFound }

    func verifyWebhook(_ headers: HTTPFields, _ body: [UInt8], now: Instant) throws -> [ProviderEvent] {
        throw Problem.notFound("provider")
    }
}
