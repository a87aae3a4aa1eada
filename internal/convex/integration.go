package convex

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// Environment types of get_or_provision_workos_environment.
const (
	EnvironmentProduction    = "production"
	EnvironmentNonproduction = "nonproduction"
)

// AssociatedTeam answers has_associated_workos_team.
type AssociatedTeam struct {
	HasAssociatedWorkosTeam bool   `json:"hasAssociatedWorkosTeam"`
	TeamID                  int64  `json:"teamId"` // of the Convex team
	AdminEmail              string `json:"adminEmail,omitempty"`
	Disabled                bool   `json:"disabled,omitempty"`
}

// WorkOSEnvironment answers get_or_provision_workos_environment.
type WorkOSEnvironment struct {
	EnvironmentID    string `json:"environmentId"`
	EnvironmentName  string `json:"environmentName,omitempty"`
	ClientID         string `json:"clientId"`
	APIKey           Token  `json:"apiKey"`
	NewlyProvisioned bool   `json:"newlyProvisioned"`
}

// TeamEmails answers available_workos_team_emails: verified addresses of the
// caller, by whether WorkOS knows them already.
type TeamEmails struct {
	AvailableEmails []string `json:"availableEmails"`
	UsedEmails      []string `json:"usedEmails"`
}

// WorkOSTeam answers the calls that make and disconnect a WorkOS team.
type WorkOSTeam struct {
	WorkosTeamID   string `json:"workosTeamId"`
	WorkosTeamName string `json:"workosTeamName"`
	AdminEmail     string `json:"adminEmail,omitempty"`
}

// TeamHealth answers workos_team_health. ProductionState is active, inactive
// (no card on file), suspended or deleting.
type TeamHealth struct {
	TeamProvisioned bool            `json:"teamProvisioned"`
	TeamInfo        *TeamHealthInfo `json:"teamInfo"`
}

// TeamHealthInfo is the WorkOS team of a [TeamHealth].
type TeamHealthInfo struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	ProductionState string `json:"productionState"`
}

// EnvironmentHealth answers workos_environment_health.
type EnvironmentHealth struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	ClientID string `json:"clientId"`
}

// ProjectEnvironment is a WorkOS environment of a project's own.
type ProjectEnvironment struct {
	WorkosEnvironmentID   string `json:"workosEnvironmentId"`
	WorkosEnvironmentName string `json:"workosEnvironmentName"`
	WorkosClientID        string `json:"workosClientId"`
	UserEnvironmentName   string `json:"userEnvironmentName"`
	IsProduction          bool   `json:"isProduction"`
}

// Invitation answers invite_team_member.
type Invitation struct {
	Email    string `json:"email"`
	RoleSlug string `json:"roleSlug"`
}

// EligibleEmails answers workos_invitation_eligible_emails.
type EligibleEmails struct {
	EligibleEmails []string `json:"eligibleEmails"`
	AdminEmail     string   `json:"adminEmail,omitempty"`
}

type deploymentBody struct {
	DeploymentName string `json:"deploymentName"`
}

type teamBody struct {
	TeamID int64  `json:"teamId"`
	Email  string `json:"email,omitempty"`
}

// AssociatedTeam says whether the team of a deployment has a WorkOS team.
func (c *Control) AssociatedTeam(ctx context.Context, deployment string) (AssociatedTeam, error) {
	var out AssociatedTeam
	err := c.ask(ctx, "/api/workos/has_associated_workos_team", deploymentBody{deployment}, &out)
	return out, err
}

// ProvisionEnvironment gives the WorkOS environment of a deployment, made if
// need be.
func (c *Control) ProvisionEnvironment(ctx context.Context, deployment, environmentType string) (WorkOSEnvironment, error) {
	var out WorkOSEnvironment
	body := struct {
		deploymentBody
		EnvironmentType string `json:"environmentType"`
	}{deploymentBody{deployment}, environmentType}
	err := c.ask(ctx, "/api/workos/get_or_provision_workos_environment", body, &out)
	if err == nil && (out.ClientID == "" || out.APIKey == "") {
		err = fault.New(fault.Unavailable, "%s answered without the environment's credentials", c.Name)
	}
	return out, err
}

// TeamEmails lists the addresses with which a WorkOS team can be made.
func (c *Control) TeamEmails(ctx context.Context) (TeamEmails, error) {
	var out TeamEmails
	err := c.get(ctx, "/api/workos/available_workos_team_emails", nil, &out)
	return out, err
}

// ProvisionTeam makes a WorkOS team for a Convex team. It is not repeated
// after a lost answer: it would fail with [CodeEmailUsed].
func (c *Control) ProvisionTeam(ctx context.Context, teamID int64, email string) (WorkOSTeam, error) {
	var out WorkOSTeam
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/workos/provision_associated_workos_team", Body: teamBody{teamID, email}, Out: &out})
	return out, err
}

// DisconnectTeam forgets the WorkOS team of a Convex team. With none the error
// has [CodeTeamNotAssociated].
func (c *Control) DisconnectTeam(ctx context.Context, teamID int64) (WorkOSTeam, error) {
	var out WorkOSTeam
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/workos/disconnect_workos_team", Body: teamBody{TeamID: teamID}, Out: &out})
	return out, err
}

// InviteToTeam invites a person into the WorkOS team; see [AlreadyMember].
func (c *Control) InviteToTeam(ctx context.Context, teamID int64, email string) (Invitation, error) {
	var out Invitation
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/workos/invite_team_member", Body: teamBody{teamID, email}, Out: &out})
	return out, err
}

// EligibleEmails lists who may be invited into the WorkOS team.
func (c *Control) EligibleEmails(ctx context.Context, teamID int64) (EligibleEmails, error) {
	var out EligibleEmails
	err := c.get(ctx, teamPath("/api/teams/", teamID, "workos_invitation_eligible_emails"), nil, &out)
	return out, err
}

// TeamHealth tells about the WorkOS team of a Convex team.
func (c *Control) TeamHealth(ctx context.Context, teamID int64) (TeamHealth, error) {
	var out TeamHealth
	err := c.get(ctx, teamPath("/api/teams/", teamID, "workos_team_health"), nil, &out)
	return out, err
}

// EnvironmentHealth tells about the WorkOS environment of a deployment. It is
// nil when there is none.
func (c *Control) EnvironmentHealth(ctx context.Context, deployment string) (*EnvironmentHealth, error) {
	var out EnvironmentHealth
	err := c.get(ctx, "/api/deployments/"+url.PathEscape(deployment)+"/workos_environment_health", nil, &out)
	switch {
	case fault.Code(err) == CodeEnvironmentNotProvisioned:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &out, nil
}

// ProjectEnvironments lists the WorkOS environments of a project's own.
func (c *Control) ProjectEnvironments(ctx context.Context, projectID int64) ([]ProjectEnvironment, error) {
	var out struct {
		Environments []ProjectEnvironment `json:"environments"`
	}
	err := c.get(ctx, teamPath("/api/projects/", projectID, "workos_environments"), nil, &out)
	return out.Environments, err
}

func (c *Control) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Do(ctx, wire.Call{Method: http.MethodGet, Path: path, Query: query, Out: out})
}

func teamPath(prefix string, id int64, rest string) string {
	return prefix + strconv.FormatInt(id, 10) + "/" + rest
}
