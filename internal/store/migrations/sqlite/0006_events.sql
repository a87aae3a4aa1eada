-- What happened in an environment, as GET /events shows it. Ids are made in the
-- order of the writes, so they are cursors too. data holds no code, token or
-- other secret. The oldest rows make room (see store/event.go).
CREATE TABLE events (
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    id              TEXT NOT NULL,
    name            TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    data            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (environment_id, id)
) WITHOUT ROWID;

-- Where events are sent. cursor is the last event that was looked at for the
-- endpoint: the events table itself is the queue in front of the deliveries, so
-- that a sign-in writes nothing for its endpoints.
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

-- One event for one endpoint. It holds the event itself while it is pending, so
-- that a retry days later does not depend on how long events are kept.
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
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at, event_id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (environment_id, event_id);
