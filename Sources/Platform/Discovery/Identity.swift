import HTTPTypes
package import Values

package enum UserKind: IdentifierKind { package static let prefix = "user" }
package typealias UserID = TypeID<UserKind>

package enum ApiKeyKind: IdentifierKind { package static let prefix = "key" }
package typealias ApiKeyID = TypeID<ApiKeyKind>

/// What an API key may be good for: to look at all that its user may look at, and to change what they may change.
package enum KeyScope: String, Codable, Hashable, Sendable, CaseIterable {
    case read, write
}

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
        /// Signed by Authentication, to be handed on.
        package let token: String
        /// By which a program acts for this user; nil where they have signed in themselves.
        package let key: Key?

        package init(id: UserID, email: String, isEmailVerified: Bool, isAdmin: Bool, token: String, key: Key? = nil) {
            self.id = id
            self.email = email
            self.isEmailVerified = isEmailVerified
            self.isAdmin = isAdmin
            self.token = token
            self.key = key
        }
    }

    /// An API key, and what it is good for.
    package struct Key: Hashable, Sendable {
        package let id: ApiKeyID
        package let scopes: Set<KeyScope>

        package init(id: ApiKeyID, scopes: Set<KeyScope>) {
            self.id = id
            self.scopes = scopes
        }

        /// Whether a program with this key may use an operation.
        package func covers(_ route: Route) -> Bool {
            route.isForPrograms && scopes.contains(route.method == .get || route.method == .head ? .read : .write)
        }
    }

    package var user: User? {
        if case .user(let user) = self { user } else { nil }
    }
}
