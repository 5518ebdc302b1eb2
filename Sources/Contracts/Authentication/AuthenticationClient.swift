package import Discovery
import Synchronization
import Values

/// Authentication, as its peers call it.
package struct AuthenticationClient: Sendable {
    /// How long a role that was granted is believed; a refusal is never remembered.
    private static let trust = TimeSpan.seconds(5)

    private struct Question: Hashable {
        let user: UserID
        let organizer: OrganizerID
    }

    private final class Cache: Sendable {
        let roles = Mutex<[Question: (role: Role, asked: Instant)]>([:])
    }

    private let peer: PeerClient
    private let cache = Cache()

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    /// Lets through who has at least this role with the organizer, and platform administrators. Others learn nothing: `404`
    /// for strangers, `403` for staff of a lesser role.
    /// - Parameter what: what a stranger is told that there is not.
    package func require(_ needed: Role, of organizer: OrganizerID, for identity: Identity, what: String) async throws {
        guard let user = identity.user else { throw Problem.unauthenticated }
        if user.isAdmin { return }
        guard let role = try await role(of: user.id, in: organizer) else { throw Problem.notFound(what) }
        guard role.covers(needed) else {
            throw Problem.forbidden("This needs the role \(needed.rawValue); yours is \(role.rawValue).")
        }
    }

    /// Nil for who is no member.
    package func role(of user: UserID, in organizer: OrganizerID) async throws -> Role? {
        let question = Question(user: user, organizer: organizer)
        let now = Instant.now
        if let known = cache.roles.withLock({ $0[question] }), now < known.asked + AuthenticationClient.trust { return known.role }
        do {
            let membership: Membership = try await peer.call(AuthenticationRoutes.role, ["\(organizer)", "\(user)"])
            cache.roles.withLock { roles in
                if roles.count > 10_000 { roles.removeAll() }
                roles[question] = (membership.role, now)
            }
            return membership.role
        } catch let problem as Problem where problem.status == 404 {
            return nil
        }
    }

    package func memberships(of user: UserID) async throws -> [Membership] {
        try await peer.call(AuthenticationRoutes.memberships, ["\(user)"], answer: MembershipList.self).items
    }

    package func makeOwner(_ user: UserID, of organizer: OrganizerID) async throws {
        try await peer.perform(AuthenticationRoutes.makeOwner, ["\(organizer)"], body: NewOwner(userId: user))
    }
}
