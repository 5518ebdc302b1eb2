package import Discovery
import HTTPTypes

package enum AuthenticationRoutes {
    package static let register = Route(.post, "/api/v1/auth/register", .anyone)
    package static let login = Route(.post, "/api/v1/auth/login", .anyone)
    package static let refresh = Route(.post, "/api/v1/auth/refresh", .anyone)
    package static let logout = Route(.post, "/api/v1/auth/logout", .anyone)
    package static let me = Route(.get, "/api/v1/auth/me", .user)
    package static let verifyEmail = Route(.post, "/api/v1/auth/verify-email", .anyone)
    package static let members = Route(.get, "/api/v1/organizers/{id}/members", .user)
    package static let addMember = Route(.post, "/api/v1/organizers/{id}/members", .user, isForPrograms: false)
    package static let removeMember = Route(.delete, "/api/v1/organizers/{id}/members/{userId}", .user, isForPrograms: false)
    package static let apiKeys = Route(.get, "/api/v1/auth/api-keys", .user, isForPrograms: false)
    package static let makeApiKey = Route(.post, "/api/v1/auth/api-keys", .user, isForPrograms: false)
    package static let revokeApiKey = Route(.delete, "/api/v1/auth/api-keys/{id}", .user, isForPrograms: false)
    package static let jwks = Route(.get, "/.well-known/jwks.json", .anyone)
    /// Client credentials: a service's name and secret for its token. Inside only.
    package static let serviceToken = Route(.post, "/internal/v1/auth/service-token", .anyone)
    /// An API key for a short-lived token of its user. Inside only.
    package static let keyToken = Route(.post, "/internal/v1/auth/key-token", .anyone)
    package static let role = Route(.get, "/internal/v1/organizers/{id}/members/{userId}", .service(scope: Scope.memberships))
    package static let memberships = Route(.get, "/internal/v1/users/{userId}/memberships", .service(scope: Scope.memberships))
    /// Makes whoever created an organizer its owner.
    package static let makeOwner = Route(.put, "/internal/v1/organizers/{id}/owner", .service(scope: Scope.memberships))

    package static let all = [
        register, login, refresh, logout, me, verifyEmail, members, addMember, removeMember, apiKeys, makeApiKey, revokeApiKey, jwks,
        serviceToken, keyToken, role, memberships, makeOwner,
    ]
}
