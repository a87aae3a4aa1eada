-- Wrong passwords in a row. address is a MAC of the environment and the e-mail
-- address: addresses without an account are counted too, so that neither answers
-- nor their time tell which ones there are. failures counts since the first one
-- of the run; until paused_until no password is right.
CREATE TABLE password_failures (
    address        BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    failures       INTEGER NOT NULL,
    since          INTEGER NOT NULL,
    paused_until   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX password_failures_environment ON password_failures (environment_id);
CREATE INDEX password_failures_since ON password_failures (since);

-- Administrative acts. environment_id outlives its environment; target is an id
-- or a registered address, never a secret.
CREATE TABLE audit_events (
    id             TEXT PRIMARY KEY,
    team_id        TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL,
    actor_kind     TEXT NOT NULL CHECK (actor_kind IN ('team_token', 'api_key', 'server')),
    actor_id       TEXT NOT NULL,
    action         TEXT NOT NULL,
    target         TEXT NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE INDEX audit_events_team ON audit_events (team_id, id);
CREATE INDEX audit_events_created ON audit_events (created_at);
