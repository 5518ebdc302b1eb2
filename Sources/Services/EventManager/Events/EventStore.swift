import Contracts
import Messaging
import Storage
import Values

enum HistoryKind: IdentifierKind { static let prefix = "history" }

extension EventState: SQLTextValue {}

/// Events, and the history of their states.
enum EventStore {
    /// False if the slug is taken.
    static func insert(_ event: Event, by actor: String, in tx: Transaction) throws -> Bool {
        let inserted = try tx.execute(
            """
            INSERT INTO event
                (id, slug, organizer_id, name, summary, description, state, is_listed, starts_at, local_starts_at, ends_at,
                local_ends_at, over_at, time_zone, venue_id, online_url, currency, image_url, age_restriction, refund_until,
                are_fees_refunded, search_text, version, created_at)
            VALUES (\(event.id), \(event.slug), \(event.organizerId), \(event.name), \(event.summary), \(event.description),
                \(event.state), \(event.isListed), \(event.startsAt), \(event.localStartsAt), \(event.endsAt),
                \(event.localEndsAt), \(event.overAt), \(event.timeZone), \(event.venueId), \(event.onlineURL),
                \(event.currency), \(event.imageURL), \(event.ageRestriction), \(event.refundPolicy?.until),
                \(event.refundPolicy?.feesRefunded), \(searchText(event)), \(event.version), \(event.createdAt))
            ON CONFLICT (slug) DO NOTHING
            """)
        guard inserted == 1 else { return false }
        try remember(event.id, from: nil, to: event.state.rawValue, by: actor, reason: nil, in: tx)
        return true
    }

    static func find(_ id: EventID, in tx: Transaction) throws -> Event? {
        try select("WHERE e.id = \(id)", in: tx).first
    }

    static func find(slug: String, in tx: Transaction) throws -> Event? {
        try select("WHERE e.slug = \(slug)", in: tx).first
    }

    /// In two statements: PostgreSQL locks no rows of an outer join.
    static func lock(_ id: EventID, in tx: Transaction) throws -> Event? {
        guard try tx.row("SELECT id FROM event WHERE id = \(id) \(SQL.Difference.forUpdate)") != nil else { return nil }
        return try find(id, in: tx)
    }

    static func list(_ search: EventSearch, limit: Int, in tx: Transaction) throws -> [Event] {
        try select("WHERE \(search.condition) ORDER BY \(search.order) LIMIT \(limit)", in: tx)
    }

    /// Published ones that are over.
    static func over(limit: Int, in tx: Transaction) throws -> [EventID] {
        try tx.rows(
            "SELECT id FROM event WHERE state = 'published' AND over_at <= \(tx.now) ORDER BY over_at LIMIT \(limit)"
        ).map { try $0["id"] }
    }

    /// Those at a venue that people can see, locked, in the order of their ids.
    static func listed(at venue: VenueID, in tx: Transaction) throws -> [Event] {
        try tx.rows(
            """
            SELECT id FROM event WHERE venue_id = \(venue) AND is_listed = TRUE ORDER BY id \(SQL.Difference.forUpdate)
            """
        ).compactMap { try find(try $0["id"], in: tx) }
    }

    /// Writes a changed event, with its history where the state changed, and tells of what is public. Answers the event as it
    /// is now, with a higher version; unchanged, it stays as it was.
    /// - Parameter isTouched: there is a change that is not in the event itself, such as its venue's address.
    static func save(
        _ changed: Event, over before: Event, by actor: String, reason: String? = nil, isTouched: Bool = false, outbox: Outbox,
        in tx: Transaction
    ) throws -> Event {
        guard changed != before || isTouched else { return before }
        var event = changed
        event.version = before.version + 1
        try update(event, in: tx)
        if event.venueId != before.venueId { event.venue = try event.venueId.flatMap { try VenueStore.find($0, in: tx) } }
        if event.state != before.state {
            try remember(
                event.id, from: before.state.rawValue, to: event.state.rawValue, by: actor, reason: reason, in: tx)
        }
        // A draft is nobody's business yet, and of a canceled event tells `EventCanceled`.
        if event.state != .draft, event.state != .canceled {
            try outbox.append(EventChanged(event: event), of: "\(event.id)", version: event.version, in: tx)
        }
        return event
    }

    static func delete(_ event: Event, by actor: String, in tx: Transaction) throws {
        try tx.execute("DELETE FROM event WHERE id = \(event.id)")
        try remember(event.id, from: event.state.rawValue, to: "deleted", by: actor, reason: nil, in: tx)
    }

    private static func update(_ event: Event, in tx: Transaction) throws {
        try tx.execute(
            """
            UPDATE event SET name = \(event.name), summary = \(event.summary), description = \(event.description),
                state = \(event.state), is_listed = \(event.isListed), starts_at = \(event.startsAt),
                local_starts_at = \(event.localStartsAt), ends_at = \(event.endsAt), local_ends_at = \(event.localEndsAt),
                over_at = \(event.overAt), time_zone = \(event.timeZone), venue_id = \(event.venueId),
                online_url = \(event.onlineURL), image_url = \(event.imageURL), age_restriction = \(event.ageRestriction),
                refund_until = \(event.refundPolicy?.until), are_fees_refunded = \(event.refundPolicy?.feesRefunded),
                search_text = \(searchText(event)), version = \(event.version)
            WHERE id = \(event.id)
            """)
    }

    private static func remember(
        _ id: EventID, from: String?, to: String, by actor: String, reason: String?, in tx: Transaction
    ) throws {
        try tx.execute(
            """
            INSERT INTO event_history (id, event_id, from_state, to_state, actor, reason, at)
            VALUES (\(TypeID<HistoryKind>()), \(id), \(from), \(to), \(actor), \(reason), \(tx.now))
            """)
    }

    private static func searchText(_ event: Event) -> String {
        SearchText.folded(event.name, event.summary, event.description)
    }

    private static func select(_ rest: SQL, in tx: Transaction) throws -> [Event] {
        try tx.rows(
            """
            SELECT e.id, e.slug, e.organizer_id, e.name, e.summary, e.description, e.state, e.starts_at, e.local_starts_at,
                e.ends_at, e.local_ends_at, e.time_zone, e.venue_id, e.online_url, e.currency, e.image_url, e.age_restriction,
                e.refund_until, e.are_fees_refunded, e.version, e.created_at, v.name AS venue_name, v.street AS venue_street,
                v.city AS venue_city, v.country AS venue_country, v.created_at AS venue_created_at
            FROM event e LEFT JOIN venue v ON v.id = e.venue_id \(rest)
            """
        ).map(event)
    }

    private static func event(_ row: Row) throws -> Event {
        let organizer: OrganizerID = try row["organizer_id"]
        let venueID: VenueID? = try row["venue_id"]
        let venue = try venueID.map { id in
            Venue(
                id: id, organizerId: organizer, name: try row["venue_name"], street: try row["venue_street"],
                city: try row["venue_city"], country: try row["venue_country"], createdAt: try row["venue_created_at"])
        }
        let until: Instant? = try row["refund_until"]
        return Event(
            id: try row["id"], slug: try row["slug"], organizerId: organizer, name: try row["name"], summary: try row["summary"],
            description: try row["description"], state: try row["state"], startsAt: try row["starts_at"],
            localStartsAt: try row["local_starts_at"], endsAt: try row["ends_at"], timeZone: try row["time_zone"],
            venueId: venueID, venue: venue, onlineURL: try row["online_url"], currency: try row["currency"],
            imageURL: try row["image_url"], ageRestriction: try row["age_restriction"],
            refundPolicy: try until.map { RefundPolicy(until: $0, feesRefunded: try row["are_fees_refunded"]) },
            version: try row["version"], createdAt: try row["created_at"], localEndsAt: try row["local_ends_at"])
    }
}
