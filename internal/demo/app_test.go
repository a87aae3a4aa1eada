package demo

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
)

const (
	commitHost = "shop-4f2c9d1ab-acme.example"
	branchHost = "shop-git-feature-a-acme.example"
	email      = "tester@feature-a.example"
	password   = secret.String("correct horse battery")
)

// world is a server, an app on two hosts and a person with an account.
type world struct {
	server  *server.Server
	env     *store.Env
	key     secret.String
	ca      *Authority
	network *Network
	app     *App
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	w.server, err = server.New(t.Context(), server.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Version: "test",
		Hash: auth.HashParams{MemoryKiB: 64, Iterations: 1, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server.Run = %v, want nil", err)
		}
	})
	team, err := w.server.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	if w.env, err = team.CreateEnvironment(t.Context(), store.NewEnvironment{Name: "shop preview/feature-a"}); err != nil {
		t.Fatal(err)
	}
	if _, w.key, err = w.env.CreateAPIKey(t.Context(), "test", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{commitHost, branchHost} {
		if _, err := w.env.AddRedirectURI(t.Context(), "https://"+host+"/callback"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.env.SetHomepage(t.Context(), "https://"+branchHost); err != nil {
		t.Fatal(err)
	}
	if w.ca, err = NewAuthority(time.Now); err != nil {
		t.Fatal(err)
	}
	w.network = NewNetwork(w.ca)
	t.Cleanup(w.network.Close)
	w.app = w.newApp(t, "preview feature-a", w.settings(t), commitHost, branchHost)
	_, err = w.api().CreateUser(t.Context(), workos.NewUser{Email: email, Password: workos.Credential(password), EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// settings come through the variables, as they do in a deployment.
func (w *world) settings(t *testing.T) Settings {
	t.Helper()
	u, err := url.Parse(w.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSettings(map[string]string{"WORKOS_CLIENT_ID": w.env.ClientID, "WORKOS_API_KEY": w.key.Reveal(),
		"NEXT_PUBLIC_WORKOS_REDIRECT_URI": "https://" + branchHost + "/callback",
		"WORKOS_API_HOSTNAME":             u.Hostname(), "WORKOS_API_PORT": u.Port(), "WORKOS_API_HTTPS": "false"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) api() *workos.Environment {
	return workos.NewEnvironment(wire.Client{Base: w.server.URL()}, w.env.ClientID, w.key)
}

func (w *world) newApp(t *testing.T, label string, s Settings, hosts ...string) *App {
	t.Helper()
	app := &App{Name: "Shop", Kind: "preview", Label: label, Now: time.Now}
	t.Cleanup(func() {
		if err := app.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	})
	addr, err := app.ListenHosts(w.ca, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	w.network.Route(addr, hosts...)
	app.Configure(s)
	return app
}

// R62: every host that a reviewer may open signs in and stays where it was asked.
func TestSignInOnBothHostsOfAPreview(t *testing.T) {
	w := newWorld(t)
	for _, host := range []string{commitHost, branchHost} {
		t.Run(host, func(t *testing.T) {
			b := NewBrowser(w.network)
			origin := "https://" + host
			me, err := b.SignIn(t.Context(), origin, email, password)
			if err != nil {
				t.Fatalf("SignIn = %v, want nil; hops %v", err, b.Hops())
			}
			want := Me{SignedIn: true, UserID: me.UserID, Email: email, ClientID: w.env.ClientID, Issuer: me.Issuer, ExpiresAt: me.ExpiresAt, Origin: origin}
			if diff := cmp.Diff(want, me); diff != "" || me.UserID == "" || me.Issuer == "" {
				t.Errorf("SignIn answers otherwise (-want +got):\n%s", diff)
			}
			if p := b.Page(); p.Marker != "signed-in" || p.Origin() != origin {
				t.Errorf("SignIn ends on page %q of %s, want signed-in on %s", p.Marker, p.Origin(), origin)
			}
			var path []string
			for _, h := range b.Hops() {
				u, err := url.Parse(h.URL)
				if err != nil {
					t.Fatal(err)
				}
				path = append(path, h.Method+" "+u.Host+u.Path)
			}
			identity := strings.TrimPrefix(w.server.URL(), "http://")
			wantPath := []string{"GET " + host + "/sign-in", "GET " + identity + "/user_management/authorize", "GET " + identity + "/sign-in",
				"POST " + identity + "/sign-in", "GET " + host + "/callback", "GET " + host + "/", "GET " + host + "/me"}
			if diff := cmp.Diff(wantPath, path); diff != "" {
				t.Errorf("SignIn goes another way (-want +got):\n%s", diff)
			}
			other := "https://" + branchHost
			if host == branchHost {
				other = "https://" + commitHost
			}
			if me, err := b.Me(t.Context(), other); err != nil || me.SignedIn {
				t.Errorf("Me on the other host = %+v, %v; want nobody: cookies cannot cross hosts", me, err)
			}
		})
	}
}

func TestHopsHoldNoSecret(t *testing.T) {
	w := newWorld(t)
	b := NewBrowser(w.network)
	if _, err := b.SignIn(t.Context(), "https://"+branchHost, email, password); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Press(t.Context(), "https://"+branchHost, "/sign-out"); err != nil {
		t.Fatal(err)
	}
	for _, h := range b.Hops() {
		u, err := url.Parse(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range u.Query() {
			if name != "client_id" && name != "redirect_uri" && !slices.Equal(values, []string{"…"}) {
				t.Errorf("hop %s shows the value of %s", h.URL, name)
			}
		}
	}
}

func TestRefreshGivesANewToken(t *testing.T) {
	w := newWorld(t)
	b := NewBrowser(w.network)
	origin := "https://" + branchHost
	if _, err := b.SignIn(t.Context(), origin, email, password); err != nil {
		t.Fatal(err)
	}
	before, err := b.Token(t.Context(), origin)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.Press(t.Context(), origin, "/refresh"); err != nil || p.Marker != "signed-in" {
		t.Fatalf("Press /refresh = %+v, %v; want the home page, signed in", p, err)
	}
	after, err := b.Token(t.Context(), origin)
	if err != nil || after == before {
		t.Fatalf("Token after refresh is the same (%t) or %v; want another one", after == before, err)
	}
}

// R57, R62: sign-out ends on the branch's homepage, wherever it began.
func TestSignOutEndsOnTheBranchHomepage(t *testing.T) {
	w := newWorld(t)
	for _, host := range []string{commitHost, branchHost} {
		b := NewBrowser(w.network)
		origin := "https://" + host
		if _, err := b.SignIn(t.Context(), origin, email, password); err != nil {
			t.Fatal(err)
		}
		p, err := b.Press(t.Context(), origin, "/sign-out")
		if err != nil || p.Origin() != "https://"+branchHost || p.Marker != "signed-out" {
			t.Fatalf("sign-out on %s ends on %+v, %v; want the homepage of the branch", host, p, err)
		}
		if me, err := b.Me(t.Context(), origin); err != nil || me.SignedIn {
			t.Errorf("Me after sign-out = %+v, %v; want nobody", me, err)
		}
	}
}

func TestALocalLinkSignsOutToItself(t *testing.T) {
	w := newWorld(t)
	origin, err := w.app.ListenLocal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.env.AddRedirectURI(t.Context(), origin+"/callback"); err != nil {
		t.Fatal(err)
	}
	b := NewBrowser(w.network)
	if _, err := b.SignIn(t.Context(), origin, email, password); err != nil {
		t.Fatal(err)
	}
	if p, err := b.Press(t.Context(), origin, "/sign-out"); err != nil || p.Origin() != origin || p.Marker != "signed-out" {
		t.Fatalf("sign-out ends on %+v, %v; want %s", p, err, origin)
	}
}

func TestSignInThatIsStopped(t *testing.T) {
	w := newWorld(t)
	gone := w.settings(t)
	gone.ClientID = "client_01GONE"
	moved := w.settings(t)
	moved.RedirectURI = "https://" + branchHost + "/auth/callback"
	w.newApp(t, "gone", gone, "gone.example")
	w.newApp(t, "moved", moved, "moved.example")
	unset := w.newApp(t, "unset", Settings{}, "unset.example")
	unset.settings = nil
	tests := []struct {
		name, host, email string
		password          secret.String
		marker, message   string
	}{
		{"wrong password", branchHost, email, "not the password", "sign-in", "The e-mail address or the password is not right."},
		{"unknown user", branchHost, "tester@feature-b.example", password, "sign-in", "The e-mail address or the password is not right."},
		{"unregistered redirect URI", "moved.example", email, password, "redirect-uri-invalid", ""},
		{"unknown client ID", "gone.example", email, password, "client-id-invalid", "Unknown client ID"},
		{"app that was not deployed", "unset.example", email, password, "error", "This app was not deployed yet: it has no client ID."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := NewBrowser(w.network)
			_, err := b.SignIn(t.Context(), "https://"+test.host, test.email, test.password)
			f := fault.From(err)
			if f == nil || f.Kind != fault.Denied || f.Code != test.marker || test.message != "" && f.Message != test.message {
				t.Fatalf("SignIn = %#v, want denied on page %q: %s", f, test.marker, test.message)
			}
			if me, err := b.Me(t.Context(), "https://"+branchHost); err != nil || me.SignedIn {
				t.Errorf("Me = %+v, %v; want nobody", me, err)
			}
		})
	}
	t.Run("the page names what was asked for and what is registered", func(t *testing.T) {
		b := NewBrowser(w.network)
		p, err := b.Open(t.Context(), "https://moved.example/sign-in")
		if err != nil || p.Status != http.StatusBadRequest {
			t.Fatalf("Open = %+v, %v; want 400", p, err)
		}
		for _, uri := range []string{"https://moved.example/auth/callback", "https://" + branchHost + "/callback"} {
			if !slices.ContainsFunc(p.Codes, func(c string) bool { return strings.Contains(c, uri) }) {
				t.Errorf("page names %q, want %s among them", p.Codes, uri)
			}
		}
	})
}

func TestCallbackOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	stop := func(req *http.Request, via []*http.Request) error { return http.ErrUseLastResponse }
	// A person begins a sign-in and is sent away; its state is then used elsewhere.
	victim := NewBrowser(w.network)
	if _, err := victim.Open(t.Context(), "https://"+branchHost+"/sign-in"); err != nil {
		t.Fatal(err)
	}
	thief := &http.Client{Transport: w.network.transport, CheckRedirect: stop}
	w.app.mu.Lock()
	var state string
	for s := range w.app.pending {
		state = s
	}
	w.app.mu.Unlock()
	for _, query := range []string{"", "?state=", "?code=x&state=" + state, "?code=x&state=nonsense"} {
		resp, err := thief.Get("https://" + branchHost + "/callback" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("GET /callback%s = %d, want 403", query, resp.StatusCode)
		}
	}
}

func TestAppAnswersForItsHostsOnly(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+branchHost+"/sign-in", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	resp, err := w.network.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("GET with a foreign Host = %d, want 421", resp.StatusCode)
	}
}

func TestOtherSitesCannotSignOut(t *testing.T) {
	w := newWorld(t)
	b := NewBrowser(w.network)
	origin := "https://" + branchHost
	if _, err := b.SignIn(t.Context(), origin, email, password); err != nil {
		t.Fatal(err)
	}
	form, ok := Form{}, false
	p, err := b.Open(t.Context(), origin+"/")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Forms {
		if f.Action.Path == "/sign-out" {
			form, ok = f, true
		}
	}
	if !ok {
		t.Fatalf("forms %+v, want one to /sign-out", p.Forms)
	}
	b.at = &Page{URL: &url.URL{Scheme: "https", Host: "evil.example", Path: "/"}}
	if _, err := b.Submit(t.Context(), form, nil); err == nil {
		t.Error("a form of another site was accepted, want a refusal")
	}
	if me, err := b.Me(t.Context(), origin); err != nil || !me.SignedIn {
		t.Errorf("Me = %+v, %v; want still signed in", me, err)
	}
}

func TestHomeShowsTheVerdictOfTheBackend(t *testing.T) {
	w := newWorld(t)
	b := NewBrowser(w.network)
	origin := "https://" + branchHost
	var asked secret.String
	w.app.Backend = func(_ context.Context, token secret.String) (berth.Decision, error) {
		asked = token
		return berth.Decision{Code: "NoAuthProvider", Message: "No auth provider found"}, nil
	}
	if _, err := b.SignIn(t.Context(), origin, email, password); err != nil {
		t.Fatal(err)
	}
	token, err := b.Token(t.Context(), origin)
	if err != nil || asked != token {
		t.Errorf("the backend was asked about the session's token: %t (%v), want true", asked == token, err)
	}
}

func TestNetworkStaysOnThisMachine(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{"https://api.workos.com/", "http://192.0.2.1/", "https://unknown.example/", "http://" + branchHost + "/"} {
		if _, err := NewBrowser(w.network).Open(t.Context(), address); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Open(%s) = %v, want unavailable", address, err)
		}
	}
}

func TestRedirectsAreBounded(t *testing.T) {
	w := newWorld(t)
	count := 0
	circle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count++
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer circle.Close()
	if _, err := NewBrowser(w.network).Open(t.Context(), circle.URL); !fault.Is(err, fault.Unavailable) || count != maxHops {
		t.Errorf("Open of a circle = %v after %d hops, want unavailable after %d", err, count, maxHops)
	}
}
