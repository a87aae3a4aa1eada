package deployment

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

func unsigned(t *testing.T, header, claims any) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return part(header) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}

func TestExplainNamesTheFirstDifferenceOfEachProvider(t *testing.T) {
	app := "client_01"
	now := time.Unix(1_700_000_000, 0)
	providers := []authconfig.Provider{
		{Kind: authconfig.CustomJWT, Issuer: "https://api.workos.com/", ApplicationID: &app, JWKS: "https://api.workos.com/sso/jwks/client_01", Algorithm: "RS256"},
		{Kind: authconfig.CustomJWT, Issuer: "https://api.workos.com/user_management/client_01", JWKS: "https://api.workos.com/sso/jwks/client_01", Algorithm: "RS256"},
	}
	good := map[string]any{"iss": "https://api.workos.com/user_management/client_01", "sub": "user_1", "exp": now.Unix() + 300, "iat": now.Unix()}
	rs := map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT"}
	with := func(changes map[string]any) map[string]any {
		c := map[string]any{}
		for k, v := range good {
			c[k] = v
		}
		for k, v := range changes {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	for _, c := range []struct {
		name     string
		header   any
		claims   map[string]any
		accepted bool
		differs  []string // of each provider, a part of the text
	}{
		{"as WorkOS issues it", rs, good, true, []string{"iss differs", ""}},
		{"another client", rs, with(map[string]any{"iss": "https://api.workos.com/user_management/client_02"}), false, []string{"iss differs", `after "https://api.workos.com/user_management/client_0" the provider's goes on with "1" and the token's goes on with "2"`}},
		{"the old issuer without aud", rs, with(map[string]any{"iss": "https://api.workos.com/"}), false, []string{"has no aud", "iss differs"}},
		{"the old issuer with another aud", rs, with(map[string]any{"iss": "https://api.workos.com", "aud": "client_1"}), false, []string{"aud differs", "iss differs"}},
		{"upper case", rs, with(map[string]any{"iss": "https://api.workos.com/user_management/CLIENT_01"}), false, []string{"", "upper and lower case"}},
		{"expired", rs, with(map[string]any{"exp": now.Unix() - 60}), false, []string{"", "expired 60 seconds ago"}},
		{"another algorithm", map[string]any{"alg": "ES256", "kid": "k1"}, good, false, []string{"", "signed with ES256, the provider wants RS256"}},
		{"no key", map[string]any{"alg": "RS256"}, good, false, []string{"", "names no key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Explain(t.Context(), providers, unsigned(t, c.header, c.claims), now, nil, true)
			if v.Accepted != c.accepted {
				t.Errorf("accepted = %v (%s), want %v", v.Accepted, v.Refusal, c.accepted)
			}
			if !c.accepted && v.Refusal == "" {
				t.Error("a refusal without its text")
			}
			for i, want := range c.differs {
				if got := v.Decisions[i].Differs; !strings.Contains(got, want) {
					t.Errorf("provider %d differs = %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestReadTellsWhatATokenSays(t *testing.T) {
	r := Read(unsigned(t, map[string]any{"alg": "RS256", "kid": "k1"}, map[string]any{"iss": "i", "sub": "s", "aud": []string{"a", "b"}, "exp": 5}))
	if r.Problem != "" || r.KeyID != "k1" || r.Issuer != "i" || len(r.Audience) != 2 || *r.ExpiresAt != 5 || r.IssuedAt != nil {
		t.Errorf("Read = %+v", r)
	}
	for _, bad := range []string{"", "x", "a.b", "a.b.c", "e30.e30", "....", "e30.bm8.x"} {
		if r := Read(bad); r.Problem == "" {
			t.Errorf("Read(%q) has no problem", bad)
		}
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJ1In0.c2ln")
	app := "a"
	providers := []authconfig.Provider{{Kind: authconfig.CustomJWT, Issuer: "https://i", ApplicationID: &app, JWKS: "https://i/jwks", Algorithm: "RS256"}, {Kind: authconfig.OIDC, Issuer: "https://i", ApplicationID: &app}}
	f.Fuzz(func(t *testing.T, token string) {
		Read(token)
		if v := Explain(t.Context(), providers, token, time.Unix(1, 0), nil, true); v.Accepted && v.Refusal != "" {
			t.Fatalf("accepted and refused: %+v", v)
		}
	})
}
