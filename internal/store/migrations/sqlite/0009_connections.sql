-- Where people of an organization sign in (organization_id), or everybody by a
-- social provider (organization_id is NULL; one per type). kind says what
-- answers: the built-in test identity provider, or an OpenID Connect provider,
-- whose client secret is sealed.
CREATE TABLE connections (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    type            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('test', 'oidc')),
    name            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('active', 'inactive')),
    issuer          TEXT NOT NULL,
    client_id       TEXT NOT NULL,
    client_secret   BLOB,
    scopes          TEXT NOT NULL,
    return_tokens   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX connections_environment ON connections (environment_id, id);
CREATE INDEX connections_organization ON connections (organization_id, id);
CREATE UNIQUE INDEX connections_social ON connections (environment_id, type) WHERE organization_id IS NULL;

-- What an identity provider said of a person when they last came from it.
-- user_id is NULL until the person is known to be that user.
CREATE TABLE profiles (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    connection_id  TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user_id        TEXT REFERENCES users (id) ON DELETE SET NULL,
    idp_id         TEXT NOT NULL,
    email          TEXT NOT NULL,
    email_verified INTEGER NOT NULL,
    first_name     TEXT NOT NULL,
    last_name      TEXT NOT NULL,
    groups         TEXT NOT NULL,
    attributes     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (connection_id, idp_id)
);
CREATE INDEX profiles_user ON profiles (user_id, id);
CREATE INDEX profiles_environment ON profiles (environment_id, id);

-- Sign-ins that are away at an identity provider. hash is of the state that
-- comes back; the row goes with its first use. sealed holds the flow, the nonce
-- and the PKCE verifier.
CREATE TABLE connection_requests (
    hash           BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    connection_id  TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    sealed         BLOB NOT NULL,
    expires_at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX connection_requests_expiry ON connection_requests (expires_at);

-- Codes of the SSO API, which stand for a profile and not for a user.
CREATE TABLE profile_codes (
    hash           BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    profile_id     TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    tokens         BLOB,
    expires_at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX profile_codes_expiry ON profile_codes (expires_at);

-- How members of an organization may sign in, as JSON. No row: as everybody.
CREATE TABLE organization_methods (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id) ON DELETE CASCADE,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    methods         TEXT NOT NULL
);

-- By which connection a session was opened, '' for none. tokens are those of the
-- upstream provider, sealed, until the code is spent.
ALTER TABLE sessions ADD COLUMN connection_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN connection_id TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN tokens BLOB;
