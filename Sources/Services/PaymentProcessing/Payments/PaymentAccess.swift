import Contracts
import Discovery
import HTTPTypes
import ServiceKit

/// Who may see an order's money: its buyer, by account or by the order's secret, and the organizer's staff.
struct PaymentAccess: Sendable {
    let sales: SalesManagerClient
    let authentication: AuthenticationClient

    /// Everybody else learns only that there is no such payment.
    func requireBuyer(of order: OrderID, _ call: Call) async throws {
        guard try await access(to: order, call)?.isBuyer == true else { throw Problem.notFound("payment") }
    }

    /// - Parameter role: what staff need; nil means any role.
    func requireBuyerOrStaff(of order: OrderID, _ role: Role?, _ call: Call, what: String) async throws {
        guard let access = try await access(to: order, call) else { throw Problem.notFound(what) }
        if access.isBuyer { return }
        guard let user = call.identity.user else { throw Problem.notFound(what) }
        if let role { return try await authentication.require(role, of: access.organizerId, for: call.identity, what: what) }
        if user.isAdmin { return }
        guard try await authentication.role(of: user.id, in: access.organizerId) != nil else { throw Problem.notFound(what) }
    }

    /// Nil for an order that does not exist, and for a caller who shows nothing that could open one.
    private func access(to order: OrderID, _ call: Call) async throws -> OrderAccess? {
        let user = call.identity.user
        let token = call.headers[.orderToken].flatMap { $0.utf8.count <= 200 ? $0 : nil }
        guard user != nil || token != nil else { return nil }
        do {
            return try await sales.access(
                order,
                OrderAccessQuestion(
                    orderToken: token, userId: user?.id, verifiedEmail: user.flatMap { $0.isEmailVerified ? $0.email : nil }))
        } catch let problem as Problem where problem.status == 404 {
            return nil
        }
    }
}
