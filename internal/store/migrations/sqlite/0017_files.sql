-- The bytes of what functions keep in file storage. The document of table
-- _storage with the same id describes them; rows without one are swept.
CREATE TABLE deployment_files (
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    bytes         BLOB NOT NULL,
    PRIMARY KEY (deployment_id, id)
);
