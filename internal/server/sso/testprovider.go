package sso

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/upstream"
	"github.com/berthdev/berth/web"
)

const (
	// testCodeLifetime bounds the way from the test provider's page to the callback.
	testCodeLifetime = time.Minute
	// testIdentities bounds the list of earlier identities.
	testIdentities = 20
	// maxTestField bounds a field of the form in bytes.
	maxTestField = 4096
)

// testCode is the code of the test identity provider. It holds what a real
// provider would keep: for which sign-in it is, and who the person is.
type testCode struct {
	ConnectionID string         `json:"c"`
	Nonce        string         `json:"n"`
	Challenge    string         `json:"k"` // PKCE S256
	Subject      string         `json:"s"`
	Claims       map[string]any `json:"p"`
	Until        time.Time      `json:"t"`
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// atTestProvider reads the sign-in that is at the test provider.
func (a *API) atTestProvider(r *http.Request, state string) (*store.Env, identity.Connection, *auth.ConnectionRequest, error) {
	e, c, req, err := a.Auth.Away(r.Context(), state, hosted.Cookie(r))
	if err == nil && (c.Kind != identity.TestConnection || e.Production) {
		err = auth.ErrFlow
	}
	return e, c, req, err
}

func (a *API) testPage(r *http.Request, e *store.Env, c identity.Connection, req *auth.ConnectionRequest, state string) (web.TestProvider, error) {
	page := web.TestProvider{Connection: c.Name, Single: !c.Social(), Email: req.Flow.LoginHint,
		Form: web.Form{Action: "/sso/test-provider", Hidden: []web.Field{{Name: "state", Value: state}}}}
	var err error
	if page.Frame, err = a.Hosted.Frame(r, e, req.Flow.RedirectURI); err != nil {
		return page, err
	}
	known, err := e.TestProfiles(r.Context(), testIdentities)
	for _, p := range known {
		page.Identities = append(page.Identities, web.TestIdentity{ID: p.ID, Name: strings.TrimSpace(p.FirstName + " " + p.LastName), Email: p.Email})
	}
	return page, err
}

func (a *API) showTestProvider(w http.ResponseWriter, r *http.Request) error {
	state := r.URL.Query().Get("state")
	e, c, req, err := a.atTestProvider(r, state)
	if err != nil {
		return err
	}
	page, err := a.testPage(r, e, c, req, state)
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, page, req.Flow.RedirectURI)
}

// testProvider answers the sign-in with what the person said.
func (a *API) testProvider(w http.ResponseWriter, r *http.Request) error {
	if err := hosted.CheckOrigin(r); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.").WithFix("Go back and try again.")
	}
	form := r.PostForm
	state := form.Get("state")
	e, c, req, err := a.atTestProvider(r, state)
	if err != nil {
		return err
	}
	back := url.Values{"state": {state}}
	switch form.Get(web.FieldDecision) {
	case web.DecisionDeny:
		back.Set("error", "access_denied")
	case web.DecisionFail:
		back.Set("error", "server_error")
	default:
		subject, claims, wrong, err := a.testClaims(r, e, form)
		if err != nil {
			return err
		}
		if wrong != nil {
			page, err := a.testPage(r, e, c, req, state)
			if err != nil {
				return err
			}
			field := func(name string) string { return strings.TrimSpace(form.Get(name)) }
			page.Email, page.FirstName, page.LastName = field(web.FieldEmail), field(web.FieldFirstName), field(web.FieldLastName)
			page.Groups, page.Attributes = field(web.FieldGroups), field(web.FieldAttributes)
			page.EmailError, page.AttributesError = wrong[web.FieldEmail], wrong[web.FieldAttributes]
			return web.Write(w, http.StatusUnprocessableEntity, page, req.Flow.RedirectURI)
		}
		plain, err := json.Marshal(testCode{ConnectionID: c.ID, Nonce: req.Nonce, Challenge: challenge(req.Verifier), Subject: subject, Claims: claims, Until: a.DB.Now().Add(testCodeLifetime)})
		if err != nil {
			return err
		}
		back.Set("code", base64.RawURLEncoding.EncodeToString(a.DB.Box().Seal("test identity", "", plain)))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", "/sso/callback?"+back.Encode())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// testClaims reads who the person says they are, or what is wrong with it by
// field.
func (a *API) testClaims(r *http.Request, e *store.Env, form url.Values) (subject string, claims map[string]any, wrong map[string]string, err error) {
	claims = map[string]any{}
	email := strings.TrimSpace(form.Get(web.FieldEmail))
	if id := form.Get(web.FieldIdentity); id != "" {
		known, err := e.Profile(r.Context(), id)
		if fault.Is(err, fault.NotFound) {
			return "", nil, map[string]string{web.FieldEmail: "This identity is gone. Type another one."}, nil
		}
		if err != nil {
			return "", nil, nil, err
		}
		for k, v := range known.Attributes {
			claims[k] = v
		}
		email = known.Email
	} else {
		if text := strings.TrimSpace(form.Get(web.FieldAttributes)); text != "" && (len(text) > maxTestField || json.Unmarshal([]byte(text), &claims) != nil || claims == nil) {
			return "", nil, map[string]string{web.FieldAttributes: "This is not a JSON object."}, nil
		}
		for name, claim := range map[string]string{web.FieldFirstName: "given_name", web.FieldLastName: "family_name"} {
			if text := strings.TrimSpace(form.Get(name)); text != "" && len(text) <= maxTestField {
				claims[claim] = text
			}
		}
		if list := form.Get(web.FieldGroups); list != "" && len(list) <= maxTestField {
			groups := []any{}
			for g := range strings.SplitSeq(list, ",") {
				if g = strings.TrimSpace(g); g != "" {
					groups = append(groups, g)
				}
			}
			claims["groups"] = groups
		}
		claims["email_verified"] = form.Get(web.FieldDecision) != web.DecisionUnverified
	}
	if identity.CheckEmail(email) != nil {
		return "", nil, map[string]string{web.FieldEmail: "This is not an e-mail address."}, nil
	}
	sum := sha256.Sum256([]byte(identity.EmailKey(email)))
	subject = "test-" + hex.EncodeToString(sum[:10])
	claims["sub"], claims["email"] = subject, email
	return subject, claims, nil, nil
}

// exchangeTest redeems a code of the test identity provider as that of a real
// one is: it must be of this connection, nonce and PKCE verifier.
func (a *API) exchangeTest(c identity.Connection, req *auth.ConnectionRequest, code string) (identity.Profile, *identity.ProviderTokens, error) {
	bad := fault.New(fault.Unavailable, "The test identity provider did not make this code.").WithCode(upstream.Unreachable)
	var t testCode
	data, err := base64.RawURLEncoding.DecodeString(code)
	if err == nil {
		data, err = a.DB.Box().Open("test identity", "", data)
	}
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	same := func(x, y string) bool { return subtle.ConstantTimeCompare([]byte(x), []byte(y)) == 1 }
	if err != nil || t.ConnectionID != c.ID || !same(t.Nonce, req.Nonce) || !same(t.Challenge, challenge(req.Verifier)) || !a.DB.Now().Before(t.Until) {
		return identity.Profile{}, nil, bad
	}
	tokens := &identity.ProviderTokens{Provider: c.Type, AccessToken: "test-" + rand.Text(), RefreshToken: "test-" + rand.Text(),
		ExpiresAt: a.DB.Now().Add(time.Hour), Scopes: append([]string{"openid", "profile", "email"}, c.Scopes...)}
	return upstream.ProfileOf(t.Subject, t.Claims), tokens, nil
}
