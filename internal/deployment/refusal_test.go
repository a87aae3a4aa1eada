package deployment

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRedaction(t *testing.T) {
	jwks := "data:," + `{"keys":[` + rsaJWK("k1") + `]}`
	now := time.Unix(testNow, 0)
	tests := []struct {
		name           string
		header, claims object
		id, redacted   string
	}{
		{"no provider", nil, object{"aud": "x"}, "R3", "No auth provider found matching the given token"},
		{"an unknown key", object{"kid": "zz"}, nil, "R9", "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the provider's JWKS, or the JWT signature is invalid."},
		{"the others stay", object{"kid": nil}, nil, "R10", "Could not decode token. JWT may be missing a 'kid' (key ID) header."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refusal := Accept(t.Context(), custom(jwks), sign(t, with(rs256, tt.header), with(claims1, tt.claims)), now, nil)
			check(t, refusal, tt.id, "")
			if got := refusal.Text(true); got != tt.redacted {
				t.Errorf("Text(true) = %q, want %q", got, tt.redacted)
			}
			if refusal.Text(false) != refusal.Message {
				t.Errorf("Text(false) = %q, want %q", refusal.Text(false), refusal.Message)
			}
		})
	}
}

// R9 hides four causes; a refusal keeps them apart for a diagnosis.
func TestCausesOfR9(t *testing.T) {
	jwks := "data:," + `{"keys":[` + rsaJWK("k1") + `]}`
	token := sign(t, rs256, claims1)
	for name, tt := range map[string]struct{ token, cause string }{
		"unknown key":     {sign(t, with(rs256, object{"kid": "zz"}), claims1), "no key of that name"},
		"wrong algorithm": {sign(t, with(rs256, object{"alg": "RS512"}), claims1), "signed with RS512"},
		"bad signature":   {token[:len(token)-8] + "AAAAAAAA", "invalid signature"},
		"parts":           {token + ".x", "expected 3 parts but got 4"},
	} {
		t.Run(name, func(t *testing.T) {
			_, refusal := Accept(t.Context(), custom(jwks), tt.token, time.Unix(testNow, 0), nil)
			check(t, refusal, "R9", "")
			if !strings.Contains(refusal.Cause, tt.cause) {
				t.Errorf("Cause = %q, want %q", refusal.Cause, tt.cause)
			}
		})
	}
}

func TestIdentityExpires(t *testing.T) {
	i := &Identity{ExpiresAt: testNow}
	if r := i.Expired(time.Unix(testNow-1, 999)); r != nil {
		t.Errorf("Expired = %v before the end, want nil", r)
	}
	r := i.Expired(time.Unix(testNow, 0))
	if r == nil || r.ID != "R18" || r.Code != "TokenExpired" || r.Message != "Convex token identity expired" {
		t.Errorf("Expired = %v, want R18", r)
	}
}

func TestParseAuthorization(t *testing.T) {
	tests := []struct {
		name, header, target string
		want                 Credential
		code                 string
	}{
		{"nothing", "", "/", Credential{Caller: Anonymous}, ""},
		{"an admin key in the URL", "", "/?adminKey=k", Credential{Caller: Admin, AdminKey: "k"}, ""},
		{"the header wins over the URL", "Bearer t", "/?adminKey=k", Credential{Caller: User, Token: "t"}, ""},
		{"a token", "Bearer a.b.c", "/", Credential{Caller: User, Token: "a.b.c"}, ""},
		{"in other letters", "bEARER  a.b.c", "/", Credential{Caller: User, Token: "a.b.c"}, ""},
		{"an admin key", "Convex prod:x|y:e30=", "/", Credential{Caller: Admin, AdminKey: "prod:x|y:e30="}, ""},
		{"too short", "Bearer", "/", Credential{}, "InvalidHeaderFailure"},
		{"another scheme", "Basic YTpi", "/", Credential{}, "InvalidAdminKey"},
		{"an empty bearer", "Bearer  ", "/", Credential{}, "InvalidAdminKey"},
		{"not ASCII", "Bearer ä", "/", Credential{}, "HeaderParseFailure"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, tt.target, nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			got, refusal := ParseAuthorization(r)
			if got != tt.want {
				t.Errorf("ParseAuthorization = %v, want %v", got, tt.want)
			}
			if (refusal == nil) != (tt.code == "") || refusal != nil && (refusal.Code != tt.code || refusal.Status != 400) {
				t.Errorf("ParseAuthorization = %v, want 400 %s", refusal, tt.code)
			}
		})
	}
}
