package deployment

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/authconfig"
)

// vectors is testdata/jwt-vectors.json.
type vectors struct {
	NowUnix               int64                      `json:"nowUnix"`
	HTTPStatusWhenRefused int                        `json:"httpStatusWhenRefused"`
	JWKS                  map[string]json.RawMessage `json:"jwks"`
	ProviderSets          map[string][]struct {
		Issuer        string  `json:"issuer"`
		ApplicationID *string `json:"applicationID"`
		Algorithm     string  `json:"algorithm"`
		JWKSRef       string  `json:"jwksRef"`
	} `json:"providerSets"`
	Cases []struct {
		Name      string `json:"name"`
		Providers string `json:"providers"`
		Token     string `json:"token"`
		Expect    struct {
			Accept    bool                       `json:"accept"`
			Code      string                     `json:"code"`
			Message   string                     `json:"message"`
			Identity  map[string]json.RawMessage `json:"identity"`
			ExpiresAt int64                      `json:"expiresAt"`
		} `json:"expect"`
	} `json:"cases"`
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/jwt-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func (v *vectors) providers(set string) []authconfig.Provider {
	var providers []authconfig.Provider
	for _, p := range v.ProviderSets[set] {
		jwks := "data:application/json;base64," + base64.StdEncoding.EncodeToString(v.JWKS[p.JWKSRef])
		providers = append(providers, authconfig.Provider{
			Kind: authconfig.CustomJWT, Issuer: p.Issuer, ApplicationID: p.ApplicationID, JWKS: jwks, Algorithm: p.Algorithm,
		})
	}
	return providers
}

func TestAcceptVectors(t *testing.T) {
	v := readVectors(t)
	if len(v.Cases) != 121 {
		t.Fatalf("%d cases, want 121", len(v.Cases))
	}
	now := time.Unix(v.NowUnix, 0)
	fetch := new(Fetcher)
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			providers := v.providers(c.Providers)
			identity, refusal := Accept(t.Context(), providers, c.Token, now, fetch)
			if (identity == nil) == (refusal == nil) {
				t.Fatalf("Accept = %v, %v, want exactly one", identity, refusal)
			}
			if c.Expect.Accept != (identity != nil) {
				t.Fatalf("Accept = %v, %v, want accepted: %v", identity, refusal, c.Expect.Accept)
			}
			if refusal != nil {
				if c.Expect.Code == "" { // the real verifier crashes
					if refusal.Code != "InternalServerError" || refusal.Status != 500 {
						t.Errorf("Accept = %v, want an internal error", refusal)
					}
					return
				}
				want := c.Expect.Message
				if len(providers) > 0 {
					want = strings.ReplaceAll(want, "{jwks}", providers[0].JWKS)
				}
				if refusal.Code != c.Expect.Code || refusal.Message != want || refusal.Status != v.HTTPStatusWhenRefused {
					t.Errorf("Accept = %d %s %q,\nwant %d %s %q", refusal.Status, refusal.Code, refusal.Message, v.HTTPStatusWhenRefused, c.Expect.Code, want)
				}
				return
			}
			if identity.ExpiresAt != c.Expect.ExpiresAt {
				t.Errorf("ExpiresAt = %d, want %d", identity.ExpiresAt, c.Expect.ExpiresAt)
			}
			if diff := cmp.Diff(plain(t, c.Expect.Identity), plain(t, identity.Fields)); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func plain(t *testing.T, fields map[string]json.RawMessage) map[string]any {
	t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
