-- Convex's tools name teams by numbers as well. internal is the server's own
-- team, which holds the environment that members sign in to. disconnected says
-- that deployments of the team get no auth environment.
ALTER TABLE teams ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE teams SET number = (SELECT count(*) FROM teams o WHERE o.id <= teams.id);
CREATE UNIQUE INDEX teams_number ON teams (number) WHERE number > 0;
ALTER TABLE teams ADD COLUMN internal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE teams ADD COLUMN disconnected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN name TEXT NOT NULL DEFAULT '';

-- Who may be a member of teams. A person is an address that was proven by
-- signing in to the members' environment.
CREATE TABLE people (
    id         TEXT PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE,
    email      TEXT NOT NULL,
    email_key  TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

CREATE TABLE team_members (
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'developer')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, person_id)
) WITHOUT ROWID;
CREATE INDEX team_members_person ON team_members (person_id);

-- Members who administer one project: whoever made it, and those named later.
CREATE TABLE project_admins (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, person_id)
) WITHOUT ROWID;
CREATE INDEX project_admins_person ON project_admins (person_id);

-- One row: where members sign in.
CREATE TABLE members_environment (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    client_id      TEXT NOT NULL
);

-- Credentials of people and builds. personal: a person's; deployment: a deploy
-- key; preview: makes previews of a project; project: a whole project. person_id
-- is whose it is, or who made it. actions is a JSON array, '' for all.
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
CREATE INDEX access_keys_person ON access_keys (person_id);
CREATE UNIQUE INDEX access_keys_deployment ON access_keys (deployment_id, name) WHERE kind = 'deployment';
CREATE UNIQUE INDEX access_keys_project ON access_keys (project_id, kind, name) WHERE kind IN ('preview', 'project');

-- Whose a dev deployment is, and when a preview ends (0: never).
ALTER TABLE deployments ADD COLUMN person_id TEXT REFERENCES people (id) ON DELETE SET NULL;
ALTER TABLE deployments ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deployments_person ON deployments (person_id);
CREATE INDEX deployments_expiry ON deployments (expires_at) WHERE expires_at > 0;

-- Variables that new deployments of a kind begin with.
CREATE TABLE project_variables (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('dev', 'preview', 'prod')),
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    PRIMARY KEY (project_id, kind, name)
) WITHOUT ROWID;

-- Auth environments of a project that belong to no deployment.
CREATE TABLE project_environments (
    environment_id TEXT PRIMARY KEY REFERENCES environments (id) ON DELETE CASCADE,
    project_id     TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    api_key        BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    UNIQUE (project_id, name)
);

-- People and their keys act too.
CREATE TABLE audit_events_new (
    id             TEXT PRIMARY KEY,
    team_id        TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL,
    actor_kind     TEXT NOT NULL CHECK (actor_kind IN ('team_token', 'api_key', 'server', 'person', 'deploy_key')),
    actor_id       TEXT NOT NULL,
    action         TEXT NOT NULL,
    target         TEXT NOT NULL,
    created_at     INTEGER NOT NULL
);
INSERT INTO audit_events_new SELECT id, team_id, environment_id, actor_kind, actor_id, action, target, created_at FROM audit_events;
DROP TABLE audit_events;
ALTER TABLE audit_events_new RENAME TO audit_events;
CREATE INDEX audit_events_team ON audit_events (team_id, id);
CREATE INDEX audit_events_created ON audit_events (created_at);
