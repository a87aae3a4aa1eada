package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/browser"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// SignIn is what a verification needs to sign a person in.
type SignIn struct {
	Environment *workos.Environment
	ClientID    string
	APIBase     string // https://api.workos.com or a Berth server
	RedirectURI string
	Issuer      string
	Person      *browser.Person // nil: nobody is signed in; only what can be read is looked at
	// ByAPI takes the token by the password grant: the pages of WorkOS itself need
	// a browser that runs scripts.
	ByAPI bool
	// Deployment decides about the token. Nil: the backend is not known.
	Deployment func(ctx context.Context, token string) (*Acceptance, error)
	Now        func() time.Time
}

// Verdict says of one leg whether it holds.
type Verdict struct {
	Leg     Leg           `json:"leg"`
	State   State         `json:"state"`
	Seen    string        `json:"seen"`
	Fix     string        `json:"fix,omitempty"`
	Took    time.Duration `json:"-"`
	Seconds float64       `json:"seconds"`
}

// State is the outcome of a leg.
type State string

// The outcomes.
const (
	Holds   State = "ok"
	Breaks  State = "broken"
	Unknown State = "not checked" // an earlier leg broke, or it was not asked for
)

// Verify signs a person in through the hosted page and follows the token to the
// backend: one verdict per leg, in order. What comes after a broken leg is not
// checked. The error is for what keeps a verdict from being found at all.
func Verify(ctx context.Context, v SignIn) ([]Verdict, error) {
	list := []Verdict{{Leg: Session, State: Unknown}, {Leg: Token, State: Unknown}, {Leg: Backend, State: Unknown}}
	run := func(i int, f func() (string, error)) bool {
		begun := v.Now()
		seen, err := f()
		list[i].Took = v.Now().Sub(begun)
		list[i].Seconds = list[i].Took.Seconds()
		if err != nil {
			list[i].State, list[i].Seen, list[i].Fix = Breaks, fault.From(err).Message, fault.From(err).Fix
			for j := i + 1; j < len(list); j++ {
				list[j].Seen = "the leg before it is broken"
			}
			return false
		}
		list[i].State, list[i].Seen = Holds, seen
		return true
	}
	var tokens *workos.AuthenticateResponse
	if !run(0, func() (seen string, err error) {
		tokens, seen, err = v.session(ctx)
		return seen, err
	}) {
		return list, ctx.Err()
	}
	if tokens == nil {
		list[1].Seen, list[2].Seen = "nobody was signed in", "nobody was signed in"
		return list, ctx.Err()
	}
	access := secret.String(tokens.AccessToken)
	if !run(1, func() (string, error) { return v.token(ctx, access) }) {
		return list, ctx.Err()
	}
	if v.Deployment == nil {
		list[2].Seen = "the deployment is not known"
		return list, ctx.Err()
	}
	run(2, func() (string, error) { return v.backend(ctx, access) })
	return list, ctx.Err()
}

// session goes through the hosted page. Without a person it looks how far the
// sign-in page can be reached.
func (v SignIn) session(ctx context.Context) (*workos.AuthenticateResponse, string, error) {
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {v.ClientID}, "redirect_uri": {v.RedirectURI}, "response_type": {"code"}, "provider": {"authkit"}, "state": {rand.Text()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	callback, err := url.Parse(v.RedirectURI)
	if err != nil || callback.Host == "" {
		return nil, "", fault.New(fault.Invalid, "the redirect URI %s cannot be read", v.RedirectURI).WithFix("write a whole address in convex.json")
	}
	b := browser.New(v.Now)
	b.Stop = func(u *url.URL) bool { return u.Host == callback.Host && u.Path == callback.Path }
	page, err := b.Get(ctx, v.APIBase+"/user_management/authorize?"+q.Encode())
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Unavailable, "the sign-in page cannot be reached: %s", fault.From(err).Message).WithFix("is %s the right server, and does it run?", v.APIBase)
	}
	switch place := page.URL.Path; {
	case strings.Contains(place, "redirect-uri-invalid"):
		return nil, "", fault.New(fault.Invalid, "AuthKit refuses the redirect URI %s", v.RedirectURI).WithFix("run berth apply, which registers it")
	case strings.Contains(place, "client-id-invalid"), page.Status == http.StatusNotFound:
		return nil, "", fault.New(fault.Invalid, "AuthKit does not know the client ID %s", v.ClientID).WithFix("run berth dev or berth deploy")
	case page.Status >= 400:
		return nil, "", fault.New(fault.Invalid, "the sign-in page answers %d", page.Status).WithFix("open %s in a browser", v.APIBase)
	}
	if v.Person == nil {
		return nil, "the sign-in page opens for " + v.RedirectURI, nil
	}
	if v.ByAPI {
		tokens, err := v.Environment.AuthenticateWithPassword(ctx, v.Person.Email, v.Person.Password)
		if err != nil {
			return nil, "", err
		}
		return &tokens, "the sign-in page opens, and " + v.Person.Email + " signed in by the API; the page itself needs a browser", nil
	}
	page, err = b.SignIn(ctx, page, *v.Person)
	if err != nil {
		return nil, "", err
	}
	if page.Next == nil {
		return nil, "", fault.New(fault.Denied, "%s could not sign in: the page is %s", v.Person.Email, page.URL.Path).WithFix("sign in by hand once: open %s", v.APIBase)
	}
	back := page.Next.Query()
	if code := back.Get("error"); code != "" {
		return nil, "", fault.New(fault.Denied, "the sign-in came back with %s: %s", code, back.Get("error_description"))
	}
	tokens, err := v.Environment.AuthenticateWithCode(ctx, secret.String(back.Get("code")), secret.String(verifier))
	if err != nil {
		return nil, "", fault.Wrap(err, fault.From(err).Kind, "the code could not be redeemed: %s", fault.From(err).Message).WithFix("%s", fault.From(err).Fix)
	}
	return &tokens, v.Person.Email + " signed in and came back to " + callback.Scheme + "://" + callback.Host + callback.Path, nil
}

// token checks what the token says of itself and its signature.
func (v SignIn) token(ctx context.Context, access secret.String) (string, error) {
	r := deployment.Read(access.Reveal())
	switch {
	case r.Problem != "":
		return "", fault.New(fault.Invalid, "the access token cannot be read: %s", r.Problem)
	case r.ExpiresAt == nil || r.IssuedAt == nil:
		return "", fault.New(fault.Invalid, "the access token has no exp or no iat: clients cannot plan its refresh").WithFix("remove them from the JWT template's claims")
	case v.Issuer != "" && strings.TrimRight(r.Issuer, "/") != strings.TrimRight(v.Issuer, "/"):
		return "", fault.New(fault.Invalid, "the access token has the issuer %s, this environment's is %s", r.Issuer, v.Issuer)
	}
	keys := v.APIBase + "/sso/jwks/" + v.ClientID
	p := authconfig.Provider{Kind: authconfig.CustomJWT, Issuer: r.Issuer, JWKS: keys, Algorithm: r.Algorithm}
	if _, refusal := deployment.Accept(ctx, []authconfig.Provider{p}, access.Reveal(), v.Now(), nil); refusal != nil {
		cause := refusal.Cause
		if cause == "" {
			cause = refusal.Message
		}
		return "", fault.New(fault.Invalid, "the access token does not verify with the keys at %s: %s", keys, cause).WithFix("compare the clocks of this machine and the server; a key set that was cached before a rotation is out of date")
	}
	return fmt.Sprintf("%s, key %s, good for %s", r.Issuer, r.KeyID, time.Duration(*r.ExpiresAt-*r.IssuedAt)*time.Second), nil
}

func (v SignIn) backend(ctx context.Context, access secret.String) (string, error) {
	a, err := v.Deployment(ctx, access.Reveal())
	switch {
	case err != nil:
		return "", err
	case !a.Accepted:
		return "", fault.New(fault.Denied, "the backend refuses the token: %s", a.Text).WithFix("run berth doctor; it compares auth.config with the token")
	}
	return "the backend knows the caller as " + a.Subject, nil
}
