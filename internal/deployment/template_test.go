package deployment

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The vendor's template, as its bundler leaves it, works unchanged against a
// server in this process that signs under the vendor's issuer (R86).
func TestTemplateAcceptsTokensOfTheEmbeddedServer(t *testing.T) {
	const source = `const e=process.env.WORKOS_CLIENT_ID,t={providers:[{type:"customJwt",issuer:"https://api.workos.com/",algorithm:"RS256",applicationID:e,jwks:` + "`https://api.workos.com/sso/jwks/${e}`" + `},{type:"customJwt",issuer:` + "`https://api.workos.com/user_management/${e}`" + `,algorithm:"RS256",jwks:` + "`https://api.workos.com/sso/jwks/${e}`" + `}]};export{t as default};`
	s := mustChange(t, State{CloudURL: "http://127.0.0.1:1", SiteURL: "http://127.0.0.1:2"}, Change{"WORKOS_CLIENT_ID", new("client_1")})
	s, err := s.Push(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	keys := http.NewServeMux()
	keys.HandleFunc("GET api.workos.com/sso/jwks/client_1", page(200, "application/json", `{"keys":[`+rsaJWK("k1")+`]}`))
	fetch := &Fetcher{Resolve: func(raw string) (Target, bool) {
		return Target{Handler: keys}, strings.HasPrefix(raw, "https://api.workos.com/")
	}}
	tests := []struct {
		name   string
		claims object // changes
		id     string // "" for accepted
	}{
		{"an access token of the client", object{"iss": "https://api.workos.com/user_management/client_1", "aud": nil}, ""},
		{"an access token with the shared issuer and an audience", object{"iss": "https://api.workos.com/", "aud": "client_1"}, ""},
		{"the shared issuer without an audience (R90)", object{"iss": "https://api.workos.com/", "aud": nil}, "R3"},
		{"another environment's client", object{"iss": "https://api.workos.com/user_management/client_2", "aud": nil}, "R3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			identity, refusal := Accept(t.Context(), s.Providers, sign(t, rs256, with(with(claims1, object{"sid": "session_1"}), tt.claims)), time.Unix(testNow, 0), fetch)
			check(t, refusal, tt.id, "")
			if identity != nil && string(identity.Fields["sid"]) != `"session_1"` {
				t.Errorf("identity = %v, want the claim sid", identity.Fields)
			}
		})
	}
}
