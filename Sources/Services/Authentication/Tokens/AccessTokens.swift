import Contracts
import Discovery
import Foundation
import ServiceKit
import Values

/// Issues the short-lived tokens by which users and services are known to every service.
struct AccessTokens: Sendable {
    let key: SigningKey
    let configuration: LiveSettings<AuthenticationConfiguration>

    func issue(to user: User) async throws -> String {
        try await key.sign(
            AccessClaims(
                subject: "\(user.id)", expires: (.now + configuration.accessTokenLifetime).date, email: user.email,
                emailVerified: user.isEmailVerified,
                admin: user.isAdmin ? true : nil, id: OpaqueToken().text))
    }

    /// For so short a time that a key that is revoked is soon good for nothing, and no longer than the key.
    func issue(to user: User, by apiKey: ApiKey) async throws -> IssuedToken {
        let latest = Instant.now + AccessClaims.keyTokenLifetime
        let expires = Instant(seconds: min(latest, apiKey.expiresAt ?? latest).seconds)
        let token = try await key.sign(
            AccessClaims(
                subject: "\(user.id)", expires: expires.date, email: user.email, emailVerified: user.isEmailVerified,
                admin: user.isAdmin ? true : nil, scope: apiKey.scopes.map(\.rawValue), key: apiKey.id, id: OpaqueToken().text))
        return IssuedToken(accessToken: token, expiresAt: expires)
    }

    /// With the scopes that the service is granted, and no more.
    func issue(to service: ServiceName) async throws -> IssuedToken {
        let expires = Instant.now + configuration.accessTokenLifetime
        let token = try await key.sign(
            AccessClaims(
                subject: "service:\(service)", expires: expires.date, scope: Scope.granted[service] ?? [], id: OpaqueToken().text))
        return IssuedToken(accessToken: token, expiresAt: Instant(seconds: expires.seconds))
    }
}

extension Instant {
    /// To the second, as tokens say it.
    fileprivate var date: Date { Date(timeIntervalSince1970: Double(seconds)) }
}
