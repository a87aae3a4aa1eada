package convex

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func TestWorkOSTeam(t *testing.T) { // R65, R66
	t.Run("an active team and its environment", func(t *testing.T) {
		srv := replay(t, "workos-status", "/api/teams/11/workos_team_health", "/api/deployments/happy-animal-123/workos_environment_health")
		c := NewControl(srv.URL, "usertoken")
		health, err := c.TeamHealth(t.Context(), 11)
		same(t, "TeamHealth", TeamHealth{true, &TeamHealthInfo{"team_1", "Acme (Convex)", "active"}}, health, err)
		env, err := c.EnvironmentHealth(t.Context(), "happy-animal-123")
		same(t, "EnvironmentHealth", &EnvironmentHealth{"environment_1", "happy-animal-123", "client_1"}, env, err)
	})
	t.Run("nothing yet", func(t *testing.T) {
		srv := replay(t, "workos-status-nothing", "/api/teams/11/workos_team_health", "/api/workos/available_workos_team_emails", "/api/deployments/happy-animal-123/workos_environment_health")
		c := NewControl(srv.URL, "usertoken")
		health, err := c.TeamHealth(t.Context(), 11)
		same(t, "TeamHealth", TeamHealth{}, health, err)
		emails, err := c.TeamEmails(t.Context())
		same(t, "TeamEmails", TeamEmails{[]string{"me@example.com"}, []string{}}, emails, err)
		env, err := c.EnvironmentHealth(t.Context(), "happy-animal-123")
		same(t, "EnvironmentHealth", (*EnvironmentHealth)(nil), env, err)
	})
	t.Run("a team is made with an address that WorkOS does not know", func(t *testing.T) {
		const make = "/api/workos/provision_associated_workos_team"
		srv := replay(t, "workos-provision-team-email-used", "/api/workos/has_associated_workos_team", make, make)
		c := NewControl(srv.URL, "usertoken")
		associated, err := c.AssociatedTeam(t.Context(), "happy-animal-123")
		same(t, "AssociatedTeam", AssociatedTeam{TeamID: 11}, associated, err)
		if _, err := c.ProvisionTeam(t.Context(), 11, "me@example.com"); fault.Code(err) != CodeEmailUsed {
			t.Errorf("ProvisionTeam = %v, want %s", err, CodeEmailUsed)
		}
		made, err := c.ProvisionTeam(t.Context(), 11, "me@example.com")
		same(t, "ProvisionTeam", WorkOSTeam{"team_1", "Acme (Convex)", "me@example.com"}, made, err)
	})
	t.Run("disconnects", func(t *testing.T) {
		srv := replay(t, "workos-disconnect-team", "/api/workos/disconnect_workos_team")
		gone, err := NewControl(srv.URL, "usertoken").DisconnectTeam(t.Context(), 11)
		same(t, "DisconnectTeam", WorkOSTeam{WorkosTeamID: "team_1", WorkosTeamName: "Acme (Convex)"}, gone, err)
	})
	t.Run("has nothing to disconnect", func(t *testing.T) {
		srv := replay(t, "workos-disconnect-team-not-associated", "/api/workos/disconnect_workos_team")
		if _, err := NewControl(srv.URL, "usertoken").DisconnectTeam(t.Context(), 11); fault.Code(err) != CodeTeamNotAssociated {
			t.Errorf("DisconnectTeam = %v, want %s", err, CodeTeamNotAssociated)
		}
	})
	t.Run("invites", func(t *testing.T) {
		srv := replay(t, "workos-invite-choose", "/api/teams/11/workos_invitation_eligible_emails", "/api/workos/invite_team_member")
		c := NewControl(srv.URL, "usertoken")
		eligible, err := c.EligibleEmails(t.Context(), 11)
		same(t, "EligibleEmails", EligibleEmails{EligibleEmails: []string{"me@example.com"}}, eligible, err)
		got, err := c.InviteToTeam(t.Context(), 11, "me@example.com")
		same(t, "InviteToTeam", Invitation{"me@example.com", "admin"}, got, err)
	})
	for file, already := range map[string]bool{
		"workos-invite-WorkosUserAlreadyInThisTeam": true, "workos-invite-WorkosUserAlreadyInvited": true, "workos-invite-WorkOSTeamNotProvisioned": false,
	} {
		t.Run(file, func(t *testing.T) {
			srv := replay(t, file, "/api/workos/invite_team_member")
			_, err := NewControl(srv.URL, "usertoken").InviteToTeam(t.Context(), 11, "me@example.com")
			if err == nil || AlreadyMember(err) != already || !strings.HasSuffix(file, fault.Code(err)) {
				t.Errorf("InviteToTeam = %v, want the code of %s", err, file)
			}
		})
	}
}

func TestWorkOSEnvironment(t *testing.T) {
	const provision = "/api/workos/get_or_provision_workos_environment"
	t.Run("is provisioned", func(t *testing.T) {
		srv := replay(t, "workos-provision-environment", provision)
		got, err := NewControl(srv.URL, "usertoken").ProvisionEnvironment(t.Context(), "happy-animal-123", EnvironmentNonproduction)
		same(t, "ProvisionEnvironment", WorkOSEnvironment{EnvironmentID: "environment_happy-animal-123", ClientID: "client_happy-animal-123", APIKey: "sk_test_happy-animal-123", NewlyProvisioned: true}, got, err)
	})
	t.Run("is refused", func(t *testing.T) {
		srv := replay(t, "workos-provision-environment-WorkOSPlatformNotAuthorized", provision)
		if _, err := NewControl(srv.URL, "usertoken").ProvisionEnvironment(t.Context(), "happy-animal-123", EnvironmentNonproduction); fault.Code(err) != CodePlatformNotAuthorized {
			t.Errorf("ProvisionEnvironment = %v, want %s", err, CodePlatformNotAuthorized)
		}
	})
	t.Run("of a project", func(t *testing.T) {
		srv := replay(t, "workos-project-environments-list", "/api/projects/22/workos_environments")
		got, err := NewControl(srv.URL, "usertoken").ProjectEnvironments(t.Context(), 22)
		same(t, "ProjectEnvironments", []ProjectEnvironment{{WorkosEnvironmentID: "environment_s", WorkosEnvironmentName: "staging", WorkosClientID: "client_s", UserEnvironmentName: "staging"}}, got, err)
	})
}

func TestDefaults(t *testing.T) {
	const list, update = "/v1/projects/22/list_default_environment_variables", "/v1/projects/22/update_default_environment_variables"
	srv := replay(t, "env-default-list", list+"?deploymentType=dev")
	got, err := NewControl(srv.URL, "usertoken").DefaultVariables(t.Context(), 22, Dev, "")
	same(t, "DefaultVariables", []DefaultVariable{{Name: "DEF", Value: "d1"}}, got, err)
	srv = replay(t, "env-default-get", list+"?name=DEF&deploymentType=dev")
	got, err = NewControl(srv.URL, "usertoken").DefaultVariables(t.Context(), 22, Dev, "DEF")
	same(t, "DefaultVariables of one", []DefaultVariable{{Name: "DEF", Value: "d1"}}, got, err)
	for file, change := range map[string]DefaultChange{"env-default-set": {"X", Dev, new("y")}, "env-default-remove": {"DEF", Dev, nil}} {
		srv := replay(t, file, update)
		if err := NewControl(srv.URL, "usertoken").UpdateDefaultVariables(t.Context(), 22, []DefaultChange{change}); err != nil {
			t.Errorf("UpdateDefaultVariables as in %s = %v, want no error", file, err)
		}
	}
}

func TestPlatformLookups(t *testing.T) {
	srv := replay(t, "env-get-deployment-reference", "/v1/teams/acme/projects/web/deployment?reference=staging")
	name, err := NewControl(srv.URL, "usertoken").DeploymentByReference(t.Context(), "acme", "web", "staging")
	same(t, "DeploymentByReference", "wide-elk-703", name, err)
	srv = replay(t, "token-create", "/v1/deployments/happy-animal-123/create_deploy_key")
	key, err := NewControl(srv.URL, "usertoken").CreateDeployKey(t.Context(), "happy-animal-123", "ci")
	same(t, "CreateDeployKey", Token("dev:happy-animal-123|newkey-ci"), key, err)
	srv = replay(t, "token-delete", "/v1/deployments/happy-animal-123/delete_deploy_key")
	if err := NewControl(srv.URL, "usertoken").DeleteDeployKey(t.Context(), "happy-animal-123", "tok"); err != nil {
		t.Errorf("DeleteDeployKey = %v, want no error", err)
	}
}

func TestLists(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch r.URL.Query().Get("cursor") {
		case "":
			_, _ = io.WriteString(w, `{"items":[{"name":"A","value":"1"}],"pagination":{"hasMore":true,"nextCursor":"c1"}}`)
		default: // the same cursor for ever
			_, _ = io.WriteString(w, `{"items":[{"name":"B","value":"2"}],"pagination":{"hasMore":true,"nextCursor":"c1"}}`)
		}
	}))
	defer srv.Close()
	got, err := NewControl(srv.URL, "t").DefaultVariables(t.Context(), 22, Prod, "")
	if err != nil || len(got) != 2 || calls != 2 {
		t.Errorf("DefaultVariables = %v, %v after %d calls, want both pages in 2 calls", got, err, calls)
	}
}

func TestLoginStatus(t *testing.T) {
	srv := replay(t, "login-status", "/api/authorize", "/api/teams")
	c := NewControl(srv.URL, "pat-new")
	ok, err := c.LoggedIn(t.Context())
	same(t, "LoggedIn", true, ok, err)
	teams, err := c.Teams(t.Context())
	same(t, "Teams", []Team{{11, "Acme", "acme"}}, teams, err)
}

func TestLoginFlow(t *testing.T) {
	const token = "/oauth/token"
	srv := replay(t, "login-device-flow", "/.well-known/openid-configuration", "/oauth/device/code", token, token, "/v1/create_personal_access_token", "/api/check_opt_ins")
	var waits []time.Duration
	l := &DeviceLogin{Issuer: srv.URL, ClientID: "cid", Sleep: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }}
	prompt, err := l.Start(t.Context())
	same(t, "Start", Prompt{"ABCD-EFGH", srv.URL + "/activate?user_code=ABCD-EFGH", 15 * time.Minute}, prompt, err)
	got, err := l.Wait(t.Context())
	same(t, "Wait", Token("usertoken"), got, err)
	if diff := cmp.Diff([]time.Duration{time.Second, time.Second}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	pat, err := NewControl(srv.URL, got.Secret()).CreatePersonalAccessToken(t.Context(), "dev1")
	same(t, "CreatePersonalAccessToken", Token("pat-new"), pat, err)
	ins, err := NewControl(srv.URL, pat.Secret()).OptIns(t.Context())
	same(t, "OptIns", []OptIn{}, ins, err)
}

func TestLoginThatFails(t *testing.T) {
	for answer, want := range map[string]fault.Kind{
		`{"error":"access_denied"}`: fault.Denied, `{"error":"expired_token"}`: fault.Unauthenticated,
		`{"error":"slow_down"}`: fault.Unauthenticated, `{"error":"authorization_pending"}`: fault.Unauthenticated,
		`{"error":"invalid_client"}`: fault.Invalid, `nonsense`: fault.Invalid,
	} {
		t.Run(answer, func(t *testing.T) {
			var srv *httptest.Server
			polls := 0
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/.well-known/openid-configuration":
					_, _ = io.WriteString(w, `{"token_endpoint":"`+srv.URL+`/t","device_authorization_endpoint":"`+srv.URL+`/d"}`)
				case "/d":
					_, _ = io.WriteString(w, `{"device_code":"dc","user_code":"U","verification_uri":"x","expires_in":20}`)
				default:
					polls++
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, answer)
				}
			}))
			defer srv.Close()
			l := &DeviceLogin{Issuer: srv.URL, ClientID: "cid", Sleep: noSleep}
			if _, err := l.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Wait(t.Context()); !fault.Is(err, want) || polls > 4 {
				t.Errorf("Wait = %v after %d polls, want %s after at most 4", err, polls, want)
			}
		})
	}
	t.Run("an issuer without the device flow", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
		defer srv.Close()
		if _, err := (&DeviceLogin{Issuer: srv.URL}).Start(t.Context()); !fault.Is(err, fault.Unsupported) {
			t.Errorf("Start = %v, want unsupported", err)
		}
	})
}

func TestLogs(t *testing.T) { // R104
	srv := replay(t, "logs-prod", PathStreamLogs+"?cursor=0")
	d, err := NewDeployment(srv.URL, "prod:quick-otter-456|adminkey-quick-otter-456")
	if err != nil {
		t.Fatal(err)
	}
	logs, err := d.Logs(t.Context(), 0)
	if err != nil || logs.NewCursor != 1700000000000 || len(logs.Entries) != 1 {
		t.Fatalf("Logs = %+v, %v, want one entry", logs, err)
	}
	e := logs.Entries[0]
	if diff := cmp.Diff([]LogLine{{Level: "INFO", Text: "'hi'"}}, e.LogLines); diff != "" || e.Identifier != "messages:list" || !json.Valid(e.Raw) {
		t.Errorf("entry = %+v, want messages:list with one line (-want +got):\n%s", e, diff)
	}
}

func TestLogLines(t *testing.T) {
	for text, want := range map[string]LogLine{
		`"[WARN] a b"`: {Level: "WARN", Text: "a b"},
		`"no level"`:   {Level: "LOG", Text: "no level"},
		`"[a b] c"`:    {Level: "LOG", Text: "[a b] c"},
		`{"messages":["'x'","1"],"level":"ERROR","timestamp":5,"isTruncated":true}`: {"ERROR", "'x' 1", 5, true},
	} {
		var got LogLine
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("Unmarshal(%s) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// A poll that fails is the caller's to repeat, and 403 and 404 are never
// repeated: no command waits half a minute for what will not come.
func TestNoRetryWhereItIsNoUse(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway} {
		calls := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(status) }))
		d, err := NewDeployment(srv.URL, "k")
		if err != nil {
			t.Fatal(err)
		}
		d.Sleep = noSleep
		if _, err := d.Logs(t.Context(), 0); err == nil || calls != 1 {
			t.Errorf("Logs with %d = %v after %d calls, want an error after 1", status, err, calls)
		}
		if calls = 0; status != http.StatusBadGateway {
			if _, err := d.ListVariables(t.Context()); err == nil || calls != 1 {
				t.Errorf("ListVariables with %d = %v after %d calls, want an error after 1", status, err, calls)
			}
		}
		srv.Close()
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, `{"availableEmails":[],"usedEmails":[]}`)
	}))
	defer srv.Close()
	c := NewControl(srv.URL, "t")
	var waited time.Duration
	c.Sleep = func(_ context.Context, d time.Duration) error { waited = d; return nil }
	if _, err := c.TeamEmails(t.Context()); err != nil || waited != 7*time.Second {
		t.Errorf("TeamEmails = %v after %v, want no error after 7s", err, waited)
	}
}

func TestCheckVariable(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, want := range map[string]string{
		"A": "", "_a9": "", "a_B": "", "": CodeVariableNameInvalid, "9A": CodeVariableNameInvalid, "A-B": CodeVariableNameInvalid, "A B": CodeVariableNameInvalid,
		"Ä": CodeVariableNameInvalid, long: CodeVariableNameTooLong, "CONVEX_SITE_URL": CodeVariableNameForbidden, "CONVEX_CLOUD_URL": CodeVariableNameForbidden,
	} {
		if err := CheckVariable(name, "v"); fault.Code(err) != want {
			t.Errorf("CheckVariable(%q) = %v, want code %q", name, err, want)
		}
	}
	err := CheckVariable("A", strings.Repeat("secret", 2000))
	if fault.Code(err) != CodeVariableValueTooLarge || strings.Contains(err.Error(), "secret") {
		t.Errorf("CheckVariable of a large value = %v, want %s without the value", err, CodeVariableValueTooLarge)
	}
}
