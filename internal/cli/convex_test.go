package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berthdev/berth/internal/convex"
)

// fakeConvex answers as Convex's control plane and deployments do, in the shapes
// of the recorded transcripts, and remembers what it was told.
type fakeConvex struct {
	mu         sync.Mutex
	url        string
	variables  map[string]map[string]string // by deployment
	defaults   map[string]map[string]string // by type
	workosTeam bool
	members    []convex.Member
	invites    []convex.TeamInvite
	emails     []string
	writeOnly  bool // deploy keys may not read variables
}

const fakeToken = "usertoken"

// Deployments by the type that names them.
var fakeDeployments = map[string]string{"happy-animal-123": "dev", "quick-otter-456": "prod", "calm-fox-701": "preview", "wide-elk-703": "custom"}

// cmdConvexStart starts a control plane with deployments and sets
// CONVEX_PROVISION_HOST. With write-only no key may read variables.
func cmdConvexStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: convex-start [write-only]")
	}
	f := &fakeConvex{variables: map[string]map[string]string{}, defaults: map[string]map[string]string{}, emails: []string{"ada@example.com"},
		members: []convex.Member{{ID: 1, Email: "ada@example.com", Role: "admin"}}, writeOnly: len(args) == 1 && args[0] == "write-only"}
	for name := range fakeDeployments {
		f.variables[name] = map[string]string{}
	}
	srv := httptest.NewUnstartedServer(f.handler())
	f.url = "http://" + srv.Listener.Addr().String()
	srv.Start()
	ts.Defer(srv.Close)
	ts.Setenv("CONVEX_PROVISION_HOST", srv.URL)
}

func (f *fakeConvex) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(body map[string]any, r *http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			body := map[string]any{}
			data, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(data, &body)
			status, out := h(body, r)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(out)
		})
	}
	refuse := func(status int, code, message string) (int, any) {
		return status, convex.ErrorBody{Code: code, Message: message}
	}
	user := func(pattern string, h func(body map[string]any, r *http.Request) (int, any)) {
		handle(pattern, func(body map[string]any, r *http.Request) (int, any) {
			if a := r.Header.Get("Authorization"); a != "Bearer "+fakeToken && !strings.HasPrefix(a, "Bearer preview:acme:web|") && !strings.HasPrefix(a, "Bearer project:acme:web|") {
				return refuse(401, "Unauthorized", "no such token")
			}
			return h(body, r)
		})
	}
	creds := func(name string) (int, any) {
		kind, ok := fakeDeployments[name]
		if !ok {
			return refuse(404, "DeploymentNotFound", "no deployment "+name)
		}
		return 200, convex.Credentials{AdminKey: convex.Token(kind + ":" + name + "|admin"), URL: f.origin(name), DeploymentName: name, DeploymentType: convex.Type(kind)}
	}
	user("GET /api/deployment/{name}/team_and_project", func(_ map[string]any, r *http.Request) (int, any) {
		if _, ok := fakeDeployments[r.PathValue("name")]; !ok {
			return refuse(404, "DeploymentNotFound", "no such deployment")
		}
		return 200, convex.TeamAndProject{Team: "acme", Project: "web", TeamID: 11, ProjectID: 22}
	})
	user("POST /api/deployment/authorize_within_current_project", func(b map[string]any, _ *http.Request) (int, any) {
		return creds(fmt.Sprint(b["selectedDeploymentName"]))
	})
	user("POST /api/deployment/authorize_prod", func(map[string]any, *http.Request) (int, any) { return creds("quick-otter-456") })
	user("POST /api/deployment/authorize_preview", func(b map[string]any, _ *http.Request) (int, any) {
		if b["previewName"] != "feature-a" {
			return refuse(404, "PreviewNotFound", "no such preview")
		}
		return creds("calm-fox-701")
	})
	user("POST /api/deployment/provision_and_authorize", func(b map[string]any, _ *http.Request) (int, any) {
		return creds(map[any]string{"dev": "happy-animal-123", "prod": "quick-otter-456"}[b["deploymentType"]])
	})
	user("GET /v1/teams/acme/projects/web/deployment", func(_ map[string]any, r *http.Request) (int, any) {
		if r.URL.Query().Get("reference") != "staging" {
			return refuse(404, "DeploymentNotFound", "no such reference")
		}
		return 200, map[string]string{"name": "wide-elk-703"}
	})
	handle("POST /api/deployment/url_for_key", func(b map[string]any, _ *http.Request) (int, any) {
		name, secret, _ := strings.Cut(fmt.Sprint(b["deployKey"]), "|")
		_, name, _ = strings.Cut(name, ":")
		if _, ok := fakeDeployments[name]; !ok || secret != "admin" {
			return refuse(403, "BadDeployKey", "the deploy key is not valid")
		}
		return 200, f.origin(name)
	})
	user("GET /v1/projects/22/list_default_environment_variables", func(_ map[string]any, r *http.Request) (int, any) {
		items := []convex.DefaultVariable{}
		for name, value := range f.defaults[r.URL.Query().Get("deploymentType")] {
			if only := r.URL.Query().Get("name"); only == "" || only == name {
				items = append(items, convex.DefaultVariable{Name: name, Value: value})
			}
		}
		return 200, map[string]any{"items": items, "pagination": map[string]bool{"hasMore": false}}
	})
	user("POST /v1/projects/22/update_default_environment_variables", func(b map[string]any, _ *http.Request) (int, any) {
		for _, c := range b["changes"].([]any) {
			c := c.(map[string]any)
			kind := fmt.Sprint(c["deploymentType"])
			if f.defaults[kind] == nil {
				f.defaults[kind] = map[string]string{}
			}
			if value, ok := c["value"].(string); ok {
				f.defaults[kind][fmt.Sprint(c["name"])] = value
			} else {
				delete(f.defaults[kind], fmt.Sprint(c["name"]))
			}
		}
		return 200, map[string]any{}
	})
	f.teams(user, refuse)
	f.deployments(mux, handle, refuse)
	return mux
}

// origin is the address of a deployment. All share one: the key tells them apart.
func (f *fakeConvex) origin(string) string { return f.url }

type fakeRoute = func(string, func(map[string]any, *http.Request) (int, any))

func (f *fakeConvex) teams(user fakeRoute, refuse func(int, string, string) (int, any)) {
	user("HEAD /api/authorize", func(map[string]any, *http.Request) (int, any) { return 200, nil })
	user("GET /api/teams", func(map[string]any, *http.Request) (int, any) {
		return 200, []convex.Team{{ID: 11, Name: "Acme", Slug: "acme"}}
	})
	user("GET /api/teams/11/workos_team_health", func(map[string]any, *http.Request) (int, any) {
		if !f.workosTeam {
			return 200, convex.TeamHealth{}
		}
		return 200, convex.TeamHealth{TeamProvisioned: true, TeamInfo: &convex.TeamHealthInfo{ID: "team_1", Name: "Acme (Convex)", ProductionState: "inactive"}}
	})
	user("GET /api/workos/available_workos_team_emails", func(map[string]any, *http.Request) (int, any) {
		return 200, convex.TeamEmails{AvailableEmails: f.emails, UsedEmails: []string{"used@example.com"}}
	})
	user("POST /api/workos/provision_associated_workos_team", func(b map[string]any, _ *http.Request) (int, any) {
		f.workosTeam = true
		return 200, convex.WorkOSTeam{WorkosTeamID: "team_1", WorkosTeamName: "Acme (Convex)", AdminEmail: fmt.Sprint(b["email"])}
	})
	user("POST /api/workos/disconnect_workos_team", func(map[string]any, *http.Request) (int, any) {
		if !f.workosTeam {
			return refuse(400, convex.CodeTeamNotAssociated, "none")
		}
		f.workosTeam = false
		return 200, convex.WorkOSTeam{WorkosTeamID: "team_1", WorkosTeamName: "Acme (Convex)"}
	})
	user("POST /api/workos/invite_team_member", func(b map[string]any, _ *http.Request) (int, any) {
		switch {
		case !f.workosTeam:
			return refuse(400, convex.CodeTeamNotProvisioned, "no team")
		case b["email"] == "ada@example.com":
			return refuse(400, convex.CodeInThisTeam, "ada@example.com is already a member of this team")
		}
		return 200, convex.Invitation{Email: fmt.Sprint(b["email"]), RoleSlug: "admin"}
	})
	user("GET /api/deployments/happy-animal-123/workos_environment_health", func(map[string]any, *http.Request) (int, any) {
		if !f.workosTeam {
			return refuse(404, convex.CodeEnvironmentNotProvisioned, "not provisioned")
		}
		return 200, convex.EnvironmentHealth{ID: "environment_1", Name: "happy-animal-123", ClientID: "client_1"}
	})
	user("GET /api/dashboard/teams/11/members", func(map[string]any, *http.Request) (int, any) { return 200, f.members })
	user("GET /api/dashboard/teams/11/invites", func(map[string]any, *http.Request) (int, any) {
		return 200, append([]convex.TeamInvite{}, f.invites...)
	})
	user("POST /api/dashboard/teams/11/invites", func(b map[string]any, _ *http.Request) (int, any) {
		f.invites = append(f.invites, convex.TeamInvite{Email: fmt.Sprint(b["email"]), Role: fmt.Sprint(b["role"])})
		return 200, nil
	})
	user("POST /api/dashboard/teams/11/cancel_invite", func(map[string]any, *http.Request) (int, any) {
		f.invites = nil
		return 200, nil
	})
	user("POST /api/dashboard/teams/11/remove_member", func(map[string]any, *http.Request) (int, any) {
		f.members = nil
		return 200, nil
	})
}

// deployments answers on behalf of all of them; the key says which is meant.
func (f *fakeConvex) deployments(mux *http.ServeMux, handle fakeRoute, refuse func(int, string, string) (int, any)) {
	admin := func(r *http.Request) (string, bool) {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Convex ")
		name, secret, _ := strings.Cut(key, "|")
		if _, after, ok := strings.Cut(name, ":"); ok {
			name = after
		}
		_, known := f.variables[name]
		return name, ok && known && secret == "admin"
	}
	handle("GET /api/v1/list_environment_variables", func(_ map[string]any, r *http.Request) (int, any) {
		name, ok := admin(r)
		if !ok || f.writeOnly {
			return refuse(403, "Unauthorized", "You do not have permission to perform this operation (deployment:env:view).")
		}
		return 200, convex.ListVariablesResponse{EnvironmentVariables: f.variables[name]}
	})
	handle("POST /api/update_environment_variables", func(b map[string]any, r *http.Request) (int, any) {
		name, ok := admin(r)
		if !ok {
			return refuse(403, "BadDeployKey", "no")
		}
		changes, _ := b["changes"].([]any)
		for _, c := range changes {
			c := c.(map[string]any)
			if c["name"] == "WORKOS_CLIENT_ID" && c["value"] == nil {
				return refuse(400, convex.CodeAuthConfigVariable, "Environment variable WORKOS_CLIENT_ID is used in auth config file but its value was not set")
			}
		}
		for _, c := range changes {
			c := c.(map[string]any)
			if value, ok := c["value"].(string); ok {
				f.variables[name][fmt.Sprint(c["name"])] = value
			} else {
				delete(f.variables[name], fmt.Sprint(c["name"]))
			}
		}
		return 200, nil
	})
	mux.HandleFunc("GET /api/stream_function_logs", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		name, ok := admin(r)
		f.mu.Unlock()
		switch {
		case !ok:
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"code":"Unauthorized","message":"You do not have permission to view logs."}`)
		case name == "calm-fox-701": // nothing there: wait
			<-r.Context().Done()
		case r.URL.Query().Get("cursor") == "0":
			_, _ = io.WriteString(w, fakeLogs)
		case r.URL.Query().Get("cursor") == "1700000000000":
			_, _ = io.WriteString(w, `{"entries":[{"kind":"Completion","identifier":"messages:late","udfType":"Action","logLines":["[INFO] 'late'"],"timestamp":1700000001,"error":null}],"newCursor":1700000001000}`)
		default:
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"code":"Unauthorized","message":"The key was revoked."}`)
		}
	})
}

const fakeLogs = `{"entries":[
{"kind":"Completion","identifier":"messages:old","udfType":"Query","logLines":["[INFO] 'old'"],"timestamp":1699999990,"executionTime":0.01,"success":null,"error":null},
{"kind":"Completion","identifier":"messages:list","udfType":"Query","logLines":[{"messages":["'hi'","\u001b[31mred"],"level":"WARN","timestamp":1700000000000,"isTruncated":false}],"timestamp":1700000000,"executionTime":0.01,"success":null,"error":null},
{"kind":"Completion","identifier":"messages:quiet","udfType":"Mutation","logLines":[],"timestamp":1700000000,"executionTime":0.0425,"success":null,"error":null},
{"kind":"Completion","identifier":"users:boom","udfType":"HttpAction","logLines":[],"timestamp":1700000000,"executionTime":0.05,"success":null,"error":"Uncaught Error: kaboom"}],"newCursor":1700000000000}`

// cmdWriteVar writes the value of a variable into a file, for stdin.
func cmdWriteVar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write-var NAME FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.Getenv(args[0])+"\n"), 0o600))
}

// cmdSplitEnv takes an environment's credentials out of an .env.local: its
// client ID and key as GIVEN_CLIENT and GIVEN_KEY, the key also as key.txt. The
// server that it names stands for WorkOS from then on.
func cmdSplitEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: split-env FILE")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "WORKOS_CLIENT_ID":
			ts.Setenv("GIVEN_CLIENT", value)
		case "WORKOS_API_KEY":
			ts.Setenv("GIVEN_KEY", value)
			ts.Check(os.WriteFile(ts.MkAbs("key.txt"), []byte(value+"\n"), 0o600))
		case "WORKOS_API_HOSTNAME", "WORKOS_API_HTTPS", "WORKOS_API_PORT":
			ts.Setenv(name, value)
		}
	}
}
