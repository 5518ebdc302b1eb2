import Contracts
import Discovery
import Storage

enum OrganizerStore {
    /// False if the slug is taken.
    static func insert(_ organizer: Organizer, creator: UserID, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            INSERT INTO organizer (id, name, slug, email, search_text, creator_id, is_owner_confirmed, created_at)
            VALUES (\(organizer.id), \(organizer.name), \(organizer.slug), \(organizer.email),
                \(SearchText.folded(organizer.name)), \(creator), FALSE, \(organizer.createdAt))
            ON CONFLICT (slug) DO NOTHING
            """) == 1
    }

    static func find(_ id: OrganizerID, in tx: Transaction) throws -> Organizer? {
        try select("id = \(id)", limit: 1, in: tx).first
    }

    static func find(slug: String, in tx: Transaction) throws -> Organizer? {
        try select("slug = \(slug)", limit: 1, in: tx).first
    }

    static func lock(_ id: OrganizerID, in tx: Transaction) throws -> Organizer? {
        guard try tx.row("SELECT id FROM organizer WHERE id = \(id) \(SQL.Difference.forUpdate)") != nil else { return nil }
        return try find(id, in: tx)
    }

    static func list(matching patterns: [String], after: OrganizerID?, limit: Int, in tx: Transaction) throws -> [Organizer] {
        var conditions = SearchText.conditions(patterns, in: ["search_text"])
        if let after { conditions.append("id > \(after)") }
        return try select(conditions.isEmpty ? "TRUE" : .joined(conditions, by: " AND "), limit: limit, in: tx)
    }

    static func update(_ organizer: Organizer, in tx: Transaction) throws {
        try tx.execute(
            """
            UPDATE organizer SET name = \(organizer.name), email = \(organizer.email),
                search_text = \(SearchText.folded(organizer.name))
            WHERE id = \(organizer.id)
            """)
    }

    static func count(madeBy user: UserID, in tx: Transaction) throws -> Int {
        try tx.row("SELECT COUNT(*) AS n FROM organizer WHERE creator_id = \(user)")?["n"] ?? 0
    }

    static func unconfirmed(limit: Int, in tx: Transaction) throws -> [(OrganizerID, UserID)] {
        try tx.rows(
            "SELECT id, creator_id FROM organizer WHERE is_owner_confirmed = FALSE ORDER BY id LIMIT \(limit)"
        ).map { (try $0["id"], try $0["creator_id"]) }
    }

    static func confirmOwner(of id: OrganizerID, in tx: Transaction) throws {
        try tx.execute("UPDATE organizer SET is_owner_confirmed = TRUE WHERE id = \(id)")
    }

    private static func select(_ condition: SQL, limit: Int, in tx: Transaction) throws -> [Organizer] {
        try tx.rows(
            "SELECT id, name, slug, email, created_at FROM organizer WHERE \(condition) ORDER BY id LIMIT \(limit)"
        ).map { row in
            Organizer(
                id: try row["id"], name: try row["name"], slug: try row["slug"], email: try row["email"],
                createdAt: try row["created_at"])
        }
    }
}
