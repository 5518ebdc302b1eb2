import Discovery
import Storage
import Values

/// How often signing in has failed lately, one row for each address that was tried, whether it has an account or not.
/// The table is bounded by what can be hashed within one window.
enum LoginFailureStore {
    /// Throws `Problem` 429 while there were too many.
    static func check(_ address: String, atMost limit: Int, in tx: Transaction) throws {
        let now = try tx.now
        guard
            let row = try tx.row(
                """
                SELECT expires_at FROM login_failure
                WHERE address_hash = \(OpaqueToken.hash(of: address)) AND failures >= \(limit) AND expires_at > \(now)
                """)
        else { return }
        let wait: TimeSpan = (try row["expires_at"] as Instant) - now
        throw Problem(
            429, "too-many-attempts", "Too many attempts to sign in",
            detail: "The password for this address was wrong too often. Wait before you try again.",
            retryAfter: Int(wait.microseconds / 1_000_000) + 1)
    }

    static func record(_ address: String, window: TimeSpan, in tx: Transaction) throws {
        let now = try tx.now
        try tx.execute(
            """
            INSERT INTO login_failure (address_hash, failures, expires_at)
            VALUES (\(OpaqueToken.hash(of: address)), 1, \(now + window))
            ON CONFLICT (address_hash) DO UPDATE SET
                failures = CASE WHEN login_failure.expires_at <= \(now) THEN 1 ELSE login_failure.failures + 1 END,
                expires_at = CASE WHEN login_failure.expires_at <= \(now) THEN \(now + window) ELSE login_failure.expires_at END
            """)
    }

    /// The right password ends the counting.
    static func forget(_ address: String, in tx: Transaction) throws {
        try tx.execute("DELETE FROM login_failure WHERE address_hash = \(OpaqueToken.hash(of: address))")
    }

    static func forget(before now: Instant, in tx: Transaction) throws {
        try tx.execute("DELETE FROM login_failure WHERE expires_at <= \(now)")
    }
}
