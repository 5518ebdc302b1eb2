import ServiceKit
import Storage
import Values

/// What Authentication does on timers.
struct AuthenticationJobs: Sendable {
    /// How long a public key is listed after the last instance that signs with it was seen, beyond the life of its tokens.
    private static let keyMargin = TimeSpan.minutes(30)

    let database: Database
    let key: SigningKey
    let configuration: LiveSettings<AuthenticationConfiguration>

    var jobs: [Job] {
        [
            Job("signing-keys", every: .minutes(5), announceKey),
            Job("expired", every: .minutes(1), forgetExpired),
        ]
    }

    /// Says that this instance signs with its key. A key that nobody has announced for longer than its tokens live is
    /// dropped: rotation is replacing the secret and restarting the instances, one after the other.
    @Sendable func announceKey() async throws {
        let (key, lifetime) = (key.publicKey, configuration.accessTokenLifetime)
        try await database.write { tx in
            let now = try tx.now
            try SigningKeyStore.announce(key, until: now + lifetime + AuthenticationJobs.keyMargin, in: tx)
            try SigningKeyStore.forget(before: now, in: tx)
        }
    }

    @Sendable private func forgetExpired() async throws {
        try await database.write { tx in
            let now = try tx.now
            try SessionStore.forget(before: now, in: tx)
            try ApiKeyStore.forget(before: now, in: tx)
            try LoginFailureStore.forget(before: now, in: tx)
        }
    }
}
