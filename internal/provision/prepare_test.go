package provision

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/host"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

func none(string) (string, bool) { return "", false }

// env looks variables up in pairs of name and value.
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// app writes a Vite app with this convex.json.
func app(t *testing.T, config string) *project.App {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"package.json": `{"name": "shop", "devDependencies": {"vite": "7"}}`, "convex.json": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := project.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// connect starts a server and connects to it.
func connect(t *testing.T, given *Given) *Connection {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := server.New(ctx, server.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Hash: auth.HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	local, err := s.Announce(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c, err := Connect(ctx, Places{Server: local.URL, Token: secret.String(local.Token), Given: given})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func devRequest(a *project.App, reference, owner string) Request {
	return Request{App: a, Kind: claim.Dev, Reference: reference, Owner: owner, Project: "shop", Port: 5173, Lookup: none}
}

const twoURIs = `{"authKit": {"dev": {"configure": {"redirectUris": ["http://localhost:5173/callback", "https://${buildEnv.MY_HOST}/callback"]}}}}`

// R6: unattended a missing build variable is an error that names it, with a
// person at the terminal a warning, and the entry is skipped.
func TestMissingBuildVariable(t *testing.T) {
	c := connect(t, nil)
	r := devRequest(app(t, twoURIs), "wt-1", "ada")
	_, err := c.Prepare(t.Context(), r)
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) || !strings.Contains(fault.From(err).Message, "MY_HOST") {
		t.Fatalf("Prepare unattended = %v, want an error that names MY_HOST", err)
	}
	r.Attended = true
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatalf("Prepare attended: %v", err)
	}
	if want := "authKit.dev.configure.redirectUris[1]: no value for MY_HOST; the entry is skipped"; !slices.Contains(p.Plan.Warnings, want) {
		t.Errorf("Warnings = %q, want %q among them", p.Plan.Warnings, want)
	}
	if got := fmt.Sprint(p.RedirectURIs()); got != "[http://localhost:5173/callback]" {
		t.Errorf("RedirectURIs = %s, want the one that is known", got)
	}
}

const allKinds = `{"authKit": {
  "dev": {"configure": {"redirectUris": ["http://localhost:5173/callback"]}},
  "preview": {},
  "prod": {"configure": {"redirectUris": ["https://shop.example.com/callback"]}}}}`

// R39, R82: credentials of the wrong kind are refused by name before they are
// used for anything.
func TestCheckKeys(t *testing.T) {
	a := app(t, allKinds)
	staging := app(t, strings.Replace(allKinds, `"prod": {`, `"prod": {"environmentType": "staging", `, 1))
	for _, test := range []struct {
		name   string
		app    *project.App
		kind   claim.Kind
		key    secret.String
		deploy string
		want   string // code of the refusal
	}{
		{"a live key for dev", a, claim.Dev, "sk_live_x", "", "live_key_outside_prod"},
		{"a live key for a preview", a, claim.Preview, "sk_live_x", "", "live_key_outside_prod"},
		{"a test key for production", a, claim.Prod, "sk_test_x", "", "test_key_in_prod"},
		{"a test key for production of a staging environment", staging, claim.Prod, "sk_test_x", "", ""},
		{"a live key for production of a staging environment", staging, claim.Prod, "sk_live_x", "", "live_key_with_lower_environment_type"},
		{"a test key for a preview", a, claim.Preview, "sk_test_x", "", ""},
		{"a live key for production", a, claim.Prod, "sk_live_x", "", ""},
		{"a production deploy key for dev", a, claim.Dev, "", "prod:happy-otter-123|secret", "prod_deploy_key_in_dev"},
		{"a production deploy key for a preview", a, claim.Preview, "", "prod:happy-otter-123|secret", "prod_deploy_key_in_preview"},
		{"a preview deploy key for production", a, claim.Prod, "", "preview:acme:shop|secret", "preview_deploy_key_in_prod"},
		{"a dev deploy key for production", a, claim.Prod, "", "dev:happy-otter-123|secret", "dev_deploy_key_in_prod"},
		{"a preview deploy key for a preview", a, claim.Preview, "", "preview:acme:shop|secret", ""},
		{"nothing at all", a, claim.Dev, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var given *Given
			if test.key != "" {
				given = &Given{ClientID: "client_a", APIKey: test.key}
			}
			err := CheckKeys(Request{App: test.app, Kind: test.kind, Lookup: env(DeployKeyVar, test.deploy)}, given)
			if got := fault.Code(err); got != test.want {
				t.Errorf("CheckKeys = %v (code %q), want code %q", err, got, test.want)
			}
			if strings.Contains(fmt.Sprint(err), "secret") || strings.Contains(fmt.Sprint(err), "sk_live_x") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

// A claim that exists makes the second plan empty (R21), and what it writes is
// what the first one showed.
func TestApplyTwice(t *testing.T) {
	c := connect(t, nil)
	a := app(t, allKinds)
	r := devRequest(a, "wt-1", "ada")
	p, err := c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Changed || first.Replanned {
		t.Errorf("Apply = changed %t, replanned %t, want true and false", first.Changed, first.Replanned)
	}
	env, err := os.ReadFile(a.EnvPath())
	if err != nil {
		t.Fatal(err)
	}
	var writes int
	c.Observe = func(method, _ string, _ int) {
		if method != "GET" {
			writes++
		}
	}
	c.Ledger.Wire.Observe = c.Observe
	p, err = c.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	writes = 0 // the protocol asks for the deployment by POST
	second, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if second.Changed || !p.Plan.Empty() || writes != 0 {
		t.Errorf("second Apply = changed %t, plan empty %t, %d writes, want false, true, 0", second.Changed, p.Plan.Empty(), writes)
	}
	if after, err := os.ReadFile(a.EnvPath()); err != nil || string(after) != string(env) {
		t.Errorf(".env.local changed (%v)", err)
	}
	if second.Environment.Placement.ClientID != first.Environment.Placement.ClientID {
		t.Errorf("the second run has another environment")
	}
}

// R17: two worktrees never meet on one environment that Berth makes; two people
// to whom somebody gave the same one are warned (R49).
func TestTwoPeopleOnOneDevEnvironment(t *testing.T) {
	c := connect(t, nil)
	apply := func(c *Connection, reference, owner string) *Outcome {
		t.Helper()
		p, err := c.Prepare(t.Context(), devRequest(app(t, allKinds), reference, owner))
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Apply(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	own, other := apply(c, "wt-1", "ada"), apply(c, "wt-2", "bob")
	if own.Environment.Placement.ClientID == other.Environment.Placement.ClientID {
		t.Errorf("two worktrees have the environment %s", own.Environment.Placement.ClientID)
	}
	given := *c
	given.Given = &Given{ClientID: own.Environment.Placement.ClientID, APIKey: own.Environment.APIKey, From: "the test"}
	for _, s := range apply(&given, "wt-3", "carl").Plan.Warnings {
		if strings.Contains(s, "bob") {
			t.Errorf("Warnings name bob, who has his own: %q", s)
		}
	}
	p, err := given.Prepare(t.Context(), devRequest(app(t, allKinds), "wt-4", "dora"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "another checkout develops on the same environment: "; !slices.ContainsFunc(p.Plan.Warnings, func(s string) bool { return strings.HasPrefix(s, want) && strings.Contains(s, "carl") }) {
		t.Errorf("Warnings = %q, want one that names carl", p.Plan.Warnings)
	}
}

// A plan for a shared environment that others have already shows that one.
func TestPlanOfASharedEnvironmentThatIsThere(t *testing.T) {
	c := connect(t, nil)
	a := app(t, allKinds)
	preview := func(branch string) Request {
		b := &host.Build{Host: host.CI, Kind: host.Preview, Branch: branch, URLs: []host.URL{{Origin: "https://" + branch + ".example.com", Role: host.CustomURL}}}
		return Request{App: a, Kind: claim.Preview, Build: b, Reference: branch, Branch: branch, Project: "shop", Mode: claim.Shared, Lookup: none}
	}
	p, err := c.Prepare(t.Context(), preview("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if p, err = c.Prepare(t.Context(), preview("two")); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(p.Plan.Changes, func(c plan.Change) bool { return c.Resource == plan.Environment }) {
		t.Errorf("the plan makes an environment that is there:\n%s", p.Plan.Text(nil))
	}
	out, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if out.Replanned {
		t.Errorf("Apply did something else than shown:\n%s", out.Plan.Text(nil))
	}
	if want := "users are shared with 1 other deployment"; !slices.Contains(out.Plan.Warnings, want) {
		t.Errorf("Warnings = %q, want %q (R70)", out.Plan.Warnings, want)
	}
}

// A server that answers nothing usable is named with its next step.
func TestConnectToSomethingElse(t *testing.T) {
	other := httptest.NewServer(nil)
	defer other.Close()
	_, err := Connect(t.Context(), Places{Server: other.URL, Token: "berth_token_secret"})
	if err == nil || strings.Contains(err.Error(), "berth_token_secret") || fault.From(err).Message == "" {
		t.Errorf("Connect = %v, want an error without the token", err)
	}
	for _, test := range []struct {
		places Places
		code   string
	}{
		{Places{}, "no_connection"},
		{Places{SetIn: "Vercel: Settings"}, "no_connection"},
		{Places{Server: other.URL}, "token_missing"},
	} {
		_, err := Connect(t.Context(), test.places)
		if fault.Code(err) != test.code || !strings.Contains(fault.From(err).Fix, test.places.SetIn) {
			t.Errorf("Connect(%+v) = %v, want code %s and a fix that says where", test.places, err, test.code)
		}
	}
}
