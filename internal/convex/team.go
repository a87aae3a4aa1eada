package convex

import (
	"context"
	"net/http"

	"github.com/berthdev/berth/internal/wire"
)

// Team is a Convex team.
type Team struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
}

// Roles of a team's members.
const (
	RoleAdmin     = "admin"
	RoleDeveloper = "developer"
)

// Member is a person in a Convex team.
type Member struct {
	ID    int64   `json:"id"`
	Email string  `json:"email"`
	Name  *string `json:"name,omitempty"`
	Role  string  `json:"role"`
}

// TeamInvite is an invitation into a Convex team that nobody accepted yet.
type TeamInvite struct {
	Email   string `json:"email"`
	Role    string `json:"role"`
	Expired bool   `json:"expired"`
}

const dashboard = "/api/dashboard/teams/"

// Teams lists the caller's teams.
func (c *Control) Teams(ctx context.Context) ([]Team, error) {
	var out []Team
	err := c.get(ctx, "/api/teams", nil, &out)
	return out, err
}

// Members lists the people in a team. The members calls are those of the
// vendor's dashboard, which takes the same tokens.
func (c *Control) Members(ctx context.Context, teamID int64) ([]Member, error) {
	var out []Member
	err := c.get(ctx, teamPath(dashboard, teamID, "members"), nil, &out)
	return out, err
}

// Invites lists the invitations into a team.
func (c *Control) Invites(ctx context.Context, teamID int64) ([]TeamInvite, error) {
	var out []TeamInvite
	err := c.get(ctx, teamPath(dashboard, teamID, "invites"), nil, &out)
	return out, err
}

// Invite invites a person into a team with a role.
func (c *Control) Invite(ctx context.Context, teamID int64, email, role string) error {
	body := struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}{email, role}
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: teamPath(dashboard, teamID, "invites"), Body: body})
}

// CancelInvite takes back an invitation.
func (c *Control) CancelInvite(ctx context.Context, teamID int64, email string) error {
	body := struct {
		Email string `json:"email"`
	}{email}
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: teamPath(dashboard, teamID, "cancel_invite"), Body: body, Repeatable: true})
}

// RemoveMember takes a person out of a team.
func (c *Control) RemoveMember(ctx context.Context, teamID, memberID int64) error {
	body := struct {
		MemberID int64 `json:"memberId"`
	}{memberID}
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: teamPath(dashboard, teamID, "remove_member"), Body: body})
}
