-- One-time codes and tokens that travel by mail. hash is a MAC of the code, so
-- that six digits cannot be guessed from the file; sealed is the code itself,
-- for the API calls that return it to the environment's own server.
CREATE TABLE mail_codes (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('email_verification', 'magic_auth', 'password_reset', 'email_change')),
    email          TEXT NOT NULL,
    hash           BLOB NOT NULL,
    sealed         BLOB NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    expires_at     INTEGER NOT NULL,
    used_at        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
);
CREATE INDEX mail_codes_user ON mail_codes (user_id, kind, id);
CREATE UNIQUE INDEX mail_codes_reset ON mail_codes (hash) WHERE kind = 'password_reset';
CREATE INDEX mail_codes_expiry ON mail_codes (expires_at);

-- The inbox: every message of environments that do not send mail. The body is
-- sealed with the subject, because they hold codes and links.
CREATE TABLE messages (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    recipient      TEXT NOT NULL,
    recipient_key  TEXT NOT NULL,
    kind           TEXT NOT NULL,
    body           BLOB NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE INDEX messages_environment ON messages (environment_id, id);
