import Contracts
import Discovery
import Logging
import ServiceKit
import Storage

/// The keys that tokens are verified with, and the tokens of services.
struct TokenRoutes: Sendable {
    let database: Database
    let key: SigningKey
    let accessTokens: AccessTokens
    let credentials: ServiceSecrets
    let logger: Logger

    /// RFC 7517, section 5.
    private struct KeySet: Encodable {
        let keys: [SigningKey.PublicKey]
    }

    var endpoints: [Endpoint] {
        [
            Endpoint(AuthenticationRoutes.jwks, jwks),
            Endpoint(AuthenticationRoutes.serviceToken, serviceToken),
        ]
    }

    @Sendable func jwks(_ call: Call) async throws -> Reply {
        let known = try await database.read { tx in try SigningKeyStore.all(in: tx) }
        return try .ok(KeySet(keys: [key.publicKey] + known.filter { $0.kid != key.publicKey.kid }))
    }

    @Sendable func serviceToken(_ call: Call) async throws -> Reply {
        let given = try call.body(ServiceCredentials.self)
        guard let service = credentials.service(of: given) else {
            logger.warning("a service was refused its token", metadata: ["service": "\(given.service.prefix(100))"])
            throw Problem(401, "wrong-credentials", "The service or its secret is wrong")
        }
        return try .secret(try await accessTokens.issue(to: service))
    }
}
