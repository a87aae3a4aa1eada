package connect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// answer writes an error of RFC 6749 section 5.2, or of RFC 6750 section 3 where
// a bearer token was asked for.
func answer(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	code, status := f.Code, http.StatusBadRequest
	switch {
	case f.Kind == fault.Internal:
		code, status = "server_error", http.StatusInternalServerError
	case f.Kind == fault.RateLimited:
		code, status = "slow_down", http.StatusTooManyRequests
	case code == "invalid_client":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth2"`)
	case code == "invalid_token":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case code == "insufficient_scope":
		status = http.StatusForbidden
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
	case f.Kind == fault.NotFound:
		status = http.StatusNotFound
	case f.Kind == fault.Unavailable:
		code, status = "temporarily_unavailable", http.StatusServiceUnavailable
	case code == "":
		code = "invalid_request"
	}
	w.Header().Set("Cache-Control", "no-store")
	out := workos.OAuthAnswer(code, f.Message)
	out.Status = status
	_ = out.Write(w) // the client is gone; there is nobody to tell
}

func badRequest(text string) error {
	return fault.New(fault.Invalid, "%s", text).WithCode("invalid_request")
}

// errClient does not tell an unknown application from a wrong secret.
var errClient = fault.New(fault.Unauthenticated, "The client is unknown or its secret is wrong.").WithCode("invalid_client")

// request is a form posted by a client.
type request struct {
	form     url.Values
	clientID string
	secret   string // "" for none
}

// readRequest reads a form and the client's credentials: of the header
// Authorization (RFC 6749 section 2.3.1) or of the form, never of both.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return request{}, badRequest("The body must be application/x-www-form-urlencoded.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, route.MaxBody)
	if err := r.ParseForm(); err != nil {
		return request{}, badRequest("The form cannot be read.")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 { // RFC 6749 section 3.2
			if name == "resource" {
				return request{}, fault.New(fault.Invalid, "One resource can be asked for at a time.").WithCode("invalid_target")
			}
			return request{}, badRequest("A parameter was sent more than once.")
		}
	}
	q := request{form: r.PostForm, clientID: r.PostForm.Get("client_id"), secret: r.PostForm.Get("client_secret")}
	user, password, ok := r.BasicAuth()
	if !ok {
		return q, nil
	}
	id, idErr := url.QueryUnescape(user)
	value, valueErr := url.QueryUnescape(password)
	switch {
	case idErr != nil || valueErr != nil:
		return q, errClient
	case q.secret != "" || q.clientID != "" && q.clientID != id:
		return q, badRequest("The client authenticates in two ways at once.")
	}
	q.clientID, q.secret = id, value
	return q, nil
}

// client returns the application of a request, authenticated. A path with an
// environment is for applications of that one only.
func (a *API) client(w http.ResponseWriter, r *http.Request, q request) (*store.Env, identity.Application, error) {
	e, app, err := a.DB.EnvByApplication(r.Context(), q.clientID)
	if fault.Is(err, fault.NotFound) {
		return nil, app, errClient
	}
	if err != nil {
		return nil, app, err
	}
	if of := r.PathValue("client_id"); of != "" && of != e.ClientID {
		return nil, app, errClient
	}
	if err := allowOrigin(w, r, e); err != nil { // a refusal can be read too
		return nil, app, err
	}
	return e, app, a.Auth.CheckClient(r.Context(), e, app, q.secret)
}

// tokenOrPlatform serves POST /oauth2/token, which the Platform API has too: the
// client decides whose it is.
func (a *API) tokenOrPlatform(s route.Surface) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, route.MaxBody))
		if err != nil {
			s.Fail(w, r, badRequest("The body broke off or is too large."))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(data))
		known, err := a.ofApplication(r, data)
		switch {
		case err != nil:
			s.Fail(w, r, err)
		case !known:
			a.Platform.ServeHTTP(w, r)
		default:
			if err := a.token(w, r); err != nil {
				s.Fail(w, r, err)
			}
		}
	})
}

// ofApplication reports whether a token request is for an application: its
// client is one, or the grant is one that the Platform API does not have.
func (a *API) ofApplication(r *http.Request, body []byte) (bool, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return false, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return false, nil
	}
	switch form.Get("grant_type") {
	case workos.GrantCode, workos.GrantRefresh, workos.GrantDeviceCode:
		return true, nil
	}
	clientID := form.Get("client_id")
	if user, _, ok := r.BasicAuth(); ok {
		clientID = user
	}
	_, _, err = a.DB.EnvByApplication(r.Context(), clientID)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	e, app, err := a.client(w, r, q)
	if err != nil {
		return err
	}
	ctx := identity.WithClient(r.Context(), identity.Client{IPAddress: route.ClientIP(r), UserAgent: r.UserAgent()})
	need := func(name string) (string, error) {
		if v := q.form.Get(name); v != "" {
			return v, nil
		}
		return "", badRequest(name + " is missing.")
	}
	var t *auth.ApplicationTokens
	var value string
	switch q.form.Get("grant_type") {
	case workos.GrantCode:
		if value, err = need("code"); err == nil {
			t, err = a.Auth.RedeemApplication(ctx, e, app, value, q.form.Get("code_verifier"), q.form.Get("redirect_uri"))
		}
	case workos.GrantRefresh:
		if value, err = need("refresh_token"); err == nil {
			t, err = a.Auth.RefreshApplication(ctx, e, app, value, q.form.Get("scope"))
		}
	case workos.GrantDeviceCode:
		if value, err = need("device_code"); err == nil {
			t, err = a.Auth.RedeemApplicationDevice(ctx, e, app, value)
		}
	case "client_credentials":
		resource := q.form.Get("resource")
		if !auth.ValidResource(resource) {
			return fault.New(fault.Invalid, "resource must be an absolute URI without fragment.").WithCode("invalid_target")
		}
		t, err = a.Auth.MachineToken(ctx, e, app, q.form.Get("scope"), resource)
	case "":
		return badRequest("grant_type is missing.")
	default:
		return fault.New(fault.Invalid, "This grant type is not supported.").WithCode("unsupported_grant_type")
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.ConnectToken{AccessToken: workos.Credential(t.AccessToken.Reveal()), TokenType: "bearer", ExpiresIn: int(t.Lifetime / time.Second),
		RefreshToken: workos.Credential(t.RefreshToken.Reveal()), IDToken: workos.Credential(t.IDToken.Reveal()), Scope: strings.Join(t.Scopes, " ")})
}

// deviceAuthorization begins the device flow of an application.
func (a *API) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	e, app, err := a.client(w, r, q)
	if err != nil {
		return err
	}
	scopes, resource, err := a.Auth.Ask(app, q.form.Get("scope"), q.form.Get("resource"))
	if err != nil {
		return err
	}
	return a.startedDevice(w, r, e, app, scopes, resource)
}

// introspect is RFC 7662. The environment's own server may ask with its API key
// as client secret, and applications of the team about any token of the
// environment; those of others learn of their own only.
func (a *API) introspect(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	text := q.form.Get("token")
	if text == "" {
		return badRequest("token is missing.")
	}
	e, err := a.DB.EnvByAPIKey(r.Context(), q.secret)
	if err != nil && !fault.Is(err, fault.Unauthenticated) {
		return err
	}
	of, app := r.PathValue("client_id"), identity.Application{}
	ownServer := err == nil && e.ClientID == q.clientID && (of == "" || of == e.ClientID)
	if !ownServer {
		if q.secret == "" {
			return errClient // a public client proves nothing
		}
		if e, app, err = a.client(w, r, q); err != nil {
			return err
		}
	}
	in, err := a.Auth.Introspect(r.Context(), e, text)
	if fault.Is(err, fault.Unauthenticated) || err == nil && !ownServer && !app.FirstParty && app.Kind != identity.M2MApplication && in.App.ID != app.ID {
		return route.JSON(w, http.StatusOK, map[string]bool{"active": false})
	}
	if err != nil {
		return err
	}
	out := maps.Clone(in.Claims)
	out["active"], out["token_type"] = true, "access_token"
	if in.Refresh {
		out["token_type"] = "refresh_token"
	}
	return route.JSON(w, http.StatusOK, out)
}

// revoke is RFC 7009.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) error {
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	e, app, err := a.client(w, r, q)
	if err != nil {
		return err
	}
	text := q.form.Get("token")
	if text == "" {
		return badRequest("token is missing.")
	}
	if err := a.Auth.RevokeApplication(r.Context(), e, app, text); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// userinfo is OpenID Connect Core 1.0 section 5.3. At the root the token itself
// says whose it is; its signature is checked with the keys of that environment.
func (a *API) userinfo(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	text := route.Bearer(r)
	bad := fault.New(fault.Unauthenticated, "The access token is missing, invalid or has expired.").WithCode("invalid_token")
	if text == "" {
		return bad
	}
	clientID := r.PathValue("client_id")
	if clientID == "" {
		clientID = strings.TrimPrefix(unverifiedIssuer(text), a.BaseURL()+"/authkit/")
	}
	e, err := a.DB.EnvByClientID(r.Context(), clientID)
	if fault.Is(err, fault.NotFound) {
		return bad
	}
	if err != nil {
		return err
	}
	if err := allowOrigin(w, r, e); err != nil { // a refusal can be read too
		return err
	}
	in, err := a.Auth.Introspect(r.Context(), e, text)
	if err != nil {
		return err
	}
	if in.Refresh {
		return bad
	}
	if in.Session.ID == "" || !slices.Contains(in.Session.Scopes, identity.ScopeOpenID) {
		return fault.New(fault.Denied, "The token has not the scope openid.").WithCode("insufficient_scope")
	}
	u, err := e.User(r.Context(), in.Session.UserID)
	if fault.Is(err, fault.NotFound) {
		return bad
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, auth.UserClaims(u, in.Session.Scopes))
}

// unverifiedIssuer reads iss of a JWT, to find the keys that it is checked with.
func unverifiedIssuer(text string) string {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
