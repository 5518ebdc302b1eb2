import Contracts
import Discovery
import Storage
import Values

/// The API keys of users. One that is revoked or has expired is removed.
enum ApiKeyStore {
    /// How many one user may have.
    static let most = 100
    /// How exactly it is known when a key was used last.
    private static let precision = TimeSpan.minutes(1)

    /// False if the user has as many as they may.
    static func insert(_ key: ApiKey, of user: UserID, hash: String, in tx: Transaction) throws -> Bool {
        // So that of two at once the second sees the first.
        try tx.lock("SELECT id FROM user_account WHERE id = \(user) \(.forUpdate)")
        let count: Int64 = try tx.row("SELECT COUNT(*) AS n FROM api_key WHERE user_id = \(user)")?["n"] ?? 0
        guard count < Int64(most) else { return false }
        try tx.execute(
            """
            INSERT INTO api_key (id, user_id, hash, name, may_read, may_write, created_at, expires_at)
            VALUES (\(key.id), \(user), \(hash), \(key.name), \(key.scopes.contains(.read)), \(key.scopes.contains(.write)),
                \(key.createdAt), \(key.expiresAt))
            """)
        return true
    }

    static func keys(of user: UserID, after: ApiKeyID?, limit: Int, in tx: Transaction) throws -> [ApiKey] {
        let condition: SQL = if let after { "AND id > \(after)" } else { "" }
        return try tx.rows("SELECT * FROM api_key WHERE user_id = \(user) \(condition) ORDER BY id LIMIT \(limit)").map(key)
    }

    /// False if they have no such key.
    static func revoke(_ id: ApiKeyID, of user: UserID, in tx: Transaction) throws -> Bool {
        try tx.execute("DELETE FROM api_key WHERE id = \(id) AND user_id = \(user)") == 1
    }

    /// Whose key it is, and whether its use is to be noted; nil for one that is not good, or not any more.
    static func find(_ hash: String, in tx: Transaction) throws -> (key: ApiKey, user: User, isUseDue: Bool)? {
        let now = try tx.now
        guard let row = try tx.row("SELECT * FROM api_key WHERE hash = \(hash)") else { return nil }
        let key = try key(row)
        if let end = key.expiresAt, end <= now { return nil }
        let isUseDue = key.usedAt.map { $0 + precision <= now } ?? true
        return try UserStore.find(try row["user_id"], in: tx).map { (key, $0.user, isUseDue) }
    }

    static func noteUse(of id: ApiKeyID, in tx: Transaction) throws {
        try tx.execute("UPDATE api_key SET used_at = \(tx.now) WHERE id = \(id)")
    }

    static func forget(before now: Instant, in tx: Transaction) throws {
        try tx.execute("DELETE FROM api_key WHERE expires_at <= \(now)")
    }

    private static func key(_ row: Row) throws -> ApiKey {
        let (mayRead, mayWrite): (Bool, Bool) = (try row["may_read"], try row["may_write"])
        return ApiKey(
            id: try row["id"], name: try row["name"], scopes: (mayRead ? [.read] : []) + (mayWrite ? [.write] : []),
            createdAt: try row["created_at"], expiresAt: try row["expires_at"], usedAt: try row["used_at"])
    }
}
