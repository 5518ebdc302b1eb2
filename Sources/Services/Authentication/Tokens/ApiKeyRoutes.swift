import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// The keys by which programs act for users, and the tokens that they are exchanged for.
struct ApiKeyRoutes: Sendable {
    let database: Database
    let accessTokens: AccessTokens
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(AuthenticationRoutes.apiKeys, apiKeys),
            Endpoint(AuthenticationRoutes.makeApiKey, make),
            Endpoint(AuthenticationRoutes.revokeApiKey, revoke),
            Endpoint(AuthenticationRoutes.keyToken, exchange),
        ]
    }

    @Sendable func apiKeys(_ call: Call) async throws -> Reply {
        let (user, limit) = (try call.user.id, try call.limit)
        let after = try call.query("after", as: ApiKeyID.self, "the next of an earlier answer")
        let keys = try await database.read { tx in try ApiKeyStore.keys(of: user, after: after, limit: limit + 1, in: tx) }
        return try .ok(Page(keys, limit: limit) { "\($0.id)" })
    }

    @Sendable func make(_ call: Call) async throws -> Reply {
        let (user, new) = (try call.user.id, try call.body(NewApiKey.self))
        try new.validate()
        let token = OpaqueToken(prefix: AccessClaims.keyPrefix)
        let key = try await database.write { tx in
            let key = ApiKey(
                id: ApiKeyID(), name: new.name, scopes: KeyScope.allCases.filter(new.scopes.contains), createdAt: try tx.now,
                expiresAt: new.expiresAt, usedAt: nil)
            guard try ApiKeyStore.insert(key, of: user, hash: token.hash, in: tx) else { throw Problem.tooManyKeys }
            return key
        }
        logger.info("an API key was made", metadata: ["user": "\(user)", "key": "\(key.id)"])
        return try .created(
            MadeApiKey(key: token.text, apiKey: key), at: AuthenticationRoutes.revokeApiKey.path(["\(key.id)"])
        ).uncached
    }

    @Sendable func revoke(_ call: Call) async throws -> Reply {
        let user = try call.user.id
        guard let id = ApiKeyID(call.text("id")), try await database.write({ tx in try ApiKeyStore.revoke(id, of: user, in: tx) }) else {
            throw Problem.notFound("API key")
        }
        logger.info("an API key was revoked", metadata: ["user": "\(user)", "key": "\(id)"])
        return .noContent
    }

    @Sendable func exchange(_ call: Call) async throws -> Reply {
        let hash = OpaqueToken.hash(of: try call.body(KeyExchange.self).key)
        // Whoever tries keys that are none causes nothing to be written.
        guard let (key, user, isUseDue) = try await database.read({ tx in try ApiKeyStore.find(hash, in: tx) }) else {
            throw Problem(401, "api-key-invalid", "This API key is not good, or not any more", detail: "Make another one and use that.")
        }
        if isUseDue { try await database.write { tx in try ApiKeyStore.noteUse(of: key.id, in: tx) } }
        return try .secret(try await accessTokens.issue(to: user, by: key))
    }
}

extension Problem {
    fileprivate static let tooManyKeys = Problem.conflict(
        "too-many-keys", "There are as many keys as one account may have", "Revoke one of the \(ApiKeyStore.most) first.")
}

extension NewApiKey {
    fileprivate func validate() throws {
        var validation = Validation()
        validation.line(name, "name", atMost: 200)
        validation.check(!scopes.isEmpty, "scopes", "must name what the key is good for: read, write, or both")
        if let expiresAt { validation.check(expiresAt > .now, "expiresAt", "must be in the future") }
        try validation.end()
    }
}
