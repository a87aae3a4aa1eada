-- Answers to requests of an environment's servers that carried an
-- Idempotency-Key. key is a hash of it and of the request.
CREATE TABLE answers (
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    status         INTEGER NOT NULL,
    sealed         BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (environment_id, key)
);
CREATE INDEX answers_created ON answers (created_at);
