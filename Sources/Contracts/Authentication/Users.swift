package import Discovery
package import Values

package struct User: Codable, Hashable, Sendable {
    package var id: UserID
    package var email: String
    package var name: String
    package var locale: String
    package var isEmailVerified: Bool
    package var isAdmin: Bool
    package var createdAt: Instant
    package var memberships: [Membership]

    package init(
        id: UserID, email: String, name: String, locale: String, isEmailVerified: Bool, isAdmin: Bool, createdAt: Instant,
        memberships: [Membership]
    ) {
        self.id = id
        self.email = email
        self.name = name
        self.locale = locale
        self.isEmailVerified = isEmailVerified
        self.isAdmin = isAdmin
        self.createdAt = createdAt
        self.memberships = memberships
    }
}

/// What a user may do for an organizer.
package enum Role: String, Codable, Hashable, Sendable, CaseIterable {
    case owner, manager, door, analyst

    /// Whether who has this role may do what `needed` may: the owner all, the manager all but what is the owner's.
    package func covers(_ needed: Role) -> Bool {
        switch self {
        case .owner: true
        case .manager: needed != .owner
        case .door, .analyst: self == needed
        }
    }
}

package struct Membership: Codable, Hashable, Sendable {
    package var organizerId: OrganizerID
    package var role: Role

    package init(organizerId: OrganizerID, role: Role) {
        self.organizerId = organizerId
        self.role = role
    }
}

package struct Member: Codable, Hashable, Sendable {
    package var userId: UserID
    package var email: String
    package var name: String
    package var role: Role

    package init(userId: UserID, email: String, name: String, role: Role) {
        self.userId = userId
        self.email = email
        self.name = name
        self.role = role
    }
}

package struct Registration: Codable, Sendable {
    package var email: String
    package var password: String
    package var name: String
    package var locale: String?

    package init(email: String, password: String, name: String, locale: String? = nil) {
        self.email = email
        self.password = password
        self.name = name
        self.locale = locale
    }
}

package struct Credentials: Codable, Sendable {
    package var email: String
    package var password: String

    package init(email: String, password: String) {
        self.email = email
        self.password = password
    }
}

package struct RefreshRequest: Codable, Sendable {
    package var refreshToken: String

    package init(refreshToken: String) {
        self.refreshToken = refreshToken
    }
}

package struct VerifyEmailRequest: Codable, Sendable {
    package var token: String

    package init(token: String) {
        self.token = token
    }
}

/// What signing in gives. `expiresIn` in seconds.
package struct Session: Codable, Sendable {
    package var accessToken: String
    package var tokenType: String
    package var expiresIn: Int
    package var refreshToken: String
    package var user: User

    package init(accessToken: String, expiresIn: Int, refreshToken: String, user: User) {
        self.accessToken = accessToken
        self.tokenType = "Bearer"
        self.expiresIn = expiresIn
        self.refreshToken = refreshToken
        self.user = user
    }
}

package struct RegistrationAnswer: Codable, Sendable {
    package var user: User

    package init(user: User) {
        self.user = user
    }
}

package struct NewMember: Codable, Sendable {
    /// Of an account that exists.
    package var email: String
    package var role: Role

    package init(email: String, role: Role) {
        self.email = email
        self.role = role
    }
}

package struct ServiceCredentials: Codable, Sendable {
    package var service: String
    package var secret: String

    package init(service: String, secret: String) {
        self.service = service
        self.secret = secret
    }
}

/// A token that was issued for something other than a password.
package struct IssuedToken: Codable, Sendable {
    package var accessToken: String
    package var expiresAt: Instant

    package init(accessToken: String, expiresAt: Instant) {
        self.accessToken = accessToken
        self.expiresAt = expiresAt
    }
}

package struct NewOwner: Codable, Sendable {
    package var userId: UserID

    package init(userId: UserID) {
        self.userId = userId
    }
}

package struct MembershipList: Codable, Sendable {
    package var items: [Membership]

    package init(items: [Membership]) {
        self.items = items
    }
}
