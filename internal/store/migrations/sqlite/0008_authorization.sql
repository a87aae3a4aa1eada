-- What roles are given on. The root of an organization is the organization
-- itself: it has no parent, and its id is made of the organization's.
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
CREATE INDEX authorization_resources_environment ON authorization_resources (environment_id, id);
CREATE INDEX authorization_resources_parent ON authorization_resources (parent_id, id);

INSERT INTO authorization_resources (id, environment_id, organization_id, parent_id, resource_type, external_id, name, description, created_at, updated_at)
SELECT 'authz_resource' || substr(id, 4), environment_id, id, NULL, 'organization', id, name, '', created_at, updated_at FROM organizations;

-- A member's roles in the whole organization are assignments too.
ALTER TABLE membership_roles ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE membership_roles ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE membership_roles SET
    id = 'role_assignment_' || substr(membership_id, 4, 10) || upper(hex(randomblob(8))),
    created_at = (SELECT created_at FROM organization_memberships m WHERE m.id = membership_id);
CREATE UNIQUE INDEX membership_roles_id ON membership_roles (id);

-- Roles of members on other resources. A role that somebody has is not deleted
-- under them, so those references do not cascade.
CREATE TABLE role_assignments (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    membership_id  TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    resource_id    TEXT NOT NULL REFERENCES authorization_resources (id) ON DELETE CASCADE,
    role_id        TEXT NOT NULL REFERENCES roles (id),
    created_at     INTEGER NOT NULL,
    UNIQUE (membership_id, resource_id, role_id)
);
CREATE INDEX role_assignments_environment ON role_assignments (environment_id);
CREATE INDEX role_assignments_resource ON role_assignments (resource_id);
CREATE INDEX role_assignments_role ON role_assignments (role_id);

CREATE TABLE organization_groups (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX organization_groups_environment ON organization_groups (environment_id);
CREATE INDEX organization_groups_organization ON organization_groups (organization_id, id);

CREATE TABLE group_members (
    group_id      TEXT NOT NULL REFERENCES organization_groups (id) ON DELETE CASCADE,
    membership_id TEXT NOT NULL REFERENCES organization_memberships (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, membership_id)
) WITHOUT ROWID;
CREATE INDEX group_members_membership ON group_members (membership_id);

CREATE TABLE group_role_assignments (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    group_id       TEXT NOT NULL REFERENCES organization_groups (id) ON DELETE CASCADE,
    resource_id    TEXT NOT NULL REFERENCES authorization_resources (id) ON DELETE CASCADE,
    role_id        TEXT NOT NULL REFERENCES roles (id),
    created_at     INTEGER NOT NULL,
    UNIQUE (group_id, resource_id, role_id)
);
CREATE INDEX group_role_assignments_environment ON group_role_assignments (environment_id);
CREATE INDEX group_role_assignments_resource ON group_role_assignments (resource_id);
CREATE INDEX group_role_assignments_role ON group_role_assignments (role_id);

-- Every role that a member has on a resource, from all three sources. What a
-- group gives has an id made of the two that it comes from.
CREATE VIEW grants AS
SELECT mr.id AS id, mr.membership_id AS membership_id, 'authz_resource' || substr(m.organization_id, 4) AS resource_id, mr.role_id AS role_id,
       '' AS group_assignment_id, mr.created_at AS created_at
FROM membership_roles mr JOIN organization_memberships m ON m.id = mr.membership_id
UNION ALL
SELECT id, membership_id, resource_id, role_id, '', created_at FROM role_assignments
UNION ALL
SELECT 'role_assignment_' || substr(a.id, 5) || substr(gm.membership_id, 4), gm.membership_id, a.resource_id, a.role_id, a.id, a.created_at
FROM group_members gm JOIN group_role_assignments a ON a.group_id = gm.group_id;
