package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const organizationColumns = "id, name, external_id, stripe_customer_id, outside_profiles, metadata, created_at, updated_at"

func scanOrganization(s scanner) (identity.Organization, error) {
	var o identity.Organization
	var metadata string
	var created, updated int64
	if err := s.Scan(&o.ID, &o.Name, &o.ExternalID, &o.StripeCustomerID, &o.OutsideProfiles, &metadata, &created, &updated); err != nil {
		return o, err
	}
	o.CreatedAt, o.UpdatedAt = fromMillis(created), fromMillis(updated)
	if metadata != "{}" {
		if err := json.Unmarshal([]byte(metadata), &o.Metadata); err != nil {
			return o, fmt.Errorf("read metadata of %s: %w", o.ID, err)
		}
	}
	return o, nil
}

func noOrganization(id string) error {
	return fault.New(fault.NotFound, "Organization not found: '%s'.", id).WithCode("organization_not_found")
}

func organizationConflict(err error) error {
	switch {
	case !isUnique(err):
		return err
	case strings.Contains(err.Error(), "external_id"):
		return fault.New(fault.Conflict, "An organization with this external ID already exists.").WithCode("external_id_already_used")
	case strings.Contains(err.Error(), "stripe_customer_id"):
		return fault.New(fault.Conflict, "An organization with this Stripe customer ID already exists.").WithCode("stripe_customer_id_already_used")
	}
	return err
}

// idList is a set of ids as one argument, for json_each.
func idList(ids []string) string {
	b, err := json.Marshal(ids)
	if err != nil {
		panic("store: a list of strings cannot fail to encode: " + err.Error())
	}
	return string(b)
}

// CreateOrganization adds o with its domains; ids and times are set here. A
// domain that another organization has is a Conflict with the code
// domain_already_exists.
func (e *Env) CreateOrganization(ctx context.Context, o identity.Organization) (identity.Organization, error) {
	now := e.db.now()
	o.ID, o.CreatedAt, o.UpdatedAt = identity.NewID(identity.PrefixOrganization), now, now
	domains := o.Domains
	err := e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO organizations (environment_id, "+organizationColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
			e.ID, o.ID, o.Name, o.ExternalID, o.StripeCustomerID, o.OutsideProfiles, metadataText(o.Metadata), millis(now))
		if err != nil {
			return organizationConflict(err)
		}
		if err := e.createRoot(tx, o); err != nil {
			return err
		}
		o.Domains = make([]identity.OrganizationDomain, len(domains))
		for i, d := range domains {
			d.OrganizationID = o.ID
			if o.Domains[i], err = e.insertDomain(tx, d); err != nil {
				return err
			}
		}
		return e.record(tx, happened{"organization.created", o.ID, o})
	})
	return o, err
}

// UpdateOrganization writes what the application can change of o. Its domains
// become those of o: kept ones keep their id and proof, unless o states more.
func (e *Env) UpdateOrganization(ctx context.Context, o identity.Organization) (identity.Organization, error) {
	o.UpdatedAt = e.db.now()
	wanted := o.Domains
	err := e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec(`UPDATE organizations SET name = $3, external_id = $4, stripe_customer_id = $5, outside_profiles = $6, metadata = $7, updated_at = $8
			WHERE environment_id = $1 AND id = $2`, e.ID, o.ID, o.Name, o.ExternalID, o.StripeCustomerID, o.OutsideProfiles, metadataText(o.Metadata), millis(o.UpdatedAt))
		if err == nil && n == 0 {
			return noOrganization(o.ID)
		}
		if err != nil {
			return organizationConflict(err)
		}
		if err := e.renameRoot(tx, o); err != nil {
			return err
		}
		if o.Domains, err = e.replaceDomains(tx, o.ID, wanted); err != nil {
			return err
		}
		return e.record(tx, happened{"organization.updated", o.ID, o})
	})
	return o, err
}

// Organization returns the organization with the given id.
func (e *Env) Organization(ctx context.Context, id string) (identity.Organization, error) {
	return e.organization(ctx, "id", id)
}

// OrganizationByExternalID returns the organization that the application gave
// an id of its own.
func (e *Env) OrganizationByExternalID(ctx context.Context, externalID string) (identity.Organization, error) {
	return e.organization(ctx, "external_id", externalID)
}

func (e *Env) organization(ctx context.Context, column, value string) (identity.Organization, error) {
	o, err := scanOrganization(e.db.row(ctx, "SELECT "+organizationColumns+" FROM organizations WHERE environment_id = $1 AND "+column+" = $2 AND "+column+" <> ''", e.ID, value))
	if isNoRows(err) {
		return o, noOrganization(value)
	}
	if err != nil {
		return o, err
	}
	one := []identity.Organization{o}
	err = e.addDomains(ctx, one)
	return one[0], err
}

// OrganizationFilter narrows a list of organizations; empty members do not.
type OrganizationFilter struct {
	Domains []string // organizations with any of these, in lower case
	Search  string   // part of the name, case ignored
}

// Organizations returns a page of organizations and the cursors of the
// neighbouring pages ("" for none).
func (e *Env) Organizations(ctx context.Context, f OrganizationFilter, p Page) (list []identity.Organization, before, after string, err error) {
	query, args := "SELECT "+organizationColumns+" FROM organizations WHERE environment_id = $1", []any{e.ID}
	if len(f.Domains) > 0 {
		query, args = query+fmt.Sprintf(" AND id IN (SELECT organization_id FROM organization_domains WHERE environment_id = $1 AND domain IN (SELECT value FROM json_each($%d)))", len(args)+1), append(args, idList(f.Domains))
	}
	if f.Search != "" {
		query, args = query+fmt.Sprintf(" AND instr(lower(name), lower($%d)) > 0", len(args)+1), append(args, f.Search)
	}
	cond, order, more := p.where(len(args) + 1)
	err = e.db.list(ctx, query+cond+order, func(s scanner) error {
		o, err := scanOrganization(s)
		list = append(list, o)
		return err
	}, append(args, more...)...)
	if err != nil {
		return nil, "", "", err
	}
	list, before, after = cut(list, p, func(o identity.Organization) string { return o.ID })
	return list, before, after, e.addDomains(ctx, list)
}

// DeleteOrganization removes an organization with its domains, memberships,
// invitations and own roles. Sessions in it cannot be refreshed any more.
func (e *Env) DeleteOrganization(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		var domains []identity.OrganizationDomain
		err := tx.rows("SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND organization_id = $2 ORDER BY id", func(s scanner) error {
			d, err := scanDomain(s)
			domains = append(domains, d)
			return err
		}, e.ID, id)
		if err != nil {
			return err
		}
		o, err := scanOrganization(tx.row("DELETE FROM organizations WHERE environment_id = $1 AND id = $2 RETURNING "+organizationColumns, e.ID, id))
		if isNoRows(err) {
			return noOrganization(id)
		}
		if err != nil {
			return err
		}
		o.Domains = domains
		return e.record(tx, happened{"organization.deleted", o.ID, o})
	})
}

const domainColumns = "id, organization_id, domain, state, strategy = 'manual', prefix, token, created_at, updated_at"

func scanDomain(s scanner) (identity.OrganizationDomain, error) {
	var d identity.OrganizationDomain
	var created, updated int64
	err := s.Scan(&d.ID, &d.OrganizationID, &d.Domain, &d.State, &d.Manual, &d.Prefix, &d.Token, &created, &updated)
	d.CreatedAt, d.UpdatedAt = fromMillis(created), fromMillis(updated)
	return d, err
}

func (e *Env) addDomains(ctx context.Context, list []identity.Organization) error {
	at := map[string]int{}
	ids := make([]string, len(list))
	for i, o := range list {
		ids[i], at[o.ID] = o.ID, i
	}
	return e.db.list(ctx, "SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND organization_id IN (SELECT value FROM json_each($2)) ORDER BY id", func(s scanner) error {
		d, err := scanDomain(s)
		if err == nil {
			o := &list[at[d.OrganizationID]]
			o.Domains = append(o.Domains, d)
		}
		return err
	}, e.ID, idList(ids))
}

func (e *Env) insertDomain(tx *tx, d identity.OrganizationDomain) (identity.OrganizationDomain, error) {
	now := e.db.now()
	d.ID, d.CreatedAt, d.UpdatedAt = identity.NewID(identity.PrefixDomain), now, now
	strategy := "dns"
	if d.Manual {
		strategy = "manual"
	}
	d.Prefix, d.Token = "berth-domain-verification-"+strings.ToLower(rand.Text()[:6]), rand.Text()
	_, err := tx.exec(`INSERT INTO organization_domains (environment_id, id, organization_id, domain, state, strategy, prefix, token, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`, e.ID, d.ID, d.OrganizationID, d.Domain, string(d.State), strategy, d.Prefix, d.Token, millis(now))
	if isUnique(err) {
		return d, fault.New(fault.Conflict, "The domain '%s' already belongs to an organization.", d.Domain).WithCode("domain_already_exists")
	}
	return d, err
}

func (e *Env) replaceDomains(tx *tx, organizationID string, wanted []identity.OrganizationDomain) ([]identity.OrganizationDomain, error) {
	have := map[string]identity.OrganizationDomain{}
	err := tx.rows("SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND organization_id = $2", func(s scanner) error {
		d, err := scanDomain(s)
		have[d.Domain] = d
		return err
	}, e.ID, organizationID)
	if err != nil {
		return nil, err
	}
	out := make([]identity.OrganizationDomain, 0, len(wanted))
	for _, want := range wanted {
		d, known := have[want.Domain]
		delete(have, want.Domain)
		switch {
		case !known:
			want.OrganizationID = organizationID
			d, err = e.insertDomain(tx, want)
		case want.State == identity.DomainVerified && d.State != identity.DomainVerified:
			d, err = e.setDomainState(tx, d.ID, identity.DomainVerified, "manual")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	for _, gone := range have {
		if _, err := tx.exec("DELETE FROM organization_domains WHERE environment_id = $1 AND id = $2", e.ID, gone.ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *Env) setDomainState(tx *tx, id string, state identity.DomainState, strategy string) (identity.OrganizationDomain, error) {
	if _, err := tx.exec("UPDATE organization_domains SET state = $3, strategy = $4, updated_at = $5 WHERE environment_id = $1 AND id = $2", e.ID, id, string(state), strategy, millis(e.db.now())); err != nil {
		return identity.OrganizationDomain{}, err
	}
	return scanDomain(tx.row("SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND id = $2", e.ID, id))
}

// AddDomain gives an organization a further domain.
func (e *Env) AddDomain(ctx context.Context, d identity.OrganizationDomain) (identity.OrganizationDomain, error) {
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if err := e.organizationExists(tx, d.OrganizationID); err != nil {
			return err
		}
		d, err = e.insertDomain(tx, d)
		return err
	})
	return d, err
}

// Domain returns the organization domain with the given id.
func (e *Env) Domain(ctx context.Context, id string) (identity.OrganizationDomain, error) {
	d, err := scanDomain(e.db.row(ctx, "SELECT "+domainColumns+" FROM organization_domains WHERE environment_id = $1 AND id = $2", e.ID, id))
	if isNoRows(err) {
		return d, notFound("organization domain", id)
	}
	return d, err
}

// VerifyDomain marks a domain as proven by its DNS record.
func (e *Env) VerifyDomain(ctx context.Context, id string) (identity.OrganizationDomain, error) {
	var d identity.OrganizationDomain
	err := e.db.write(ctx, func(tx *tx) (err error) {
		d, err = e.setDomainState(tx, id, identity.DomainVerified, "dns")
		if isNoRows(err) {
			return notFound("organization domain", id)
		}
		return err
	})
	return d, err
}

// DeleteDomain takes a domain from its organization.
func (e *Env) DeleteDomain(ctx context.Context, id string) error {
	return e.db.write(ctx, func(tx *tx) error {
		n, err := tx.exec("DELETE FROM organization_domains WHERE environment_id = $1 AND id = $2", e.ID, id)
		if err == nil && n == 0 {
			return notFound("organization domain", id)
		}
		return err
	})
}

func (e *Env) organizationExists(tx *tx, id string) error {
	var one int
	err := tx.row("SELECT 1 FROM organizations WHERE environment_id = $1 AND id = $2", e.ID, id).Scan(&one)
	if isNoRows(err) {
		return noOrganization(id)
	}
	return err
}
