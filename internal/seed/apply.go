package seed

import (
	"context"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// Action is what was done, or with DryRun would be.
type Action string

// What a step did.
const (
	Created   Action = "created"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
)

// Step is one thing of a file.
type Step struct {
	Action Action `json:"action"`
	Kind   string `json:"kind"` // permission, role, organization, user, membership
	Name   string `json:"name"`
}

// Options say how a file is applied.
type Options struct {
	DryRun bool // read only
	// Password returns the password of a user, "" when nobody here knows it, and
	// whether one that exists is to get it. It is asked before the user is made.
	Password func(ctx context.Context, u User, exists bool) (password secret.String, differs bool, err error)
	// User is told of every user that is there in the end; not with DryRun.
	User func(ctx context.Context, u User, id string, password secret.String) error
}

// run is one application of a file.
type run struct {
	env           *workos.Environment
	opts          Options
	steps         []Step
	organizations map[string]workos.Organization // by the names that memberships use; with DryRun some have no id
}

// Apply makes the environment as the file says and returns what that took, in
// the order of the file. After an error the steps tell how far it came; the
// next run goes on from there.
func (f *File) Apply(ctx context.Context, env *workos.Environment, opts Options) ([]Step, error) {
	r := &run{env: env, opts: opts, organizations: map[string]workos.Organization{}}
	for _, part := range []func(context.Context, *File) error{r.permissions, r.roles, r.makeOrganizations, r.users} {
		if err := part(ctx, f); err != nil {
			return r.steps, err
		}
	}
	return r.steps, nil
}

func (r *run) did(action Action, kind, name string) {
	r.steps = append(r.steps, Step{Action: action, Kind: kind, Name: name})
}

// write runs fn unless this is a dry run, and notes the step.
func (r *run) write(action Action, kind, name string, fn func() error) error {
	if !r.opts.DryRun {
		if err := fn(); err != nil {
			return explain(err, kind, name)
		}
	}
	r.did(action, kind, name)
	return nil
}

func explain(err error, kind, name string) error {
	f := fault.From(err)
	if f.Kind == fault.Internal {
		return err
	}
	return fault.Wrap(err, f.Kind, "%s %s: %s", kind, name, f.Message).WithFix("%s", f.Fix).WithCode(f.Code)
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// renamed tells whether a name or description that the file gives differs.
func renamed(wantName, name string, want, description *string) bool {
	return wantName != "" && wantName != name || want != nil && *want != text(description)
}

func (r *run) permissions(ctx context.Context, f *File) error {
	if len(f.Permissions) == 0 {
		return nil
	}
	there, err := r.env.ListPermissions(ctx)
	if err != nil {
		return err
	}
	for _, p := range f.Permissions {
		i := slices.IndexFunc(there, func(t workos.Permission) bool { return t.Slug == p.Slug })
		switch {
		case i < 0:
			err = r.write(Created, "permission", p.Slug, func() error {
				_, err := r.env.CreatePermission(ctx, workos.NamedRequest{Slug: p.Slug, Name: or(p.Name, p.Slug), Description: p.Description})
				return err
			})
		case renamed(p.Name, there[i].Name, p.Description, there[i].Description):
			err = r.write(Changed, "permission", p.Slug, func() error {
				_, err := r.env.UpdatePermission(ctx, p.Slug, workos.NamedRequest{Name: p.Name, Description: p.Description})
				return err
			})
		default:
			r.did(Unchanged, "permission", p.Slug)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) roles(ctx context.Context, f *File) error {
	return r.rolesOf(ctx, "", "", f.Roles, false)
}

// rolesOf makes the roles of the environment, or of the organization with an
// id; fresh says that the organization has none yet.
func (r *run) rolesOf(ctx context.Context, id, of string, roles []Role, fresh bool) error {
	if len(roles) == 0 {
		return nil
	}
	var there []workos.Role
	if !fresh {
		var err error
		if there, err = r.env.ListRoles(ctx, id); err != nil {
			return err
		}
	}
	for _, v := range roles {
		i := slices.IndexFunc(there, func(t workos.Role) bool { return t.Slug == v.Slug })
		action := Unchanged
		var now workos.Role
		if i >= 0 {
			now = there[i]
		}
		rename := i >= 0 && renamed(v.Name, now.Name, v.Description, now.Description)
		allow := v.Permissions != nil && !sameSet(*v.Permissions, now.Permissions)
		switch {
		case i < 0:
			action = Created
		case rename || allow:
			action = Changed
		}
		name := v.Slug
		if of != "" {
			name += " of " + of
		}
		if action == Unchanged {
			r.did(action, "role", name)
			continue
		}
		err := r.write(action, "role", name, func() (err error) {
			switch {
			case i < 0:
				_, err = r.env.CreateRole(ctx, id, workos.NamedRequest{Slug: v.Slug, Name: or(v.Name, v.Slug), Description: v.Description})
			case rename:
				_, err = r.env.UpdateRole(ctx, id, v.Slug, workos.NamedRequest{Name: v.Name, Description: v.Description})
			}
			if err == nil && allow {
				_, err = r.env.SetRolePermissions(ctx, id, v.Slug, *v.Permissions)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// holds tells whether all that the file wants is in metadata.
func holds(metadata, want map[string]string) bool {
	for k, v := range want {
		if now, ok := metadata[k]; !ok || now != v {
			return false
		}
	}
	return true
}

func (r *run) makeOrganizations(ctx context.Context, f *File) error {
	if len(f.Organizations) == 0 {
		return nil
	}
	there, err := r.env.ListOrganizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range f.Organizations {
		now, found, err := findOrganization(there, o)
		if err != nil {
			return err
		}
		change, differs := o.change(now, found)
		switch {
		case !found:
			err = r.write(Created, "organization", o.Name, func() (err error) {
				now, err = r.env.CreateOrganization(ctx, change)
				return err
			})
		case differs:
			err = r.write(Changed, "organization", o.Name, func() (err error) {
				now, err = r.env.UpdateOrganization(ctx, now.ID, change)
				return err
			})
		default:
			r.did(Unchanged, "organization", o.Name)
		}
		if err != nil {
			return err
		}
		r.organizations[o.Name] = now
		if o.ExternalID != "" {
			r.organizations[o.ExternalID] = now
		}
		if err := r.rolesOf(ctx, now.ID, o.Name, o.Roles, now.ID == ""); err != nil {
			return err
		}
	}
	return nil
}

func findOrganization(there []workos.Organization, o Organization) (now workos.Organization, found bool, err error) {
	for _, t := range there {
		if o.ExternalID != "" && text(t.ExternalID) == o.ExternalID {
			return t, true, nil
		}
	}
	for _, t := range there {
		// One with another external id is another organization.
		if t.Name != o.Name || o.ExternalID != "" && text(t.ExternalID) != "" {
			continue
		}
		if found {
			return now, false, fault.New(fault.Conflict, "the environment has two organizations called %q", o.Name).
				WithFix("give the one that is meant an external_id, there and in the file").WithCode("seed_ambiguous")
		}
		now, found = t, true
	}
	return now, found, nil
}

// change is what has to be sent for an organization, and whether anything has.
func (o Organization) change(now workos.Organization, found bool) (workos.OrganizationChange, bool) {
	var c workos.OrganizationChange
	if !found || now.Name != o.Name {
		c.Name = o.Name
	}
	if text(now.ExternalID) != o.ExternalID {
		c.ExternalID = o.ExternalID
	}
	if !holds(now.Metadata, o.Metadata) {
		c.Metadata = o.Metadata
	}
	missing := slices.DeleteFunc(slices.Clone(o.Domains), func(d string) bool {
		return slices.ContainsFunc(now.Domains, func(t workos.OrganizationDomain) bool {
			return strings.EqualFold(t.Domain, d) && t.State == "verified"
		})
	})
	if len(missing) > 0 {
		for _, t := range now.Domains { // the list that is sent replaces the one that is there
			if !slices.ContainsFunc(missing, func(d string) bool { return strings.EqualFold(t.Domain, d) }) {
				c.Domains = append(c.Domains, workos.DomainData{Domain: t.Domain, State: t.State})
			}
		}
		for _, d := range missing {
			c.Domains = append(c.Domains, workos.DomainData{Domain: d, State: "verified"})
		}
	}
	return c, c.Name != "" || c.ExternalID != "" || c.Metadata != nil || c.Domains != nil
}
