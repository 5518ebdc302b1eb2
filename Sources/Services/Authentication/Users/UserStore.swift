import Contracts
import Discovery
import Storage
import Values

/// A user with what is nobody's business.
struct StoredUser: Sendable {
    var user: User
    var passwordHash: String
}

enum UserStore {
    /// False if the address has an account already.
    /// - Parameter verification: the hash of the token that verifies the address.
    static func insert(_ stored: StoredUser, verification: String?, in tx: Transaction) throws -> Bool {
        let user = stored.user
        return try tx.execute(
            """
            INSERT INTO user_account
                (id, email, name, locale, password_hash, is_email_verified, is_admin, verification_hash, created_at)
            VALUES (\(user.id), \(user.email), \(user.name), \(user.locale), \(stored.passwordHash),
                \(user.isEmailVerified), \(user.isAdmin), \(verification), \(user.createdAt))
            ON CONFLICT (email) DO NOTHING
            """) == 1
    }

    /// - Parameter email: normalised.
    static func find(email: String, in tx: Transaction) throws -> StoredUser? {
        try find("email = \(email)", in: tx)
    }

    static func find(_ id: UserID, in tx: Transaction) throws -> StoredUser? {
        try find("id = \(id)", in: tx)
    }

    private static func find(_ condition: SQL, in tx: Transaction) throws -> StoredUser? {
        guard
            let row = try tx.row(
                """
                SELECT id, email, name, locale, password_hash, is_email_verified, is_admin, created_at
                FROM user_account WHERE \(condition)
                """)
        else { return nil }
        let id: UserID = try row["id"]
        let user = User(
            id: id, email: try row["email"], name: try row["name"], locale: try row["locale"],
            isEmailVerified: try row["is_email_verified"], isAdmin: try row["is_admin"], createdAt: try row["created_at"],
            memberships: try MemberStore.memberships(of: id, in: tx))
        return StoredUser(user: user, passwordHash: try row["password_hash"])
    }

    static func replacePasswordHash(of id: UserID, with hash: String, in tx: Transaction) throws {
        try tx.execute("UPDATE user_account SET password_hash = \(hash) WHERE id = \(id)")
    }

    /// Nil if nobody has this token. A second use finds the address verified already, and changes nothing.
    static func verifyEmail(_ verification: String, in tx: Transaction) throws -> UserID? {
        try tx.row(
            """
            UPDATE user_account SET is_email_verified = TRUE WHERE verification_hash = \(verification) RETURNING id
            """
        )?["id"]
    }

    static func hasAdministrator(in tx: Transaction) throws -> Bool {
        try tx.row("SELECT id FROM user_account WHERE is_admin = TRUE LIMIT 1") != nil
    }
}
