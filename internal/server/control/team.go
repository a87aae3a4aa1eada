package control

import (
	"encoding/json"
	"strconv"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountTeams(on func(string, func(*call) error)) {
	on("GET /api/teams", (*call).teams)
	on("GET /api/has_projects", (*call).hasProjects)
	on("POST /api/check_opt_ins", (*call).checkOptIns)
	on("POST /api/accept_opt_ins", (*call).acceptOptIns)
	on("POST /api/local_deployment/enable_feature_metadata", (*call).featureMetadata)
	on("GET /api/dashboard/teams/{team}/usage/team_usage_state", (*call).usage)
	on("GET /api/dashboard/teams/{team}/get_spending_limits", (*call).spending)
	on("GET /api/dashboard/teams/{team}/members", (*call).members)
	on("GET /api/dashboard/teams/{team}/invites", (*call).invites)
	on("POST /api/dashboard/teams/{team}/invites", (*call).inviteMember)
	on("POST /api/dashboard/teams/{team}/cancel_invite", (*call).cancelInvite)
	on("POST /api/dashboard/teams/{team}/remove_member", (*call).removeMember)
}

// team returns the team in the path, by number or slug.
func (c *call) team() (*store.Team, error) {
	name := c.r.PathValue("team")
	number, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		number = 0
	}
	return c.TeamNamed(c.ctx(), name, number)
}

// administered is team for those who rule it.
func (c *call) administered() (*store.Team, error) {
	t, err := c.team()
	if err == nil {
		err = c.mustAdminister(t)
	}
	return t, err
}

func (c *call) mustAdminister(t *store.Team) error {
	if !c.MayAdministerTeam(t.ID) {
		return forbidden("do this: it takes an admin of the team")
	}
	return nil
}

func (c *call) allTeams() ([]*store.Team, error) {
	all := []*store.Team{}
	for _, id := range c.TeamIDs() {
		t, err := c.Team(c.ctx(), id)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func (c *call) teams() error {
	all, err := c.allTeams()
	if err != nil {
		return err
	}
	out := make([]convex.Team, len(all))
	for i, t := range all {
		out[i] = convex.Team{ID: t.Number, Name: t.Name, Slug: t.Slug}
	}
	return c.ok(out)
}

// countProjects counts the caller's projects, up to two: nobody asks for more.
func (c *call) countProjects() (int, error) {
	all, err := c.allTeams()
	n := 0
	for _, t := range all {
		if err == nil {
			var some []store.Project
			some, err = t.Projects(c.ctx(), 0, 2)
			n += len(some)
		}
	}
	return n, err
}

func (c *call) hasProjects() error {
	n, err := c.countProjects()
	if err != nil {
		return err
	}
	return c.ok(n > 0)
}

func (c *call) featureMetadata() error {
	n, err := c.countProjects()
	if err != nil {
		return err
	}
	kind := map[int]string{0: "none", 1: "one"}[n]
	if n > 1 {
		kind = "multiple"
	}
	return c.ok(map[string]any{"totalProjects": map[string]string{"kind": kind}})
}

// checkOptIns names nothing: this server has no terms to agree to.
func (c *call) checkOptIns() error {
	return c.ok(map[string]any{"optInsToAccept": []convex.OptIn{}})
}

func (c *call) acceptOptIns() error {
	var req struct {
		OptInsAccepted []json.RawMessage `json:"optInsAccepted"`
	}
	if err := c.read(&req); err != nil {
		return err
	}
	return c.ok(struct{}{})
}

// usage and spending answer that all is well: nothing is billed here.
func (c *call) usage() error {
	if _, err := c.team(); err != nil {
		return err
	}
	return c.ok(map[string]string{"usageState": "Default"})
}

func (c *call) spending() error {
	if _, err := c.team(); err != nil {
		return err
	}
	return c.ok(map[string]any{"state": nil})
}

func (c *call) members() error {
	t, err := c.team()
	if err != nil {
		return err
	}
	if c.IsKey() {
		return forbidden("see the members of the team")
	}
	all, err := t.Members(c.ctx())
	if err != nil {
		return err
	}
	out := make([]convex.Member, len(all))
	for i, m := range all {
		out[i] = convex.Member{ID: m.Number, Email: m.Email, Role: string(m.Role)}
	}
	return c.ok(out)
}

// invites is empty: whoever is invited is a member as soon as the address has
// been proven by signing in with it.
func (c *call) invites() error {
	if _, err := c.team(); err != nil {
		return err
	}
	return c.ok([]convex.TeamInvite{})
}

func (c *call) inviteMember() error {
	var req struct{ Email, Role string }
	t, err := c.administered()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	if _, err := t.PutMember(c.ctx(), req.Email, store.MemberRole(req.Role), nil); err != nil {
		return err
	}
	if err := c.tellInvited(t, req.Email); err != nil {
		return err
	}
	return c.empty()
}

func (c *call) cancelInvite() error {
	if _, err := c.administered(); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "There is no such invitation.").WithCode("InviteNotFound")
}

func (c *call) removeMember() error {
	var req struct {
		MemberID int64 `json:"memberId"`
	}
	t, err := c.administered()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	all, err := t.Members(c.ctx())
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Number == req.MemberID {
			if err := t.RemoveMember(c.ctx(), m.Email); err != nil {
				return err
			}
			return c.empty()
		}
	}
	return fault.New(fault.NotFound, "The team has no such member.").WithCode("MemberNotFound")
}
