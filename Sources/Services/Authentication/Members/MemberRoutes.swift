import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// The staff of organizers.
struct MemberRoutes: Sendable {
    let database: Database
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(AuthenticationRoutes.members, members),
            Endpoint(AuthenticationRoutes.addMember, add),
            Endpoint(AuthenticationRoutes.removeMember, remove),
            Endpoint(AuthenticationRoutes.role, role),
            Endpoint(AuthenticationRoutes.memberships, memberships),
            Endpoint(AuthenticationRoutes.makeOwner, makeOwner),
        ]
    }

    @Sendable func members(_ call: Call) async throws -> Reply {
        let (organizer, user) = (try call.organizer, try call.user)
        let limit = try call.limit
        let after = try call.query("after", as: UserID.self, "the next of an earlier answer")
        let members = try await database.read { tx in
            try MemberRoutes.requireOwner(user, of: organizer, in: tx)
            return try MemberStore.members(of: organizer, after: after, limit: limit + 1, in: tx)
        }
        return try .ok(Page(members, limit: limit) { "\($0.userId)" })
    }

    /// Also changes the role of who is a member already: 200 then, 201 for a new one.
    @Sendable func add(_ call: Call) async throws -> Reply {
        let (organizer, user) = (try call.organizer, try call.user)
        let new = try call.body(NewMember.self)
        let address = EmailAddress.normalised(new.email)
        let (member, isNew) = try await database.write { tx in
            try MemberRoutes.requireOwner(user, of: organizer, in: tx)
            let account = try UserStore.find(email: address, in: tx)?.user
            let isNew = try account.map { try MemberStore.role(of: $0.id, in: organizer, tx) == nil } ?? true
            // Whoever registered an address that was never verified need not be who reads its mail.
            guard let account, account.isEmailVerified || !isNew else {
                throw Problem.invalid(
                    "email", "must be the verified address of an account; ask them to register, and to follow the link in the mail")
            }
            if new.role != .owner { try MemberRoutes.refuseLastOwner(account.id, of: organizer, in: tx) }
            try MemberStore.set(new.role, of: account.id, in: organizer, tx)
            return (Member(userId: account.id, email: account.email, name: account.name, role: new.role), isNew)
        }
        logger.info(
            "a role was given",
            metadata: ["organizer": "\(organizer)", "user": "\(member.userId)", "role": "\(new.role)", "by": "\(user.id)"])
        let location = AuthenticationRoutes.removeMember.path(["\(organizer)", "\(member.userId)"])
        return isNew ? try .created(member, at: location) : try .ok(member)
    }

    @Sendable func remove(_ call: Call) async throws -> Reply {
        let (organizer, user) = (try call.organizer, try call.user)
        let leaving = UserID(call.text("userId"))
        try await database.write { tx in
            try MemberRoutes.requireOwner(user, of: organizer, in: tx)
            guard let leaving, try MemberStore.role(of: leaving, in: organizer, tx) != nil else { throw Problem.notFound("member") }
            try MemberRoutes.refuseLastOwner(leaving, of: organizer, in: tx)
            try MemberStore.remove(leaving, from: organizer, in: tx)
        }
        logger.info(
            "a member was removed",
            metadata: ["organizer": "\(organizer)", "user": "\(call.text("userId"))", "by": "\(user.id)"])
        return .noContent
    }

    @Sendable func role(_ call: Call) async throws -> Reply {
        let (organizer, user) = (try call.organizer, try call.id("userId", UserKind.self))
        guard let role = try await database.read({ tx in try MemberStore.role(of: user, in: organizer, tx) }) else {
            throw Problem.notFound("member")
        }
        return try .ok(Membership(organizerId: organizer, role: role))
    }

    @Sendable func memberships(_ call: Call) async throws -> Reply {
        let user = try call.id("userId", UserKind.self)
        return try .ok(MembershipList(items: try await database.read { tx in try MemberStore.memberships(of: user, in: tx) }))
    }

    /// May be repeated. Only an organizer without an owner gets one, so that a late repetition undoes no decision of the owners.
    @Sendable func makeOwner(_ call: Call) async throws -> Reply {
        let organizer = try call.organizer
        let user = try call.body(NewOwner.self).userId
        try await database.write { tx in
            guard try UserStore.find(user, in: tx) != nil else { throw Problem.notFound("user") }
            let owners = try MemberStore.owners(of: organizer, in: tx)
            if owners.contains(user) { return }
            guard owners.isEmpty else {
                throw Problem.conflict("has-owner", "The organizer has an owner", "Its owners decide who else becomes one.")
            }
            try MemberStore.set(.owner, of: user, in: organizer, tx)
        }
        logger.info("an organizer has its owner", metadata: ["organizer": "\(organizer)", "user": "\(user)"])
        return .noContent
    }

    /// `404` for strangers and for organizers that nobody is a member of, `403` for staff who are not owners.
    private static func requireOwner(_ user: Identity.User, of organizer: OrganizerID, in tx: Transaction) throws {
        if user.isAdmin, try MemberStore.hasMembers(organizer, in: tx) { return }
        guard let role = try MemberStore.role(of: user.id, in: organizer, tx) else { throw Problem.notFound("organizer") }
        guard role.covers(.owner) else { throw Problem.forbidden("This needs the role owner; yours is \(role.rawValue).") }
    }

    private static func refuseLastOwner(_ user: UserID, of organizer: OrganizerID, in tx: Transaction) throws {
        guard try MemberStore.owners(of: organizer, in: tx) != [user] else {
            throw Problem.conflict("last-owner", "The last owner stays", "Make somebody else an owner first.")
        }
    }
}

extension Call {
    fileprivate var organizer: OrganizerID {
        get throws {
            guard let id = OrganizerID(text("id")) else { throw Problem.notFound("organizer") }
            return id
        }
    }
}
