import Storage

let eventManagerMigrations = [
    Migration(
        "0001-organizers",
        """
        CREATE TABLE organizer (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            slug TEXT NOT NULL UNIQUE,
            email TEXT,
            search_text TEXT NOT NULL,
            creator_id TEXT NOT NULL,
            is_owner_confirmed BOOLEAN NOT NULL,
            created_at BIGINT NOT NULL
        );
        CREATE INDEX organizer_creator ON organizer (creator_id);
        CREATE INDEX organizer_unconfirmed ON organizer (id) WHERE is_owner_confirmed = FALSE;
        CREATE TABLE venue (
            id TEXT PRIMARY KEY,
            organizer_id TEXT NOT NULL REFERENCES organizer (id),
            name TEXT NOT NULL,
            street TEXT,
            city TEXT NOT NULL,
            city_key TEXT NOT NULL,
            country TEXT NOT NULL,
            search_text TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            UNIQUE (organizer_id, id)
        );
        """),
    Migration(
        "0002-events",
        """
        CREATE TABLE event (
            id TEXT PRIMARY KEY,
            slug TEXT NOT NULL UNIQUE,
            organizer_id TEXT NOT NULL REFERENCES organizer (id),
            name TEXT NOT NULL,
            summary TEXT,
            description TEXT,
            state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'postponed', 'canceled', 'completed')),
            is_listed BOOLEAN NOT NULL,
            starts_at BIGINT NOT NULL,
            local_starts_at TEXT NOT NULL,
            ends_at BIGINT CHECK (ends_at > starts_at),
            local_ends_at TEXT,
            over_at BIGINT NOT NULL,
            time_zone TEXT NOT NULL,
            venue_id TEXT,
            online_url TEXT,
            currency TEXT NOT NULL,
            image_url TEXT,
            age_restriction BIGINT,
            refund_until BIGINT,
            are_fees_refunded BOOLEAN,
            search_text TEXT NOT NULL,
            version BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            FOREIGN KEY (organizer_id, venue_id) REFERENCES venue (organizer_id, id)
        );
        CREATE INDEX event_listed_by_start ON event (starts_at, id) WHERE is_listed = TRUE;
        CREATE INDEX event_listed_by_creation ON event (created_at, id) WHERE is_listed = TRUE;
        CREATE INDEX event_organizer ON event (organizer_id, starts_at, id);
        CREATE INDEX event_venue ON event (venue_id);
        CREATE INDEX event_published_over ON event (over_at) WHERE state = 'published';
        CREATE TABLE event_history (
            id TEXT PRIMARY KEY,
            event_id TEXT NOT NULL,
            from_state TEXT,
            to_state TEXT NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT,
            at BIGINT NOT NULL
        );
        CREATE INDEX event_history_event ON event_history (event_id, id);
        CREATE TABLE cancellation (
            event_id TEXT PRIMARY KEY REFERENCES event (id),
            refund BOOLEAN NOT NULL,
            reason TEXT,
            requested_at BIGINT NOT NULL,
            attempted_at BIGINT NOT NULL,
            closed_at BIGINT,
            settled_at BIGINT
        );
        CREATE INDEX cancellation_unsettled ON cancellation (attempted_at) WHERE settled_at IS NULL;
        """),
]
