CREATE TABLE api_keys (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    hash           BLOB NOT NULL UNIQUE,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
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
CREATE TABLE auth_challenges (
    id          TEXT PRIMARY KEY,
    factor_id   TEXT NOT NULL REFERENCES auth_factors (id) ON DELETE CASCADE,
    attempts    INTEGER NOT NULL DEFAULT 0,
    verified_at INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE TABLE auth_factors (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    user_id        TEXT REFERENCES users (id) ON DELETE CASCADE,
    issuer         TEXT NOT NULL,
    account        TEXT NOT NULL,
    secret         BLOB NOT NULL,
    verified_at    INTEGER NOT NULL,
    last_step      INTEGER NOT NULL,
    failures       INTEGER NOT NULL DEFAULT 0,
    failures_since INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
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
, organization_id TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE cors_origins (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    origin         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, origin)
);
CREATE TABLE deployment_data (
    deployment_id TEXT PRIMARY KEY REFERENCES deployments (id) ON DELETE CASCADE,
    timestamp     INTEGER NOT NULL,
    schema        TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE deployment_documents (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    table_name    TEXT NOT NULL,
    value         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, id)
) WITHOUT ROWID;
CREATE TABLE deployment_modules (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    path          TEXT NOT NULL,
    environment   TEXT NOT NULL,
    source        TEXT NOT NULL,
    source_map    TEXT NOT NULL,
    hash          TEXT NOT NULL,
    PRIMARY KEY (deployment_id, path)
) WITHOUT ROWID;
CREATE TABLE deployment_tables (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, name),
    UNIQUE (deployment_id, number)
) WITHOUT ROWID;
CREATE TABLE deployment_variables (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    value         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, name)
) WITHOUT ROWID;
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
    updated_at  INTEGER NOT NULL, port INTEGER NOT NULL DEFAULT 0, site_port INTEGER NOT NULL DEFAULT 0, udf_version TEXT NOT NULL DEFAULT '',
    UNIQUE (project_id, kind, reference)
);
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
, mfa_required INTEGER NOT NULL DEFAULT 0, settings TEXT NOT NULL DEFAULT '{}');
CREATE TABLE events (
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id              TEXT NOT NULL,
    name            TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    data            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (environment_id, id)
) WITHOUT ROWID;
CREATE TABLE idempotency (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    result_id  TEXT NOT NULL,
    sealed     BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, key)
);
CREATE TABLE invitations (
    id               TEXT PRIMARY KEY,
    environment_id   TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id  TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    email            TEXT NOT NULL,
    email_key        TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'revoked')),
    role_slug        TEXT NOT NULL,
    inviter_user_id  TEXT REFERENCES users (id) ON DELETE SET NULL,
    accepted_user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
    hash             BLOB NOT NULL UNIQUE,
    sealed           BLOB NOT NULL,
    days             INTEGER NOT NULL, -- how long it lives after being sent
    accepted_at      INTEGER NOT NULL DEFAULT 0,
    revoked_at       INTEGER NOT NULL DEFAULT 0,
    expires_at       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
);
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
CREATE TABLE membership_roles (
    membership_id TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    role_id       TEXT NOT NULL REFERENCES roles (id),
    PRIMARY KEY (membership_id, role_id)
) WITHOUT ROWID;
CREATE TABLE messages (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    recipient      TEXT NOT NULL,
    recipient_key  TEXT NOT NULL,
    kind           TEXT NOT NULL,
    body           BLOB NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE TABLE organization_domains (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    domain          TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'verified', 'failed')),
    strategy        TEXT NOT NULL CHECK (strategy IN ('dns', 'manual')),
    prefix          TEXT NOT NULL,
    token           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (environment_id, domain)
);
CREATE TABLE organization_memberships (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    status          TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'pending')),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (organization_id, user_id)
);
CREATE TABLE organizations (
    id                 TEXT PRIMARY KEY,
    environment_id     TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name               TEXT NOT NULL,
    external_id        TEXT NOT NULL,
    stripe_customer_id TEXT NOT NULL,
    outside_profiles   INTEGER NOT NULL, -- allow_profiles_outside_organization
    metadata           TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
);
CREATE TABLE owned_entries (
    placement_id   TEXT NOT NULL REFERENCES placements (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('redirect_uri', 'cors_origin')),
    value          TEXT NOT NULL,
    removing_until INTEGER NOT NULL DEFAULT 0,
    removing_by    TEXT NOT NULL DEFAULT '', -- the claim whose run removes it: only that run, and its repetition, does so
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (placement_id, kind, value)
) WITHOUT ROWID;
CREATE TABLE password_failures (
    address        BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    failures       INTEGER NOT NULL,
    since          INTEGER NOT NULL,
    paused_until   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE permissions (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    slug           TEXT NOT NULL,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    resource_type  TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, slug)
);
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
CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    slug       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, slug)
);
CREATE TABLE redirect_uris (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    uri            TEXT NOT NULL,
    is_default     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, uri)
);
CREATE TABLE role_permissions (
    role_id       TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    permission_id TEXT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
) WITHOUT ROWID;
CREATE TABLE roles (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    slug            TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    resource_type   TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE TABLE server (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    key_check BLOB NOT NULL
);
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
, organization_id TEXT NOT NULL DEFAULT '');
CREATE TABLE signing_keys (
    kid            TEXT PRIMARY KEY,
    environment_id TEXT REFERENCES environments (id) ON DELETE CASCADE,
    algorithm      TEXT NOT NULL,
    private        BLOB NOT NULL,
    public_jwk     TEXT NOT NULL,
    current        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
);
CREATE TABLE team_credentials (
    id         TEXT PRIMARY KEY,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('client', 'access', 'token')),
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE team_invitations (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    email_key  TEXT NOT NULL,
    email      TEXT NOT NULL,
    role       TEXT NOT NULL,
    sent_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, email_key)
) WITHOUT ROWID;
CREATE TABLE teams (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    slug        TEXT NOT NULL UNIQUE,
    admin_email TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
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
CREATE TABLE webhook_deliveries (
    endpoint_id    TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event_id       TEXT NOT NULL,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    data           TEXT NOT NULL,
    happened_at    INTEGER NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    tries          INTEGER NOT NULL DEFAULT 0,
    tried_at       INTEGER NOT NULL DEFAULT 0,
    next_at        INTEGER NOT NULL,
    http_status    INTEGER NOT NULL DEFAULT 0,
    error          TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (endpoint_id, event_id)
) WITHOUT ROWID;
CREATE TABLE webhook_endpoints (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    url            TEXT NOT NULL,
    events         TEXT NOT NULL,
    secret         BLOB NOT NULL,
    enabled        INTEGER NOT NULL,
    cursor         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, url)
);
CREATE INDEX api_keys_environment ON api_keys (environment_id);
CREATE INDEX audit_events_created ON audit_events (created_at);
CREATE INDEX audit_events_team ON audit_events (team_id, id);
CREATE INDEX auth_challenges_expiry ON auth_challenges (expires_at);
CREATE INDEX auth_challenges_factor ON auth_challenges (factor_id);
CREATE INDEX auth_factors_environment ON auth_factors (environment_id);
CREATE INDEX auth_factors_user ON auth_factors (user_id, id);
CREATE UNIQUE INDEX claims_deployment ON claims (team_id, deployment) WHERE state <> 'releasing';
CREATE INDEX claims_expiry ON claims (expires_at) WHERE expires_at > 0;
CREATE INDEX claims_placement ON claims (placement_id);
CREATE INDEX codes_expiry ON codes (expires_at);
CREATE INDEX codes_user ON codes (user_id);
CREATE INDEX cors_origins_origin ON cors_origins (origin);
CREATE INDEX cors_origins_wildcard ON cors_origins (origin) WHERE instr(origin, '*') > 0;
CREATE INDEX environments_team ON environments (team_id, id);
CREATE INDEX invitations_accepted ON invitations (accepted_user_id);
CREATE INDEX invitations_email ON invitations (environment_id, email_key);
CREATE INDEX invitations_environment ON invitations (environment_id, id);
CREATE INDEX invitations_inviter ON invitations (inviter_user_id);
CREATE INDEX invitations_organization ON invitations (organization_id);
CREATE INDEX mail_codes_expiry ON mail_codes (expires_at);
CREATE UNIQUE INDEX mail_codes_reset ON mail_codes (hash) WHERE kind = 'password_reset';
CREATE INDEX mail_codes_user ON mail_codes (user_id, kind, id);
CREATE INDEX membership_roles_role ON membership_roles (role_id);
CREATE INDEX messages_environment ON messages (environment_id, id);
CREATE INDEX organization_domains_organization ON organization_domains (organization_id, id);
CREATE INDEX organization_memberships_user ON organization_memberships (user_id, id);
CREATE INDEX organizations_environment ON organizations (environment_id, id);
CREATE UNIQUE INDEX organizations_external_id ON organizations (environment_id, external_id) WHERE external_id <> '';
CREATE UNIQUE INDEX organizations_stripe ON organizations (environment_id, stripe_customer_id) WHERE stripe_customer_id <> '';
CREATE INDEX password_failures_environment ON password_failures (environment_id);
CREATE INDEX password_failures_since ON password_failures (since);
CREATE INDEX placements_client ON placements (client_id);
CREATE INDEX role_permissions_permission ON role_permissions (permission_id);
CREATE UNIQUE INDEX roles_environment ON roles (environment_id, slug) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX roles_organization ON roles (organization_id, slug) WHERE organization_id IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (environment_id) WHERE current = 1;
CREATE INDEX signing_keys_environment ON signing_keys (environment_id);
CREATE INDEX signing_keys_ready ON signing_keys (kid) WHERE environment_id IS NULL;
CREATE INDEX team_credentials_team ON team_credentials (team_id);
CREATE INDEX users_environment ON users (environment_id, id);
CREATE UNIQUE INDEX users_external_id ON users (environment_id, external_id) WHERE external_id <> '';
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at, event_id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (environment_id, event_id);
