-- What was pushed to embedded deployments. hash is the hex SHA-256 of source and
-- source map, by which the next push tells what it need not send again.
CREATE TABLE deployment_modules (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    path          TEXT NOT NULL,
    environment   TEXT NOT NULL,
    source        TEXT NOT NULL,
    source_map    TEXT NOT NULL,
    hash          TEXT NOT NULL,
    PRIMARY KEY (deployment_id, path)
) WITHOUT ROWID;

-- The ports of this machine on which a deployment answers, 0 before the first
-- time: its functions, and its HTTP actions. They are kept so that addresses in
-- the app's files stay true.
ALTER TABLE deployments ADD COLUMN port INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN site_port INTEGER NOT NULL DEFAULT 0;

-- The npm version that pushed last.
ALTER TABLE deployments ADD COLUMN udf_version TEXT NOT NULL DEFAULT '';
