package authconfig

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func custom(issuer string, id *string) Provider {
	return Provider{Kind: CustomJWT, Issuer: issuer, ApplicationID: id, JWKS: "https://j/", Algorithm: "RS256"}
}

func oidc(domain, id string) Provider {
	return Provider{Kind: OIDC, Issuer: domain, ApplicationID: &id}
}

func TestParseProviders(t *testing.T) {
	tests := []struct {
		name, json string
		want       []Provider
	}{
		{"an empty list", `{"providers":[]}`, []Provider{}},
		{"an OIDC provider without a type", `{"providers":[{"domain":"https://a.com","applicationID":"x"}]}`, []Provider{oidc("https://a.com", "x")}},
		{"an OIDC provider with its type", `{"providers":[{"type":"oidc","domain":"a.com","applicationID":"x"}]}`, []Provider{oidc("https://a.com", "x")}},
		{"a type that is no text counts as absent", `{"providers":[{"type":5,"domain":"a.com","applicationID":"x"}]}`, []Provider{oidc("https://a.com", "x")}},
		{"customJwt without application ID", `{"providers":[{"type":"customJwt","issuer":"https://i/","jwks":"https://j/","algorithm":"RS256"}]}`, []Provider{custom("https://i/", nil)}},
		{"a null application ID is stored as absent", `{"providers":[{"type":"customJwt","applicationID":null,"issuer":"https://api.workos.com/","jwks":"https://j/","algorithm":"RS256"}]}`, []Provider{custom("https://api.workos.com/", nil)}},
		{"the shared issuer with an application ID (R86)", `{"providers":[{"type":"customJwt","applicationID":"c","issuer":"https://api.workos.com/","jwks":"https://j/","algorithm":"RS256"}]}`, []Provider{custom("https://api.workos.com/", new("c"))}},
		{"unknown members are ignored", `{"x":1,"providers":[{"domain":"a.com","applicationID":"x","other":[1]}]}`, []Provider{oidc("https://a.com", "x")}},
		{"localhost needs no scheme", `{"providers":[{"domain":"localhost:3000/x","applicationID":"x"}]}`, []Provider{oidc("https://localhost:3000/x", "x")}},
		{"http is kept", `{"providers":[{"domain":"http://127.0.0.1:1","applicationID":"x"}]}`, []Provider{oidc("http://127.0.0.1:1", "x")}},
		{"letter case and slashes are kept", `{"providers":[{"domain":"HTTPS://A.com//","applicationID":"x"}]}`, []Provider{oidc("HTTPS://A.com//", "x")}},
		{
			"a set in stored order", `{"providers":[
				{"type":"customJwt","issuer":"https://b/","jwks":"https://j/","algorithm":"RS256","applicationID":"a"},
				{"type":"customJwt","issuer":"https://b/","jwks":"https://j/","algorithm":"ES256"},
				{"type":"customJwt","issuer":"https://b/","jwks":"https://j/","algorithm":"RS256"},
				{"domain":"https://z.com","applicationID":"z"},
				{"domain":"https://z.com","applicationID":"z"}]}`,
			[]Provider{oidc("https://z.com", "z"), custom("https://b/", nil), {CustomJWT, "https://b/", nil, "https://j/", "ES256"}, custom("https://b/", new("a"))},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.json))
			if err != nil {
				t.Fatalf("Parse = %v, want providers", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusals(t *testing.T) {
	const shape = "auth config file must include a list of provider credentials: "
	const insecure = "This auth configuration appears potentially insecure: Provider at index 0 has an issuer that is shared among many applications, so must to specify an ApplicationID to check against an `aud` field of a JWT."
	mismatch := shape + "data did not match any variant of untagged enum SerializedAuthInfo "
	tests := []struct{ name, json, code, text string }{
		{"no export", ``, CodeMissingExport, "auth config file is missing default export. To learn more, see the auth documentation at https://docs.convex.dev/auth."},
		{"null", `null`, CodeMissingExport, "auth config file is missing default export. To learn more, see the auth documentation at https://docs.convex.dev/auth."},
		{"a text", `"x"`, CodeSchema, shape + `invalid type: string "x", expected struct SerializedAuthConfig `},
		{"no providers", `{}`, CodeSchema, shape + "missing field `providers` "},
		{"providers as a map", `{"providers":{}}`, CodeSchema, shape + "invalid type: map, expected a sequence "},
		{"a provider that is no object", `{"providers":[1]}`, CodeSchema, mismatch},
		{"applicationId", `{"providers":[{"domain":"a.com","applicationID":"x"},{"domain":"a.com","applicationId":"x"}]}`, CodeSchema, shape + "Provider at index 1 must have applicationID property spelled lowercase 'application', capital I, capital D."},
		{"applicationid beside applicationID", `{"providers":[{"domain":"a.com","applicationID":"x","applicationid":"x"}]}`, CodeSchema, shape + "Provider at index 0 must have applicationID property spelled lowercase 'application', capital I, capital D."},
		{"an unknown type", `{"providers":[{"type":"saml"}]}`, CodeSchema, shape + "Provider at index 0 has unexpected 'type' value 'saml'"},
		{"customJwt with domain", `{"providers":[{"type":"customJwt","domain":"a.com"}]}`, CodeSchema, shape + "Provider at index 0 is a customJwt so cannot have a 'domain' specified"},
		{"OIDC with issuer", `{"providers":[{"domain":"a.com","issuer":"a.com","applicationID":"x"}]}`, CodeSchema, shape + "Provider at index 0 is oidc so cannot have an 'issuer' specified."},
		{"the shared issuer", `{"providers":[{"type":"customJwt","issuer":"https://api.workos.com","jwks":"j","algorithm":"RS256"}]}`, CodeInsecure, insecure},
		{"the shared issuer with slash", `{"providers":[{"type":"customJwt","issuer":"https://api.workos.com/","jwks":"j","algorithm":"RS256"}]}`, CodeInsecure, insecure},
		{"OIDC without application ID", `{"providers":[{"domain":"a.com"}]}`, CodeSchema, mismatch},
		{"OIDC with a null application ID", `{"providers":[{"domain":"a.com","applicationID":null}]}`, CodeSchema, mismatch},
		{"customJwt without jwks", `{"providers":[{"type":"customJwt","issuer":"a.com","algorithm":"RS256"}]}`, CodeSchema, mismatch},
		{"customJwt with HS256", `{"providers":[{"type":"customJwt","issuer":"a.com","jwks":"j","algorithm":"HS256"}]}`, CodeSchema, mismatch},
		{"customJwt with a number as application ID", `{"providers":[{"type":"customJwt","issuer":"a.com","jwks":"j","algorithm":"RS256","applicationID":1}]}`, CodeSchema, mismatch},
		{"a quoted domain", `{"providers":[{"domain":"\"a.com","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL ""a.com": starts with a double quote (")`},
		{"a client ID as domain", `{"providers":[{"domain":"client_01ABC","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL "client_01ABC": Does not look like a URL (must have a scheme or end with a top-level domain)`},
		{"an unreal top-level domain", `{"providers":[{"domain":"a.invalidtld","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL "a.invalidtld": Does not look like a URL (must have a scheme or end with a top-level domain)`},
		{"another scheme", `{"providers":[{"domain":"ftp://a.com","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL "ftp://a.com": scheme should be http or https`},
		{"an empty domain", `{"providers":[{"domain":"","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL "": empty host`},
		{"blanks in the host", `{"providers":[{"domain":"not a url","applicationID":"x"}]}`, CodeProviderURL, `Invalid provider domain URL "not a url": invalid international domain name`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.json))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("Parse = %v, want an *Error", err)
			}
			if e.Code != tt.code || e.Message != tt.text {
				t.Errorf("Parse = %s %q,\nwant %s %q", e.Code, e.Message, tt.code, tt.text)
			}
			if !fault.Is(err, fault.Invalid) || fault.Code(err) != tt.code {
				t.Errorf("Parse = fault %v, want kind invalid and code %s", fault.From(err), tt.code)
			}
		})
	}
}

func TestWire(t *testing.T) {
	missing := &Error{Code: CodeMissingVariable, Message: "Environment variable X is used in auth config file but its value was not set", Variable: "X"}
	if code, text := missing.Wire(ExplainPush); code != CodeMissingVariable || text != missing.Message {
		t.Errorf("Wire = %s %q, want the error as it is", code, text)
	}
	code, text := missingExport().Wire(ExplainChange)
	want := "This change would make the auth config invalid: auth config file is missing default export. To learn more, see the auth documentation at https://docs.convex.dev/auth."
	if code != CodeInvalid || text != want {
		t.Errorf("Wire = %s %q, want %s %q", code, text, CodeInvalid, want)
	}
}

func TestMergeKeepsThePlaceOfStoredProviders(t *testing.T) {
	a, b, c, d := oidc("https://a.com", "a"), custom("https://b/", nil), custom("https://c/", new("c")), oidc("https://d.com", "d")
	stored := []Provider{c, a, b}
	pushed := []Provider{b, d, c, d}
	got := Merge(stored, pushed)
	if diff := cmp.Diff([]Provider{c, b, d}, got); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Provider{b, d, c, d}, pushed); diff != "" {
		t.Errorf("Merge changed its argument:\n%s", diff)
	}
	if got := Merge(stored, nil); len(got) != 0 {
		t.Errorf("Merge with nothing = %v, want nothing", got)
	}
}

func TestProviderJSON(t *testing.T) {
	providers := []Provider{oidc("https://oidc.example.com", "convex"), custom("https://i/", nil), custom("https://i/", new("app1"))}
	data, err := json.Marshal(providers)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"applicationID":"convex","domain":"https://oidc.example.com"},` +
		`{"type":"customJwt","applicationID":null,"issuer":"https://i/","jwks":"https://j/","algorithm":"RS256"},` +
		`{"type":"customJwt","applicationID":"app1","issuer":"https://i/","jwks":"https://j/","algorithm":"RS256"}]`
	if string(data) != want {
		t.Errorf("Marshal = %s,\nwant %s", data, want)
	}
	var back []Provider
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(providers, back); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"providers":[{"type":"customJwt","issuer":"a.com","jwks":"j","algorithm":"RS256","applicationID":null}]}`)
	f.Add(`{"providers":[{"domain":"a.com","applicationID":"x"},null,1,[]]}`)
	f.Add(`{"providers":{"0":1}}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, data string) {
		providers, err := Parse([]byte(data))
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("Parse(%q) = %v, want an *Error", data, err)
			}
			return
		}
		if diff := cmp.Diff(Merge(nil, providers), providers); diff != "" {
			t.Errorf("Parse(%q) is not in stored order:\n%s", data, diff)
		}
		for _, p := range providers {
			if again, err := normalizeIssuer(p.Issuer); err != nil || again != p.Issuer {
				t.Errorf("Parse(%q) gives issuer %q, normalised again: %q, %v", data, p.Issuer, again, err)
			}
		}
	})
}
