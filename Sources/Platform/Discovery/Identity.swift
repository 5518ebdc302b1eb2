package import Values

package enum UserKind: IdentifierKind { package static let prefix = "user" }
package typealias UserID = TypeID<UserKind>

/// Who makes a request, as their token says.
package enum Identity: Hashable, Sendable {
    case anonymous
    case user(User)
    case service(ServiceName, scopes: Set<String>)

    package struct User: Hashable, Sendable {
        package let id: UserID
        package let email: String
        /// Only a verified address joins what was bought with it as a guest.
        package let isEmailVerified: Bool
        /// Platform administrator.
        package let isAdmin: Bool
        /// As it came, to be handed on to a peer.
        package let token: String

        package init(id: UserID, email: String, isEmailVerified: Bool, isAdmin: Bool, token: String) {
            self.id = id
            self.email = email
            self.isEmailVerified = isEmailVerified
            self.isAdmin = isAdmin
            self.token = token
        }
    }

    package var user: User? {
        if case .user(let user) = self { user } else { nil }
    }
}
