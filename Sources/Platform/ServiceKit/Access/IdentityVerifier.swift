package import Discovery
package import FoundationEssentials
package import JWTKit
import Synchronization
package import Values

/// What an access token says. Authentication signs it, everybody verifies it.
package struct AccessClaims: JWTPayload {
    package static let issuer = "ticketflow"
    package static let audience = "ticketflow"
    /// Of API keys, so that whoever finds one knows what it is.
    package static let keyPrefix = "tfk_"
    /// Of a token that a key was exchanged for. It is handed on for a third of it: whoever gets it last has time to do what is asked.
    package static let keyTokenLifetime = TimeSpan.seconds(90)
    static let keyTokenReserve = 60.0
    /// With 256 bits in base64url.
    static let keyLength = keyPrefix.utf8.count + 43

    package var iss: IssuerClaim
    package var aud: AudienceClaim
    package var sub: SubjectClaim
    package var exp: ExpirationClaim
    package var iat: IssuedAtClaim
    /// Nothing here says it, but whoever does means it.
    package var nbf: NotBeforeClaim?
    package var jti: String
    /// For users.
    package var email: String?
    package var emailVerified: Bool?
    package var admin: Bool?
    /// For services, and for users who act by an API key: the scopes that they were granted.
    package var scope: [String]?
    /// The id of that API key.
    package var key: ApiKeyID?

    package init(
        subject: String, expires: Date, email: String? = nil, emailVerified: Bool? = nil, admin: Bool? = nil,
        scope: [String]? = nil, key: ApiKeyID? = nil, id: String
    ) {
        iss = .init(value: AccessClaims.issuer)
        aud = .init(value: AccessClaims.audience)
        sub = .init(value: subject)
        exp = .init(value: expires)
        iat = .init(value: Date())
        jti = id
        self.email = email
        self.emailVerified = emailVerified
        self.admin = admin
        self.scope = scope
        self.key = key
    }

    package func verify(using algorithm: some JWTAlgorithm) async throws {
        try exp.verifyNotExpired()
        try nbf?.verifyNotBefore()
        try aud.verifyIntendedAudience(includes: AccessClaims.audience)
        guard iss.value == AccessClaims.issuer else {
            throw JWTError.claimVerificationFailure(failedClaim: iss, reason: "another issuer")
        }
    }

    func identity(token: String) -> Identity? {
        if let name = sub.value.split(separator: ":").last, sub.value.hasPrefix("service:") {
            return .service(ServiceName(String(name)), scopes: Set(scope ?? []))
        }
        guard let id = UserID(sub.value), let email else { return nil }
        let key = key.map { Identity.Key(id: $0, scopes: Set((scope ?? []).compactMap { KeyScope(rawValue: $0) })) }
        return .user(
            Identity.User(
                id: id, email: email, isEmailVerified: emailVerified ?? false, isAdmin: admin ?? false, token: token, key: key))
    }
}

/// Tells whose a token is. A signature costs about 0.1 ms to verify, so that verified tokens are remembered until they expire.
package final class IdentityVerifier: Sendable {
    private struct Verified {
        let identity: Identity
        let expires: Date
    }

    /// The field `Authorization`, with its first word in one spelling. Hashed by its end alone, which is of the signature: only what was verified is kept, and nobody can
    /// choose many of one hash.
    private struct Field: Hashable {
        let text: String

        init(_ authorization: String) {
            let isUsual = authorization.hasPrefix("Bearer ")
            text = isUsual ? authorization : IdentityVerifier.token(of: authorization).map { "Bearer \($0)" } ?? authorization
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(text.utf8.suffix(16).reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) })
        }
    }

    private static let largestCache = 20_000
    /// How long an exchange may take, whoever of those that wait for it came first.
    private static let exchangeTime = TimeSpan.seconds(5)

    private let coolDown: TimeSpan
    private let fetchKeys: @Sendable () async throws -> String
    private let exchange: (@Sendable (String) async throws -> String)?
    /// Authentication's keys.
    private struct Keys {
        var collection: JWTKeyCollection?
        var fetchedAt: Instant?
        var failedAt: Instant?
        var running: Task<JWTKeyCollection, any Error>?
    }

    private let keys = Mutex(Keys())
    private let verified = Mutex<[Field: Verified]>([:])
    private let exchanges = Mutex<[String: Task<String, any Error>]>([:])

    /// - Parameters:
    ///   - coolDown: how long after a fetch an unknown key does not cause another.
    ///   - exchange: an API key for a token of its user; none where keys do not come.
    ///   - fetchKeys: Authentication's JWKS document.
    package init(
        coolDown: TimeSpan = .seconds(5), exchange: (@Sendable (String) async throws -> String)? = nil,
        fetchKeys: @escaping @Sendable () async throws -> String
    ) {
        self.coolDown = coolDown
        self.exchange = exchange
        self.fetchKeys = fetchKeys
    }

    /// Whose it is, where that was found out before; nil says nothing.
    package func remembered(_ authorization: String) -> Identity? {
        guard let known = verified.withLock({ $0[Field(authorization)] }), known.expires > Date() else { return nil }
        return known.identity
    }

    private static func token(of authorization: String) -> String? {
        guard authorization.utf8.count > 7, authorization.prefix(7).lowercased() == "bearer " else { return nil }
        return String(authorization.dropFirst(7))
    }

    /// - Parameter authorization: the field as it came; none means nobody.
    package func identity(_ authorization: String?) async throws -> Identity {
        guard let authorization else { return .anonymous }
        if let known = remembered(authorization) { return known }
        guard let said = IdentityVerifier.token(of: authorization) else { throw Problem.unauthenticated }
        var token = said
        var reserve = 0.0
        if said.hasPrefix(AccessClaims.keyPrefix) {
            guard let exchange, said.utf8.count == AccessClaims.keyLength else { throw Problem.unauthenticated }
            token = try await exchanged(said, exchange)
            reserve = AccessClaims.keyTokenReserve
        }
        let claims = try await verify(token)
        guard let identity = claims.identity(token: token) else { throw Problem.unauthenticated }
        verified.withLock { verified in
            if verified.count >= IdentityVerifier.largestCache {
                let now = Date()
                verified = verified.filter { $0.value.expires > now }
                if verified.count >= IdentityVerifier.largestCache { verified.removeAll() }
            }
            verified[Field(authorization)] = Verified(identity: identity, expires: claims.exp.value - reserve)
        }
        return identity
    }

    /// Requests that come by one key at the same time wait for the same exchange.
    private func exchanged(_ key: String, _ exchange: @escaping @Sendable (String) async throws -> String) async throws -> String {
        let task = exchanges.withLock { running in
            if let task = running[key] { return task }
            let task = Task {
                defer { exchanges.withLock { $0[key] = nil } }
                return try await Deadline.$current.withValue(.now + IdentityVerifier.exchangeTime) { try await exchange(key) }
            }
            running[key] = task
            return task
        }
        return try await task.value
    }

    private func verify(_ token: String) async throws -> AccessClaims {
        let known = try await knownKeys()
        do {
            return try await known.verify(token, as: AccessClaims.self)
        } catch let error as JWTError where error.errorType == .claimVerificationFailure {
            // Its key is known, its time is over.
            throw Problem.unauthenticated
        } catch {
            // Perhaps signed with a key that is newer than what is known here.
            let newest = try await newestKeys()
            do {
                return try await newest.verify(token, as: AccessClaims.self)
            } catch {
                throw Problem.unauthenticated
            }
        }
    }

    private func knownKeys() async throws -> JWTKeyCollection {
        if let known = keys.withLock({ $0.collection }) { return known }
        return try await fetched()
    }

    /// As Authentication has them now, or had them a moment ago: whoever sends forged tokens does not make as many requests of it.
    private func newestKeys() async throws -> JWTKeyCollection {
        let isFresh = keys.withLock { $0.fetchedAt.map { .now < $0 + coolDown } ?? false }
        if isFresh { return try await knownKeys() }
        return try await fetched()
    }

    /// Requests that need them at the same time wait for the same answer. Behind one that failed nobody who has keys asks for a while.
    private func fetched() async throws -> JWTKeyCollection {
        let task = keys.withLock { keys -> Task<JWTKeyCollection, any Error>? in
            if let running = keys.running { return running }
            if keys.collection != nil, let failed = keys.failedAt, .now < failed + coolDown { return nil }
            let task = Task { try await Deadline.$current.withValue(.now + IdentityVerifier.exchangeTime) { try await fetch() } }
            keys.running = task
            return task
        }
        guard let task else { throw Problem.unavailable("Who you are cannot be found out at this moment; try again.", retryAfter: 5) }
        return try await task.value
    }

    private func fetch() async throws -> JWTKeyCollection {
        do {
            let collection = JWTKeyCollection()
            try await collection.add(jwksJSON: try await fetchKeys())
            keys.withLock { $0 = Keys(collection: collection, fetchedAt: .now) }
            return collection
        } catch {
            keys.withLock { keys in
                keys.failedAt = .now
                keys.running = nil
            }
            throw error
        }
    }
}

/// A service's own token, fetched when it is needed and kept until shortly before it expires.
package final class OwnToken: Sendable {
    private let fetch: @Sendable () async throws -> (token: String, expires: Instant)
    private let current = Mutex<(token: String, expires: Instant)?>(nil)

    package init(fetch: @escaping @Sendable () async throws -> (token: String, expires: Instant)) {
        self.fetch = fetch
    }

    package var value: String {
        get async throws {
            if let current = current.withLock({ $0 }), .now < current.expires - .seconds(60) { return current.token }
            let fetched = try await fetch()
            current.withLock { $0 = fetched }
            return fetched.token
        }
    }
}
