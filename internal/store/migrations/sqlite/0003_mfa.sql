-- Whether sign-ins of an environment need a second factor.
ALTER TABLE environments ADD COLUMN mfa_required INTEGER NOT NULL DEFAULT 0;

-- Second factors: one-time passwords by time (RFC 6238). secret is sealed.
-- last_step is the newest time step whose code was accepted: it and earlier
-- ones are refused. failures counts wrong codes since failures_since, over all
-- challenges, and is 0 after a right one. A factor of the MFA API may have no user.
CREATE TABLE auth_factors (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    user_id        TEXT REFERENCES users (id) ON DELETE CASCADE,
    issuer         TEXT NOT NULL,
    account        TEXT NOT NULL,
    secret         BLOB NOT NULL,
    verified_at    INTEGER NOT NULL,
    last_step      INTEGER NOT NULL,
    failures       INTEGER NOT NULL DEFAULT 0,
    failures_since INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);
CREATE INDEX auth_factors_user ON auth_factors (user_id, id);
CREATE INDEX auth_factors_environment ON auth_factors (environment_id);

-- One question for a code of a factor, answered at most once.
CREATE TABLE auth_challenges (
    id          TEXT PRIMARY KEY,
    factor_id   TEXT NOT NULL REFERENCES auth_factors (id) ON DELETE CASCADE,
    attempts    INTEGER NOT NULL DEFAULT 0,
    verified_at INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX auth_challenges_factor ON auth_challenges (factor_id);
CREATE INDEX auth_challenges_expiry ON auth_challenges (expires_at);
