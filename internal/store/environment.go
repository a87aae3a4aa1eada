package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// Env is one environment's part of the database: the only way to its
// configuration, keys, users, codes and sessions.
type Env struct {
	db *DB
	by Actor // who opened it with a credential, for the audit log
	identity.Environment
}

const environmentColumns = "id, team_id, name, client_id, production, homepage_url, issuer, jwt_template, jwt_updated_at, mfa_required, settings, created_at, updated_at"

func scanEnvironment(s scanner) (identity.Environment, error) {
	var e identity.Environment
	var jwt, created, updated int64
	var settings []byte
	err := s.Scan(&e.ID, &e.TeamID, &e.Name, &e.ClientID, &e.Production, &e.HomepageURL, &e.Issuer, &e.JWTTemplate, &jwt, &e.MFARequired, &settings, &created, &updated)
	if err == nil {
		err = json.Unmarshal(settings, &e.Settings)
	}
	e.JWTUpdatedAt, e.CreatedAt, e.UpdatedAt = fromMillis(jwt), fromMillis(created), fromMillis(updated)
	return e, err
}

// NewEnvironment is what a new environment is made from.
type NewEnvironment struct {
	Name       string
	Production bool
	// IdempotencyKey makes a repeated creation return the first one's
	// environment. Empty: every call makes one.
	IdempotencyKey string
}

// CreateEnvironment makes an environment of this team.
func (t *Team) CreateEnvironment(ctx context.Context, n NewEnvironment) (*Env, error) {
	now := t.db.now()
	e := identity.Environment{
		ID: identity.NewID(identity.PrefixEnvironment), TeamID: t.ID, Name: n.Name,
		ClientID: identity.NewID(identity.PrefixClient), Production: n.Production, CreatedAt: now, UpdatedAt: now,
	}
	err := t.db.write(ctx, func(tx *tx) error {
		prior, _, err := tx.remembered(t.ID, n.IdempotencyKey)
		if err != nil {
			return err
		}
		if prior != "" {
			e, err = scanEnvironment(tx.row("SELECT "+environmentColumns+" FROM environments WHERE team_id = $1 AND id = $2", t.ID, prior))
			if !isNoRows(err) {
				return err
			}
			// The first one was deleted meanwhile: the key makes a new one.
			if _, err := tx.exec("DELETE FROM idempotency WHERE team_id = $1 AND key = $2", t.ID, n.IdempotencyKey); err != nil {
				return err
			}
			e = identity.Environment{ID: identity.NewID(identity.PrefixEnvironment), TeamID: t.ID, Name: n.Name,
				ClientID: identity.NewID(identity.PrefixClient), Production: n.Production, CreatedAt: now, UpdatedAt: now}
		}
		if _, err := tx.exec("INSERT INTO environments ("+environmentColumns+") VALUES ($1, $2, $3, $4, $5, '', '', '', 0, 0, '{}', $6, $6)",
			e.ID, t.ID, e.Name, e.ClientID, e.Production, millis(now)); err != nil {
			return err
		}
		if err := seedRoles(tx, e.ID, now); err != nil {
			return err
		}
		if err := t.audit(tx, e.ID, "environment.created", e.ID); err != nil {
			return err
		}
		return tx.remember(t.ID, n.IdempotencyKey, e.ID, nil, now)
	})
	if err != nil {
		return nil, err
	}
	return &Env{db: t.db, by: t.by, Environment: e}, nil
}

// remembered returns what an earlier creation with this key made.
func (t *tx) remembered(teamID, key string) (resultID string, sealed []byte, err error) {
	if key == "" {
		return "", nil, nil
	}
	err = t.row("SELECT result_id, sealed FROM idempotency WHERE team_id = $1 AND key = $2", teamID, key).Scan(&resultID, &sealed)
	if isNoRows(err) {
		return "", nil, nil
	}
	return resultID, sealed, err
}

func (t *tx) remember(teamID, key, resultID string, sealed []byte, now time.Time) error {
	if key == "" {
		return nil
	}
	_, err := t.exec("INSERT INTO idempotency (team_id, key, result_id, sealed, created_at) VALUES ($1, $2, $3, $4, $5)",
		teamID, key, resultID, sealed, millis(now))
	return err
}

// Environment returns the team's environment with the given id.
func (t *Team) Environment(ctx context.Context, id string) (*Env, error) {
	e, err := scanEnvironment(t.db.row(ctx, "SELECT "+environmentColumns+" FROM environments WHERE team_id = $1 AND id = $2", t.ID, id))
	if isNoRows(err) {
		return nil, fault.New(fault.NotFound, "environment %q was not found", id).WithCode("environment_not_found")
	}
	if err != nil {
		return nil, err
	}
	return &Env{db: t.db, by: t.by, Environment: e}, nil
}

// EnvironmentByClientID returns the team's environment with the given client ID.
func (t *Team) EnvironmentByClientID(ctx context.Context, clientID string) (*Env, error) {
	e, err := t.db.EnvByClientID(ctx, clientID)
	if fault.Is(err, fault.NotFound) || err == nil && e.TeamID != t.ID {
		return nil, fault.New(fault.NotFound, "no environment of this team has the client ID %q", clientID).WithCode("environment_not_found")
	}
	if err == nil {
		e.by = t.by
	}
	return e, err
}

// Environments returns the team's environments, oldest first.
func (t *Team) Environments(ctx context.Context) ([]*Env, error) {
	var all []*Env
	err := t.db.list(ctx, "SELECT "+environmentColumns+" FROM environments WHERE team_id = $1 ORDER BY id", func(s scanner) error {
		e, err := scanEnvironment(s)
		all = append(all, &Env{db: t.db, by: t.by, Environment: e})
		return err
	}, t.ID)
	return all, err
}

// DeleteEnvironment removes an environment with everything in it.
func (t *Team) DeleteEnvironment(ctx context.Context, id string) error {
	var clientID string
	err := t.db.write(ctx, func(tx *tx) error {
		err := tx.row("DELETE FROM environments WHERE team_id = $1 AND id = $2 RETURNING client_id", t.ID, id).Scan(&clientID)
		if isNoRows(err) {
			return fault.New(fault.NotFound, "environment %q was not found", id).WithCode("environment_not_found")
		}
		if err != nil {
			return err
		}
		return t.audit(tx, id, "environment.deleted", id)
	})
	t.db.envs.forget(clientID)
	return err
}

// EnvByClientID returns the environment that a client ID selects. Answers are
// cached in this process; changes made through this DB are seen at once.
func (db *DB) EnvByClientID(ctx context.Context, clientID string) (*Env, error) {
	e, turn, ok := db.envs.get(clientID)
	if ok {
		return &Env{db: db, Environment: e}, nil
	}
	e, err := scanEnvironment(db.row(ctx, "SELECT "+environmentColumns+" FROM environments WHERE client_id = $1", clientID))
	if isNoRows(err) {
		return nil, fault.New(fault.NotFound, "no environment has the client ID %q", clientID).WithCode("client_not_found")
	}
	if err != nil {
		return nil, err
	}
	db.envs.put(e.ClientID, e, turn)
	return &Env{db: db, Environment: e}, nil
}

// EnvByAPIKey returns the environment that an API key selects, from memory like
// EnvByClientID.
func (db *DB) EnvByAPIKey(ctx context.Context, key string) (*Env, error) {
	hash := sha256.Sum256([]byte(key))
	unknown := func() error { return fault.New(fault.Unauthenticated, "Unauthorized").WithCode("unauthorized") }
	k, turn, ok := db.keys.get(hash)
	if !ok {
		err := db.row(ctx, "SELECT k.id, k.expires_at, e.client_id FROM api_keys k JOIN environments e ON e.id = k.environment_id WHERE k.hash = $1", hash[:]).
			Scan(&k.id, &k.expires, &k.clientID)
		if isNoRows(err) {
			return nil, unknown()
		}
		if err != nil {
			return nil, err
		}
		db.keys.put(hash, k, turn)
	}
	if k.expires != 0 && k.expires <= millis(db.now()) {
		return nil, unknown()
	}
	e, err := db.EnvByClientID(ctx, k.clientID)
	if fault.Is(err, fault.NotFound) {
		return nil, unknown() // deleted, with its keys
	}
	if err == nil {
		e.by = Actor{Kind: ByAPIKey, ID: k.id}
	}
	return e, err
}

// update changes one column of the environment and its cached copy.
func (e *Env) update(ctx context.Context, action, target, query string, args ...any) error {
	err := e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec(query, append([]any{e.ID, millis(e.db.now())}, args...)...)
		if err == nil && n == 0 {
			return notFound("environment", e.ID)
		}
		if err != nil {
			return err
		}
		return e.audit(tx, action, target)
	})
	e.db.envs.forget(e.ClientID)
	return err
}

// SetHomepage sets the app homepage URL.
func (e *Env) SetHomepage(ctx context.Context, url string) error {
	return e.update(ctx, "homepage.set", url, "UPDATE environments SET homepage_url = $3, updated_at = $2 WHERE id = $1", url)
}

// SetIssuer sets the iss of future access tokens; empty means the server's own form.
func (e *Env) SetIssuer(ctx context.Context, issuer string) error {
	return e.update(ctx, "issuer.set", issuer, "UPDATE environments SET issuer = $3, updated_at = $2 WHERE id = $1", issuer)
}

// SetSettings replaces the settings. The caller has checked them.
func (e *Env) SetSettings(ctx context.Context, v identity.Settings) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.update(ctx, "settings.set", "", "UPDATE environments SET settings = $3, updated_at = $2 WHERE id = $1", data)
}

// SetMFARequired sets whether every sign-in but single sign-on needs a second factor.
func (e *Env) SetMFARequired(ctx context.Context, required bool) error {
	return e.update(ctx, "mfa_required.set", strconv.FormatBool(required), "UPDATE environments SET mfa_required = $3, updated_at = $2 WHERE id = $1", required)
}

// SetJWTTemplate sets the template of access token claims.
func (e *Env) SetJWTTemplate(ctx context.Context, template string) error {
	return e.update(ctx, "jwt_template.set", "", "UPDATE environments SET jwt_template = $3, jwt_updated_at = $2, updated_at = $2 WHERE id = $1", template)
}

// CreateAPIKey makes an API key of the environment and returns its value,
// which is kept only as a hash. With an idempotency key the value is also kept
// sealed, so that a repeat after a lost answer gets it again.
func (e *Env) CreateAPIKey(ctx context.Context, name string, expires time.Time, idempotencyKey string) (identity.APIKey, secret.String, error) {
	now := e.db.now()
	k := identity.APIKey{ID: identity.NewID(identity.PrefixAPIKey), Name: name, ExpiresAt: expires, CreatedAt: now, UpdatedAt: now}
	value := newAPIKeyValue(e.Production)
	err := e.db.write(ctx, func(tx *tx) error {
		prior, sealed, err := tx.remembered(e.TeamID, idempotencyKey)
		if err != nil {
			return err
		}
		if prior != "" {
			var created, updated, exp int64
			err := tx.row("SELECT id, name, expires_at, created_at, updated_at FROM api_keys WHERE environment_id = $1 AND id = $2", e.ID, prior).
				Scan(&k.ID, &k.Name, &exp, &created, &updated)
			if err == nil {
				plain, openErr := e.db.box.Open("idempotency", prior, sealed)
				k.ExpiresAt, k.CreatedAt, k.UpdatedAt, value = fromMillis(exp), fromMillis(created), fromMillis(updated), secret.String(plain)
				return openErr
			}
			if !isNoRows(err) {
				return err
			}
			if _, err := tx.exec("DELETE FROM idempotency WHERE team_id = $1 AND key = $2", e.TeamID, idempotencyKey); err != nil {
				return err
			}
		}
		hash := sha256.Sum256([]byte(value.Reveal()))
		if _, err := tx.exec("INSERT INTO api_keys (id, environment_id, name, hash, expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
			k.ID, e.ID, name, hash[:], millis(expires), millis(now)); err != nil {
			return err
		}
		if err := e.audit(tx, "api_key.created", k.ID); err != nil {
			return err
		}
		return tx.remember(e.TeamID, idempotencyKey, k.ID, e.db.box.Seal("idempotency", k.ID, []byte(value.Reveal())), now)
	})
	return k, value, err
}

// ExpireAPIKey ends an API key at the given time.
func (e *Env) ExpireAPIKey(ctx context.Context, id string, at time.Time) error {
	err := e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("UPDATE api_keys SET expires_at = $3, updated_at = $4 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(at), millis(e.db.now()))
		if err == nil && n == 0 {
			return notFound("API key", id)
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "api_key.expired", id)
	})
	e.db.keys.forgetAll() // one of them, by its hash; this is rare
	return err
}
