-- Keys are replaced while tokens live: the next one is published before it
-- signs (signs_at), and a retired one stays until remove_at. A key of an
-- environment is current (current = 1), retired (retired_at > 0) or next.
ALTER TABLE signing_keys ADD COLUMN published_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN signs_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN retired_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN remove_at INTEGER NOT NULL DEFAULT 0;
UPDATE signing_keys SET published_at = created_at, signs_at = created_at WHERE environment_id IS NOT NULL;
-- Ready keys were made without a certificate; the pool fills itself again.
DELETE FROM signing_keys WHERE environment_id IS NULL;
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (environment_id) WHERE environment_id IS NOT NULL AND current = 0 AND retired_at = 0;
CREATE INDEX signing_keys_retired ON signing_keys (remove_at) WHERE remove_at > 0;
