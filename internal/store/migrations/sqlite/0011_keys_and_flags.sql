-- API keys that the application gives to its own customers: of an organization
-- (user_id is NULL), or of a user for one organization. Only hashes are kept.
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
CREATE INDEX owned_keys_environment ON owned_keys (environment_id);
CREATE INDEX owned_keys_organization ON owned_keys (organization_id, id);
CREATE INDEX owned_keys_user ON owned_keys (user_id, id) WHERE user_id IS NOT NULL;

CREATE TABLE owned_key_permissions (
    key_id        TEXT NOT NULL REFERENCES owned_keys (id) ON DELETE CASCADE,
    permission_id TEXT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (key_id, permission_id)
) WITHOUT ROWID;
CREATE INDEX owned_key_permissions_permission ON owned_key_permissions (permission_id);

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

-- A target is an organization or a user.
CREATE TABLE feature_flag_targets (
    flag_id         TEXT NOT NULL REFERENCES feature_flags (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT REFERENCES users (id) ON DELETE CASCADE,
    CHECK ((organization_id IS NULL) <> (user_id IS NULL))
);
CREATE UNIQUE INDEX feature_flag_targets_organization ON feature_flag_targets (organization_id, flag_id) WHERE organization_id IS NOT NULL;
CREATE UNIQUE INDEX feature_flag_targets_user ON feature_flag_targets (user_id, flag_id) WHERE user_id IS NOT NULL;
CREATE INDEX feature_flag_targets_flag ON feature_flag_targets (flag_id);

-- What else is known of an event: JSON, or '' for nothing.
ALTER TABLE events ADD COLUMN context TEXT NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN context TEXT NOT NULL DEFAULT '';
