package sso

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/web"
)

// authorize begins a sign-in of the SSO API.
func (a *API) authorize(w http.ResponseWriter, r *http.Request) error {
	q, err := hosted.Query(r)
	if err != nil {
		return err
	}
	in := auth.Authorization{ForProfile: true, ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), ResponseType: q.Get("response_type"), State: q.Get("state"),
		Provider: q.Get("provider"), ConnectionID: q.Get("connection"), OrganizationID: q.Get("organization"), Domain: q.Get("domain"),
		DomainHint: q.Get("domain_hint"), LoginHint: q.Get("login_hint"), Prompt: q.Get("prompt")}
	if in.Provider == "authkit" { // of User Management only
		in.Provider = ""
	}
	hosted.HandOn(q, &in)
	e, flow, err := a.Auth.Begin(r.Context(), in, a.Hosted.Browser(w, r))
	if err != nil {
		return a.Hosted.Refuse(w, r, e, flow, in.ClientID, err)
	}
	return a.leave(w, r, e, flow)
}

// token redeems a code of the SSO API. The document puts its parameters into
// the query, the SDKs into a form.
func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	var req workos.SSOTokenRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	q := r.URL.Query()
	for name, to := range map[string]*string{"client_id": &req.ClientID, "grant_type": &req.GrantType, "client_secret": (*string)(&req.ClientSecret), "code": (*string)(&req.Code)} {
		if *to == "" {
			*to = q.Get(name)
		}
	}
	bad := func(code, description string) error {
		return fault.New(fault.Invalid, "%s", description).WithCode(code)
	}
	secretGiven := string(req.ClientSecret)
	if secretGiven == "" {
		secretGiven = route.Bearer(r)
	}
	ctx := r.Context()
	e, err := a.DB.EnvByAPIKey(ctx, secretGiven)
	if fault.Is(err, fault.Unauthenticated) || err == nil && e.ClientID != req.ClientID {
		return bad("invalid_client", "Invalid client ID or secret.")
	}
	if err != nil {
		return err
	}
	if req.GrantType != workos.GrantCode {
		return bad("unsupported_grant_type", "The grant type is not supported.")
	}
	p, c, tokens, err := a.Auth.RedeemProfile(ctx, e, string(req.Code))
	if errors.Is(err, store.ErrCode) {
		return bad("invalid_grant", "The code has expired or has already been used.")
	}
	if err != nil {
		return err
	}
	access, err := a.Auth.SealProfile(e, "profile", p.ID)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.SSOTokenResponse{TokenType: "Bearer", AccessToken: workos.Credential(access), ExpiresIn: int(auth.ProfileTokenLifetime / time.Second),
		Profile: profileOf(p, c), OAuthTokens: keyed.ProviderTokens(tokens)})
}

func profileOf(p identity.Profile, c identity.Connection) workos.Profile {
	out := workos.Profile{Object: "profile", ID: p.ID, OrganizationID: keyed.OrNull(c.OrganizationID), ConnectionID: c.ID, ConnectionType: c.Type, IDPID: p.IDPID, Email: p.Email,
		FirstName: keyed.OrNull(p.FirstName), LastName: keyed.OrNull(p.LastName), Name: keyed.OrNull(strings.TrimSpace(p.FirstName + " " + p.LastName)),
		Groups: p.Groups, CustomAttributes: map[string]any{}, RawAttributes: p.Attributes}
	if out.Groups == nil {
		out.Groups = []string{}
	}
	if out.RawAttributes == nil {
		out.RawAttributes = map[string]any{}
	}
	return out
}

// profile answers the profile of an access token.
func (a *API) profile(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	_, p, c, err := a.Auth.OpenProfile(r.Context(), "profile", route.Bearer(r))
	if fault.Is(err, fault.Unauthenticated) {
		return workos.Answer{Status: http.StatusUnauthorized, Body: map[string]string{"error": "Unauthorized"}}.Write(w)
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, profileOf(p, c))
}

// authorizeLogout makes the address at which a person signs out at their
// identity provider. As at WorkOS only OpenID Connect connections have that.
func (a *API) authorizeLogout(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req struct {
		ProfileID string `json:"profile_id"`
	}
	if err := route.Read(r, &req); err != nil {
		return err
	}
	p, err := e.Profile(r.Context(), req.ProfileID)
	if err != nil {
		return err
	}
	c, err := e.Connection(r.Context(), p.ConnectionID)
	if err != nil {
		return err
	}
	if c.Type != "GenericOIDC" {
		return workos.OAuthAnswer("connection_invalid", "Single Logout is only supported for GenericOIDC connections.").Write(w)
	}
	token, err := a.Auth.SealProfile(e, "logout", p.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusOK, workos.SSOLogoutResponse{LogoutURL: a.BaseURL() + "/sso/logout?" + url.Values{"token": {token}}.Encode(), LogoutToken: workos.Credential(token)})
}

// logout sends the browser to the provider's own sign-out, and without one says
// that there is none.
func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	e, _, c, err := a.Auth.OpenProfile(r.Context(), "logout", r.URL.Query().Get("token"))
	if fault.Is(err, fault.Unauthenticated) {
		return fault.New(fault.NotFound, "This sign-out link has expired or is damaged.")
	}
	if err != nil {
		return err
	}
	to := ""
	if c.Kind == identity.OIDCConnection {
		if to, err = a.Upstream.LogoutURL(r.Context(), c, e.HomepageURL); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if to == "" {
		frame, err := a.Hosted.Frame(r, e, "")
		if err != nil {
			return err
		}
		return web.Write(w, http.StatusOK, web.SignedOut{Frame: frame, HomeURL: e.HomepageURL})
	}
	http.Redirect(w, r, to, http.StatusFound)
	return nil
}
