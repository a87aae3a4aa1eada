CREATE VIEW grants AS
SELECT mr.id AS id, mr.membership_id AS membership_id, 'authz_resource' || substr(m.organization_id, 4) AS resource_id, mr.role_id AS role_id,
       '' AS group_assignment_id, mr.created_at AS created_at
FROM membership_roles mr JOIN organization_memberships m ON m.id = mr.membership_id
UNION ALL
SELECT id, membership_id, resource_id, role_id, '', created_at FROM role_assignments
UNION ALL
SELECT 'role_assignment_' || substr(a.id, 5) || substr(gm.membership_id, 4), gm.membership_id, a.resource_id, a.role_id, a.id, a.created_at
FROM group_members gm JOIN group_role_assignments a ON a.group_id = gm.group_id;
CREATE TABLE access_keys (
    id            TEXT PRIMARY KEY,
    hash          BLOB NOT NULL UNIQUE,
    kind          TEXT NOT NULL CHECK (kind IN ('personal', 'deployment', 'preview', 'project')),
    name          TEXT NOT NULL,
    person_id     TEXT REFERENCES people (id) ON DELETE CASCADE,
    project_id    TEXT REFERENCES projects (id) ON DELETE CASCADE,
    deployment_id TEXT REFERENCES deployments (id) ON DELETE CASCADE,
    actions       TEXT NOT NULL,
    expires_at    INTEGER NOT NULL,
    last_used_at  INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
);
CREATE TABLE answers (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    status         INTEGER NOT NULL,
    sealed         BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (environment_id, key)
);
CREATE TABLE api_keys (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    hash           BLOB NOT NULL UNIQUE,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
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
CREATE TABLE "audit_events" (
    id             TEXT PRIMARY KEY,
    team_id        TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL,
    actor_kind     TEXT NOT NULL CHECK (actor_kind IN ('team_token', 'api_key', 'server', 'person', 'deploy_key')),
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
CREATE TABLE authorization_resources (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    parent_id       TEXT REFERENCES authorization_resources (id) ON DELETE CASCADE,
    resource_type   TEXT NOT NULL,
    external_id     TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (organization_id, resource_type, external_id)
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
, organization_id TEXT NOT NULL DEFAULT '', connection_id TEXT NOT NULL DEFAULT '', provider TEXT NOT NULL DEFAULT '', tokens BLOB) WITHOUT ROWID;
CREATE TABLE connection_requests (
    hash           BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    connection_id  TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    sealed         BLOB NOT NULL,
    expires_at     INTEGER NOT NULL
) WITHOUT ROWID;
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
CREATE TABLE deployment_files (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    bytes         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, id)
);
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
    updated_at  INTEGER NOT NULL, port INTEGER NOT NULL DEFAULT 0, site_port INTEGER NOT NULL DEFAULT 0, udf_version TEXT NOT NULL DEFAULT '', person_id TEXT REFERENCES people (id) ON DELETE SET NULL, expires_at INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project_id, kind, reference)
);
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
    created_at      INTEGER NOT NULL, context TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (environment_id, id)
) WITHOUT ROWID;
CREATE TABLE external_authentications (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    user_id        TEXT REFERENCES users (id) ON DELETE CASCADE,
    flow           TEXT NOT NULL,
    resumed_at     INTEGER NOT NULL DEFAULT 0,
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE TABLE feature_flag_targets (
    flag_id         TEXT NOT NULL REFERENCES feature_flags (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT REFERENCES users (id) ON DELETE CASCADE,
    CHECK ((organization_id IS NULL) <> (user_id IS NULL))
);
CREATE TABLE feature_flags (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    slug           TEXT NOT NULL,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    tags           TEXT NOT NULL,
    enabled        INTEGER NOT NULL,
    default_value  INTEGER NOT NULL, -- for whom no target matches
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (environment_id, slug)
);
CREATE TABLE group_members (
    group_id      TEXT NOT NULL REFERENCES organization_groups (id) ON DELETE CASCADE,
    membership_id TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, membership_id)
) WITHOUT ROWID;
CREATE TABLE group_role_assignments (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    group_id       TEXT NOT NULL REFERENCES organization_groups (id) ON DELETE CASCADE,
    resource_id    TEXT NOT NULL REFERENCES authorization_resources (id) ON DELETE CASCADE,
    role_id        TEXT NOT NULL REFERENCES roles (id),
    created_at     INTEGER NOT NULL,
    UNIQUE (group_id, resource_id, role_id)
);
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
CREATE TABLE members_environment (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    client_id      TEXT NOT NULL
);
CREATE TABLE membership_roles (
    membership_id TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    role_id       TEXT NOT NULL REFERENCES roles (id), id TEXT NOT NULL DEFAULT '', created_at INTEGER NOT NULL DEFAULT 0,
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
CREATE TABLE organization_groups (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
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
CREATE TABLE organization_methods (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id) ON DELETE CASCADE,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    methods         TEXT NOT NULL
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
CREATE TABLE owned_key_permissions (
    key_id        TEXT NOT NULL REFERENCES owned_keys (id) ON DELETE CASCADE,
    permission_id TEXT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (key_id, permission_id)
) WITHOUT ROWID;
CREATE TABLE owned_keys (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    hash            BLOB NOT NULL UNIQUE,
    obfuscated      TEXT NOT NULL,
    last_used_at    INTEGER NOT NULL DEFAULT 0,
    expires_at      INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE TABLE password_failures (
    address        BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    failures       INTEGER NOT NULL,
    since          INTEGER NOT NULL,
    paused_until   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE people (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,
    email      TEXT NOT NULL,
    email_key  TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
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
CREATE TABLE profile_codes (
    hash           BLOB PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    profile_id     TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    tokens         BLOB,
    expires_at     INTEGER NOT NULL
) WITHOUT ROWID;
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
CREATE TABLE project_admins (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, person_id)
) WITHOUT ROWID;
CREATE TABLE project_environments (
    environment_id TEXT PRIMARY KEY REFERENCES environments (id) ON DELETE CASCADE,
    project_id     TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    api_key        BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE project_variables (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('dev', 'preview', 'prod')),
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    PRIMARY KEY (project_id, kind, name)
) WITHOUT ROWID;
CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    slug       TEXT NOT NULL,
    created_at INTEGER NOT NULL, name TEXT NOT NULL DEFAULT '',
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
CREATE TABLE role_assignments (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    membership_id  TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    resource_id    TEXT NOT NULL REFERENCES authorization_resources (id) ON DELETE CASCADE,
    role_id        TEXT NOT NULL REFERENCES roles (id),
    created_at     INTEGER NOT NULL,
    UNIQUE (membership_id, resource_id, role_id)
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
, organization_id TEXT NOT NULL DEFAULT '', connection_id TEXT NOT NULL DEFAULT '', provider TEXT NOT NULL DEFAULT '');
CREATE TABLE signing_keys (
    kid            TEXT PRIMARY KEY,
    environment_id TEXT REFERENCES environments (id) ON DELETE CASCADE,
    algorithm      TEXT NOT NULL,
    private        BLOB NOT NULL,
    public_jwk     TEXT NOT NULL,
    current        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
, published_at INTEGER NOT NULL DEFAULT 0, signs_at INTEGER NOT NULL DEFAULT 0, retired_at INTEGER NOT NULL DEFAULT 0, remove_at INTEGER NOT NULL DEFAULT 0);
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
CREATE TABLE team_members (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'developer')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, person_id)
) WITHOUT ROWID;
CREATE TABLE teams (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    slug        TEXT NOT NULL UNIQUE,
    admin_email TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
, number INTEGER NOT NULL DEFAULT 0, internal INTEGER NOT NULL DEFAULT 0, disconnected INTEGER NOT NULL DEFAULT 0);
CREATE TABLE test_users (
    user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    sealed         BLOB NOT NULL,
    created_at     INTEGER NOT NULL
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
    error          TEXT NOT NULL DEFAULT '', context TEXT NOT NULL DEFAULT '',
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
CREATE UNIQUE INDEX access_keys_deployment ON access_keys (deployment_id, name) WHERE kind = 'deployment';
CREATE INDEX access_keys_person ON access_keys (person_id);
CREATE UNIQUE INDEX access_keys_project ON access_keys (project_id, kind, name) WHERE kind IN ('preview', 'project');
CREATE INDEX answers_created ON answers (created_at);
CREATE INDEX api_keys_environment ON api_keys (environment_id);
CREATE INDEX application_authorizations_organization ON application_authorizations (environment_id, organization_id, id);
CREATE INDEX application_authorizations_user ON application_authorizations (user_id, id);
CREATE INDEX application_codes_application ON application_codes (application_id);
CREATE INDEX application_codes_environment ON application_codes (environment_id);
CREATE INDEX application_codes_expiry ON application_codes (expires_at);
CREATE INDEX application_codes_user ON application_codes (user_id);
CREATE INDEX application_secrets_application ON application_secrets (application_id, id);
CREATE INDEX application_secrets_environment ON application_secrets (environment_id);
CREATE INDEX application_sessions_application ON application_sessions (application_id);
CREATE INDEX application_sessions_environment ON application_sessions (environment_id);
CREATE INDEX application_sessions_expiry ON application_sessions (expires_at);
CREATE INDEX application_sessions_user ON application_sessions (user_id);
CREATE INDEX applications_environment ON applications (environment_id, id);
CREATE INDEX applications_organization ON applications (organization_id);
CREATE INDEX audit_events_created ON audit_events (created_at);
CREATE INDEX audit_events_team ON audit_events (team_id, id);
CREATE INDEX auth_challenges_expiry ON auth_challenges (expires_at);
CREATE INDEX auth_challenges_factor ON auth_challenges (factor_id);
CREATE INDEX auth_factors_environment ON auth_factors (environment_id);
CREATE INDEX auth_factors_user ON auth_factors (user_id, id);
CREATE INDEX authorization_resources_environment ON authorization_resources (environment_id, id);
CREATE INDEX authorization_resources_parent ON authorization_resources (parent_id, id);
CREATE UNIQUE INDEX claims_deployment ON claims (team_id, deployment) WHERE state <> 'releasing';
CREATE INDEX claims_expiry ON claims (expires_at) WHERE expires_at > 0;
CREATE INDEX claims_placement ON claims (placement_id);
CREATE INDEX codes_expiry ON codes (expires_at);
CREATE INDEX codes_user ON codes (user_id);
CREATE INDEX connection_requests_expiry ON connection_requests (expires_at);
CREATE INDEX connections_environment ON connections (environment_id, id);
CREATE INDEX connections_organization ON connections (organization_id, id);
CREATE UNIQUE INDEX connections_social ON connections (environment_id, type) WHERE organization_id IS NULL;
CREATE INDEX cors_origins_origin ON cors_origins (origin);
CREATE INDEX cors_origins_wildcard ON cors_origins (origin) WHERE instr(origin, '*') > 0;
CREATE INDEX deployments_expiry ON deployments (expires_at) WHERE expires_at > 0;
CREATE INDEX deployments_person ON deployments (person_id);
CREATE INDEX device_authorizations_application ON device_authorizations (application_id);
CREATE INDEX device_authorizations_environment ON device_authorizations (environment_id);
CREATE INDEX device_authorizations_expiry ON device_authorizations (expires_at);
CREATE INDEX device_authorizations_user ON device_authorizations (user_id);
CREATE INDEX environments_team ON environments (team_id, id);
CREATE INDEX external_authentications_environment ON external_authentications (environment_id);
CREATE INDEX external_authentications_expiry ON external_authentications (expires_at);
CREATE INDEX external_authentications_user ON external_authentications (user_id);
CREATE INDEX feature_flag_targets_flag ON feature_flag_targets (flag_id);
CREATE UNIQUE INDEX feature_flag_targets_organization ON feature_flag_targets (organization_id, flag_id) WHERE organization_id IS NOT NULL;
CREATE UNIQUE INDEX feature_flag_targets_user ON feature_flag_targets (user_id, flag_id) WHERE user_id IS NOT NULL;
CREATE INDEX group_members_membership ON group_members (membership_id);
CREATE INDEX group_role_assignments_environment ON group_role_assignments (environment_id);
CREATE INDEX group_role_assignments_resource ON group_role_assignments (resource_id);
CREATE INDEX group_role_assignments_role ON group_role_assignments (role_id);
CREATE INDEX invitations_accepted ON invitations (accepted_user_id);
CREATE INDEX invitations_email ON invitations (environment_id, email_key);
CREATE INDEX invitations_environment ON invitations (environment_id, id);
CREATE INDEX invitations_inviter ON invitations (inviter_user_id);
CREATE INDEX invitations_organization ON invitations (organization_id);
CREATE INDEX mail_codes_expiry ON mail_codes (expires_at);
CREATE UNIQUE INDEX mail_codes_reset ON mail_codes (hash) WHERE kind = 'password_reset';
CREATE INDEX mail_codes_user ON mail_codes (user_id, kind, id);
CREATE UNIQUE INDEX membership_roles_id ON membership_roles (id);
CREATE INDEX membership_roles_role ON membership_roles (role_id);
CREATE INDEX messages_environment ON messages (environment_id, id);
CREATE INDEX organization_domains_organization ON organization_domains (organization_id, id);
CREATE INDEX organization_groups_environment ON organization_groups (environment_id);
CREATE INDEX organization_groups_organization ON organization_groups (organization_id, id);
CREATE INDEX organization_memberships_user ON organization_memberships (user_id, id);
CREATE INDEX organizations_environment ON organizations (environment_id, id);
CREATE UNIQUE INDEX organizations_external_id ON organizations (environment_id, external_id) WHERE external_id <> '';
CREATE UNIQUE INDEX organizations_stripe ON organizations (environment_id, stripe_customer_id) WHERE stripe_customer_id <> '';
CREATE INDEX owned_key_permissions_permission ON owned_key_permissions (permission_id);
CREATE INDEX owned_keys_environment ON owned_keys (environment_id);
CREATE INDEX owned_keys_organization ON owned_keys (organization_id, id);
CREATE INDEX owned_keys_user ON owned_keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX password_failures_environment ON password_failures (environment_id);
CREATE INDEX password_failures_since ON password_failures (since);
CREATE INDEX placements_client ON placements (client_id);
CREATE INDEX profile_codes_expiry ON profile_codes (expires_at);
CREATE INDEX profiles_environment ON profiles (environment_id, id);
CREATE INDEX profiles_user ON profiles (user_id, id);
CREATE INDEX project_admins_person ON project_admins (person_id);
CREATE INDEX role_assignments_environment ON role_assignments (environment_id);
CREATE INDEX role_assignments_resource ON role_assignments (resource_id);
CREATE INDEX role_assignments_role ON role_assignments (role_id);
CREATE INDEX role_permissions_permission ON role_permissions (permission_id);
CREATE UNIQUE INDEX roles_environment ON roles (environment_id, slug) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX roles_organization ON roles (organization_id, slug) WHERE organization_id IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (environment_id) WHERE current = 1;
CREATE INDEX signing_keys_environment ON signing_keys (environment_id);
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (environment_id) WHERE environment_id IS NOT NULL AND current = 0 AND retired_at = 0;
CREATE INDEX signing_keys_ready ON signing_keys (kid) WHERE environment_id IS NULL;
CREATE INDEX signing_keys_retired ON signing_keys (remove_at) WHERE remove_at > 0;
CREATE INDEX team_credentials_team ON team_credentials (team_id);
CREATE INDEX team_members_person ON team_members (person_id);
CREATE UNIQUE INDEX teams_number ON teams (number) WHERE number > 0;
CREATE INDEX test_users_environment ON test_users (environment_id, user_id);
CREATE INDEX users_environment ON users (environment_id, id);
CREATE UNIQUE INDEX users_external_id ON users (environment_id, external_id) WHERE external_id <> '';
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at, event_id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (environment_id, event_id);
