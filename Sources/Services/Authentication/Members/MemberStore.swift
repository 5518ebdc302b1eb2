import Contracts
import Discovery
import Storage

/// Who may do what for which organizer.
enum MemberStore {
    /// An answer about one user lists this many at most; EventManager bounds how many organizers one user may make below it.
    private static let mostMemberships = 500

    static func role(of user: UserID, in organizer: OrganizerID, _ tx: Transaction) throws -> Role? {
        try tx.row("SELECT role FROM membership WHERE organizer_id = \(organizer) AND user_id = \(user)")?["role"]
    }

    static func memberships(of user: UserID, in tx: Transaction) throws -> [Membership] {
        try tx.rows(
            """
            SELECT organizer_id, role FROM membership WHERE user_id = \(user) ORDER BY organizer_id LIMIT \(mostMemberships)
            """
        ).map { Membership(organizerId: try $0["organizer_id"], role: try $0["role"]) }
    }

    static func members(of organizer: OrganizerID, after: UserID?, limit: Int, in tx: Transaction) throws -> [Member] {
        let condition: SQL = if let after { "AND m.user_id > \(after)" } else { "" }
        return try tx.rows(
            """
            SELECT m.user_id, u.email, u.name, m.role FROM membership m JOIN user_account u ON u.id = m.user_id
            WHERE m.organizer_id = \(organizer) \(condition) ORDER BY m.user_id LIMIT \(limit)
            """
        ).map { Member(userId: try $0["user_id"], email: try $0["email"], name: try $0["name"], role: try $0["role"]) }
    }

    static func hasMembers(_ organizer: OrganizerID, in tx: Transaction) throws -> Bool {
        try tx.row("SELECT user_id FROM membership WHERE organizer_id = \(organizer) LIMIT 1") != nil
    }

    /// Locks the owners' rows, so that of two who remove each other at once one is refused.
    static func owners(of organizer: OrganizerID, in tx: Transaction) throws -> [UserID] {
        try tx.rows(
            """
            SELECT user_id FROM membership WHERE organizer_id = \(organizer) AND role = \(Role.owner)
            ORDER BY user_id \(SQL.Difference.forUpdate)
            """
        ).map { try $0["user_id"] }
    }

    static func set(_ role: Role, of user: UserID, in organizer: OrganizerID, _ tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO membership (organizer_id, user_id, role, created_at) VALUES (\(organizer), \(user), \(role), \(tx.now))
            ON CONFLICT (organizer_id, user_id) DO UPDATE SET role = excluded.role
            """)
    }

    static func remove(_ user: UserID, from organizer: OrganizerID, in tx: Transaction) throws {
        try tx.execute("DELETE FROM membership WHERE organizer_id = \(organizer) AND user_id = \(user)")
    }
}

extension Role: SQLTextValue {}
