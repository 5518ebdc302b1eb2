import Contracts
import Discovery
import Storage
import Values

enum SessionKind: IdentifierKind { static let prefix = "session" }
typealias SessionID = TypeID<SessionKind>

/// Sessions, each a family of refresh tokens of which the newest alone is good. A session that ends is removed with its tokens.
enum SessionStore {
    /// A user's oldest sessions end beyond this many.
    private static let mostSessions = 100

    enum Use: Sendable {
        case fresh(SessionID, UserID)
        /// A token that was used before: whoever has it now may not be whom it was given to.
        case reused(SessionID)
        case unknown
    }

    static func begin(_ id: SessionID, of user: UserID, token: String, lifetime: TimeSpan, in tx: Transaction) throws {
        let now = try tx.now
        try tx.execute(
            """
            INSERT INTO session (id, user_id, created_at, expires_at) VALUES (\(id), \(user), \(now), \(now + lifetime))
            """)
        try add(token, to: id, until: now + lifetime, in: tx)
        try tx.execute(
            """
            DELETE FROM session WHERE user_id = \(user) AND id <=
                (SELECT id FROM session WHERE user_id = \(user) ORDER BY id DESC LIMIT 1 OFFSET \(mostSessions))
            """)
    }

    /// Takes a token out of circulation, once.
    static func use(_ hash: String, in tx: Transaction) throws -> Use {
        let now = try tx.now
        guard
            let row = try tx.row(
                """
                SELECT s.id, s.user_id, t.used_at, t.expires_at FROM refresh_token t JOIN session s ON s.id = t.session_id
                WHERE t.hash = \(hash) \(SQL.Difference.forUpdate)
                """)
        else { return .unknown }
        let session: SessionID = try row["id"]
        let usedAt: Instant? = try row["used_at"]
        if usedAt != nil { return .reused(session) }
        guard try row["expires_at"] > now else { return .unknown }
        try tx.execute("UPDATE refresh_token SET used_at = \(now) WHERE hash = \(hash)")
        return .fresh(session, try row["user_id"])
    }

    static func extend(_ id: SessionID, token: String, lifetime: TimeSpan, in tx: Transaction) throws {
        let expires = try tx.now + lifetime
        try tx.execute("UPDATE session SET expires_at = \(expires) WHERE id = \(id)")
        try add(token, to: id, until: expires, in: tx)
    }

    static func end(_ id: SessionID, in tx: Transaction) throws {
        try tx.execute("DELETE FROM session WHERE id = \(id)")
    }

    /// Ends the session that any token of its family belongs to, used or not.
    static func end(ofToken hash: String, in tx: Transaction) throws {
        try tx.execute("DELETE FROM session WHERE id = (SELECT session_id FROM refresh_token WHERE hash = \(hash))")
    }

    static func forget(before now: Instant, in tx: Transaction) throws {
        try tx.execute("DELETE FROM session WHERE expires_at <= \(now)")
        try tx.execute("DELETE FROM refresh_token WHERE expires_at <= \(now)")
    }

    private static func add(_ hash: String, to session: SessionID, until expires: Instant, in tx: Transaction) throws {
        try tx.execute(
            "INSERT INTO refresh_token (hash, session_id, expires_at) VALUES (\(hash), \(session), \(expires))")
    }
}
