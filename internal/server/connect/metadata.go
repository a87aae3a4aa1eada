package connect

import (
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// environment is that of the path, or of the query parameter client_id at the
// root: the client ID of the environment or of one of its applications.
func (a *API) environment(r *http.Request) (*store.Env, error) {
	clientID := r.PathValue("client_id")
	if clientID != "" {
		return a.DB.EnvByClientID(r.Context(), clientID)
	}
	clientID = r.URL.Query().Get("client_id")
	e, err := a.DB.EnvByClientID(r.Context(), clientID)
	if fault.Is(err, fault.NotFound) {
		e, _, err = a.DB.EnvByApplication(r.Context(), clientID)
	}
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Several environments live here: say whose with /authkit/<client ID> before the path, or with client_id.").WithCode("client_not_found")
	}
	return e, err
}

// metadata serves OpenID Connect Discovery 1.0 and RFC 8414, which ask for the
// same members. The issuer is the same wherever it is asked.
func (a *API) metadata(w http.ResponseWriter, r *http.Request) error {
	e, err := a.environment(r)
	if err != nil {
		return err
	}
	issuer := a.Auth.ConnectIssuer(e)
	at := issuer + "/oauth2/"
	secrets := []string{"client_secret_basic", "client_secret_post"}
	w.Header().Set("Access-Control-Allow-Origin", "*") // public, and asked for without credentials
	w.Header().Set("Cache-Control", "public, max-age=60")
	return route.JSON(w, http.StatusOK, map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         at + "authorize",
		"token_endpoint":                                 at + "token",
		"device_authorization_endpoint":                  at + "device_authorization",
		"introspection_endpoint":                         at + "introspection",
		"revocation_endpoint":                            at + "revoke",
		"userinfo_endpoint":                              at + "userinfo",
		"jwks_uri":                                       at + "jwks",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{workos.GrantCode, workos.GrantRefresh, "client_credentials", workos.GrantDeviceCode},
		"scopes_supported":                               identity.StandardScopes,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{e.Settings.Tokens.SigningAlgorithm()},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          append([]string{"none"}, secrets...),
		"introspection_endpoint_auth_methods_supported":  secrets,
		"revocation_endpoint_auth_methods_supported":     append([]string{"none"}, secrets...),
		"claims_supported":                               []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "org_id", "name", "given_name", "family_name", "picture", "locale", "updated_at", "email", "email_verified"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"prompt_values_supported":                        []string{"none", "login", "consent"},
	})
}

func (a *API) jwks(w http.ResponseWriter, r *http.Request) error {
	e, err := a.environment(r)
	if err != nil {
		return err
	}
	set, err := a.Auth.JWKS(r.Context(), e)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("ETag", set.ETag)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, err = w.Write(set.Body)
	return err
}
