package workos

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/wire"
)

const (
	pathOrganizations = "/organizations"
	pathMemberships   = "/user_management/organization_memberships"
	pathRoles         = "/authorization/roles"
	pathPermissions   = "/authorization/permissions"
)

// OrganizationChange is the body of creating and changing an organization.
// Empty members are left out and keep their value.
type OrganizationChange struct {
	Name       string            `json:"name,omitempty"`
	ExternalID string            `json:"external_id,omitempty"`
	Domains    []DomainData      `json:"domain_data,omitempty"` // all of them: others are removed
	Metadata   map[string]string `json:"metadata,omitempty"`    // merged into the organization's
}

// DomainData states a domain of an organization.
type DomainData struct {
	Domain string `json:"domain"`
	State  string `json:"state"` // verified, pending
}

// ListOrganizations returns all organizations.
func (e *Environment) ListOrganizations(ctx context.Context) ([]Organization, error) {
	list, err := all[Organization](ctx, e.calls, pathOrganizations, nil)
	return list, explainKey(err)
}

// CreateOrganization makes an organization. It is not repeated when the answer
// is lost: names need not be unique.
func (e *Environment) CreateOrganization(ctx context.Context, c OrganizationChange) (Organization, error) {
	var o Organization
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathOrganizations, Body: c, Out: &o})
	return o, explainKey(err)
}

// UpdateOrganization changes an organization.
func (e *Environment) UpdateOrganization(ctx context.Context, id string, c OrganizationChange) (Organization, error) {
	var o Organization
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: pathOrganizations + "/" + url.PathEscape(id), Body: c, Out: &o, Repeatable: true})
	return o, explainKey(err)
}

// membershipRequest is the body of creating and changing a membership.
type membershipRequest struct {
	UserID         string   `json:"user_id,omitempty"`
	OrganizationID string   `json:"organization_id,omitempty"`
	RoleSlug       string   `json:"role_slug,omitempty"`
	RoleSlugs      []string `json:"role_slugs,omitempty"`
}

// with adds roles, a single one by itself: environments
// without several roles per member know only that.
func (r membershipRequest) with(roles []string) membershipRequest {
	if len(roles) == 1 {
		r.RoleSlug = roles[0]
	} else {
		r.RoleSlugs = roles
	}
	return r
}

// ListMemberships returns all memberships of a user.
func (e *Environment) ListMemberships(ctx context.Context, userID string) ([]OrganizationMembership, error) {
	list, err := all[OrganizationMembership](ctx, e.calls, pathMemberships, url.Values{"user_id": {userID}})
	return list, explainKey(err)
}

// CreateMembership puts a user into an organization; no roles stand for the
// environment's default.
func (e *Environment) CreateMembership(ctx context.Context, userID, organizationID string, roles []string) (OrganizationMembership, error) {
	var m OrganizationMembership
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathMemberships, Body: membershipRequest{UserID: userID, OrganizationID: organizationID}.with(roles), Out: &m})
	return m, explainKey(err)
}

// UpdateMembership replaces the roles of a membership.
func (e *Environment) UpdateMembership(ctx context.Context, id string, roles []string) (OrganizationMembership, error) {
	var m OrganizationMembership
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: pathMemberships + "/" + url.PathEscape(id), Body: membershipRequest{}.with(roles), Out: &m, Repeatable: true})
	return m, explainKey(err)
}

// NamedRequest is the body of creating and changing roles and permissions.
type NamedRequest struct {
	Slug        string  `json:"slug,omitempty"` // only when it is created
	Name        string  `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
}

func rolesPath(organizationID string) string {
	if organizationID == "" {
		return pathRoles
	}
	return "/authorization/organizations/" + url.PathEscape(organizationID) + "/roles"
}

// ListRoles returns the roles of the environment, or with an organization those
// that its members can have.
func (e *Environment) ListRoles(ctx context.Context, organizationID string) ([]Role, error) {
	var list RoleList
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodGet, Path: rolesPath(organizationID), Out: &list})
	return list.Data, explainKey(err)
}

// CreateRole makes a role of the environment, or of an organization.
func (e *Environment) CreateRole(ctx context.Context, organizationID string, r NamedRequest) (Role, error) {
	var out Role
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: rolesPath(organizationID), Body: r, Out: &out})
	return out, explainKey(err)
}

// UpdateRole changes the name and description of a role.
func (e *Environment) UpdateRole(ctx context.Context, organizationID, slug string, r NamedRequest) (Role, error) {
	var out Role
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPatch, Path: rolesPath(organizationID) + "/" + url.PathEscape(slug), Body: r, Out: &out, Repeatable: true})
	return out, explainKey(err)
}

// SetRolePermissions replaces the permissions of a role.
func (e *Environment) SetRolePermissions(ctx context.Context, organizationID, slug string, permissions []string) (Role, error) {
	var out Role
	body := struct {
		Permissions []string `json:"permissions"`
	}{append([]string{}, permissions...)}
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPut, Path: rolesPath(organizationID) + "/" + url.PathEscape(slug) + "/permissions", Body: body, Out: &out, Repeatable: true})
	return out, explainKey(err)
}

// ListPermissions returns all permissions.
func (e *Environment) ListPermissions(ctx context.Context) ([]Permission, error) {
	list, err := all[Permission](ctx, e.calls, pathPermissions, nil)
	return list, explainKey(err)
}

// CreatePermission makes a permission.
func (e *Environment) CreatePermission(ctx context.Context, r NamedRequest) (Permission, error) {
	var p Permission
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPost, Path: pathPermissions, Body: r, Out: &p})
	return p, explainKey(err)
}

// UpdatePermission changes the name and description of a permission.
func (e *Environment) UpdatePermission(ctx context.Context, slug string, r NamedRequest) (Permission, error) {
	var p Permission
	err := e.calls.Do(ctx, wire.Call{Method: http.MethodPatch, Path: pathPermissions + "/" + url.PathEscape(slug), Body: r, Out: &p, Repeatable: true})
	return p, explainKey(err)
}
