package store

import (
	"context"
	"fmt"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const resourceColumns = "id, organization_id, COALESCE(parent_id, ''), resource_type, external_id, name, description, created_at, updated_at"

func scanResource(s scanner) (identity.Resource, error) {
	var r identity.Resource
	var created, updated int64
	err := s.Scan(&r.ID, &r.OrganizationID, &r.ParentID, &r.Type, &r.ExternalID, &r.Name, &r.Description, &created, &updated)
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	return r, err
}

func noResource(name string) error {
	return fault.New(fault.NotFound, "Authorization resource not found: '%s'.", name).WithCode("authorization_resource_not_found")
}

// reading is how a row is read: in a write, or outside of one.
type reading func(query string, args ...any) scanner

func (e *Env) reading(ctx context.Context) reading {
	return func(query string, args ...any) scanner { return e.db.row(ctx, query, args...) }
}

// findResource finds what ref names in an organization. Without an organization
// an id finds a resource of any.
func (e *Env) findResource(row reading, organizationID string, ref identity.ResourceRef) (identity.Resource, error) {
	var r identity.Resource
	var err error
	name := ref.ID
	switch {
	case ref == identity.ResourceRef{}:
		ref.ID, name = identity.OrganizationResourceID(organizationID), organizationID
		fallthrough
	case ref.ID != "":
		r, err = scanResource(row("SELECT "+resourceColumns+" FROM authorization_resources WHERE environment_id = $1 AND id = $2 AND ($3 = '' OR organization_id = $3)", e.ID, ref.ID, organizationID))
	default:
		name = ref.ExternalID
		r, err = scanResource(row("SELECT "+resourceColumns+" FROM authorization_resources WHERE environment_id = $1 AND organization_id = $2 AND resource_type = $3 AND external_id = $4",
			e.ID, organizationID, ref.Type, ref.ExternalID))
	}
	if isNoRows(err) {
		return r, noResource(name)
	}
	return r, err
}

// Resource returns what ref names in an organization, or with "" for it the
// resource of any organization that has the id of ref.
func (e *Env) Resource(ctx context.Context, organizationID string, ref identity.ResourceRef) (identity.Resource, error) {
	if organizationID != "" {
		if _, err := e.Organization(ctx, organizationID); err != nil {
			return identity.Resource{}, err
		}
	}
	return e.findResource(e.reading(ctx), organizationID, ref)
}

// ResourceFilter narrows a list of resources; empty members do not.
type ResourceFilter struct {
	OrganizationID string
	Type           string
	ExternalID     string
	Parent         identity.ResourceRef
	Search         string // part of the name, case ignored
}

// Resources returns a page of resources and the cursors of the neighbouring pages.
func (e *Env) Resources(ctx context.Context, f ResourceFilter, p Page) (list []identity.Resource, before, after string, err error) {
	query, args := "SELECT "+resourceColumns+" FROM authorization_resources WHERE environment_id = $1", []any{e.ID}
	add := func(cond, value string) {
		if value != "" {
			args = append(args, value)
			query += fmt.Sprintf(cond, len(args))
		}
	}
	add(" AND organization_id = $%d", f.OrganizationID)
	add(" AND resource_type = $%d", f.Type)
	add(" AND external_id = $%d", f.ExternalID)
	add(" AND parent_id = $%d", f.Parent.ID)
	if f.Parent.ExternalID != "" {
		query += fmt.Sprintf(" AND parent_id IN (SELECT id FROM authorization_resources WHERE environment_id = $1 AND resource_type = $%d AND external_id = $%d)", len(args)+1, len(args)+2)
		args = append(args, f.Parent.Type, f.Parent.ExternalID)
	}
	add(" AND instr(lower(name), lower($%d)) > 0", f.Search)
	return pageOf(ctx, e.db, query, args, p, scanResource, func(r identity.Resource) string { return r.ID })
}

// CreateResource adds r below parent; the zero parent is the organization. An
// external id that is taken is a Conflict.
func (e *Env) CreateResource(ctx context.Context, r identity.Resource, parent identity.ResourceRef) (identity.Resource, error) {
	now := e.db.now()
	r.ID, r.CreatedAt, r.UpdatedAt = identity.NewID(identity.PrefixResource), now, now
	err := e.db.write(ctx, func(tx *tx) error {
		if err := e.organizationExists(tx, r.OrganizationID); err != nil {
			return err
		}
		above, err := e.findResource(tx.row, r.OrganizationID, parent)
		if err != nil {
			return err
		}
		r.ParentID = above.ID
		if err := e.checkDepth(tx, above, 1); err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO authorization_resources (environment_id, id, organization_id, parent_id, resource_type, external_id, name, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`, e.ID, r.ID, r.OrganizationID, r.ParentID, r.Type, r.ExternalID, r.Name, r.Description, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A resource of type '%s' with the external ID '%s' already exists.", r.Type, r.ExternalID).WithCode("authorization_resource_external_id_conflict")
		}
		return err
	})
	return r, err
}

// checkDepth refuses levels more below above when the tree would get too deep.
func (e *Env) checkDepth(tx *tx, above identity.Resource, levels int) error {
	var depth int
	err := tx.row(`WITH RECURSIVE up (id) AS (SELECT $1 UNION ALL SELECT r.parent_id FROM authorization_resources r JOIN up ON r.id = up.id WHERE r.parent_id IS NOT NULL)
		SELECT count(*) - 1 FROM up`, above.ID).Scan(&depth)
	if err == nil && depth+levels > identity.MaxResourceDepth {
		return fault.New(fault.Invalid, "Resources are nested at most %d levels below their organization.", identity.MaxResourceDepth).WithCode("resource_too_deep")
	}
	return err
}

// createRoot adds the resource that an organization is.
func (e *Env) createRoot(tx *tx, o identity.Organization) error {
	_, err := tx.exec(`INSERT INTO authorization_resources (environment_id, id, organization_id, parent_id, resource_type, external_id, name, description, created_at, updated_at)
		VALUES ($1, $2, $3, NULL, $4, $3, $5, '', $6, $6)`, e.ID, identity.OrganizationResourceID(o.ID), o.ID, identity.OrganizationResource, o.Name, millis(o.CreatedAt))
	return err
}

// renameRoot keeps the name of an organization's resource that of the organization.
func (e *Env) renameRoot(tx *tx, o identity.Organization) error {
	_, err := tx.exec("UPDATE authorization_resources SET name = $3, updated_at = $4 WHERE environment_id = $1 AND id = $2 AND name <> $3",
		e.ID, identity.OrganizationResourceID(o.ID), o.Name, millis(o.UpdatedAt))
	return err
}

// ownResource finds a resource that can be changed: all but organizations.
func (e *Env) ownResource(tx *tx, id string) (identity.Resource, error) {
	r, err := e.findResource(tx.row, "", identity.ResourceRef{ID: id})
	if err == nil && r.ParentID == "" {
		return r, fault.New(fault.Denied, "The resource of an organization cannot be changed or deleted.")
	}
	return r, err
}

// ResourceChange is what UpdateResource writes; nil members stay.
type ResourceChange struct {
	Name        *string
	Description *string
	Parent      *identity.ResourceRef
}

// UpdateResource changes a resource. A new parent takes everything below the
// resource along; it cannot be the resource or anything below it.
func (e *Env) UpdateResource(ctx context.Context, id string, change ResourceChange) (identity.Resource, error) {
	var r identity.Resource
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if r, err = e.ownResource(tx, id); err != nil {
			return err
		}
		if change.Name != nil {
			r.Name = *change.Name
		}
		if change.Description != nil {
			r.Description = *change.Description
		}
		if change.Parent != nil {
			above, err := e.findResource(tx.row, r.OrganizationID, *change.Parent)
			if err != nil {
				return err
			}
			if err := e.checkMove(tx, r, above); err != nil {
				return err
			}
			r.ParentID = above.ID
		}
		r.UpdatedAt = e.db.now()
		_, err = tx.exec("UPDATE authorization_resources SET name = $3, description = $4, parent_id = $5, updated_at = $6 WHERE environment_id = $1 AND id = $2",
			e.ID, r.ID, r.Name, r.Description, r.ParentID, millis(r.UpdatedAt))
		return err
	})
	return r, err
}

// checkMove refuses a parent that is r or below it, and one that makes the tree
// too deep.
func (e *Env) checkMove(tx *tx, r, above identity.Resource) error {
	var levels, cycle int
	err := tx.row(`WITH RECURSIVE down (id, level) AS (SELECT $1, 1 UNION ALL SELECT r.id, down.level + 1 FROM authorization_resources r JOIN down ON r.parent_id = down.id)
		SELECT max(level), count(CASE WHEN id = $2 THEN 1 END) FROM down`, r.ID, above.ID).Scan(&levels, &cycle)
	if err != nil {
		return err
	}
	if cycle > 0 {
		return fault.New(fault.Invalid, "A resource cannot be placed below itself.").WithCode("resource_cycle")
	}
	return e.checkDepth(tx, above, levels)
}

// DeleteResource removes a resource. With something below it or roles given on
// it that is a Conflict, unless cascade is set: then all of it goes.
func (e *Env) DeleteResource(ctx context.Context, id string, cascade bool) error {
	return e.db.write(ctx, func(tx *tx) error {
		r, err := e.ownResource(tx, id)
		if err != nil {
			return err
		}
		var dependents int
		err = tx.row(`SELECT (SELECT count(*) FROM authorization_resources WHERE parent_id = $1) + (SELECT count(*) FROM role_assignments WHERE resource_id = $1)
			+ (SELECT count(*) FROM group_role_assignments WHERE resource_id = $1)`, r.ID).Scan(&dependents)
		if err != nil {
			return err
		}
		if dependents > 0 && !cascade {
			return fault.New(fault.Conflict, "The resource has child resources or role assignments.").
				WithFix("send cascade_delete=true to delete them with it").WithCode("resource_has_dependents")
		}
		_, err = tx.exec("DELETE FROM authorization_resources WHERE environment_id = $1 AND id = $2", e.ID, r.ID)
		return err
	})
}
