package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

const connectionColumns = "id, coalesce(organization_id, ''), type, kind, name, state, issuer, client_id, client_secret, scopes, return_tokens, created_at, updated_at"

func (e *Env) scanConnection(s scanner) (identity.Connection, error) {
	var c identity.Connection
	var sealed []byte
	var scopes string
	var created, updated int64
	err := s.Scan(&c.ID, &c.OrganizationID, &c.Type, &c.Kind, &c.Name, &c.State, &c.Issuer, &c.ClientID, &sealed, &scopes, &c.ReturnTokens, &created, &updated)
	if err != nil {
		return c, err
	}
	c.Scopes, c.CreatedAt, c.UpdatedAt = strings.Fields(scopes), fromMillis(created), fromMillis(updated)
	if sealed != nil {
		plain, err := e.db.box.Open("connection secret", c.ID, sealed)
		c.ClientSecret = secret.String(plain)
		return c, err
	}
	return c, nil
}

func (e *Env) sealedSecret(c identity.Connection) any {
	if c.ClientSecret == "" {
		return nil
	}
	return e.db.box.Seal("connection secret", c.ID, []byte(c.ClientSecret.Reveal()))
}

func noConnection(id string) error {
	return fault.New(fault.NotFound, "Connection not found: '%s'.", id).WithCode("connection_not_found")
}

// recordConnection keeps that a connection changed, with the domains of its
// organization.
func (e *Env) recordConnection(tx *tx, what string, c identity.Connection) error {
	if c.OrganizationID != "" {
		err := tx.rows("SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND organization_id = $2 ORDER BY id", func(s scanner) error {
			d, err := scanDomain(s)
			c.Domains = append(c.Domains, d)
			return err
		}, e.ID, c.OrganizationID)
		if err != nil {
			return err
		}
	}
	return e.record(tx, happened{"connection." + what, c.OrganizationID, c})
}

// CreateConnection adds c; its id and times are set here. A second one of a
// social provider is a Conflict with the code connection_exists.
func (e *Env) CreateConnection(ctx context.Context, c identity.Connection) (identity.Connection, error) {
	if err := identity.CheckConnection(c, e.Production); err != nil {
		return c, err
	}
	now := e.db.now()
	c.ID, c.CreatedAt, c.UpdatedAt = identity.NewID(identity.PrefixConnection), now, now
	err := e.db.write(ctx, func(tx *tx) error { return e.insertConnection(tx, c) })
	if err != nil {
		return c, err
	}
	return e.Connection(ctx, c.ID)
}

func (e *Env) insertConnection(tx *tx, c identity.Connection) error {
	if c.OrganizationID != "" {
		if err := e.organizationExists(tx, c.OrganizationID); err != nil {
			return err
		}
	}
	_, err := tx.exec(`INSERT INTO connections (environment_id, id, organization_id, type, kind, name, state, issuer, client_id, client_secret, scopes, return_tokens, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`, e.ID, c.ID, orNull(c.OrganizationID), c.Type, c.Kind, c.Name, string(c.State),
		c.Issuer, c.ClientID, e.sealedSecret(c), strings.Join(c.Scopes, " "), c.ReturnTokens, millis(c.CreatedAt))
	if isUnique(err) {
		return fault.New(fault.Conflict, "The environment has a connection to %s already.", identity.SocialProviderName(c.Type)).
			WithFix("Change or remove that one.").WithCode("connection_exists")
	}
	if err != nil {
		return err
	}
	if err := e.audit(tx, "connection.created", c.ID); err != nil || c.State != identity.ConnectionActive {
		return err
	}
	return e.recordConnection(tx, "activated", c)
}

// UpdateConnection writes name, state, credentials, scopes and return_tokens of
// c. Where it leads stays: people of another issuer are other people.
func (e *Env) UpdateConnection(ctx context.Context, c identity.Connection) (identity.Connection, error) {
	if err := identity.CheckConnection(c, e.Production); err != nil {
		return c, err
	}
	err := e.db.write(ctx, func(tx *tx) error {
		before, err := e.scanConnection(tx.row("SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1 AND id = $2", e.ID, c.ID))
		if isNoRows(err) {
			return noConnection(c.ID)
		}
		if err != nil {
			return err
		}
		c.UpdatedAt = e.db.now()
		if _, err := tx.exec(`UPDATE connections SET name = $3, state = $4, client_id = $5, client_secret = $6, scopes = $7, return_tokens = $8, updated_at = $9
			WHERE environment_id = $1 AND id = $2`, e.ID, c.ID, c.Name, string(c.State), c.ClientID, e.sealedSecret(c), strings.Join(c.Scopes, " "), c.ReturnTokens, millis(c.UpdatedAt)); err != nil {
			return err
		}
		if err := e.audit(tx, "connection.updated", c.ID); err != nil || before.State == c.State {
			return err
		}
		if c.State == identity.ConnectionActive {
			return e.recordConnection(tx, "activated", c)
		}
		return e.recordConnection(tx, "deactivated", c)
	})
	if err != nil {
		return c, err
	}
	return e.Connection(ctx, c.ID)
}

// DeleteConnection removes a connection with its profiles and what is away at
// its provider. Sessions that it opened stay.
func (e *Env) DeleteConnection(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		c, err := e.scanConnection(tx.row("DELETE FROM connections WHERE environment_id = $1 AND id = $2 RETURNING "+connectionColumns, e.ID, id))
		if isNoRows(err) {
			return noConnection(id)
		}
		if err != nil {
			return err
		}
		if err := e.audit(tx, "connection.deleted", id); err != nil {
			return err
		}
		return e.recordConnection(tx, "deleted", c)
	})
}

// Connection returns the connection with the given id.
func (e *Env) Connection(ctx context.Context, id string) (identity.Connection, error) {
	c, err := e.scanConnection(e.db.row(ctx, "SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return c, noConnection(id)
	}
	if err != nil {
		return c, err
	}
	one := []identity.Connection{c}
	err = e.addConnectionDomains(ctx, one)
	return one[0], err
}

// ConnectionFilter narrows a list of connections; empty members do not.
type ConnectionFilter struct {
	Type           string
	Domain         string // of the organization
	OrganizationID string
	Search         string // part of the name, case ignored
}

// Connections returns a page of connections and the cursors of the neighbouring
// pages ("" for none).
func (e *Env) Connections(ctx context.Context, f ConnectionFilter, p Page) (list []identity.Connection, before, after string, err error) {
	query, args := "SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1", []any{e.ID}
	add := func(cond, value string) {
		if value != "" {
			args = append(args, value)
			query += fmt.Sprintf(cond, len(args))
		}
	}
	add(" AND type = $%d", f.Type)
	add(" AND organization_id = $%d", f.OrganizationID)
	add(" AND organization_id IN (SELECT organization_id FROM organization_domains WHERE environment_id = $1 AND domain = $%d)", strings.ToLower(f.Domain))
	add(" AND instr(lower(name), lower($%d)) > 0", f.Search)
	cond, order, more := p.where(len(args) + 1)
	list, err = e.connections(ctx, query+cond+order, append(args, more...)...)
	if err != nil {
		return nil, "", "", err
	}
	list, before, after = cut(list, p, func(c identity.Connection) string { return c.ID })
	return list, before, after, e.addConnectionDomains(ctx, list)
}

func (e *Env) connections(ctx context.Context, query string, args ...any) (list []identity.Connection, err error) {
	err = e.db.list(ctx, query, func(s scanner) error {
		c, err := e.scanConnection(s)
		list = append(list, c)
		return err
	}, args...)
	return list, err
}

func (e *Env) addConnectionDomains(ctx context.Context, list []identity.Connection) error {
	var ids []string
	for _, c := range list {
		if c.OrganizationID != "" {
			ids = append(ids, c.OrganizationID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return e.db.list(ctx, "SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND organization_id IN (SELECT value FROM json_each($2)) ORDER BY id", func(s scanner) error {
		d, err := scanDomain(s)
		for i := range list {
			if list[i].OrganizationID == d.OrganizationID {
				list[i].Domains = append(list[i].Domains, d)
			}
		}
		return err
	}, e.ID, idList(ids))
}

// OrganizationConnections returns the connections of an organization, oldest first.
func (e *Env) OrganizationConnections(ctx context.Context, organizationID string) ([]identity.Connection, error) {
	return e.connections(ctx, "SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1 AND organization_id = $2 ORDER BY id", e.ID, organizationID)
}

// DomainConnections returns the active connections of the organization that has
// proven the domain, oldest first.
func (e *Env) DomainConnections(ctx context.Context, domain string) ([]identity.Connection, error) {
	return e.connections(ctx, "SELECT "+connectionColumns+` FROM connections WHERE environment_id = $1 AND state = 'active' AND organization_id IN
		(SELECT organization_id FROM organization_domains WHERE environment_id = $1 AND domain = $2 AND state = 'verified') ORDER BY id`, e.ID, strings.ToLower(domain))
}

// SocialConnections returns the connections to social providers.
func (e *Env) SocialConnections(ctx context.Context) ([]identity.Connection, error) {
	return e.connections(ctx, "SELECT "+connectionColumns+" FROM connections WHERE environment_id = $1 AND organization_id IS NULL ORDER BY id", e.ID)
}

// HasSSO reports whether an organization of the environment has an active connection.
func (e *Env) HasSSO(ctx context.Context) (bool, error) {
	var found bool
	err := e.db.row(ctx, "SELECT EXISTS (SELECT 1 FROM connections WHERE environment_id = $1 AND organization_id IS NOT NULL AND state = 'active')", e.ID).Scan(&found)
	return found, err
}

// SocialConnection returns the connection to a social provider. Outside
// production one that is not there is made, to the test identity provider.
func (e *Env) SocialConnection(ctx context.Context, typ string) (identity.Connection, error) {
	find := "SELECT " + connectionColumns + " FROM connections WHERE environment_id = $1 AND organization_id IS NULL AND type = $2"
	c, err := e.scanConnection(e.db.row(ctx, find, e.ID, typ))
	if !isNoRows(err) {
		return c, err
	}
	name := identity.SocialProviderName(typ)
	if e.Production || name == "" {
		return c, noConnection(typ)
	}
	now := e.db.now()
	err = e.db.write(ctx, func(tx *tx) error {
		c, err = e.scanConnection(tx.row(find, e.ID, typ))
		if !isNoRows(err) {
			return err // somebody was faster
		}
		c = identity.Connection{ID: identity.NewID(identity.PrefixConnection), Type: typ, Kind: identity.TestConnection, Name: name,
			State: identity.ConnectionActive, CreatedAt: now, UpdatedAt: now}
		return e.insertConnection(tx, c)
	})
	return c, err
}

// AddConnectionRequest keeps what a sign-in needs when it comes back from its
// provider. sealed is of the caller's making.
func (e *Env) AddConnectionRequest(ctx context.Context, hash []byte, connectionID string, sealed []byte, expires time.Time) error {
	return e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO connection_requests (hash, environment_id, connection_id, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)",
			hash, e.ID, connectionID, sealed, millis(expires))
		return err
	})
}

// ConnectionRequest returns what AddConnectionRequest kept, with its environment,
// without spending it. One that is unknown, spent or too old is NotFound.
func (db *DB) ConnectionRequest(ctx context.Context, hash []byte) (*Env, []byte, error) {
	var clientID string
	var sealed []byte
	err := db.row(ctx, "SELECT e.client_id, r.sealed FROM connection_requests r JOIN environments e ON e.id = r.environment_id WHERE r.hash = $1 AND r.expires_at > $2",
		hash, millis(db.now())).Scan(&clientID, &sealed)
	if isNoRows(err) {
		return nil, nil, fault.New(fault.NotFound, "there is no such sign-in").WithCode("connection_request_not_found")
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := db.EnvByClientID(ctx, clientID)
	return e, sealed, err
}

// SpendConnectionRequest takes a request away; of many callers one is told true.
func (e *Env) SpendConnectionRequest(ctx context.Context, hash []byte) (bool, error) {
	var n int64
	err := e.db.write(ctx, func(tx *tx) (err error) {
		n, err = tx.exec("DELETE FROM connection_requests WHERE environment_id = $1 AND hash = $2", e.ID, hash)
		return err
	})
	return n == 1, err
}

// sweepConnections removes requests and codes whose time is over.
func (t *tx) sweepConnections(now time.Time) error {
	if _, err := t.exec("DELETE FROM connection_requests WHERE expires_at < $1", millis(now)); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM profile_codes WHERE expires_at < $1", millis(now))
	return err
}
