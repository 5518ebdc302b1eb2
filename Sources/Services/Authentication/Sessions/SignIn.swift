import Contracts
import Discovery
import Logging
import Passwords
import ServiceKit
import Storage
import Values

/// From a password to a session, and from one access token to the next.
struct SignIn: Sendable {
    let database: Database
    let hasher: PasswordHasher
    let queue: PasswordQueue
    let accessTokens: AccessTokens
    let configuration: LiveSettings<AuthenticationConfiguration>
    let logger: Logger

    static let wrongCredentials = Problem(
        401, "wrong-credentials", "The address or the password is wrong", detail: "Check both and try again.")
    static let refreshTokenInvalid = Problem(
        401, "refresh-token-invalid", "This session has ended", detail: "Sign in again.")

    /// An unknown address and a wrong password get the same answer after the same time, and are counted alike.
    func login(_ credentials: Credentials) async throws -> Session {
        let address = EmailAddress.normalised(credentials.email)
        return try await queue.turn(of: address) {
            let limit = configuration.loginFailures
            let known = try await database.read { tx in
                try LoginFailureStore.check(address, atMost: limit, in: tx)
                return try UserStore.find(email: address, in: tx)
            }
            let isRight = await hasher.verify(credentials.password, against: known?.passwordHash)
            guard isRight, let known else {
                let window = configuration.loginWindow
                try await database.write { tx in try LoginFailureStore.record(address, window: window, in: tx) }
                logger.info("signing in failed", metadata: ["user": "\(known?.user.id.description ?? "unknown")"])
                throw SignIn.wrongCredentials
            }
            return try await begin(known, password: credentials.password)
        }
    }

    private func begin(_ known: StoredUser, password: String) async throws -> Session {
        // The only moment at which a stored hash can be brought to today's strength.
        let newHash = hasher.needsRehash(known.passwordHash) ? try await hasher.hash(password) : nil
        let (session, token, lifetime) = (SessionID(), OpaqueToken(), configuration.refreshTokenLifetime)
        let user = known.user
        try await database.write { tx in
            try LoginFailureStore.forget(user.email, in: tx)
            if let newHash { try UserStore.replacePasswordHash(of: user.id, with: newHash, in: tx) }
            try SessionStore.begin(session, of: user.id, token: token.hash, lifetime: lifetime, in: tx)
        }
        logger.info("a user signed in", metadata: ["user": "\(user.id)", "session": "\(session)"])
        return try await answer(user, token)
    }

    /// A new pair for a refresh token. One that was used before ends the whole family (RFC 9700, section 4.14.2).
    func refresh(_ refreshToken: String) async throws -> Session {
        let (hash, token, lifetime) = (OpaqueToken.hash(of: refreshToken), OpaqueToken(), configuration.refreshTokenLifetime)
        let (use, user) = try await database.write { tx -> (SessionStore.Use, User?) in
            let use = try SessionStore.use(hash, in: tx)
            switch use {
            case .fresh(let session, let user):
                try SessionStore.extend(session, token: token.hash, lifetime: lifetime, in: tx)
                return (use, try UserStore.find(user, in: tx)?.user)
            case .reused(let session): try SessionStore.end(session, in: tx)
            case .unknown: break
            }
            return (use, nil)
        }
        if case .reused(let session) = use {
            logger.warning("a refresh token came a second time; its session was ended", metadata: ["session": "\(session)"])
        }
        guard let user else { throw SignIn.refreshTokenInvalid }
        return try await answer(user, token)
    }

    func logout(_ refreshToken: String) async throws {
        let hash = OpaqueToken.hash(of: refreshToken)
        try await database.write { tx in try SessionStore.end(ofToken: hash, in: tx) }
    }

    private func answer(_ user: User, _ token: OpaqueToken) async throws -> Session {
        Session(
            accessToken: try await accessTokens.issue(to: user),
            expiresIn: Int(configuration.accessTokenLifetime.microseconds / 1_000_000), refreshToken: token.text, user: user)
    }
}
