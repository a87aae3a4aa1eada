-- Times are UTC milliseconds since 1970; 0 or NULL means never. Booleans are 0 or 1.
-- Every table of identity data carries environment_id; store.Env adds it to each query.

-- One row. key_check is a known text, sealed with the server key that this
-- database belongs to.
CREATE TABLE server (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    key_check BLOB NOT NULL
);

CREATE TABLE teams (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    slug        TEXT NOT NULL UNIQUE,
    admin_email TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);

-- What a team authenticates with: client credentials (client_id and the hash of
-- their secret), access tokens made from them, and long-lived team tokens.
CREATE TABLE team_credentials (
    id         TEXT PRIMARY KEY,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('client', 'access', 'token')),
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX team_credentials_team ON team_credentials (team_id);

-- People invited to a team; a person already in another team is refused.
CREATE TABLE team_invitations (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    email_key  TEXT NOT NULL,
    email      TEXT NOT NULL,
    role       TEXT NOT NULL,
    sent_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, email_key)
) WITHOUT ROWID;

CREATE TABLE environments (
    id              TEXT PRIMARY KEY,
    team_id         TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    client_id       TEXT NOT NULL UNIQUE,
    production      INTEGER NOT NULL,
    homepage_url    TEXT NOT NULL DEFAULT '',
    issuer          TEXT NOT NULL DEFAULT '',
    jwt_template    TEXT NOT NULL DEFAULT '',
    jwt_updated_at  INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX environments_team ON environments (team_id, id);

-- Answers to creations that carried an Idempotency-Key, so that a repeat after
-- a lost answer gives the same object. result is an id or a sealed value.
CREATE TABLE idempotency (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    result_id  TEXT NOT NULL,
    sealed     BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, key)
);

-- environment_id is NULL while a key waits in the pool of ready ones.
CREATE TABLE signing_keys (
    kid            TEXT PRIMARY KEY,
    environment_id TEXT REFERENCES environments (id) ON DELETE CASCADE,
    algorithm      TEXT NOT NULL,
    private        BLOB NOT NULL,
    public_jwk     TEXT NOT NULL,
    current        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (environment_id) WHERE current = 1;
CREATE INDEX signing_keys_environment ON signing_keys (environment_id);
CREATE INDEX signing_keys_ready ON signing_keys (kid) WHERE environment_id IS NULL;

CREATE TABLE api_keys (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    hash           BLOB NOT NULL UNIQUE,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
CREATE INDEX api_keys_environment ON api_keys (environment_id);

CREATE TABLE redirect_uris (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    uri            TEXT NOT NULL,
    is_default     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, uri)
);

CREATE TABLE cors_origins (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    origin         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, origin)
);
CREATE INDEX cors_origins_origin ON cors_origins (origin);
CREATE INDEX cors_origins_wildcard ON cors_origins (origin) WHERE instr(origin, '*') > 0;

CREATE TABLE users (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    email_key       TEXT NOT NULL,
    email_verified  INTEGER NOT NULL,
    first_name      TEXT NOT NULL,
    last_name       TEXT NOT NULL,
    picture_url     TEXT NOT NULL,
    external_id     TEXT NOT NULL,
    locale          TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    last_sign_in_at INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (environment_id, email_key)
);
CREATE INDEX users_environment ON users (environment_id, id);
CREATE UNIQUE INDEX users_external_id ON users (environment_id, external_id) WHERE external_id <> '';

-- Sessions and codes go with their user, and users with their environment.
CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL,
    user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_method    TEXT NOT NULL,
    status         TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    ip_address     TEXT NOT NULL,
    user_agent     TEXT NOT NULL,
    generation     INTEGER NOT NULL,
    rotated_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);

-- A spent code stays until it expires, so that a replay is seen and ends the
-- session that the first use opened (RFC 9700 section 4.5).
CREATE TABLE codes (
    hash           BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL,
    user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    auth_method    TEXT NOT NULL,
    expires_at     INTEGER NOT NULL,
    session_id     TEXT,
    created_at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX codes_expiry ON codes (expires_at);
CREATE INDEX codes_user ON codes (user_id);

CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    slug       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, slug)
);

-- One running backend of a project: dev (one per developer or worktree),
-- preview (one per branch) or prod. reference tells those of one kind apart.
CREATE TABLE deployments (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name        TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('dev', 'preview', 'prod')),
    reference   TEXT NOT NULL,
    auth_config TEXT NOT NULL DEFAULT '',
    providers   TEXT NOT NULL DEFAULT '[]',
    version     INTEGER NOT NULL DEFAULT 0, -- counts changes, for optimistic writes
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (project_id, kind, reference)
);

CREATE TABLE deployment_variables (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    value         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, name)
) WITHOUT ROWID;

-- How deployments get an environment. slot names the place: one per deployment
-- and generation when dedicated, one per project and kind or per client ID when
-- shared. The row is written before the environment is asked for.
CREATE TABLE placements (
    id               TEXT PRIMARY KEY,
    team_id          TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    slot             TEXT NOT NULL,
    mode             TEXT NOT NULL CHECK (mode IN ('dedicated', 'pooled', 'shared')),
    project          TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('wanted', 'bound', 'deleting')),
    owned            INTEGER NOT NULL,
    production       INTEGER NOT NULL,
    api_base         TEXT NOT NULL,
    environment_id   TEXT NOT NULL DEFAULT '',
    environment_name TEXT NOT NULL,
    client_id        TEXT NOT NULL DEFAULT '',
    api_key          BLOB,
    homepage_url     TEXT NOT NULL DEFAULT '',
    homepage_claim   TEXT NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (team_id, slot)
);
CREATE INDEX placements_client ON placements (client_id);

-- What one deployment needs of its environment. wants is the JSON of the
-- current and the kept earlier sets of redirect URIs and origins.
CREATE TABLE claims (
    id           TEXT PRIMARY KEY,
    team_id      TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    placement_id TEXT NOT NULL REFERENCES placements (id) ON DELETE CASCADE,
    project      TEXT NOT NULL,
    deployment   TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('dev', 'preview', 'prod')),
    branch       TEXT NOT NULL,
    repository   TEXT NOT NULL,
    host         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    wants        TEXT NOT NULL,
    homepage_url TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'live', 'releasing')),
    lifetime     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    renewed_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
);
CREATE UNIQUE INDEX claims_deployment ON claims (team_id, deployment) WHERE state <> 'releasing';
CREATE INDEX claims_placement ON claims (placement_id);
CREATE INDEX claims_expiry ON claims (expires_at) WHERE expires_at > 0;

-- Entries that Berth put into an environment itself, recorded before they are
-- sent. Only these are ever removed. removing_until is set while a removal is
-- under way: nobody may claim the entry before that moment.
CREATE TABLE owned_entries (
    placement_id   TEXT NOT NULL REFERENCES placements (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('redirect_uri', 'cors_origin')),
    value          TEXT NOT NULL,
    removing_until INTEGER NOT NULL DEFAULT 0,
    removing_by    TEXT NOT NULL DEFAULT '', -- the claim whose run removes it: only that run, and its repetition, does so
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (placement_id, kind, value)
) WITHOUT ROWID;
