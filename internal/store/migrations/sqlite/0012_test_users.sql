-- Test users of lower environments: users that a person keeps the password of,
-- so that the sign-in page can offer them. sealed is that password; it is
-- checked against the user's hash like one that was typed.
CREATE TABLE test_users (
    user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    sealed         BLOB NOT NULL,
    created_at     INTEGER NOT NULL
);
CREATE INDEX test_users_environment ON test_users (environment_id, user_id);
