-- Applications that sign people in through an environment (OAuth 2.0 clients).
-- scopes and redirect_uris are JSON. Third-party and machine applications
-- belong to an organization and go with it.
CREATE TABLE applications (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    client_id       TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL CHECK (kind IN ('oauth', 'm2m')),
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    redirect_uris   TEXT NOT NULL,
    uses_pkce       INTEGER NOT NULL,
    first_party     INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX applications_environment ON applications (environment_id, id);
CREATE INDEX applications_organization ON applications (organization_id);

CREATE TABLE application_secrets (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    hash           BLOB NOT NULL UNIQUE,
    hint           TEXT NOT NULL,
    last_used_at   INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
CREATE INDEX application_secrets_application ON application_secrets (application_id, id);
CREATE INDEX application_secrets_environment ON application_secrets (environment_id);

-- What a user allowed an application, remembered so that it is asked once.
CREATE TABLE application_authorizations (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    application_id  TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL, -- '' for none
    resource        TEXT NOT NULL, -- '' for none
    scopes          TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (application_id, user_id, organization_id, resource)
);
CREATE INDEX application_authorizations_user ON application_authorizations (user_id, id);
CREATE INDEX application_authorizations_organization ON application_authorizations (environment_id, organization_id, id);

-- One sign-in to an application: the family of the tokens that come from it.
-- Only the newest generation of its refresh token is good.
CREATE TABLE application_sessions (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    application_id  TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL,
    resource        TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    auth_time       INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL
);
CREATE INDEX application_sessions_environment ON application_sessions (environment_id);
CREATE INDEX application_sessions_application ON application_sessions (application_id);
CREATE INDEX application_sessions_user ON application_sessions (user_id);
CREATE INDEX application_sessions_expiry ON application_sessions (expires_at);

-- A spent code stays until it expires, so that a replay is seen and ends the
-- session that the first use opened (RFC 9700 section 4.5).
CREATE TABLE application_codes (
    hash            BLOB PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    application_id  TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL,
    redirect_uri    TEXT NOT NULL,
    code_challenge  TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    resource        TEXT NOT NULL,
    auth_time       INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    session_id      TEXT,
    created_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX application_codes_environment ON application_codes (environment_id);
CREATE INDEX application_codes_application ON application_codes (application_id);
CREATE INDEX application_codes_user ON application_codes (user_id);
CREATE INDEX application_codes_expiry ON application_codes (expires_at);

-- Devices that wait for somebody to sign in for them (RFC 8628). hash is that of
-- the device code; interval and polled_at bound how often the device may ask.
CREATE TABLE device_authorizations (
    id               TEXT PRIMARY KEY,
    environment_id   TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    application_id   TEXT REFERENCES applications (id) ON DELETE CASCADE,
    user_id          TEXT REFERENCES users (id) ON DELETE CASCADE,
    hash             BLOB NOT NULL UNIQUE,
    user_code        TEXT NOT NULL UNIQUE,
    status           TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'redeemed')),
    organization_id  TEXT NOT NULL DEFAULT '',
    scopes           TEXT NOT NULL,
    resource         TEXT NOT NULL,
    auth_method      TEXT NOT NULL DEFAULT '',
    auth_time        INTEGER NOT NULL DEFAULT 0,
    interval_seconds INTEGER NOT NULL,
    polled_at        INTEGER NOT NULL DEFAULT 0,
    expires_at       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
);
CREATE INDEX device_authorizations_environment ON device_authorizations (environment_id);
CREATE INDEX device_authorizations_application ON device_authorizations (application_id);
CREATE INDEX device_authorizations_user ON device_authorizations (user_id);
CREATE INDEX device_authorizations_expiry ON device_authorizations (expires_at);

-- Sign-ins that the environment's own application does in place of our pages.
-- flow is the sealed sign-in, which opens in the browser that began it only.
CREATE TABLE external_authentications (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    user_id        TEXT REFERENCES users (id) ON DELETE CASCADE,
    flow           TEXT NOT NULL,
    resumed_at     INTEGER NOT NULL DEFAULT 0,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE INDEX external_authentications_environment ON external_authentications (environment_id);
CREATE INDEX external_authentications_user ON external_authentications (user_id);
CREATE INDEX external_authentications_expiry ON external_authentications (expires_at);
