package deployment

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/authconfig"
)

func stdBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

const oidcIssuer = "https://oidc.test"

// issuer is a Fetcher for an OIDC issuer whose documents can be replaced.
func issuer(t *testing.T, discovery, keys http.HandlerFunc) *Fetcher {
	t.Helper()
	if discovery == nil {
		discovery = page(200, "application/json", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://oidc.test/keys"}`, oidcIssuer))
	}
	if keys == nil {
		keys = page(200, "", `{"keys":[{"kty":"unknown"},`+rsaJWK("k1")+`,`+edJWK("e1")+`]}`)
	}
	return &Fetcher{Resolve: func(raw string) (Target, bool) {
		switch raw {
		case oidcIssuer + "/.well-known/openid-configuration":
			return Target{Handler: discovery}, true
		case "https://oidc.test/keys":
			return Target{Handler: keys}, true
		default:
			t.Errorf("fetched %s, want a document of the issuer", raw)
			return Target{Handler: http.NotFoundHandler()}, true
		}
	}}
}

func oidcProviders() []authconfig.Provider {
	return []authconfig.Provider{{Kind: authconfig.OIDC, Issuer: oidcIssuer, ApplicationID: new("convex")}}
}

var idToken = object{"iss": oidcIssuer, "aud": "convex", "sub": "u1", "iat": testNow - 10, "exp": testNow + 300}

func TestAcceptIDToken(t *testing.T) {
	tests := []struct {
		name           string
		header, claims object // changes
		id             string // "" for accepted
	}{
		{"a plain token", nil, nil, ""},
		{"no kid, one key fits", object{"kid": nil}, nil, ""},
		{"EdDSA", object{"alg": "EdDSA", "kid": "e1"}, nil, ""},
		{"type JWT", object{"typ": "JWT"}, nil, ""},
		{"type application/jose", object{"typ": "application/jose"}, nil, ""},
		{"type at+jwt", object{"typ": "at+jwt"}, nil, "R17"},
		{"cty", object{"cty": "JWT"}, nil, "R17"},
		{"crit", object{"crit": []string{"b64"}}, nil, "R17"},
		{"another kid", object{"kid": "zz"}, nil, "R17"},
		{"PS256", object{"alg": "PS256"}, nil, "R17"},
		{"alg none", object{"alg": "none"}, nil, "R17"},
		{"one audience in a list", nil, object{"aud": []string{"convex"}}, ""},
		{"a second audience", nil, object{"aud": []string{"convex", "x"}}, "R17"},
		{"another audience", nil, object{"aud": "x"}, "R3"},
		{"expires now", nil, object{"exp": testNow}, "R17"},
		{"expires in a second", nil, object{"exp": testNow + 1}, ""},
		{"issued in the future", nil, object{"iat": testNow + 100, "nbf": testNow + 100}, ""},
		{"no iat", nil, object{"iat": nil}, "R16"},
		{"no exp", nil, object{"exp": nil}, "R16"},
		{"no sub", nil, object{"sub": nil}, "R16"},
		{"email_verified as text", nil, object{"email_verified": "true"}, "R16"},
		{"updated_at as a boolean", nil, object{"updated_at": true}, "R16"},
		{"an issuer without scheme", nil, object{"iss": "oidc.test"}, "E1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, with(rs256, tt.header), with(idToken, tt.claims))
			_, refusal := Accept(t.Context(), oidcProviders(), token, time.Unix(testNow, 0), issuer(t, nil, nil))
			check(t, refusal, tt.id, "")
		})
	}
	t.Run("a changed signature", func(t *testing.T) {
		token := sign(t, rs256, idToken)
		_, refusal := Accept(t.Context(), oidcProviders(), token[:len(token)-8]+"AAAAAAAA", time.Unix(testNow, 0), issuer(t, nil, nil))
		check(t, refusal, "R17", "Could not verify OIDC token claim. Check that the token signature is valid and the token hasn't expired.")
		if refusal.Code != "Unauthenticated" || refusal.Status != 401 {
			t.Errorf("Accept = %d %s, want 401 Unauthenticated", refusal.Status, refusal.Code)
		}
	})
}

func TestDiscoveryRefusals(t *testing.T) {
	doc := func(issuer string) http.HandlerFunc {
		return page(200, "", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://oidc.test/keys"}`, issuer))
	}
	const failed = "Auth provider discovery of https://oidc.test failed"
	tests := []struct {
		name            string
		discovery, keys http.HandlerFunc
		id              string
		status          int
		text            string
	}{
		{"no content type", doc(oidcIssuer), nil, "", 0, ""},
		{"another issuer by a slash", doc(oidcIssuer + "/"), nil, "R14", 400, failed},
		{"as text", page(200, "text/html", "{}"), nil, "R14", 400, failed},
		{"not JSON", page(200, "", "<"), nil, "R14", 400, failed},
		{"no jwks_uri", page(200, "", `{"issuer":"https://oidc.test"}`), nil, "R14", 400, failed},
		{"not found", page(404, "", "nope"), nil, "R15", 404, failed + ": 404 Not Found nope"},
		{"too many", page(429, "", "slow"), nil, "R15", 429, failed + ": 429 Too Many Requests slow"},
		{"gone", page(410, "", "x"), nil, "R15", 400, failed + ": 410 Gone x"},
		{"bad gateway", page(502, "", "x"), nil, "R15", 503, failed + ": 502 Bad Gateway x"},
		{"no keys", nil, page(404, "", ""), "R14", 400, failed},
		{"keys as text", nil, page(200, "text/plain", `{"keys":[]}`), "R14", 400, failed},
		{"keys that are none", nil, page(200, "", `{}`), "R14", 400, failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refusal := Accept(t.Context(), oidcProviders(), sign(t, rs256, idToken), time.Unix(testNow, 0), issuer(t, tt.discovery, tt.keys))
			check(t, refusal, tt.id, tt.text)
			if refusal != nil && (refusal.Status != tt.status || refusal.Code != "AuthProviderDiscoveryFailed") {
				t.Errorf("Accept = %d %s, want %d AuthProviderDiscoveryFailed", refusal.Status, refusal.Code, tt.status)
			}
		})
	}
}

func TestIDTokenIdentity(t *testing.T) {
	token := sign(t, rs256, with(idToken, object{
		"name": "Ada", "given_name": "A", "family_name": "L", "middle_name": "M", "nickname": "a", "preferred_username": "ada",
		"name#fr": "Adà", "profile": "https://p", "picture": "https://q", "website": "https://w", "email": "a@b.c", "email_verified": true,
		"gender": "f", "birthdate": "1815-12-10", "zoneinfo": "Europe/London", "locale": "en", "phone_number": "+1", "phone_number_verified": false,
		"address": object{"formatted": "12 St James's Square", "country": "GB"}, "updated_at": 1_600_000_000,
		"nonce": "n", "azp": "z", "fva": []int{1}, "jti": "j", "role": object{"a": 1}, "list": []int{1},
	}))
	identity, refusal := Accept(t.Context(), oidcProviders(), token, time.Unix(testNow, 0), issuer(t, nil, nil))
	check(t, refusal, "", "")
	want := map[string]any{
		"tokenIdentifier": "https://oidc.test|u1", "issuer": oidcIssuer, "subject": "u1",
		"name": "Ada", "givenName": "A", "familyName": "L", "nickname": "a", "preferredUsername": "ada",
		"profileUrl": "https://p", "pictureUrl": "https://q", "websiteUrl": "https://w", "email": "a@b.c", "emailVerified": true,
		"gender": "f", "birthday": "1815-12-10", "timezone": "Europe/London", "language": "en", "phoneNumber": "+1", "phoneNumberVerified": false,
		"address": "12 St James's Square", "updatedAt": "2020-09-13T12:26:40+00:00",
		"role": map[string]any{"a": 1.0}, "list": []any{1.0},
	}
	if diff := cmp.Diff(want, plain(t, identity.Fields)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}
