package workos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/internal/workos/workostest"
)

func noSleep(context.Context, time.Duration) error { return nil }

// answering returns a client whose server gives the answers in turn, the last for ever.
func answering(t *testing.T, answers ...http.HandlerFunc) (*workos.Environment, *int) {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return workos.NewEnvironment(wire.Client{Base: s.URL, Name: "WorkOS", Sleep: noSleep}, "client_1", "sk_test_x"), &n
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// TestTolerance: exactly the answers that callers in the field take for done
// are taken for done; every other one is an error (authkit section 7.2).
func TestTolerance(t *testing.T) {
	const exists, duplicate, other = `{"message":"Redirect URI 'x' already exists."}`, `{"code":"duplicate_cors_origin","message":"m"}`, `{"message":"Validation failed."}`
	addURI := func(e *workos.Environment) (workos.Outcome, error) { return e.AddRedirectURI(t.Context(), "x") }
	addOrigin := func(e *workos.Environment) (workos.Outcome, error) { return e.AddCORSOrigin(t.Context(), "x") }
	deleteURI := func(e *workos.Environment) (workos.Outcome, error) {
		return e.DeleteRedirectURI(t.Context(), "redir_1")
	}
	deleteOrigin := func(e *workos.Environment) (workos.Outcome, error) { return e.DeleteCORSOrigin(t.Context(), "cors_1") }
	homepage := func(e *workos.Environment) (workos.Outcome, error) { return e.SetHomepage(t.Context(), "x") }
	template := func(e *workos.Environment) (workos.Outcome, error) { return e.SetJWTTemplate(t.Context(), "{}") }
	for _, tt := range []struct {
		name   string
		call   func(*workos.Environment) (workos.Outcome, error)
		status int
		body   string
		state  workos.State
		kind   fault.Kind
	}{
		{"redirect URI made", addURI, 201, `{}`, workos.Done, ""},
		{"redirect URI exists", addURI, 422, exists, workos.AlreadyThere, ""},
		{"redirect URI exists, other status", addURI, 409, exists, "", fault.Conflict},
		{"redirect URI invalid", addURI, 422, other, "", fault.Invalid},
		{"redirect URI malformed", addURI, 400, other, "", fault.Invalid},
		{"bad key", addURI, 401, `{"message":"Unauthorized"}`, "", fault.Unauthenticated},
		{"origin exists", addOrigin, 409, duplicate, workos.AlreadyThere, ""},
		{"origin exists, by text", addOrigin, 409, exists, workos.AlreadyThere, ""},
		{"origin exists, emulator", addOrigin, 422, exists, workos.AlreadyThere, ""},
		{"origin conflict of another kind", addOrigin, 409, other, "", fault.Conflict},
		{"origin invalid", addOrigin, 422, other, "", fault.Invalid},
		{"homepage set", homepage, 200, ``, workos.Done, ""},
		{"homepage refused is a warning", homepage, 422, `{"message":"no localhost"}`, workos.Refused, ""},
		{"homepage malformed", homepage, 400, other, "", fault.Invalid},
		{"redirect URI deleted", deleteURI, 204, ``, workos.Done, ""},
		{"redirect URI gone", deleteURI, 404, `{"message":"Not Found"}`, workos.AlreadyGone, ""},
		{"default redirect URI", deleteURI, 409, `{"message":"default"}`, workos.NotRemovable, ""},
		{"origins cannot be deleted", deleteOrigin, 404, `{"message":"Not Found"}`, workos.NotRemovable, ""},
		{"origin deleted", deleteOrigin, 204, ``, workos.Done, ""},
		{"template refused", template, 422, `{"message":"reserved claim"}`, "", fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, _ := answering(t, says(tt.status, tt.body))
			out, err := tt.call(e)
			if out.State != tt.state || (err != nil) != (tt.kind != "") || err != nil && fault.From(err).Kind != tt.kind {
				t.Fatalf("outcome = %v, %v, want %q, kind %q", out, err, tt.state, tt.kind)
			}
			if (out.State == workos.Refused || out.State == workos.NotRemovable) && out.Reason == "" {
				t.Error("no reason given")
			}
		})
	}
}

func TestRepeatedPostAfterLostAnswerCountsAsOurs(t *testing.T) {
	lost := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	const exists = `{"message":"Redirect URI 'x' already exists."}`
	for name, tt := range map[string]struct {
		first http.HandlerFunc
		want  workos.State
	}{
		"connection lost":        {lost, workos.Done},
		"gateway error":          {says(502, ""), workos.Done},
		"rate limit did nothing": {says(429, "{}"), workos.AlreadyThere},
	} {
		t.Run(name, func(t *testing.T) {
			e, calls := answering(t, tt.first, says(422, exists))
			if out, err := e.AddRedirectURI(t.Context(), "x"); err != nil || out.State != tt.want || *calls != 2 {
				t.Errorf("AddRedirectURI = %v, %v after %d calls, want %v after 2", out, err, *calls, tt.want)
			}
		})
	}
}

func TestCreateUserWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	e, _ := answering(t, says(500, ""), says(400, `{"code":"user_creation_error","message":"m","errors":[{"code":"email_not_available"}]}`),
		says(200, `{"object":"list","data":[{"object":"user","id":"user_1","email":"A@example.com","created_at":"2026-01-15T12:00:00.000Z","updated_at":"2026-01-15T12:00:00Z"}],"list_metadata":{"before":null,"after":null}}`))
	u, err := e.CreateUser(t.Context(), workos.NewUser{Email: "a@example.com"})
	if err != nil || u.ID != "user_1" {
		t.Errorf("CreateUser = %v, %v, want the user of the first attempt", u, err)
	}
}

func TestAuthorizationCodeIsSentOnce(t *testing.T) {
	e, calls := answering(t, says(503, ""))
	if _, err := e.AuthenticateWithCode(t.Context(), "code", "verifier"); !fault.Is(err, fault.Unavailable) || *calls != 1 {
		t.Errorf("AuthenticateWithCode = %v after %d calls, want unavailable after 1", err, *calls)
	}
}

func TestListFollowsCursors(t *testing.T) {
	s := workostest.New(t)
	state := s.AddEnvironment("sk_test_a")
	for i := range 250 {
		state.Put(fmt.Sprintf("https://b%03d.example.com/callback", i), false)
	}
	e := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: &workostest.Transport{Handler: s}}}, "", "sk_test_a")
	list, err := e.ListRedirectURIs(t.Context())
	if err != nil || len(list) != 250 || len(s.Calls()) != 3 {
		t.Fatalf("ListRedirectURIs = %d entries, %v, in %d calls, want 250 in 3", len(list), err, len(s.Calls()))
	}
	seen := map[string]bool{}
	for _, u := range list {
		seen[u.URI] = true
	}
	if len(seen) != 250 {
		t.Errorf("ListRedirectURIs = %d different entries, want 250", len(seen))
	}
}

func TestListStartsAgainWhenItsCursorVanishes(t *testing.T) {
	page := func(after string) http.HandlerFunc {
		return says(200, `{"object":"list","data":[{"id":"redir_1","uri":"https://a/cb"}],"list_metadata":{"before":null,"after":`+after+`}}`)
	}
	e, calls := answering(t, page(`"redir_1"`), says(422, `{"message":"unknown cursor"}`), page("null"))
	if list, err := e.ListRedirectURIs(t.Context()); err != nil || len(list) != 1 || *calls != 3 {
		t.Errorf("ListRedirectURIs = %v, %v after %d calls, want one entry after 3", list, err, *calls)
	}
	e, calls = answering(t, page(`"redir_1"`))
	if _, err := e.ListRedirectURIs(t.Context()); !fault.Is(err, fault.Unavailable) || *calls != 2 {
		t.Errorf("a list that never ends = %v after %d calls, want unavailable after 2", err, *calls)
	}
}

func TestJWTTemplateRoundTrip(t *testing.T) {
	s := workostest.New(t)
	s.AddEnvironment("sk_test_a")
	e := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: &workostest.Transport{Handler: s}}}, "", "sk_test_a")
	if got, err := e.GetJWTTemplate(t.Context()); got != "" || err != nil {
		t.Errorf("GetJWTTemplate = %q, %v, want none", got, err)
	}
	if _, err := e.SetJWTTemplate(t.Context(), `{"email":"{{user.email}}"}`); err != nil {
		t.Fatal(err)
	}
	if got, err := e.GetJWTTemplate(t.Context()); got != `{"email":"{{user.email}}"}` || err != nil {
		t.Errorf("GetJWTTemplate = %q, %v", got, err)
	}
}

func TestKeyKind(t *testing.T) {
	for key, want := range map[secret.String]workos.KeyMode{
		"sk_live_abc": workos.LiveKey, "sk_test_abc": workos.TestKey, "sk_abc": workos.UnknownKey, "": workos.UnknownKey, " sk_live_x": workos.UnknownKey,
	} {
		if got := workos.KeyKind(key); got != want {
			t.Errorf("KeyKind(%q) = %s, want %s", key.Reveal(), got, want)
		}
	}
}

func TestCredentialsAreEncodedButNeverPrinted(t *testing.T) {
	req := workos.AuthenticateRequest{GrantType: workos.GrantPassword, Password: "hunter2hunter2", ClientSecret: "sk_live_secret"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "req", req, "secret", req.ClientSecret)
	printed := fmt.Sprintf("%v %+v %#v %s %q", req, req, req, req.Password, req.Password) + log.String()
	if strings.Contains(printed, "hunter2") || strings.Contains(printed, "sk_live_secret") {
		t.Errorf("printed = %s, want no secret", printed)
	}
	data, err := json.Marshal(req)
	if err != nil || !strings.Contains(string(data), `"password":"hunter2hunter2"`) {
		t.Errorf("Marshal = %s, %v, want the password", data, err)
	}
}

func platform(t *testing.T, s *workostest.Server, tr *workostest.Transport, change func(*workos.PlatformOptions)) *workos.Platform {
	t.Helper()
	tr.Handler = s
	o := workos.PlatformOptions{
		Wire: wire.Client{HTTP: &http.Client{Transport: tr}, Sleep: noSleep}, ClientID: workostest.ClientID, ClientSecret: workostest.ClientSecret,
	}
	if change != nil {
		change(&o)
	}
	p, err := workos.NewPlatform(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlatform(t *testing.T) {
	for name, change := range map[string]func(*workos.PlatformOptions){
		"token by form": nil,
		"token by JSON": func(o *workos.PlatformOptions) { o.TokenAsJSON = true },
		"static bearer": func(o *workos.PlatformOptions) { o.Bearer, o.ClientID, o.ClientSecret = "team-token", "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := workostest.New(t)
			p := platform(t, s, &workostest.Transport{}, change)
			team, err := p.CreateTeam(ctx, workos.NewTeam{AdminEmail: "a@example.com", Name: "Acme"}, "")
			if err != nil || !strings.HasPrefix(team.ID, "team_") {
				t.Fatalf("CreateTeam = %+v, %v", team, err)
			}
			env, err := p.CreateEnvironment(ctx, team.ID, "preview", false, "")
			if err != nil || env.ClientID == "" {
				t.Fatalf("CreateEnvironment = %+v, %v", env, err)
			}
			if got, err := p.GetEnvironment(ctx, team.ID, env.ID); err != nil || got != env {
				t.Errorf("GetEnvironment = %+v, %v, want %+v", got, err, env)
			}
			key, err := p.CreateAPIKey(ctx, team.ID, env.ID, "berth", time.Time{}, "")
			if err != nil || key.Value == "" || key.ExpiresAt != nil {
				t.Fatalf("CreateAPIKey = %+v, %v", key, err)
			}
			e := workos.NewEnvironment(wire.Client{HTTP: &http.Client{Transport: &workostest.Transport{Handler: s}}}, env.ClientID, key.Value.Secret())
			if out, err := e.AddRedirectURI(ctx, "https://a.example.com/callback"); err != nil || out.State != workos.Done {
				t.Errorf("AddRedirectURI with the new key = %v, %v", out, err)
			}
			if out, err := p.ExpireAPIKey(ctx, team.ID, env.ID, key.ID, time.Time{}); err != nil || out.State != workos.Done {
				t.Errorf("ExpireAPIKey = %v, %v", out, err)
			}
			if out, err := p.ExpireAPIKey(ctx, team.ID, env.ID, key.ID, time.Time{}); err != nil || out.State != workos.AlreadyGone {
				t.Errorf("ExpireAPIKey again = %v, %v, want already gone", out, err)
			}
			if _, err := e.ListRedirectURIs(ctx); !fault.Is(err, fault.Unauthenticated) || fault.From(err).Fix == "" {
				t.Errorf("a call with an expired key = %v, want unauthenticated with a fix", err)
			}
			if _, err := p.ListEnvironments(ctx, team.ID); !fault.Is(err, fault.Unsupported) {
				t.Errorf("ListEnvironments at WorkOS = %v, want unsupported", err)
			}
			s.CanListEnvironments = true
			if list, err := p.ListEnvironments(ctx, team.ID); err != nil || !cmp.Equal(list, []workos.PlatformEnvironment{env}) {
				t.Errorf("ListEnvironments = %v, %v, want %v", list, err, env)
			}
			for _, want := range []workos.State{workos.Done, workos.AlreadyGone} {
				if out, err := p.DeleteEnvironment(ctx, team.ID, env.ID); err != nil || out.State != want {
					t.Errorf("DeleteEnvironment = %v, %v, want %v", out, err, want)
				}
			}
			if out, err := p.Invite(ctx, team.ID, "b@example.com", "member"); err != nil || out.State != workos.Done {
				t.Errorf("Invite = %v, %v", out, err)
			}
			if out, err := p.Invite(ctx, team.ID, "a@example.com", "member"); err != nil || out.State != workos.AlreadyThere {
				t.Errorf("Invite of a member = %v, %v, want already there", out, err)
			}
			tokens := 0
			for _, c := range s.Calls() {
				if c == "POST /oauth2/token" {
					tokens++
				}
			}
			if want := 1; name == "static bearer" && tokens != 0 || name != "static bearer" && tokens != want {
				t.Errorf("asked for %d tokens", tokens)
			}
		})
	}
}

func TestPlatformErrorsAreExplained(t *testing.T) {
	s := workostest.New(t)
	p := platform(t, s, &workostest.Transport{}, nil)
	ctx := t.Context()
	team, err := p.CreateTeam(ctx, workos.NewTeam{AdminEmail: "a@example.com", Name: "Acme"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, code string
		kind       fault.Kind
		message    string
		fix        []string
		call       func() error
	}{
		{"one e-mail, one team (R29)", workos.CodeUserAlreadyExists, fault.Conflict, "A WorkOS team already exists with a@example.com",
			[]string{"berth link", "a+berth@example.com", "another verified address"},
			func() error {
				_, err := p.CreateTeam(ctx, workos.NewTeam{AdminEmail: "a@example.com", Name: "B"}, "")
				return err
			}},
		{"platform not authorized (R31)", workos.CodePlatformUnauthorized, fault.Denied, team.ID, []string{"restore", "disconnect", "stay"},
			func() error {
				_, err := p.CreateEnvironment(ctx, team.ID, workostest.NameUnauthorized, false, "")
				return err
			}},
		{"production needs billing", workos.CodeBillingRequired, fault.NeedsPerson, "billing", []string{"environmentType"},
			func() error { _, err := p.CreateEnvironment(ctx, team.ID, "prod", true, ""); return err }},
		{"team gone", workos.CodeTeamNotFound, fault.NotFound, "team_gone", []string{"berth team"},
			func() error { _, err := p.GetTeam(ctx, "team_gone"); return err }},
		{"team gone, delete", workos.CodeTeamNotFound, fault.NotFound, "team_gone", nil,
			func() error { _, err := p.DeleteEnvironment(ctx, "team_gone", "environment_1"); return err }},
		{"team gone, list", workos.CodeTeamNotFound, fault.NotFound, "team_gone", nil,
			func() error { _, err := p.ListEnvironments(ctx, "team_gone"); return err }},
		{"member of another team", workos.CodeUserAlreadyExists, fault.Conflict, workostest.OtherTeamEmail, nil,
			func() error { _, err := p.Invite(ctx, team.ID, workostest.OtherTeamEmail, "member"); return err }},
		{"wrong credentials", "invalid_client", fault.Unauthenticated, "refused", []string{"client secret"},
			func() error {
				bad := platform(t, s, &workostest.Transport{}, func(o *workos.PlatformOptions) { o.ClientSecret = "wrong" })
				_, err := bad.GetTeam(ctx, team.ID)
				return err
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fault.From(tt.call())
			if f == nil || f.Kind != tt.kind || f.Code != tt.code || !strings.Contains(f.Message, tt.message) || f.Fix == "" {
				t.Fatalf("error = %+v, want kind %s, code %s, message with %q and a fix", f, tt.kind, tt.code, tt.message)
			}
			for _, part := range tt.fix {
				if !strings.Contains(f.Fix, part) {
					t.Errorf("fix = %q, want %q in it", f.Fix, part)
				}
			}
		})
	}
	if _, err := workos.NewPlatform(workos.PlatformOptions{ClientID: "x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("NewPlatform without a secret = %v, want invalid", err)
	}
}

func TestPlatformTokenIsCachedAndRenewed(t *testing.T) {
	s := workostest.New(t)
	at := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	p := platform(t, s, &workostest.Transport{}, func(o *workos.PlatformOptions) { o.Now = func() time.Time { return at } })
	team, err := p.CreateTeam(t.Context(), workos.NewTeam{AdminEmail: "a@example.com", Name: "Acme"}, "")
	if err != nil {
		t.Fatal(err)
	}
	get := func(wantCalls ...string) {
		t.Helper()
		s.ForgetCalls()
		if _, err := p.GetTeam(t.Context(), team.ID); err != nil {
			t.Fatal(err)
		}
		if got := s.Calls(); !slices.Equal(got, wantCalls) {
			t.Errorf("calls = %v, want %v", got, wantCalls)
		}
	}
	const token, read = "POST /oauth2/token", "GET /platform/teams/"
	at = at.Add(58 * time.Minute)
	get(read + team.ID)
	at = at.Add(time.Minute + time.Second)
	get(token, read+team.ID)
	s.RevokeTokens()
	get(read+team.ID, token, read+team.ID)
}

func TestCreateIsRepeatedOnlyWhereTheKeyIsHonoured(t *testing.T) {
	ctx := t.Context()
	for _, honoured := range []bool{false, true} {
		s := workostest.New(t)
		s.CanListEnvironments = true
		tr := &workostest.Transport{}
		p := platform(t, s, tr, func(o *workos.PlatformOptions) { o.RepeatCreates = honoured })
		team, err := p.CreateTeam(ctx, workos.NewTeam{AdminEmail: "a@example.com", Name: "Acme"}, "")
		if err != nil {
			t.Fatal(err)
		}
		tr.Percent, tr.Only = 60, []workostest.Fault{workostest.ResetAfter}
		unknown := 0
		for i := range 20 {
			_, err := p.CreateEnvironment(ctx, team.ID, fmt.Sprintf("e%d", i), false, fmt.Sprintf("key-%d", i))
			if fault.Code(err) == workos.CodeCreateUnknown && fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), fmt.Sprintf("environment e%d", i)) {
				unknown++
			} else if err != nil {
				t.Errorf("CreateEnvironment = %v, want success or an open question", err)
			}
		}
		tr.Percent = 0
		list, err := p.ListEnvironments(ctx, team.ID)
		if err != nil || len(list) != 20 {
			t.Errorf("honoured %v: %d environments, %v, want 20: none made twice", honoured, len(list), err)
		}
		if !honoured && unknown == 0 || honoured && unknown > 4 {
			t.Errorf("honoured %v: %d open questions", honoured, unknown)
		}
	}
}

func TestDeletingAnEnvironmentHasTheTimeItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := workostest.New(t)
		tr := &workostest.Transport{}
		p := platform(t, s, tr, func(o *workos.PlatformOptions) { o.Wire.Timeout = 10 * time.Second })
		team, err := p.CreateTeam(t.Context(), workos.NewTeam{AdminEmail: "a@example.com", Name: "Acme"}, "")
		if err != nil {
			t.Fatal(err)
		}
		env, err := p.CreateEnvironment(t.Context(), team.ID, "e", false, "")
		if err != nil {
			t.Fatal(err)
		}
		tr.Latency = 18 * time.Second
		if out, err := p.DeleteEnvironment(t.Context(), team.ID, env.ID); err != nil || out.State != workos.Done {
			t.Errorf("DeleteEnvironment that takes 18 s = %v, %v, want done", out, err)
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{`"2026-01-15T12:00:00.000Z"`, `"2026-01-15T12:00:00+02:00"`, `""`, `null`, `1`, `"x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var at workos.Time
		if json.Unmarshal(data, &at) != nil {
			return
		}
		out, err := json.Marshal(at)
		if err != nil || at.Year() < 0 || at.Year() > 9999 {
			return // years beyond four digits have no RFC 3339 form
		}
		var again workos.Time
		if err := json.Unmarshal(out, &again); err != nil || !again.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("round trip of %s = %v, %v, want %v", data, again, err, at)
		}
	})
}
