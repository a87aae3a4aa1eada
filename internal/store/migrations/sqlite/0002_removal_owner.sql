-- Which claim's run is removing an entry: only that run, and its repetition,
-- does so, and it gives up what it could not remove.
ALTER TABLE owned_entries ADD COLUMN removing_by TEXT NOT NULL DEFAULT '';
