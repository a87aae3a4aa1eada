package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

// seedRoles gives a new environment the role that members have by default.
func seedRoles(tx *tx, environmentID string, now time.Time) error {
	_, err := tx.exec(`INSERT INTO roles (id, environment_id, slug, name, description, resource_type, created_at, updated_at)
		VALUES ($1, $2, $3, 'Member', 'The default user role', $4, $5, $5)`, identity.NewID(identity.PrefixRole), environmentID, identity.DefaultRole, identity.OrganizationResource, millis(now))
	return err
}

const roleColumns = `id, COALESCE(organization_id, ''), slug, name, description, resource_type, created_at, updated_at,
	(SELECT json_group_array(slug) FROM (SELECT p.slug FROM role_permissions rp JOIN permissions p ON p.id = rp.permission_id WHERE rp.role_id = roles.id ORDER BY p.slug))`

// rolePriority orders roles: the environment's first, then by age. The default
// role is what a member has without another one, so it comes last.
const rolePriority = " ORDER BY slug = '" + identity.DefaultRole + "' AND organization_id IS NULL, organization_id IS NOT NULL, id"

func scanRole(s scanner) (identity.Role, error) {
	var r identity.Role
	var permissions string
	var created, updated int64
	if err := s.Scan(&r.ID, &r.OrganizationID, &r.Slug, &r.Name, &r.Description, &r.ResourceType, &created, &updated, &permissions); err != nil {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	return r, json.Unmarshal([]byte(permissions), &r.Permissions)
}

func noRole(slug string) error {
	return fault.New(fault.NotFound, "Role not found: '%s'.", slug).WithCode("role_not_found")
}

// Roles returns the roles of the environment, and with an organization also
// those that it added, highest priority first.
func (e *Env) Roles(ctx context.Context, organizationID string) ([]identity.Role, error) {
	if organizationID != "" {
		if _, err := e.Organization(ctx, organizationID); err != nil {
			return nil, err
		}
	}
	var list []identity.Role
	err := e.db.list(ctx, "SELECT "+roleColumns+" FROM roles WHERE environment_id = $1 AND (organization_id IS NULL OR organization_id = $2)"+rolePriority, func(s scanner) error {
		r, err := scanRole(s)
		list = append(list, r)
		return err
	}, e.ID, organizationID)
	return list, err
}

// Role returns a role of the environment, or with an organization one that
// applies there.
func (e *Env) Role(ctx context.Context, organizationID, slug string) (identity.Role, error) {
	roles, err := e.Roles(ctx, organizationID)
	if err != nil {
		return identity.Role{}, err
	}
	for _, r := range roles {
		if r.Slug == slug {
			return r, nil
		}
	}
	return identity.Role{}, noRole(slug)
}

// CreateRole adds a role of the environment, or of r.OrganizationID. A slug
// that is taken is a Conflict.
func (e *Env) CreateRole(ctx context.Context, r identity.Role) (identity.Role, error) {
	now := e.db.now()
	r.ID, r.CreatedAt, r.UpdatedAt, r.Permissions = identity.NewOrderedID(identity.PrefixRole), now, now, []string{}
	r.ResourceType = cmp.Or(r.ResourceType, identity.OrganizationResource)
	err := e.db.write(ctx, func(tx *tx) error {
		var organization any
		code := "role_slug_conflict"
		if r.OrganizationID != "" {
			organization, code = r.OrganizationID, "organization_role_slug_conflict"
			if err := e.organizationExists(tx, r.OrganizationID); err != nil {
				return err
			}
		}
		_, err := tx.exec(`INSERT INTO roles (environment_id, id, organization_id, slug, name, description, resource_type, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`, e.ID, r.ID, organization, r.Slug, r.Name, r.Description, r.ResourceType, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A role with the slug '%s' already exists.", r.Slug).WithCode(code)
		}
		if err != nil {
			return err
		}
		return e.recordRole(tx, "created", r)
	})
	return r, err
}

// recordRole keeps what became of a role, for the application and the audit log.
func (e *Env) recordRole(tx *tx, what string, r identity.Role) error {
	name := "role." + what
	if r.OrganizationID != "" {
		name = "organization_role." + what
	}
	if err := e.audit(tx, name, r.Slug); err != nil {
		return err
	}
	return e.record(tx, happened{name: name, organization: r.OrganizationID, about: r})
}

// ownRole finds the role that a change is for. The environment's roles are not
// changed through an organization.
func (e *Env) ownRole(tx *tx, organizationID, slug string) (identity.Role, error) {
	if organizationID != "" {
		if err := e.organizationExists(tx, organizationID); err != nil {
			return identity.Role{}, err
		}
	}
	r, err := scanRole(tx.row("SELECT "+roleColumns+" FROM roles WHERE environment_id = $1 AND slug = $3 AND (organization_id IS NULL OR organization_id = $2)"+
		" ORDER BY organization_id IS NULL LIMIT 1", e.ID, organizationID, slug))
	switch {
	case isNoRows(err):
		return r, noRole(slug)
	case err == nil && r.OrganizationID != organizationID:
		return r, fault.New(fault.Denied, "The role '%s' belongs to the environment and cannot be changed for one organization.", slug)
	}
	return r, err
}

// changeRole runs fn on a role and returns what became of it. What changes
// nothing is not recorded.
func (e *Env) changeRole(ctx context.Context, organizationID, slug string, fn func(*tx, identity.Role) error) (identity.Role, error) {
	var r identity.Role
	err := e.db.write(ctx, func(tx *tx) (err error) {
		if r, err = e.ownRole(tx, organizationID, slug); err != nil {
			return err
		}
		prior := r
		if err := fn(tx, r); err != nil {
			return err
		}
		r, err = scanRole(tx.row("SELECT "+roleColumns+" FROM roles WHERE environment_id = $1 AND id = $2", e.ID, r.ID))
		if err != nil || r.Name == prior.Name && r.Description == prior.Description && slices.Equal(r.Permissions, prior.Permissions) {
			return err
		}
		r.UpdatedAt = e.db.now()
		if _, err := tx.exec("UPDATE roles SET updated_at = $3 WHERE environment_id = $1 AND id = $2", e.ID, r.ID, millis(r.UpdatedAt)); err != nil {
			return err
		}
		return e.recordRole(tx, "updated", r)
	})
	return r, err
}

// RenameRole changes name and description of a role; nil keeps either.
func (e *Env) RenameRole(ctx context.Context, organizationID, slug string, name, description *string) (identity.Role, error) {
	return e.changeRole(ctx, organizationID, slug, func(tx *tx, r identity.Role) error {
		if name != nil {
			r.Name = *name
		}
		if description != nil {
			r.Description = *description
		}
		_, err := tx.exec("UPDATE roles SET name = $3, description = $4 WHERE environment_id = $1 AND id = $2", e.ID, r.ID, r.Name, r.Description)
		return err
	})
}

// DeleteRole removes a role that an organization added. One that somebody has
// or is invited to is a Conflict.
func (e *Env) DeleteRole(ctx context.Context, organizationID, slug string) error {
	return e.db.write(ctx, func(tx *tx) error {
		r, err := e.ownRole(tx, organizationID, slug)
		if err != nil {
			return err
		}
		var uses, groups int
		err = tx.row(`SELECT (SELECT count(*) FROM membership_roles WHERE role_id = $1) + (SELECT count(*) FROM role_assignments WHERE role_id = $1)
			+ (SELECT count(*) FROM invitations WHERE environment_id = $2 AND organization_id = $3 AND role_slug = $4 AND state = 'pending' AND expires_at > $5),
			(SELECT count(*) FROM group_role_assignments WHERE role_id = $1)`,
			r.ID, e.ID, organizationID, slug, millis(e.db.now())).Scan(&uses, &groups)
		switch {
		case err != nil:
			return err
		case uses > 0:
			return fault.New(fault.Conflict, "The role '%s' is assigned to members of the organization.", slug).WithCode("role_has_assignments")
		case groups > 0:
			return fault.New(fault.Conflict, "The role '%s' is assigned to groups of the organization.", slug).WithCode("role_has_group_role_mappings")
		}
		if _, err := tx.exec("DELETE FROM roles WHERE environment_id = $1 AND id = $2", e.ID, r.ID); err != nil {
			return err
		}
		return e.recordRole(tx, "deleted", r)
	})
}

// permissionFor finds a permission that a role can hold. The organization is
// above all other resources, so a role for one of those never reaches what is
// for the organization.
func (e *Env) permissionFor(tx *tx, r identity.Role, slug string) (id string, err error) {
	var of string
	err = tx.row("SELECT id, resource_type FROM permissions WHERE environment_id = $1 AND slug = $2", e.ID, slug).Scan(&id, &of)
	switch {
	case isNoRows(err):
		return "", noPermission(slug)
	case err != nil:
		return "", err
	case of == identity.OrganizationResource && r.ResourceType != identity.OrganizationResource:
		return "", fault.New(fault.Invalid, "The permission '%s' is for organizations and cannot be held by a role for resources of type '%s'.", slug, r.ResourceType).
			WithCode("permission_of_other_resource_type")
	}
	return id, nil
}

func (e *Env) permissionID(tx *tx, slug string) (id string, err error) {
	err = tx.row("SELECT id FROM permissions WHERE environment_id = $1 AND slug = $2", e.ID, slug).Scan(&id)
	if isNoRows(err) {
		return "", noPermission(slug)
	}
	return id, err
}

// SetRolePermissions makes the permissions of a role exactly these.
func (e *Env) SetRolePermissions(ctx context.Context, organizationID, slug string, permissions []string) (identity.Role, error) {
	return e.changeRole(ctx, organizationID, slug, func(tx *tx, r identity.Role) error {
		if _, err := tx.exec("DELETE FROM role_permissions WHERE role_id = $1", r.ID); err != nil {
			return err
		}
		for _, p := range permissions {
			if err := e.addPermission(tx, r, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *Env) addPermission(tx *tx, r identity.Role, slug string) error {
	id, err := e.permissionFor(tx, r, slug)
	if err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO role_permissions (role_id, permission_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", r.ID, id)
	return err
}

// AddRolePermission gives a role a permission; one that it has changes nothing.
func (e *Env) AddRolePermission(ctx context.Context, organizationID, slug, permission string) (identity.Role, error) {
	return e.changeRole(ctx, organizationID, slug, func(tx *tx, r identity.Role) error { return e.addPermission(tx, r, permission) })
}

// RemoveRolePermission takes a permission from a role. One that the role does
// not have is NotFound.
func (e *Env) RemoveRolePermission(ctx context.Context, organizationID, slug, permission string) (identity.Role, error) {
	return e.changeRole(ctx, organizationID, slug, func(tx *tx, r identity.Role) error {
		id, err := e.permissionID(tx, permission)
		if err != nil {
			return err
		}
		n, err := tx.exec("DELETE FROM role_permissions WHERE role_id = $1 AND permission_id = $2", r.ID, id)
		if err == nil && n == 0 {
			return noPermission(permission)
		}
		return err
	})
}

const permissionColumns = "id, slug, name, description, resource_type, created_at, updated_at"

func scanPermission(s scanner) (identity.Permission, error) {
	var p identity.Permission
	var created, updated int64
	err := s.Scan(&p.ID, &p.Slug, &p.Name, &p.Description, &p.ResourceType, &created, &updated)
	p.CreatedAt, p.UpdatedAt = fromMillis(created), fromMillis(updated)
	return p, err
}

func noPermission(slug string) error {
	return fault.New(fault.NotFound, "Permission not found: '%s'.", slug).WithCode("permission_not_found")
}

// Permissions returns a page of the environment's permissions.
func (e *Env) Permissions(ctx context.Context, p Page) (list []identity.Permission, before, after string, err error) {
	return pageOf(ctx, e.db, "SELECT "+permissionColumns+" FROM permissions WHERE environment_id = $1", []any{e.ID}, p, scanPermission, func(v identity.Permission) string { return v.ID })
}

// Permission returns the permission with the given slug.
func (e *Env) Permission(ctx context.Context, slug string) (identity.Permission, error) {
	p, err := scanPermission(e.db.row(ctx, "SELECT "+permissionColumns+" FROM permissions WHERE environment_id = $1 AND slug = $2", e.ID, slug))
	if isNoRows(err) {
		return p, noPermission(slug)
	}
	return p, err
}

// CreatePermission adds a permission. A slug that is taken is a Conflict.
func (e *Env) CreatePermission(ctx context.Context, p identity.Permission) (identity.Permission, error) {
	now := e.db.now()
	p.ID, p.CreatedAt, p.UpdatedAt = identity.NewID(identity.PrefixPermission), now, now
	p.ResourceType = cmp.Or(p.ResourceType, identity.OrganizationResource)
	err := e.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO permissions (environment_id, "+permissionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
			e.ID, p.ID, p.Slug, p.Name, p.Description, p.ResourceType, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A permission with the slug '%s' already exists.", p.Slug).WithCode("permission_slug_conflict")
		}
		if err != nil {
			return err
		}
		return e.recordPermission(tx, "created", p)
	})
	return p, err
}

// RenamePermission changes name and description; nil keeps either.
func (e *Env) RenamePermission(ctx context.Context, slug string, name, description *string) (identity.Permission, error) {
	var p identity.Permission
	err := e.db.write(ctx, func(tx *tx) (err error) {
		p, err = scanPermission(tx.row(`UPDATE permissions SET name = COALESCE($3, name), description = COALESCE($4, description), updated_at = $5
			WHERE environment_id = $1 AND slug = $2 RETURNING `+permissionColumns, e.ID, slug, name, description, millis(e.db.now())))
		if isNoRows(err) {
			return noPermission(slug)
		}
		if err != nil {
			return err
		}
		return e.recordPermission(tx, "updated", p)
	})
	return p, err
}

// recordPermission keeps what became of a permission, for the application and
// the audit log.
func (e *Env) recordPermission(tx *tx, what string, p identity.Permission) error {
	if err := e.audit(tx, "permission."+what, p.Slug); err != nil {
		return err
	}
	return e.record(tx, happened{name: "permission." + what, about: p})
}

// DeletePermission removes a permission, also from the roles that have it.
func (e *Env) DeletePermission(ctx context.Context, slug string) error {
	return e.db.write(ctx, func(tx *tx) error {
		p, err := scanPermission(tx.row("DELETE FROM permissions WHERE environment_id = $1 AND slug = $2 RETURNING "+permissionColumns, e.ID, slug))
		if isNoRows(err) {
			return noPermission(slug)
		}
		if err != nil {
			return err
		}
		return e.recordPermission(tx, "deleted", p)
	})
}
