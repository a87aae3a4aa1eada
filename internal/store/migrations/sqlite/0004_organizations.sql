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
CREATE INDEX organizations_environment ON organizations (environment_id, id);
CREATE UNIQUE INDEX organizations_external_id ON organizations (environment_id, external_id) WHERE external_id <> '';
CREATE UNIQUE INDEX organizations_stripe ON organizations (environment_id, stripe_customer_id) WHERE stripe_customer_id <> '';

-- A domain belongs to one organization of an environment.
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
CREATE INDEX organization_domains_organization ON organization_domains (organization_id, id);

-- Roles of the environment (organization_id is NULL) and roles that one
-- organization added. A slug names one role in every organization.
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
CREATE UNIQUE INDEX roles_environment ON roles (environment_id, slug) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX roles_organization ON roles (organization_id, slug) WHERE organization_id IS NOT NULL;

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

CREATE TABLE role_permissions (
    role_id       TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    permission_id TEXT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
) WITHOUT ROWID;
CREATE INDEX role_permissions_permission ON role_permissions (permission_id);

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
CREATE INDEX organization_memberships_user ON organization_memberships (user_id, id);

-- A role that somebody has is not deleted under them, so this reference does
-- not cascade; the membership's own does.
CREATE TABLE membership_roles (
    membership_id TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    role_id       TEXT NOT NULL REFERENCES roles (id),
    PRIMARY KEY (membership_id, role_id)
) WITHOUT ROWID;
CREATE INDEX membership_roles_role ON membership_roles (role_id);

-- hash finds an invitation by its token; sealed is the token itself, for the
-- API calls that return it to the environment's own server.
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
CREATE INDEX invitations_environment ON invitations (environment_id, id);
CREATE INDEX invitations_email ON invitations (environment_id, email_key);
CREATE INDEX invitations_organization ON invitations (organization_id);
CREATE INDEX invitations_inviter ON invitations (inviter_user_id);
CREATE INDEX invitations_accepted ON invitations (accepted_user_id);

-- The organization that a session is in, '' for none. It is no reference: a
-- session whose organization is gone must not quietly go on without one.
ALTER TABLE sessions ADD COLUMN organization_id TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN organization_id TEXT NOT NULL DEFAULT '';

-- Every environment begins with the role that members get by default.
INSERT INTO roles (id, environment_id, slug, name, description, resource_type, created_at, updated_at)
SELECT 'role_' || substr(id, 13), id, 'member', 'Member', 'The default user role', 'organization', created_at, created_at FROM environments;
