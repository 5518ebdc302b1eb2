import Contracts
import Discovery
import ServiceKit

/// The sandbox's side of a confirmation, as a buyer's bank would show it. Whoever knows the charge's id may answer.
struct SandboxRoutes: Sendable {
    /// Nil where the sandbox is not offered: then there is no charge.
    let provider: SandboxProvider?

    var endpoints: [Endpoint] {
        [Endpoint(PaymentProcessingRoutes.confirmSandboxCharge, confirm)]
    }

    @Sendable func confirm(_ call: Call) async throws -> Reply {
        let confirmation = try call.body(SandboxConfirmation.self)
        guard let charge = try await provider?.confirm(call.text("id"), confirmation.approve) else {
            throw Problem.notFound("charge")
        }
        return try .ok(SandboxConfirmationAnswer(status: charge.state.rawValue, returnURL: charge.returnURL))
    }
}
