package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

const applicationColumns = "id, coalesce(organization_id, ''), client_id, kind, name, description, scopes, redirect_uris, uses_pkce, first_party, created_at, updated_at"

func scanApplication(s scanner) (identity.Application, error) {
	var a identity.Application
	var scopes, uris string
	var created, updated int64
	if err := s.Scan(&a.ID, &a.OrganizationID, &a.ClientID, &a.Kind, &a.Name, &a.Description, &scopes, &uris, &a.UsesPKCE, &a.FirstParty, &created, &updated); err != nil {
		return a, err
	}
	a.CreatedAt, a.UpdatedAt = fromMillis(created), fromMillis(updated)
	if err := json.Unmarshal([]byte(scopes), &a.Scopes); err != nil {
		return a, fmt.Errorf("read scopes of %s: %w", a.ID, err)
	}
	if err := json.Unmarshal([]byte(uris), &a.RedirectURIs); err != nil {
		return a, fmt.Errorf("read redirect URIs of %s: %w", a.ID, err)
	}
	return a, nil
}

func redirectsText(uris []identity.ApplicationRedirect) string {
	if len(uris) == 0 {
		return "[]"
	}
	b, err := json.Marshal(uris)
	if err != nil {
		panic("store: redirect URIs cannot fail to encode: " + err.Error())
	}
	return string(b)
}

func noApplication(id string) error {
	return fault.New(fault.NotFound, "Application not found: '%s'.", id).WithCode("application_not_found")
}

// CreateApplication adds a, whose id, client ID and times are set here. Its
// organization must be one of this environment.
func (e *Env) CreateApplication(ctx context.Context, a identity.Application) (identity.Application, error) {
	now := e.db.now()
	a.ID, a.ClientID, a.CreatedAt, a.UpdatedAt = identity.NewID(identity.PrefixApplication), identity.NewID(identity.PrefixClient), now, now
	err := e.db.write(ctx, func(tx *tx) error {
		if a.OrganizationID != "" {
			var id string
			err := tx.row("SELECT id FROM organizations WHERE environment_id = $1 AND id = $2", e.ID, a.OrganizationID).Scan(&id)
			if isNoRows(err) {
				return noOrganization(a.OrganizationID)
			}
			if err != nil {
				return err
			}
		}
		_, err := tx.exec(`INSERT INTO applications (environment_id, id, organization_id, client_id, kind, name, description, scopes, redirect_uris, uses_pkce, first_party, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)`, e.ID, a.ID, orNull(a.OrganizationID), a.ClientID, string(a.Kind), a.Name, a.Description,
			scopesText(a.Scopes), redirectsText(a.RedirectURIs), a.UsesPKCE, a.FirstParty, millis(now))
		if err != nil {
			return err
		}
		return e.audit(tx, "application.created", a.ID)
	})
	return a, err
}

// scopesText is a list of scopes as a column.
func scopesText(scopes []string) string {
	if len(scopes) == 0 {
		return "[]"
	}
	return idList(scopes)
}

// UpdateApplication writes name, description, scopes and redirect URIs of a.
func (e *Env) UpdateApplication(ctx context.Context, a identity.Application) (identity.Application, error) {
	a.UpdatedAt = e.db.now()
	err := e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("UPDATE applications SET name = $3, description = $4, scopes = $5, redirect_uris = $6, updated_at = $7 WHERE environment_id = $1 AND id = $2",
			e.ID, a.ID, a.Name, a.Description, scopesText(a.Scopes), redirectsText(a.RedirectURIs), millis(a.UpdatedAt))
		if err == nil && n == 0 {
			return noApplication(a.ID)
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "application.updated", a.ID)
	})
	return a, err
}

// Application returns an application by its id or its client ID.
func (e *Env) Application(ctx context.Context, id string) (identity.Application, error) {
	column := "id"
	if strings.HasPrefix(id, identity.PrefixClient+"_") {
		column = "client_id"
	}
	a, err := scanApplication(e.db.row(ctx, "SELECT "+applicationColumns+" FROM applications WHERE environment_id = $1 AND "+column+" = $2", e.ID, id))
	if isNoRows(err) {
		return a, noApplication(id)
	}
	return a, err
}

// EnvByApplication returns the application with a client ID, and its environment.
func (db *DB) EnvByApplication(ctx context.Context, clientID string) (*Env, identity.Application, error) {
	var of string
	err := db.row(ctx, "SELECT e.client_id FROM applications a JOIN environments e ON e.id = a.environment_id WHERE a.client_id = $1", clientID).Scan(&of)
	if isNoRows(err) {
		return nil, identity.Application{}, fault.New(fault.NotFound, "no application has the client ID %q", clientID).WithCode("client_not_found")
	}
	if err != nil {
		return nil, identity.Application{}, err
	}
	e, err := db.EnvByClientID(ctx, of)
	if err != nil {
		return nil, identity.Application{}, err
	}
	a, err := e.Application(ctx, clientID)
	return e, a, err
}

// Applications returns a page of applications, of one organization or of all
// (""), and the cursors of the neighbouring pages.
func (e *Env) Applications(ctx context.Context, organizationID string, p Page) (list []identity.Application, before, after string, err error) {
	query, args := "SELECT "+applicationColumns+" FROM applications WHERE environment_id = $1", []any{e.ID}
	if organizationID != "" {
		query, args = query+" AND organization_id = $2", append(args, organizationID)
	}
	return pageOf(ctx, e.db, query, args, p, scanApplication, func(a identity.Application) string { return a.ID })
}

// DeleteApplication removes an application with its secrets, codes, sessions and
// what people allowed it.
func (e *Env) DeleteApplication(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM applications WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return noApplication(id)
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "application.deleted", id)
	})
}

// maxApplicationSecrets bounds the secrets of one application: two are enough
// to replace one by another without a gap.
const maxApplicationSecrets = 10

// AddApplicationSecret makes a client secret and returns its value, which is
// kept only as a hash: 256 random bits need no slower one.
func (e *Env) AddApplicationSecret(ctx context.Context, applicationID string) (identity.ApplicationSecret, secret.String, error) {
	now := e.db.now()
	value := rand.Text() + rand.Text()
	s := identity.ApplicationSecret{ID: identity.NewOrderedID(identity.PrefixApplicationSecret), Hint: value[len(value)-4:], CreatedAt: now, UpdatedAt: now}
	err := e.db.write(ctx, func(tx *tx) error {
		var have int
		err := tx.row("SELECT (SELECT count(*) FROM application_secrets WHERE application_id = a.id) FROM applications a WHERE a.environment_id = $1 AND a.id = $2", e.ID, applicationID).Scan(&have)
		switch {
		case isNoRows(err):
			return noApplication(applicationID)
		case err != nil:
			return err
		case have >= maxApplicationSecrets:
			return fault.New(fault.Invalid, "An application has at most %d client secrets.", maxApplicationSecrets).WithCode("too_many_client_secrets")
		}
		hash := sha256.Sum256([]byte(value))
		if _, err := tx.exec("INSERT INTO application_secrets (id, environment_id, application_id, hash, hint, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
			s.ID, e.ID, applicationID, hash[:], s.Hint, millis(now)); err != nil {
			return err
		}
		return e.audit(tx, "application_secret.created", s.ID)
	})
	return s, secret.String(value), err
}

// ApplicationSecrets returns the secrets of an application, newest first.
func (e *Env) ApplicationSecrets(ctx context.Context, applicationID string) ([]identity.ApplicationSecret, error) {
	if _, err := e.Application(ctx, applicationID); err != nil {
		return nil, err
	}
	var all []identity.ApplicationSecret
	err := e.db.list(ctx, "SELECT id, hint, last_used_at, created_at, updated_at FROM application_secrets WHERE environment_id = $1 AND application_id = $2 ORDER BY id DESC", func(r scanner) error {
		var s identity.ApplicationSecret
		var used, created, updated int64
		err := r.Scan(&s.ID, &s.Hint, &used, &created, &updated)
		s.LastUsedAt, s.CreatedAt, s.UpdatedAt = fromMillis(used), fromMillis(created), fromMillis(updated)
		all = append(all, s)
		return err
	}, e.ID, applicationID)
	return all, err
}

// DeleteApplicationSecret takes a client secret out of use.
func (e *Env) DeleteApplicationSecret(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM application_secrets WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return notFound("client secret", id)
		}
		if err != nil {
			return err
		}
		return e.audit(tx, "application_secret.deleted", id)
	})
}

// secretUsedEvery is how finely the last use of a client secret is kept: the time
// informs people and is not worth a write per token.
const secretUsedEvery = time.Minute

// UseApplicationSecret reports whether value is a secret of the application.
func (e *Env) UseApplicationSecret(ctx context.Context, applicationID, value string) (bool, error) {
	hash, now := sha256.Sum256([]byte(value)), e.db.now()
	var id string
	var used int64
	err := e.db.row(ctx, "SELECT id, last_used_at FROM application_secrets WHERE hash = $1 AND environment_id = $2 AND application_id = $3", hash[:], e.ID, applicationID).Scan(&id, &used)
	if isNoRows(err) {
		return false, nil
	}
	if err != nil || now.Sub(fromMillis(used)) < secretUsedEvery {
		return err == nil, err
	}
	return true, e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("UPDATE application_secrets SET last_used_at = $3 WHERE environment_id = $1 AND id = $2", e.ID, id, millis(now))
		return err
	})
}
