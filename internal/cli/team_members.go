package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// serverText is what the other end said in an error answer.
func serverText(err error) string {
	if e, ok := errors.AsType[*wire.StatusError](err); ok && e.Message != "" {
		return e.Message
	}
	return fault.From(err).Message
}

type memberView struct {
	Email   string `json:"email"`
	Name    string `json:"name,omitempty"`
	Role    string `json:"role"`
	Invited bool   `json:"invited,omitempty"` // not accepted yet
	Expired bool   `json:"expired,omitempty"`
}

func (t *team) members(ctx context.Context) ([]convex.Member, []convex.TeamInvite, error) {
	members, err := t.control.Members(ctx, t.id)
	if err != nil {
		return nil, nil, err
	}
	invites, err := t.control.Invites(ctx, t.id)
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
		return members, nil, nil // only administrators see them
	}
	return members, invites, err
}

func runMembersList(ctx context.Context, o *teamOptions, _ []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	members, invites, err := t.members(ctx)
	if err != nil {
		return err
	}
	views := []memberView{}
	for _, m := range members {
		v := memberView{Email: m.Email, Role: m.Role}
		if m.Name != nil {
			v.Name = *m.Name
		}
		views = append(views, v)
	}
	for _, i := range invites {
		views = append(views, memberView{Email: i.Email, Role: i.Role, Invited: true, Expired: i.Expired})
	}
	return o.env.Output().Result(views, func(p *Printer) {
		rows := make([][]string, len(views))
		for i, v := range views {
			state := "member"
			if v.Invited {
				state = map[bool]string{true: p.Yellow("invitation expired"), false: "invited"}[v.Expired]
			}
			rows[i] = []string{printable(v.Email), printable(v.Name), v.Role, state}
		}
		p.Table([]string{"E-MAIL", "NAME", "ROLE", "STATE"}, rows)
	})
}

func runMembersAdd(ctx context.Context, o *teamOptions, args []string) error {
	if err := checkRole(o.role); err != nil {
		return err
	}
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	out, email := o.env.Output(), args[0]
	members, _, err := t.members(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(members, func(m convex.Member) bool { return sameEmail(m.Email, email) }) {
		out.OK("%s is in %s already", email, t.title)
		return out.Result(map[string]any{"email": email, "invited": false}, func(*Printer) {})
	}
	out.Line("  invites %s into %s as %s", email, t.title, o.role)
	if o.env.DryRun() {
		out.Line("dry run: nothing was changed")
		return out.Result(map[string]any{"email": email, "invited": false}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Invite?"); err != nil {
		return err
	}
	if err := t.control.Invite(ctx, t.id, email, o.role); err != nil {
		return err
	}
	out.OK("invited %s", email)
	return out.Result(map[string]any{"email": email, "invited": true, "role": o.role}, func(*Printer) {})
}

func runMembersRemove(ctx context.Context, o *teamOptions, args []string) error {
	t, err := o.open(ctx)
	if err != nil {
		return err
	}
	out, email := o.env.Output(), args[0]
	members, invites, err := t.members(ctx)
	if err != nil {
		return err
	}
	member := slices.IndexFunc(members, func(m convex.Member) bool { return sameEmail(m.Email, email) })
	invited := slices.ContainsFunc(invites, func(i convex.TeamInvite) bool { return sameEmail(i.Email, email) })
	switch {
	case member >= 0:
		out.Line("  takes %s out of %s; lost: access to its projects, deployments and keys made in that name", email, t.title)
	case invited:
		out.Line("  takes the invitation of %s into %s back", email, t.title)
	default:
		return fault.New(fault.NotFound, "%s is not in %s", email, t.title).WithFix("berth team members list shows who is").WithCode("member_not_found")
	}
	if o.env.DryRun() {
		out.Line("dry run: nothing was changed")
		return out.Result(map[string]any{"email": email, "removed": false}, func(*Printer) {})
	}
	if err := out.Confirm(ctx, "Remove?"); err != nil {
		return err
	}
	if member >= 0 {
		err = t.control.RemoveMember(ctx, t.id, members[member].ID)
	} else {
		err = t.control.CancelInvite(ctx, t.id, email)
	}
	if err != nil {
		return err
	}
	out.OK("removed %s", email)
	return out.Result(map[string]any{"email": email, "removed": true}, func(*Printer) {})
}
