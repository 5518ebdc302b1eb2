import Contracts
import Storage

enum VenueStore {
    static func insert(_ venue: Venue, in tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO venue (id, organizer_id, name, street, city, city_key, country, search_text, created_at)
            VALUES (\(venue.id), \(venue.organizerId), \(venue.name), \(venue.street), \(venue.city),
                \(SearchText.folded(venue.city)), \(venue.country), \(SearchText.folded(venue.name, venue.city)),
                \(venue.createdAt))
            """)
    }

    static func find(_ id: VenueID, in tx: Transaction) throws -> Venue? {
        try select("id = \(id)", limit: 1, in: tx).first
    }

    static func lock(_ id: VenueID, in tx: Transaction) throws -> Venue? {
        guard try tx.row("SELECT id FROM venue WHERE id = \(id) \(SQL.Difference.forUpdate)") != nil else { return nil }
        return try find(id, in: tx)
    }

    static func list(
        of organizer: OrganizerID?, matching patterns: [String], after: VenueID?, limit: Int, in tx: Transaction
    ) throws -> [Venue] {
        var conditions = SearchText.conditions(patterns, in: ["search_text"])
        if let organizer { conditions.append("organizer_id = \(organizer)") }
        if let after { conditions.append("id > \(after)") }
        return try select(conditions.isEmpty ? "TRUE" : .joined(conditions, by: " AND "), limit: limit, in: tx)
    }

    static func update(_ venue: Venue, in tx: Transaction) throws {
        try tx.execute(
            """
            UPDATE venue SET name = \(venue.name), street = \(venue.street), city = \(venue.city),
                city_key = \(SearchText.folded(venue.city)), country = \(venue.country),
                search_text = \(SearchText.folded(venue.name, venue.city))
            WHERE id = \(venue.id)
            """)
    }

    private static func select(_ condition: SQL, limit: Int, in tx: Transaction) throws -> [Venue] {
        try tx.rows(
            """
            SELECT id, organizer_id, name, street, city, country, created_at FROM venue
            WHERE \(condition) ORDER BY id LIMIT \(limit)
            """
        ).map { row in
            Venue(
                id: try row["id"], organizerId: try row["organizer_id"], name: try row["name"], street: try row["street"],
                city: try row["city"], country: try row["country"], createdAt: try row["created_at"])
        }
    }
}
