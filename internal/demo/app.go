package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
)

// App is a small web app with AuthKit: the part that the example app's own
// server plays once it is deployed. Sessions live in memory.
//
//	GET  /          who is signed in
//	GET  /sign-in   begins a sign-in, with PKCE (RFC 7636) and state
//	GET  /callback  ends it; the path is that of the redirect URI
//	GET  /me        the same as /, as JSON
//	GET  /token     the access token, for the page's backend client
//	POST /refresh   rotates the tokens
//	POST /sign-out  ends the session at the identity server
//
// An app may be asked on several hosts. Each sign-in returns to the host where
// it began, because cookies do not cross hosts.
type App struct {
	Name  string // such as Shop
	Kind  string // dev, preview, prod
	Label string // names the deployment, such as "preview feature-a"; unique among the apps on this machine
	Now   func() time.Time
	// Backend asks the deployment's backend about a token; nil leaves the line out.
	Backend func(ctx context.Context, token secret.String) (berth.Decision, error)

	mu       sync.Mutex
	settings *Settings
	origins  []string // where the app answers
	pending  map[string]pendingSignIn
	sessions map[string]session
	servers  []*http.Server
	serving  sync.WaitGroup
}

// Bounds of what visitors can make the app keep.
const (
	maxPending    = 1000
	maxSessions   = 10000
	signInMinutes = 10 * time.Minute
)

type pendingSignIn struct {
	origin, verifier string
	begun            time.Time
}

type session struct {
	user    workos.User
	access  secret.String
	refresh secret.String
	method  string
	claims  tokenClaims
}

// tokenClaims are read without a check of the signature: the token came from
// the API itself. Checking it is the backend's work.
type tokenClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	SessionID string `json:"sid"`
	Expires   int64  `json:"exp"` // seconds since 1970
}

// Configure gives the app its settings. Before that it answers 503.
func (a *App) Configure(s Settings) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settings = &s
	a.sessions, a.pending = map[string]session{}, map[string]pendingSignIn{}
}

// ListenLocal serves the app on a free port of this machine over plain http and
// returns the origin, http://localhost:PORT.
func (a *App) ListenLocal() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "no free port on this machine")
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	origin := "http://localhost:" + port
	a.serve(l, origin)
	return origin, nil
}

// ListenHosts serves the app under https for hosts and returns the loopback
// address that they are to lead to.
func (a *App) ListenHosts(ca *Authority, hosts ...string) (string, error) {
	cert, err := ca.certificate(hosts)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "no free port on this machine")
	}
	var origins []string
	for _, host := range hosts {
		origins = append(origins, "https://"+host)
	}
	a.serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}), origins...)
	return l.Addr().String(), nil
}

func (a *App) serve(l net.Listener, origins ...string) {
	s := &http.Server{
		Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	a.mu.Lock()
	a.servers = append(a.servers, s)
	a.origins = append(a.origins, origins...)
	a.mu.Unlock()
	a.serving.Go(func() { _ = s.Serve(l) }) // ends with Close
}

// Close stops the app and waits until it has stopped.
func (a *App) Close() error {
	a.mu.Lock()
	servers := a.servers
	a.servers = nil
	a.mu.Unlock()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	a.serving.Wait()
	return errors.Join(errs...)
}

// request is what every handler needs to know.
type request struct {
	*http.Request
	settings Settings
	origin   string // scheme, host and port it was asked on
	id       string // session
	session  session
}

func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, h) })
	}
	handle("GET /{$}", a.home)
	handle("GET /sign-in", a.signIn)
	handle("GET /me", a.me)
	handle("GET /token", a.token)
	handle("POST /refresh", a.refresh)
	handle("POST /sign-out", a.signOut)
	// The path of the callback is known when the settings are.
	handle("GET /", func(w http.ResponseWriter, r request) error {
		if r.URL.Path == r.settings.callbackPath() {
			return a.callback(w, r)
		}
		return fault.New(fault.NotFound, "There is no page %s.", r.URL.Path)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (a *App) answer(w http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, request) error) {
	w.Header().Set("Cache-Control", "no-store")
	in := request{Request: r, origin: "http://" + strings.ToLower(r.Host)}
	if r.TLS != nil {
		in.origin = "https://" + strings.TrimSuffix(strings.ToLower(r.Host), ":443")
	}
	a.mu.Lock()
	known := slices.Contains(a.origins, in.origin)
	ready := a.settings != nil
	if ready {
		in.settings = *a.settings
	}
	if c, err := r.Cookie(a.cookie("session")); err == nil {
		in.id = c.Value
		in.session = a.sessions[c.Value]
	}
	a.mu.Unlock()
	var err error
	switch {
	case !known:
		// RFC 9110 section 15.5.20. The host decides where a sign-in returns to.
		w.WriteHeader(http.StatusMisdirectedRequest)
		_, _ = io.WriteString(w, "This app does not answer for that host.\n")
		return
	case !ready:
		err = fault.New(fault.Unavailable, "This app was not deployed yet: it has no client ID.")
	default:
		err = h(w, in)
	}
	if err != nil {
		a.fail(w, in, err)
	}
}

// cookie is the name of a cookie of this app. Browsers do not tell ports of
// localhost apart, so the name must.
func (a *App) cookie(what string) string {
	name := []byte(what + "-" + a.Label)
	for i, c := range name {
		if c == ' ' || c == '/' {
			name[i] = '-'
		}
	}
	return string(name)
}

func (a *App) setCookie(w http.ResponseWriter, r request, what, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: a.cookie(what), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode, // Lax: the way back from the hosted page is a navigation
	})
}

func (a *App) signIn(w http.ResponseWriter, r request) error {
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	a.mu.Lock()
	for s, p := range a.pending {
		if a.Now().Sub(p.begun) > signInMinutes {
			delete(a.pending, s)
		}
	}
	full := len(a.pending) >= maxPending
	if !full {
		a.pending[state] = pendingSignIn{origin: r.origin, verifier: verifier, begun: a.Now()}
	}
	a.mu.Unlock()
	if full {
		return fault.New(fault.RateLimited, "Too many people are signing in. Try again in a minute.")
	}
	a.setCookie(w, r, "signin", state, int(signInMinutes/time.Second))
	q := url.Values{
		"client_id": {r.settings.ClientID}, "redirect_uri": {r.origin + r.settings.callbackPath()}, "response_type": {"code"}, "provider": {"authkit"},
		"state": {state}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	http.Redirect(w, r.Request, r.settings.API+"/user_management/authorize?"+q.Encode(), http.StatusFound)
	return nil
}

func (a *App) callback(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	state := q.Get("state")
	a.mu.Lock()
	p, known := a.pending[state]
	delete(a.pending, state)
	a.mu.Unlock()
	c, err := r.Cookie(a.cookie("signin"))
	if err != nil || !known || state == "" || c.Value != state || p.origin != r.origin || a.Now().Sub(p.begun) > signInMinutes {
		return fault.New(fault.Denied, "This sign-in was not begun here, or too long ago.").WithFix("Begin again on this page.")
	}
	a.setCookie(w, r, "signin", "", -1)
	if code := q.Get("error"); code != "" {
		return fault.New(fault.Denied, "The sign-in ended with %s: %s", code, q.Get("error_description")).WithFix("Begin again on this page.")
	}
	t, err := a.api(r.settings).AuthenticateWithCode(r.Context(), secret.String(q.Get("code")), secret.String(p.verifier))
	if err != nil {
		return err
	}
	id := rand.Text()
	if err := a.keep(id, t); err != nil {
		return err
	}
	a.setCookie(w, r, "session", id, int(24*time.Hour/time.Second))
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

// api is the app's end of the AuthKit API.
func (a *App) api(s Settings) *workos.Environment {
	return workos.NewEnvironment(wire.Client{Base: s.API, Name: "the AuthKit API", Timeout: 15 * time.Second, Retries: 1}, s.ClientID, s.APIKey)
}

func (a *App) keep(id string, t workos.AuthenticateResponse) error {
	s := session{user: t.User, access: t.AccessToken.Secret(), refresh: t.RefreshToken.Secret(), method: t.AuthenticationMethod}
	if err := s.readClaims(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) >= maxSessions {
		clear(a.sessions)
	}
	a.sessions[id] = s
	return nil
}

func (s *session) readClaims() error {
	parts := strings.Split(s.access.Reveal(), ".")
	if len(parts) != 3 {
		return fault.New(fault.Unavailable, "The access token is not a JWT.")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(data, &s.claims)
	}
	if err != nil || s.claims.SessionID == "" {
		return fault.Wrap(err, fault.Unavailable, "The access token names no session.")
	}
	return nil
}

// signedIn refuses visitors without a session.
func (r request) signedIn() error {
	if r.session.user.ID == "" {
		return fault.New(fault.Unauthenticated, "You are not signed in here.").WithFix("Sign in first.")
	}
	return nil
}

// Me is the answer of GET /me.
type Me struct {
	SignedIn  bool   `json:"signed_in"`
	UserID    string `json:"user_id,omitempty"`
	Email     string `json:"email,omitempty"`
	ClientID  string `json:"client_id"`
	Issuer    string `json:"issuer,omitempty"`     // of the access token
	ExpiresAt int64  `json:"expires_at,omitempty"` // of the access token, seconds since 1970
	Origin    string `json:"origin"`               // where the app was asked
}

func (a *App) me(w http.ResponseWriter, r request) error {
	s := r.session
	return writeJSON(w, http.StatusOK, Me{SignedIn: s.user.ID != "", UserID: s.user.ID, Email: s.user.Email, ClientID: r.settings.ClientID,
		Issuer: s.claims.Issuer, ExpiresAt: s.claims.Expires, Origin: r.origin})
}

// token hands the access token to the page, which is how the page's backend
// client gets it. Without CORS headers no other origin can read the answer.
func (a *App) token(w http.ResponseWriter, r request) error {
	if err := r.signedIn(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"access_token": r.session.access.Reveal()})
}

func (a *App) refresh(w http.ResponseWriter, r request) error {
	if err := r.signedIn(); err != nil {
		return err
	}
	t, err := a.api(r.settings).AuthenticateWithRefresh(r.Context(), r.session.refresh, "")
	if err != nil {
		return err
	}
	if err := a.keep(r.id, t); err != nil {
		return err
	}
	http.Redirect(w, r.Request, "/", http.StatusSeeOther)
	return nil
}

func (a *App) signOut(w http.ResponseWriter, r request) error {
	a.mu.Lock()
	delete(a.sessions, r.id)
	a.mu.Unlock()
	a.setCookie(w, r, "session", "", -1)
	if r.session.user.ID == "" {
		http.Redirect(w, r.Request, "/", http.StatusSeeOther)
		return nil
	}
	q := url.Values{"session_id": {r.session.claims.SessionID}}
	// No return_to: the session ends on the homepage that is configured for the
	// deployment. A link for people on this machine is not that homepage.
	if a.Kind != "dev" && strings.HasPrefix(r.origin, "http://localhost:") {
		q.Set("return_to", r.origin)
	}
	http.Redirect(w, r.Request, r.settings.API+"/user_management/sessions/logout?"+q.Encode(), http.StatusSeeOther)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(data)
	return err
}
