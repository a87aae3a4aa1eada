-- The documents of embedded deployments. value is the encoded JSON of all fields.
CREATE TABLE deployment_documents (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    table_name    TEXT NOT NULL,
    value         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, id)
) WITHOUT ROWID;

-- Document ids hold the number of their table.
CREATE TABLE deployment_tables (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, name),
    UNIQUE (deployment_id, number)
) WITHOUT ROWID;

-- One row per deployment that ever kept data: the timestamp of its latest
-- commit and the schema that documents are held to ('' for none).
CREATE TABLE deployment_data (
    deployment_id TEXT PRIMARY KEY REFERENCES deployments (id) ON DELETE CASCADE,
    timestamp     INTEGER NOT NULL,
    schema        TEXT NOT NULL
) WITHOUT ROWID;
