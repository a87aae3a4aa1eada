package server_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// crew is what a tenant has on the control plane: an admin and everybody's keys.
type crew struct {
	project     store.Project
	admin       store.Member
	personal    string // the admin's token, with its scheme, like all here
	deployKey   string // of the preview deployment
	previewKey  string
	projectKey  string
	secrets     []string
	environment store.ProjectEnvironment
}

func bearer(token string) string { return "Bearer " + token }

func newCrew(t testing.TB, s *server.Server, v *tenant) crew {
	t.Helper()
	ctx, db := t.Context(), s.Store()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var c crew
	var err error
	c.project, err = v.team.ProjectBySlug(ctx, "shop")
	must(err)
	c.admin, err = v.team.PutMember(ctx, strings.ToLower(v.mark)+"@members.example", store.Admin, nil)
	must(err)
	_, personal, err := db.CreatePersonalKey(ctx, c.admin.Person, v.mark, time.Time{})
	must(err)
	key := func(k store.AccessKey, head string) string {
		k.Name = "key-" + v.mark
		_, value, err := v.team.CreateAccessKey(ctx, k)
		must(err)
		c.secrets = append(c.secrets, value.Reveal())
		return bearer(head + "|" + value.Reveal())
	}
	c.personal = bearer(personal.Reveal())
	c.secrets = append(c.secrets, personal.Reveal())
	c.deployKey = key(store.AccessKey{Kind: store.DeploymentKey, DeploymentID: v.deployment.ID}, "preview:"+v.deployment.Name)
	c.previewKey = key(store.AccessKey{Kind: store.PreviewKey, ProjectID: c.project.ID}, "preview:"+v.team.Slug+":shop")
	c.projectKey = key(store.AccessKey{Kind: store.ProjectKey, ProjectID: c.project.ID}, "project:"+v.team.Slug+":shop")
	c.environment, err = v.team.AddProjectEnvironment(ctx, c.project, v.mark, false)
	must(err)
	c.secrets = append(c.secrets, c.environment.APIKey.Reveal())
	must(v.team.ChangeDefaultVariables(ctx, c.project.ID, []claim.Kind{claim.Preview}, func(claim.Kind, map[string]string) (map[string]string, error) {
		return map[string]string{"DEFAULT": v.mark}, nil
	}))
	return c
}

// credentials are what a crew's tenant can show of it.
func (c crew) credentials() map[string]string {
	return map[string]string{"personal token": c.personal, "deploy key": c.deployKey, "preview key": c.previewKey, "project key": c.projectKey}
}

func (c crew) state(t testing.TB, s *server.Server, v *tenant) []any {
	t.Helper()
	ctx, db := t.Context(), s.Store()
	var out []any
	keep := func(x any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	keep(v.team.Members(ctx))
	keep(v.team.Projects(ctx, 0, 100))
	keep(db.DefaultVariables(ctx, c.project.ID))
	keep(v.team.Invited(ctx))
	keep(db.Team(ctx, v.team.ID))
	environments, err := v.team.ProjectEnvironments(ctx, c.project)
	keep(len(environments), err)
	for _, like := range []store.AccessKey{{Kind: store.PersonalKey, PersonID: c.admin.ID}, {Kind: store.DeploymentKey, DeploymentID: v.deployment.ID},
		{Kind: store.PreviewKey, ProjectID: c.project.ID}, {Kind: store.ProjectKey, ProjectID: c.project.ID}} {
		keep(db.AccessKeys(ctx, like))
	}
	return out
}

func personal(v *tenant) string { return v.crew.personal }

func teamPath(prefix, suffix string) func(*tenant) string {
	return func(b *tenant) string { return fmt.Sprintf("%s%d%s", prefix, b.team.Number, suffix) }
}

func projectPath(prefix, suffix string) func(*tenant) string {
	return func(b *tenant) string { return fmt.Sprintf("%s%d%s", prefix, b.crew.project.Number, suffix) }
}

func namedPath(prefix, suffix string) func(*tenant) string {
	return func(b *tenant) string { return prefix + b.deployment.Name + suffix }
}

func one(fn func(b *tenant) any) func(a, b *tenant) []any {
	return func(_, b *tenant) []any { return []any{fn(b)} }
}

var deploymentBody = one(func(b *tenant) any { return m{"deploymentName": b.deployment.Name} })

var teamBody = one(func(b *tenant) any { return m{"teamId": b.team.Number, "email": b.crew.admin.Email} })

var projectEnvironmentBody = one(func(b *tenant) any {
	return m{"projectId": b.crew.project.Number, "clientId": b.crew.environment.Environment.ClientID}
})

// otherKeys are deploy keys that name b's deployment and are none of it.
func otherKeys(a, b *tenant) []any {
	_, value, _ := strings.Cut(a.crew.deployKey, "|")
	_, derived, _ := strings.Cut(a.admin, "|")
	var all []any
	for _, secret := range []string{"wrong", value, derived} {
		for _, head := range []string{"preview:" + b.deployment.Name, "prod:" + b.deployment.Name, "custom:" + b.deployment.Name, b.deployment.Name} {
			all = append(all, m{"deployKey": head + "|" + secret})
		}
	}
	return append(all, m{"deployKey": "preview:" + b.team.Slug + ":shop|" + value})
}

func init() {
	nothing := one(func(*tenant) any { return m{} })
	maps.Copy(rows, map[string]row{
		"POST /api/deployment/url_for_key":              {path: fixed("/api/deployment/url_for_key"), bodies: otherKeys},
		"POST /api/deployment/team_and_project_for_key": {path: fixed("/api/deployment/team_and_project_for_key"), bodies: otherKeys},
		"POST /api/deployment/existing_dev": {path: fixed("/api/deployment/existing_dev"), own: personal,
			bodies: one(func(b *tenant) any { return m{"teamSlug": b.team.Slug, "projectSlug": "shop"} })},
		"GET /v1/version": {path: fixed("/v1/version"), accepts: true},

		"GET /api/teams":                                          {path: fixed("/api/teams"), own: personal, accepts: true},
		"GET /api/has_projects":                                   {path: fixed("/api/has_projects"), own: personal, accepts: true},
		"POST /api/check_opt_ins":                                 {path: fixed("/api/check_opt_ins"), own: personal, accepts: true, bodies: nothing},
		"POST /api/accept_opt_ins":                                {path: fixed("/api/accept_opt_ins"), own: personal, accepts: true, bodies: nothing},
		"POST /api/local_deployment/enable_feature_metadata":      {path: fixed("/api/local_deployment/enable_feature_metadata"), own: personal, accepts: true, bodies: nothing},
		"GET /api/dashboard/teams/{team}/usage/team_usage_state":  {path: teamPath("/api/dashboard/teams/", "/usage/team_usage_state"), own: personal},
		"GET /api/dashboard/teams/{team}/get_spending_limits":     {path: teamPath("/api/dashboard/teams/", "/get_spending_limits"), own: personal},
		"GET /api/dashboard/teams/{team}/members":                 {path: teamPath("/api/dashboard/teams/", "/members"), own: personal},
		"GET /api/dashboard/teams/{team}/invites":                 {path: teamPath("/api/dashboard/teams/", "/invites"), own: personal},
		"POST /api/dashboard/teams/{team}/invites":                {path: teamPath("/api/dashboard/teams/", "/invites"), own: personal, bodies: one(func(*tenant) any { return m{"email": "mallory@example.com", "role": "admin"} })},
		"POST /api/dashboard/teams/{team}/cancel_invite":          {path: teamPath("/api/dashboard/teams/", "/cancel_invite"), bodies: one(func(*tenant) any { return m{"email": "mallory@example.com"} })},
		"POST /api/dashboard/teams/{team}/remove_member":          {path: teamPath("/api/dashboard/teams/", "/remove_member"), bodies: one(func(b *tenant) any { return m{"memberId": b.crew.admin.Number} })},
		"GET /api/teams/{team}/workos_invitation_eligible_emails": {path: teamPath("/api/teams/", "/workos_invitation_eligible_emails"), own: personal},
		"GET /api/teams/{team}/workos_team_health":                {path: teamPath("/api/teams/", "/workos_team_health"), own: personal},
		"GET /api/teams/{team}/workos_integration":                {path: teamPath("/api/teams/", "/workos_integration"), own: personal},
		"POST /api/workos/has_associated_workos_team":             {path: fixed("/api/workos/has_associated_workos_team"), own: personal, bodies: deploymentBody},
		"GET /api/deployments/{name}/has_associated_workos_team":  {path: namedPath("/api/deployments/", "/has_associated_workos_team"), own: personal},
		"POST /api/workos/get_or_provision_workos_environment":    {path: fixed("/api/workos/get_or_provision_workos_environment"), own: personal, bodies: deploymentBody},
		"GET /api/deployments/{name}/workos_environment_health":   {path: namedPath("/api/deployments/", "/workos_environment_health"), own: personal},
		"GET /api/deployments/{name}/workos_environment":          {path: namedPath("/api/deployments/", "/workos_environment"), own: personal},
		"POST /api/workos/delete_environment":                     {path: fixed("/api/workos/delete_environment"), own: personal, bodies: deploymentBody},
		"GET /api/workos/available_workos_team_emails":            {path: fixed("/api/workos/available_workos_team_emails"), own: personal, accepts: true},
		"POST /api/workos/provision_associated_workos_team":       {path: fixed("/api/workos/provision_associated_workos_team"), own: personal, bodies: teamBody},
		"POST /api/workos/disconnect_workos_team":                 {path: fixed("/api/workos/disconnect_workos_team"), own: personal, bodies: teamBody},
		"POST /api/workos/invite_team_member":                     {path: fixed("/api/workos/invite_team_member"), own: personal, bodies: teamBody},
		"GET /api/projects/{id}/workos_environments":              {path: projectPath("/api/projects/", "/workos_environments"), own: personal},
		"POST /api/projects/{id}/workos_environments":             {path: projectPath("/api/projects/", "/workos_environments"), own: personal, bodies: one(func(*tenant) any { return m{"environmentName": "theirs"} })},
		"GET /api/projects/{id}/workos_environments/{client_id}": {path: func(b *tenant) string {
			return projectPath("/api/projects/", "/workos_environments/")(b) + b.crew.environment.Environment.ClientID
		}, own: personal},
		"POST /api/workos/delete_project_environment":              {path: fixed("/api/workos/delete_project_environment"), own: personal, bodies: projectEnvironmentBody},
		"POST /api/workos/check_project_environment_health":        {path: fixed("/api/workos/check_project_environment_health"), own: personal, bodies: projectEnvironmentBody},
		"GET /v1/token_details":                                    {path: fixed("/v1/token_details"), own: personal, accepts: true},
		"GET /v1/teams/{team}/projects":                            {path: teamPath("/v1/teams/", "/projects"), own: personal},
		"POST /v1/teams/{team}/create_project":                     {path: teamPath("/v1/teams/", "/create_project"), own: personal, bodies: one(func(*tenant) any { return m{"projectName": "theirs"} })},
		"GET /v1/teams/{team}/projects/{project}":                  {path: teamPath("/v1/teams/", "/projects/shop"), own: personal},
		"GET /v1/teams/{team}/projects/{project}/deployment":       {path: teamPath("/v1/teams/", "/projects/shop/deployment?defaultProd=true"), own: personal},
		"GET /v1/projects/{id}":                                    {path: projectPath("/v1/projects/", ""), own: personal},
		"GET /v1/projects/{id}/list_deployments":                   {path: projectPath("/v1/projects/", "/list_deployments"), own: personal},
		"POST /v1/projects/{id}/create_deployment":                 {path: projectPath("/v1/projects/", "/create_deployment"), own: personal, bodies: one(func(*tenant) any { return m{"type": "prod", "reference": "staging"} })},
		"GET /v1/deployments/{name}":                               {path: namedPath("/v1/deployments/", ""), own: personal},
		"POST /v1/deployments/{name}/update":                       {path: namedPath("/v1/deployments/", "/update"), own: personal, bodies: nothing},
		"GET /v1/projects/{id}/list_default_environment_variables": {path: projectPath("/v1/projects/", "/list_default_environment_variables?deploymentType=preview"), own: personal},
		"POST /v1/projects/{id}/update_default_environment_variables": {path: projectPath("/v1/projects/", "/update_default_environment_variables"), own: personal,
			bodies: one(func(*tenant) any {
				return m{"changes": []m{{"name": "DEFAULT", "deploymentType": "preview", "value": "stolen"}}}
			})},
		"POST /v1/deployments/{name}/create_deploy_key": {path: namedPath("/v1/deployments/", "/create_deploy_key"), own: personal, bodies: one(func(*tenant) any { return m{"name": "theirs"} })},
		"POST /v1/deployments/{name}/delete_deploy_key": {path: namedPath("/v1/deployments/", "/delete_deploy_key"), own: personal, bodies: one(func(b *tenant) any { return m{"id": "key-" + b.mark} })},
		"GET /v1/deployments/{name}/list_deploy_keys":   {path: namedPath("/v1/deployments/", "/list_deploy_keys"), own: personal},
		"GET /v1/list_personal_access_tokens":           {path: fixed("/v1/list_personal_access_tokens"), own: personal, accepts: true},
		"POST /v1/delete_personal_access_token":         {path: fixed("/v1/delete_personal_access_token"), own: personal, bodies: one(func(b *tenant) any { return m{"id": b.mark} })},
		"POST /v1/create_personal_access_token":         {path: fixed("/v1/create_personal_access_token"), own: personal, accepts: true, bodies: one(func(*tenant) any { return m{"name": "mine"} })},

		"GET /berth/v1/members":            {path: fixed("/berth/v1/members"), own: teamToken, accepts: true},
		"POST /berth/v1/members":           {path: fixed("/berth/v1/members"), own: teamToken, accepts: true, bodies: one(func(*tenant) any { return m{"email": "mine@example.com", "role": "developer", "projects": []string{}} })},
		"DELETE /berth/v1/members/{email}": {path: func(b *tenant) string { return "/berth/v1/members/" + b.crew.admin.Email }},
		"GET /berth/v1/login":              {path: fixed("/berth/v1/login"), accepts: true},
	})
	for _, kind := range []string{"preview_deploy_key", "project_key"} {
		maps.Copy(rows, map[string]row{
			"POST /v1/projects/{id}/create_" + kind:    {path: projectPath("/v1/projects/", "/create_"+kind), own: personal, bodies: one(func(*tenant) any { return m{"name": "theirs"} })},
			"POST /v1/projects/{id}/delete_" + kind:    {path: projectPath("/v1/projects/", "/delete_"+kind), own: personal, bodies: one(func(b *tenant) any { return m{"id": "key-" + b.mark} })},
			"GET /v1/projects/{id}/list_" + kind + "s": {path: projectPath("/v1/projects/", "/list_"+kind+"s"), own: personal},
		})
	}
}
