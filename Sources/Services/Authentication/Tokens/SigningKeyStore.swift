import Storage
import Values

/// The public keys that tokens in circulation may be signed with.
enum SigningKeyStore {
    static func announce(_ key: SigningKey.PublicKey, until: Instant, in tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO signing_key (kid, x, y, valid_until) VALUES (\(key.kid), \(key.x), \(key.y), \(until))
            ON CONFLICT (kid) DO UPDATE SET valid_until = excluded.valid_until
            """)
    }

    static func all(in tx: Transaction) throws -> [SigningKey.PublicKey] {
        try tx.rows("SELECT kid, x, y FROM signing_key WHERE valid_until > \(tx.now) ORDER BY valid_until DESC, kid LIMIT 20").map { row in
            SigningKey.PublicKey(kid: try row["kid"], x: try row["x"], y: try row["y"])
        }
    }

    static func forget(before now: Instant, in tx: Transaction) throws {
        try tx.execute("DELETE FROM signing_key WHERE valid_until <= \(now)")
    }
}
