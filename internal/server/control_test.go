package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// control calls the control plane with a bearer credential.
func control(t testing.TB, s *server.Server, credential, method, path string, send any) (int, m) {
	t.Helper()
	if credential != "" {
		credential = bearer(credential)
	}
	status, text := call(t, s, method, path, credential, send)
	var out m
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s = %s: %v", method, path, text, err)
		}
	}
	return status, out
}

// office is a team with people in every role and keys of every class.
type office struct {
	s           *server.Server
	team        *store.Team
	web         store.Project
	credentials map[string]string // by role
	deployments map[string]store.Deployment
}

func newOffice(t testing.TB, s *server.Server) *office {
	t.Helper()
	ctx, db := t.Context(), s.Store()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o := &office{s: s, credentials: map[string]string{}, deployments: map[string]store.Deployment{}}
	var err error
	o.team, err = db.CreateTeam(ctx, "Acme", "boss@acme.example")
	must(err)
	token, err := o.team.CreateCredential(ctx, store.TokenCredential, "ci", time.Time{})
	must(err)
	o.credentials["team token"] = token.Secret.Reveal()
	_, _, err = o.team.OpenDeployment(ctx, "web", claim.Prod, "prod", false)
	must(err)
	o.web, err = o.team.ProjectBySlug(ctx, "web")
	must(err)
	people := map[string]store.Person{}
	for role, projects := range map[string][]string{"admin": nil, "project admin": {"web"}, "developer": nil, "another developer": nil} {
		kind := store.Developer
		if role == "admin" {
			kind = store.Admin
		}
		member, err := o.team.PutMember(ctx, strings.ReplaceAll(role, " ", ".")+"@acme.example", kind, projects)
		must(err)
		people[role] = member.Person
		_, value, err := db.CreatePersonalKey(ctx, member.Person, "laptop", time.Time{})
		must(err)
		o.credentials[role] = value.Reveal()
	}
	open := func(name string, opening store.Opening) {
		opening.Project = "web"
		o.deployments[name], _, err = o.team.Open(ctx, opening)
		must(err)
	}
	open("the developer's dev", store.Opening{Kind: claim.Dev, PersonID: people["developer"].ID})
	open("another's dev", store.Opening{Kind: claim.Dev, PersonID: people["another developer"].ID})
	open("preview", store.Opening{Kind: claim.Preview, Reference: "feat"})
	open("prod", store.Opening{Kind: claim.Prod, Reference: "prod"})
	key := func(name string, k store.AccessKey, head string) {
		k.Name = name
		_, value, err := o.team.CreateAccessKey(ctx, k)
		must(err)
		o.credentials[name] = head + "|" + value.Reveal()
	}
	key("prod key", store.AccessKey{Kind: store.DeploymentKey, DeploymentID: o.deployments["prod"].ID}, "prod:"+o.deployments["prod"].Name)
	key("dev key", store.AccessKey{Kind: store.DeploymentKey, DeploymentID: o.deployments["the developer's dev"].ID}, "dev:"+o.deployments["the developer's dev"].Name)
	key("preview key", store.AccessKey{Kind: store.PreviewKey, ProjectID: o.web.ID}, "preview:acme:web")
	key("project key", store.AccessKey{Kind: store.ProjectKey, ProjectID: o.web.ID}, "project:acme:web")
	return o
}

// R16: who may do what, by role and class of key.
func TestWhoMayDoWhat(t *testing.T) {
	everybody := []string{"team token", "admin", "project admin", "developer", "another developer", "prod key", "dev key", "preview key", "project key"}
	authorize := func(name string) func(*office) (string, string, any) {
		return func(o *office) (string, string, any) {
			d := o.deployments[name]
			return "POST", "/api/deployment/authorize_within_current_project", m{"selectedDeploymentName": d.Name, "projectSelection": m{"kind": "deploymentName", "deploymentName": d.Name}}
		}
	}
	environment := func(name string) func(*office) (string, string, any) {
		return func(o *office) (string, string, any) {
			return "POST", "/api/workos/get_or_provision_workos_environment", m{"deploymentName": o.deployments[name].Name, "environmentType": "nonproduction"}
		}
	}
	deployKey := func(name string) func(*office) (string, string, any) {
		return func(o *office) (string, string, any) {
			return "POST", "/v1/deployments/" + o.deployments[name].Name + "/create_deploy_key", m{"name": "made by somebody"}
		}
	}
	provision := func(kind string) func(*office) (string, string, any) {
		return func(*office) (string, string, any) {
			return "POST", "/api/deployment/provision_and_authorize", m{"teamSlug": "acme", "projectSlug": "web", "deploymentType": kind}
		}
	}
	project := func(path string, body any) func(*office) (string, string, any) {
		return func(o *office) (string, string, any) {
			method := "POST"
			if body == nil {
				method = "GET"
			}
			return method, fmt.Sprintf(path, o.web.Number), body
		}
	}
	team := func(path string, body m) func(*office) (string, string, any) {
		return func(o *office) (string, string, any) {
			if body != nil {
				body["teamId"] = o.team.Number
				return "POST", path, body
			}
			return "GET", fmt.Sprintf(path, o.team.Number), nil
		}
	}
	for name, test := range map[string]struct {
		ask func(*office) (method, path string, body any)
		may []string
	}{
		"use a developer's dev deployment": {authorize("the developer's dev"), []string{"team token", "admin", "project admin", "developer", "dev key", "project key"}},
		"use another's dev deployment":     {authorize("another's dev"), []string{"team token", "admin", "project admin", "another developer", "project key"}},
		"use a preview":                    {authorize("preview"), []string{"team token", "admin", "project admin", "developer", "another developer", "preview key", "project key"}},
		"use production":                   {authorize("prod"), []string{"team token", "admin", "project admin", "prod key", "project key"}},
		"get a dev deployment":             {provision("dev"), []string{"team token", "admin", "project admin", "developer", "another developer", "project key"}},
		"get production":                   {provision("prod"), []string{"team token", "admin", "project admin", "project key"}},
		"claim a preview": {func(*office) (string, string, any) {
			return "POST", "/api/claim_preview_deployment", m{"identifier": "new", "reuse": true, "projectSelection": m{"kind": "teamAndProjectSlugs", "teamSlug": "acme", "projectSlug": "web"}}
		}, []string{"team token", "admin", "project admin", "developer", "another developer", "preview key", "project key"}},
		"get the environment of one's dev":  {environment("the developer's dev"), []string{"team token", "admin", "project admin", "developer", "dev key", "project key"}},
		"get the environment of a preview":  {environment("preview"), []string{"team token", "admin", "project admin", "developer", "another developer", "preview key", "project key"}},
		"get the environment of production": {environment("prod"), []string{"team token", "admin", "project admin", "prod key", "project key"}},
		"make a deploy key of one's dev":    {deployKey("the developer's dev"), []string{"team token", "admin", "project admin", "developer"}},
		"make a deploy key of production":   {deployKey("prod"), []string{"team token", "admin", "project admin"}},
		"make a preview key":                {project("/v1/projects/%d/create_preview_deploy_key", m{"name": "x"}), []string{"team token", "admin", "project admin", "developer", "another developer"}},
		"make a project key":                {project("/v1/projects/%d/create_project_key", m{"name": "x"}), []string{"team token", "admin", "project admin"}},
		"read defaults of dev":              {project("/v1/projects/%d/list_default_environment_variables?deploymentType=dev", nil), []string{"team token", "admin", "project admin", "developer", "another developer"}},
		"read defaults of production":       {project("/v1/projects/%d/list_default_environment_variables?deploymentType=prod", nil), []string{"team token", "admin", "project admin"}},
		"change defaults":                   {project("/v1/projects/%d/update_default_environment_variables", m{"changes": []m{}}), []string{"team token", "admin", "project admin"}},
		"make an environment of a project":  {project("/api/projects/%d/workos_environments", m{"environmentName": "x"}), []string{"team token", "admin", "project admin"}},
		"see the project":                   {project("/v1/projects/%d", nil), everybody},
		"see the members":                   {team("/api/dashboard/teams/%d/members", nil), []string{"team token", "admin", "project admin", "developer", "another developer"}},
		"invite into the WorkOS team":       {team("/api/workos/invite_team_member", m{"email": "new@acme.example"}), []string{"team token", "admin"}},
		"disconnect the WorkOS team":        {team("/api/workos/disconnect_workos_team", m{}), []string{"team token", "admin"}},
		"make a project": {func(o *office) (string, string, any) {
			return "POST", fmt.Sprintf("/v1/teams/%d/create_project", o.team.Number), m{"projectName": "other"}
		}, []string{"team token", "admin", "project admin", "developer", "another developer"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, may := range []bool{false, true} { // refusals change nothing, so they share an office
				var o *office
				for _, who := range everybody {
					if slices.Contains(test.may, who) != may {
						continue
					}
					if o == nil {
						o = newOffice(t, start(t))
					}
					if may {
						// What one of them did must not decide for the next.
						o.web, _ = o.team.ProjectBySlug(t.Context(), "web")
					}
					method, path, body := test.ask(o)
					if b, ok := body.(m); ok && may {
						for _, unique := range []string{"name", "environmentName"} {
							if b[unique] != nil {
								b[unique] = who
							}
						}
						if b["email"] != nil {
							b["email"] = strings.ReplaceAll(who, " ", "") + "@new.example"
						}
					}
					status, out := control(t, o.s, o.credentials[who], method, path, body)
					switch {
					case !may && (status != http.StatusForbidden || out["code"] != "Forbidden" || out["message"] == ""):
						t.Errorf("%s: %s = %d %v, want 403 Forbidden with a message", who, path, status, out)
					case may && status != http.StatusOK:
						t.Errorf("%s: %s = %d %v, want 200", who, path, status, out)
					}
					if strings.Contains(path, "disconnect") && may {
						if err := o.team.Associate(t.Context(), "boss@acme.example"); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// R17: a developer has one dev deployment of a project, however many commands
// ask for it at once; a branch has one preview.
func TestParallelProvisioningGivesOneDeployment(t *testing.T) {
	o := newOffice(t, start(t))
	slugs := m{"kind": "teamAndProjectSlugs", "teamSlug": "acme", "projectSlug": "fresh"}
	for name, ask := range map[string]struct {
		path string
		body m
	}{
		"dev":     {"/api/deployment/provision_and_authorize", m{"teamSlug": "acme", "projectSlug": "fresh", "deploymentType": "dev"}},
		"preview": {"/api/claim_preview_deployment", m{"identifier": "feat", "reuse": true, "projectSelection": slugs}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			names, made := map[any]int{}, 0
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					status, out := control(t, o.s, o.credentials["developer"], "POST", ask.path, ask.body)
					mu.Lock()
					defer mu.Unlock()
					if status != http.StatusOK {
						t.Errorf("%s = %d %v", ask.path, status, out)
					}
					names[out["deploymentName"]]++
					if out["isNewDeployment"] == true {
						made++
					}
				})
			}
			all.Wait()
			if len(names) != 1 || name == "preview" && made != 1 {
				t.Errorf("10 calls gave the deployments %v, %d of them new; want one", names, made)
			}
		})
	}
	one, _ := control(t, o.s, o.credentials["developer"], "POST", "/api/deployment/provision_and_authorize", m{"teamSlug": "acme", "projectSlug": "fresh", "deploymentType": "dev"})
	if one != http.StatusOK {
		t.Fatalf("provision = %d", one)
	}
	_, mine := control(t, o.s, o.credentials["developer"], "POST", "/api/deployment/provision_and_authorize", m{"teamSlug": "acme", "projectSlug": "fresh", "deploymentType": "dev"})
	_, theirs := control(t, o.s, o.credentials["admin"], "POST", "/api/deployment/provision_and_authorize", m{"teamSlug": "acme", "projectSlug": "fresh", "deploymentType": "dev"})
	if mine["deploymentName"] == theirs["deploymentName"] || mine["reference"] != "dev/developer" || theirs["reference"] != "dev/admin" {
		t.Errorf("two people have %v and %v, want one deployment each", mine, theirs)
	}
}

// Whatever a credential opened is closed with it: the next request with an admin
// key that it was given is refused.
func TestRevocationTakesEffectAtOnce(t *testing.T) {
	o := newOffice(t, start(t))
	ctx, db := t.Context(), o.s.Store()
	d := o.deployments["preview"]
	adminKey := func(credential string) string {
		status, out := control(t, o.s, credential, "POST", "/api/deployment/authorize_within_current_project",
			m{"selectedDeploymentName": d.Name, "projectSelection": m{"kind": "deploymentName", "deploymentName": d.Name}})
		if status != http.StatusOK {
			t.Fatalf("authorize = %d %v", status, out)
		}
		return out["adminKey"].(string)
	}
	works := func(key string) bool {
		_, err := db.DeploymentByAdminKey(ctx, key)
		return err == nil
	}
	developer := adminKey(o.credentials["developer"])
	another := adminKey(o.credentials["another developer"])
	project := adminKey(o.credentials["project key"])
	token := adminKey(o.credentials["team token"])
	for _, key := range []string{developer, another, project, token, o.credentials["prod key"]} {
		if !works(key) {
			t.Fatalf("an admin key of %s does not work", d.Name)
		}
	}
	if status, _ := control(t, o.s, o.credentials["another developer"], "POST", "/v1/delete_personal_access_token", m{"id": "laptop"}); status != http.StatusOK {
		t.Fatalf("delete = %d", status)
	}
	if err := o.team.RemoveMember(ctx, "developer@acme.example"); err != nil {
		t.Fatal(err)
	}
	if status, _ := control(t, o.s, o.credentials["admin"], "POST", fmt.Sprintf("/v1/projects/%d/delete_project_key", o.web.Number), m{"id": "project key"}); status != http.StatusOK {
		t.Fatalf("delete_project_key = %d", status)
	}
	_, secretPart, _ := strings.Cut(o.credentials["prod key"], "|")
	if status, _ := control(t, o.s, o.credentials["admin"], "POST", "/v1/deployments/"+o.deployments["prod"].Name+"/delete_deploy_key", m{"id": secretPart}); status != http.StatusOK {
		t.Fatalf("delete_deploy_key = %d", status)
	}
	all, err := o.team.Credentials(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.team.RevokeCredential(ctx, all[0].ID); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"a removed member": developer, "a deleted token": another, "a deleted project key": project, "a revoked team token": token, "a deleted deploy key": o.credentials["prod key"]} {
		if works(key) {
			t.Errorf("the admin key of %s still works", name)
		}
	}
	for _, who := range []string{"another developer", "project key", "prod key", "team token"} {
		if status, out := control(t, o.s, o.credentials[who], "GET", "/api/teams", nil); status != http.StatusUnauthorized || out["code"] != "Unauthorized" {
			t.Errorf("%s after its end = %d %v, want 401 Unauthorized", who, status, out)
		}
	}
}

// A key is what it is for, expires, and may be restricted to actions.
func TestKeys(t *testing.T) {
	clk := &clock{}
	o := newOffice(t, startWith(t, server.Config{Now: clk.now}))
	d := o.deployments["the developer's dev"]
	path := "/v1/deployments/" + d.Name + "/"
	_, out := control(t, o.s, o.credentials["developer"], "POST", path+"create_deploy_key",
		m{"name": "ci", "allowedActions": []string{"deployment:deploy"}, "expiresAt": clk.now().Add(time.Hour).UnixMilli()})
	key, _ := out["deployKey"].(string)
	if !strings.HasPrefix(key, "dev:"+d.Name+"|") {
		t.Fatalf("create_deploy_key = %v", out)
	}
	opened, err := o.s.Store().DeploymentByAdminKey(t.Context(), key)
	if err != nil || !opened.May("deployment:deploy") || opened.May("deployment:env:view") {
		t.Errorf("the key opens %v, %v; want deployment:deploy alone", opened.Actions, err)
	}
	// A restricted key reads no variables of its deployment either.
	if status, text := call(t, o.s, "GET", "/api/v1/list_environment_variables", key, nil); status != http.StatusForbidden || !strings.Contains(text, "deployment:env:view") {
		t.Errorf("variables with a restricted key = %d %s, want 403 naming the action", status, text)
	}
	if status, out := control(t, o.s, key, "POST", "/api/workos/get_or_provision_workos_environment", m{"deploymentName": d.Name}); status != http.StatusForbidden || !strings.Contains(fmt.Sprint(out["message"]), "deployment:env:write") {
		t.Errorf("an environment with a restricted key = %d %v, want 403", status, out)
	}
	if status, out := control(t, o.s, o.credentials["developer"], "POST", path+"create_deploy_key", m{"name": "ci"}); status != http.StatusConflict || out["code"] != "KeyNameInUse" {
		t.Errorf("a second key of that name = %d %v, want 409", status, out)
	}
	_, value, _ := strings.Cut(key, "|")
	for name, other := range map[string]string{"another deployment": "dev:" + o.deployments["another's dev"].Name, "another type": "prod:" + d.Name, "a project": "project:acme:web"} {
		if status, _ := control(t, o.s, other+"|"+value, "HEAD", "/api/authorize", nil); status != http.StatusUnauthorized {
			t.Errorf("the secret under the name of %s = %d, want 401", name, status)
		}
	}
	if status, _ := control(t, o.s, value, "HEAD", "/api/authorize", nil); status != http.StatusOK {
		t.Errorf("the part after the | alone = %d, want 200: login status asks so", status)
	}
	status, text := call(t, o.s, "GET", path+"list_deploy_keys", bearer(o.credentials["developer"]), nil)
	if status != http.StatusOK || !strings.Contains(text, `"ci"`) || strings.Contains(text, value) || strings.Contains(text, `"lastUsedTime":null,"expiresAt":`+fmt.Sprint(clk.now().Add(time.Hour).UnixMilli())) {
		t.Errorf("list_deploy_keys = %d %s; want the key, used, without its secret", status, text)
	}
	clk.advance(2 * time.Hour)
	if status, _ := control(t, o.s, key, "HEAD", "/api/authorize", nil); status != http.StatusUnauthorized {
		t.Errorf("an expired key = %d, want 401", status)
	}
}

// Defaults are copied once, per kind, when a deployment is made; previews that
// are made anew are empty but for them, and end.
func TestDefaultsAndLifetimes(t *testing.T) {
	clk := &clock{}
	o := newOffice(t, startWith(t, server.Config{Now: clk.now}))
	ctx, db := t.Context(), o.s.Store()
	set := func(kind, value string) {
		t.Helper()
		if status, out := control(t, o.s, o.credentials["admin"], "POST", fmt.Sprintf("/v1/projects/%d/update_default_environment_variables", o.web.Number),
			m{"changes": []m{{"name": "KEY", "deploymentType": kind, "value": value}}}); status != http.StatusOK {
			t.Fatalf("update = %d %v", status, out)
		}
	}
	set("preview", "one")
	set("dev", "dev")
	key := convex.NewControl(o.s.URL(), secret.String(o.credentials["preview key"]))
	claimed := func(reuse bool) (convex.PreviewDeployment, map[string]string) {
		t.Helper()
		d, err := key.ClaimPreview(ctx, convex.BySlugs("acme", "web"), "Feature/X", reuse)
		if err != nil {
			t.Fatal(err)
		}
		record, err := db.DeploymentByName(ctx, d.DeploymentName)
		if err != nil {
			t.Fatal(err)
		}
		vars, err := db.Variables(ctx, record.ID)
		if err != nil || !record.ExpiresAt.Equal(record.CreatedAt.Add(5*24*time.Hour)) {
			t.Errorf("preview until %s (%v), want five days", record.ExpiresAt, err)
		}
		return d, vars
	}
	first, vars := claimed(true)
	if diff := cmp.Diff(map[string]string{"KEY": "one"}, vars); diff != "" || !first.IsNewDeployment || *first.Reference != "preview/feature-x" {
		t.Errorf("a new preview %+v (-want +got):\n%s", first, diff)
	}
	set("preview", "two")
	if again, vars := claimed(true); again.DeploymentName != first.DeploymentName || again.IsNewDeployment || vars["KEY"] != "one" {
		t.Errorf("the same preview = %+v with %v, want the first one with its variable", again, vars)
	}
	anew, vars := claimed(false)
	if anew.DeploymentName == first.DeploymentName || !anew.IsNewDeployment || vars["KEY"] != "two" {
		t.Errorf("--preview-create = %+v with %v, want another one with the new default", anew, vars)
	}
	if err := db.ChangeDeployment(ctx, first.DeploymentName, nil); err == nil {
		t.Error("the preview that was made anew is there twice")
	}
	status, environment := control(t, o.s, o.credentials["preview key"], "POST", "/api/workos/get_or_provision_workos_environment", m{"deploymentName": anew.DeploymentName})
	if status != http.StatusOK {
		t.Fatalf("provision = %d %v", status, environment)
	}
	clk.advance(5*24*time.Hour + time.Minute)
	if err := o.s.Clean(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.DeploymentByName(ctx, anew.DeploymentName); err == nil {
		t.Error("the preview is there after its end")
	}
	if _, err := db.EnvByClientID(ctx, environment["clientId"].(string)); err == nil {
		t.Error("the environment of the preview is there after its end") // R71
	}
	if _, err := db.DeploymentByName(ctx, o.deployments["prod"].Name); err != nil {
		t.Errorf("production after the clean-up: %v", err) // R74
	}
}

// R14, R26: the environment that Convex's tools get for a deployment is the one
// that berth dev and berth deploy have for it, from either side.
func TestBothToolsFindOneEnvironment(t *testing.T) {
	o := newOffice(t, start(t))
	clients := map[any]bool{}
	for name, d := range o.deployments {
		var mu sync.Mutex
		got := map[any]bool{}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				status, out := control(t, o.s, o.credentials["admin"], "POST", "/api/workos/get_or_provision_workos_environment", m{"deploymentName": d.Name, "environmentType": "nonproduction"})
				if status != http.StatusOK || !strings.HasPrefix(fmt.Sprint(out["apiKey"]), "sk_test_") {
					t.Errorf("%s: provision = %d %v", name, status, out)
				}
				mu.Lock()
				defer mu.Unlock()
				got[out["clientId"]], clients[out["clientId"]] = true, true
			})
		}
		all.Wait()
		if len(got) != 1 {
			t.Errorf("%s has the environments %v, want one", name, got)
		}
		req := claim.Request{Project: "web", Deployment: claim.DeploymentKey("web", d.Kind, d.Reference), Kind: d.Kind, Mode: claim.Dedicated, APIBase: o.s.URL(), Owner: d.Reference,
			Want: claim.Entries{RedirectURIs: []string{"http://localhost:5173/callback"}}}
		if d.Kind == claim.Preview {
			req.Branch = d.Reference
		}
		g, err := o.team.PutClaim(t.Context(), req)
		if err != nil || !g.Placement.Bound() || !got[g.Placement.ClientID] {
			t.Errorf("%s: the ledger has %+v, %v; want %v", name, g, err, got)
		}
		status, out := control(t, o.s, o.credentials["admin"], "GET", "/api/deployments/"+d.Name+"/workos_environment_health", nil)
		if status != http.StatusOK || !got[out["clientId"]] {
			t.Errorf("%s: health = %d %v", name, status, out)
		}
	}
	if len(clients) != len(o.deployments) {
		t.Errorf("%d deployments have %d environments", len(o.deployments), len(clients))
	}
}

// convex login: the device flow at the members' environment, a personal access
// token from it, and what it is good for.
func TestLogin(t *testing.T) {
	s := startWith(t, server.Config{Limits: noLimits})
	ctx, db := t.Context(), s.Store()
	team, err := db.CreateTeam(ctx, "Acme", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := team.PutMember(ctx, email, store.Developer, nil); err != nil {
		t.Fatal(err)
	}
	var where struct {
		Issuer   string `json:"issuer"`
		ClientID string `json:"client_id"`
	}
	_, text := call(t, s, "GET", "/berth/v1/login", "", nil)
	if err := json.Unmarshal([]byte(text), &where); err != nil {
		t.Fatalf("login = %s: %v", text, err)
	}
	e, _, err := db.MembersEnvironment(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	first, err := db.FirstTeam(ctx, "x")
	if err != nil || first.ID != team.ID {
		t.Errorf("the first team = %v, %v; want Acme, not the server's own", first, err)
	}
	a := &account{s: s, e: e}
	login := func() (int, m) {
		t.Helper()
		_, discovered := control(t, s, "", "GET", strings.TrimPrefix(where.Issuer, s.URL())+"/.well-known/openid-configuration", nil)
		status, device := authenticateAt(t, discovered["device_authorization_endpoint"].(string), url.Values{"client_id": {where.ClientID}, "scope": {"openid"}})
		if status != http.StatusOK {
			t.Fatalf("device_authorization = %d %v", status, device)
		}
		a.approve(t, device["user_code"].(string))
		status, tokens := authenticateAt(t, discovered["token_endpoint"].(string), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"},
			"client_id": {where.ClientID}, "device_code": {device["device_code"].(string)}})
		if status != http.StatusOK {
			t.Fatalf("token = %d %v", status, tokens)
		}
		return control(t, s, tokens["access_token"].(string), "POST", "/v1/create_personal_access_token", m{"name": "dev1", "anonymousId": nil})
	}
	_, key, err := e.CreateAPIKey(ctx, "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, out := call(t, s, "POST", "/user_management/users", key.Reveal(), m{"email": email, "password": password, "email_verified": true}); status != http.StatusCreated {
		t.Fatalf("create user = %d %s", status, out)
	}
	status, out := login()
	token, _ := out["accessToken"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("create_personal_access_token = %d %v", status, out)
	}
	if status, _ := control(t, s, token, "HEAD", "/api/authorize", nil); status != http.StatusOK {
		t.Errorf("authorize with the new token = %d", status)
	}
	if _, text := call(t, s, "GET", "/api/teams", bearer(token), nil); !strings.Contains(text, `"slug":"acme"`) {
		t.Errorf("teams = %s, want acme", text)
	}
	if status, _ := control(t, s, "a.b.c", "POST", "/v1/create_personal_access_token", m{"name": "x"}); status != http.StatusUnauthorized {
		t.Errorf("a made-up token = %d, want 401", status)
	}
}
