-- How people sign in and what tokens look like, as JSON (identity.Settings).
-- Members that are absent have their default.
ALTER TABLE environments ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
