package seed

import (
	"context"
	"strings"

	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

func (r *run) users(ctx context.Context, f *File) error {
	for _, u := range f.Users {
		if err := r.user(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) user(ctx context.Context, u User) error {
	found, err := r.env.ListUsers(ctx, workos.UserFilter{Email: u.Email})
	if err != nil {
		return err
	}
	var now workos.User
	for _, t := range found {
		if strings.EqualFold(t.Email, u.Email) {
			now = t
		}
	}
	password, differs, err := r.opts.Password(ctx, u, now.ID != "")
	if err != nil {
		return err
	}
	first, last := u.Names()
	if now.ID == "" {
		err = r.write(Created, "user", u.Email, func() (err error) {
			now, err = r.env.CreateUser(ctx, workos.NewUser{Email: u.Email, Password: workos.Credential(password), FirstName: first, LastName: last,
				EmailVerified: u.IsVerified(), ExternalID: u.ExternalID, Metadata: u.Metadata})
			return err
		})
	} else if c, any := u.change(now, password, differs); any {
		err = r.write(Changed, "user", u.Email, func() (err error) {
			now, err = r.env.UpdateUser(ctx, now.ID, c)
			return err
		})
	} else {
		r.did(Unchanged, "user", u.Email)
	}
	if err == nil && !r.opts.DryRun && r.opts.User != nil {
		err = r.opts.User(ctx, u, now.ID, password)
	}
	if err != nil {
		return err
	}
	return r.memberships(ctx, u, now.ID)
}

// change is what has to be sent for a user, and whether anything has. Without a
// word of the file the address counts as proven.
func (u User) change(now workos.User, password secret.String, differs bool) (workos.UserChange, bool) {
	var c workos.UserChange
	any := false
	set := func(to **string, want string, have *string) {
		if want != "" && want != text(have) {
			*to, any = &want, true
		}
	}
	first, last := u.Names()
	set(&c.FirstName, first, now.FirstName)
	set(&c.LastName, last, now.LastName)
	set(&c.ExternalID, u.ExternalID, now.ExternalID)
	if verified := u.IsVerified(); verified != now.EmailVerified {
		c.EmailVerified, any = &verified, true
	}
	if !holds(now.Metadata, u.Metadata) {
		c.Metadata, any = u.Metadata, true
	}
	if differs {
		value := workos.Credential(password)
		c.Password, any = &value, true
	}
	return c, any
}

func (r *run) memberships(ctx context.Context, u User, id string) error {
	if len(u.Organizations) == 0 {
		return nil
	}
	there := map[string]workos.OrganizationMembership{}
	if id != "" {
		list, err := r.env.ListMemberships(ctx, id)
		if err != nil {
			return err
		}
		for _, m := range list {
			there[m.OrganizationID] = m
		}
	}
	for _, want := range u.Organizations {
		o := r.organizations[want.Organization]
		name := u.Email + " in " + want.Organization
		now, found := there[o.ID]
		var err error
		switch {
		case !found || o.ID == "":
			err = r.write(Created, "membership", name, func() error {
				_, err := r.env.CreateMembership(ctx, id, o.ID, want.Roles)
				return err
			})
		case len(want.Roles) > 0 && !sameSet(want.Roles, slugs(now)):
			err = r.write(Changed, "membership", name, func() error {
				_, err := r.env.UpdateMembership(ctx, now.ID, want.Roles)
				return err
			})
		default:
			r.did(Unchanged, "membership", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// slugs are the roles of a membership; older answers have only the one.
func slugs(m workos.OrganizationMembership) []string {
	if len(m.Roles) == 0 {
		return []string{m.Role.Slug}
	}
	all := make([]string, len(m.Roles))
	for i, r := range m.Roles {
		all[i] = r.Slug
	}
	return all
}
