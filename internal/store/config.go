package store

import (
	"context"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const redirectColumns = "id, uri, is_default, created_at, updated_at"

func scanRedirectURI(s scanner) (identity.RedirectURI, error) {
	var r identity.RedirectURI
	var created, updated int64
	err := s.Scan(&r.ID, &r.URI, &r.Default, &created, &updated)
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	return r, err
}

// AddRedirectURI registers a redirect URI. The first one that can be is the
// default. A second registration of the same text is a Conflict.
func (e *Env) AddRedirectURI(ctx context.Context, uri string) (identity.RedirectURI, error) {
	now := e.db.now()
	r := identity.RedirectURI{ID: identity.NewID(identity.PrefixRedirectURI), URI: uri, CreatedAt: now, UpdatedAt: now}
	canBeDefault := identity.CheckDefaultRedirectURI(uri, e.Production) == nil
	err := e.db.write(ctx, func(tx *tx) error {
		var defaults int
		if err := tx.row("SELECT count(*) FROM redirect_uris WHERE environment_id = $1 AND is_default = 1", e.ID).Scan(&defaults); err != nil {
			return err
		}
		r.Default = canBeDefault && defaults == 0
		_, err := tx.exec("INSERT INTO redirect_uris (id, environment_id, uri, is_default, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
			r.ID, e.ID, uri, r.Default, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "Redirect URI '%s' already exists.", uri).WithCode("duplicate_redirect_uri")
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "redirect_uri.created", uri)
	})
	return r, err
}

// RedirectURIs returns all registered redirect URIs, oldest first.
func (e *Env) RedirectURIs(ctx context.Context) ([]identity.RedirectURI, error) {
	var all []identity.RedirectURI
	err := e.db.list(ctx, "SELECT "+redirectColumns+" FROM redirect_uris WHERE environment_id = $1 ORDER BY id", func(s scanner) error {
		r, err := scanRedirectURI(s)
		all = append(all, r)
		return err
	}, e.ID)
	return all, err
}

// DeleteRedirectURI removes a redirect URI. The default one cannot be removed
// while others exist: a Conflict, as at WorkOS.
func (e *Env) DeleteRedirectURI(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		r, err := scanRedirectURI(tx.row("SELECT "+redirectColumns+" FROM redirect_uris WHERE environment_id = $1 AND id = $2", e.ID, id))
		if isNoRows(err) {
			return notFound("redirect URI", id)
		}
		if err != nil {
			return err
		}
		if r.Default {
			return fault.New(fault.Conflict, "The default redirect URI cannot be deleted.").WithCode("default_redirect_uri")
		}
		if _, err = tx.exec("DELETE FROM redirect_uris WHERE environment_id = $1 AND id = $2", e.ID, id); err != nil {
			return err
		}
		return e.audit(tx, "redirect_uri.deleted", r.URI)
	})
}

// AddCORSOrigin registers an origin. A second registration is a Conflict with
// code duplicate_cors_origin.
func (e *Env) AddCORSOrigin(ctx context.Context, origin string) (identity.CORSOrigin, error) {
	now := e.db.now()
	o := identity.CORSOrigin{ID: identity.NewID(identity.PrefixCORSOrigin), Origin: origin, CreatedAt: now, UpdatedAt: now}
	err := e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO cors_origins (id, environment_id, origin, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
			o.ID, e.ID, origin, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "CORS origin '%s' already exists.", origin).WithCode("duplicate_cors_origin")
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "cors_origin.created", origin)
	})
	return o, err
}

// CORSOrigins returns all registered origins, oldest first.
func (e *Env) CORSOrigins(ctx context.Context) ([]identity.CORSOrigin, error) {
	var all []identity.CORSOrigin
	err := e.db.list(ctx, "SELECT id, origin, created_at, updated_at FROM cors_origins WHERE environment_id = $1 ORDER BY id", func(s scanner) error {
		var o identity.CORSOrigin
		var created, updated int64
		err := s.Scan(&o.ID, &o.Origin, &created, &updated)
		o.CreatedAt, o.UpdatedAt = fromMillis(created), fromMillis(updated)
		all = append(all, o)
		return err
	}, e.ID)
	return all, err
}

// AllowsOrigin reports whether pages of the origin may call the browser
// endpoints of this environment.
func (e *Env) AllowsOrigin(ctx context.Context, origin string) (bool, error) {
	return e.db.matchOrigin(ctx, origin, "SELECT origin FROM cors_origins WHERE environment_id = $1 AND (origin = $2 OR instr(origin, '*') > 0)", e.ID, origin)
}

// DeleteCORSOrigin removes an origin. WorkOS has no such call; Berth's own
// clean-up uses it.
func (e *Env) DeleteCORSOrigin(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM cors_origins WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return notFound("CORS origin", id)
		}
		return err
	})
}

// RemoveEntries takes redirect URIs and origins out of the environment in one
// step, the default redirect URI included: another one then becomes the
// default. It is Berth's own clean-up, for entries recorded as Berth's.
func (e *Env) RemoveEntries(ctx context.Context, uris, origins []string) error {
	return e.db.write(ctx, func(tx *tx) error {
		for _, uri := range uris {
			if err := e.audit(tx, "redirect_uri.deleted", uri); err != nil {
				return err
			}
		}
		for _, origin := range origins {
			if err := e.audit(tx, "cors_origin.deleted", origin); err != nil {
				return err
			}
		}
		return removeEntries(tx, e.Environment, uris, origins)
	})
}

func removeEntries(tx *tx, e identity.Environment, uris, origins []string) error {
	for _, uri := range uris {
		if _, err := tx.exec("DELETE FROM redirect_uris WHERE environment_id = $1 AND uri = $2", e.ID, uri); err != nil {
			return err
		}
	}
	for _, origin := range origins {
		if _, err := tx.exec("DELETE FROM cors_origins WHERE environment_id = $1 AND origin = $2", e.ID, origin); err != nil {
			return err
		}
	}
	var left []identity.RedirectURI
	err := tx.rows("SELECT "+redirectColumns+" FROM redirect_uris WHERE environment_id = $1 ORDER BY id", func(s scanner) error {
		r, err := scanRedirectURI(s)
		left = append(left, r)
		return err
	}, e.ID)
	if err != nil {
		return err
	}
	for _, r := range left {
		if r.Default {
			return nil
		}
	}
	for _, r := range left {
		if identity.CheckDefaultRedirectURI(r.URI, e.Production) == nil {
			_, err := tx.exec("UPDATE redirect_uris SET is_default = 1 WHERE id = $1", r.ID)
			return err
		}
	}
	return nil
}

// OriginKnown reports whether any environment has registered the origin. A
// CORS preflight names no environment.
func (db *DB) OriginKnown(ctx context.Context, origin string) (bool, error) {
	return db.matchOrigin(ctx, origin, "SELECT origin FROM cors_origins WHERE origin = $1 UNION ALL SELECT DISTINCT origin FROM cors_origins WHERE instr(origin, '*') > 0", origin)
}

// matchOrigin reports whether one of the listed entries allows the origin.
func (db *DB) matchOrigin(ctx context.Context, origin, query string, args ...any) (bool, error) {
	found := false
	err := db.list(ctx, query, func(s scanner) error {
		var registered string
		err := s.Scan(&registered)
		found = found || identity.MatchOrigin(registered, origin)
		return err
	}, args...)
	return found, err
}
