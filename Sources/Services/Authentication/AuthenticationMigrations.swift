import Storage

let authenticationMigrations = [
    Migration(
        "0001-users",
        """
        CREATE TABLE user_account (
            id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            locale TEXT NOT NULL,
            password_hash TEXT NOT NULL,
            is_email_verified BOOLEAN NOT NULL,
            is_admin BOOLEAN NOT NULL,
            verification_hash TEXT UNIQUE,
            created_at BIGINT NOT NULL
        );
        CREATE INDEX user_account_admin ON user_account (id) WHERE is_admin = TRUE;
        CREATE TABLE membership (
            organizer_id TEXT NOT NULL,
            user_id TEXT NOT NULL REFERENCES user_account (id),
            role TEXT NOT NULL CHECK (role IN ('owner', 'manager', 'door', 'analyst')),
            created_at BIGINT NOT NULL,
            PRIMARY KEY (organizer_id, user_id)
        );
        CREATE INDEX membership_user ON membership (user_id, organizer_id);
        """),
    Migration(
        "0002-sessions",
        """
        CREATE TABLE session (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES user_account (id),
            created_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL
        );
        CREATE INDEX session_of_user ON session (user_id, id);
        CREATE INDEX session_expires_at ON session (expires_at);
        CREATE TABLE refresh_token (
            hash TEXT PRIMARY KEY,
            session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
            expires_at BIGINT NOT NULL,
            used_at BIGINT
        );
        CREATE INDEX refresh_token_session ON refresh_token (session_id);
        CREATE INDEX refresh_token_expires_at ON refresh_token (expires_at);
        CREATE TABLE login_failure (
            address_hash TEXT PRIMARY KEY,
            failures BIGINT NOT NULL CHECK (failures > 0),
            expires_at BIGINT NOT NULL
        );
        CREATE INDEX login_failure_expires_at ON login_failure (expires_at);
        """),
    Migration(
        "0003-signing-keys",
        """
        CREATE TABLE signing_key (
            kid TEXT PRIMARY KEY,
            x TEXT NOT NULL,
            y TEXT NOT NULL,
            valid_until BIGINT NOT NULL
        );
        """),
    Migration(
        "0004-api-keys",
        """
        CREATE TABLE api_key (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES user_account (id),
            hash TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            may_read BOOLEAN NOT NULL,
            may_write BOOLEAN NOT NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT,
            used_at BIGINT
        );
        CREATE INDEX api_key_of_user ON api_key (user_id, id);
        CREATE INDEX api_key_expires_at ON api_key (expires_at) WHERE expires_at IS NOT NULL;
        """),
]
