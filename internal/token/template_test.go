package token

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

var roots = map[string]any{
	"user": map[string]any{"id": "user_1", "email": "a@example.com", "email_verified": true, "first_name": nil, "last_name": "O\"Hara\\",
		"metadata": map[string]any{"plan": "pro", "quote": `{{ user.id }}`, "json": `","sub":"evil`}},
	"organization": map[string]any{"id": "org_1", "domains": []any{"a.example", "b.example"}},
}

func TestRenderTemplate(t *testing.T) {
	for _, c := range []struct {
		template string
		want     map[string]any
		err      string // part of the message; "" for none
	}{
		{`{"aud":"convex"}`, map[string]any{"aud": "convex"}, ""},
		{`{"email":"{{ user.email }}"}`, map[string]any{"email": "a@example.com"}, ""},
		{`{"email":{{ user.email }}}`, map[string]any{"email": "a@example.com"}, ""},
		{`{"email":"{{user.email}}","n":1,"f":1.5,"b":false}`, map[string]any{"email": "a@example.com", "n": json.Number("1"), "f": json.Number("1.5"), "b": false}, ""},
		{`{"verified":"{{ user.email_verified }}"}`, map[string]any{"verified": true}, ""},
		{`{"verified":"is {{ user.email_verified }}"}`, map[string]any{"verified": "is true"}, ""},
		{`{"name":"{{ user.first_name || user.last_name }}"}`, map[string]any{"name": `O"Hara\`}, ""},
		{`{"name":"{{ user.first_name || 'nobody' }}"}`, map[string]any{"name": "nobody"}, ""},
		{`{"name":{{ user.first_name || "nobody" }}}`, map[string]any{"name": "nobody"}, ""},
		{`{"name":"{{ user.first_name }}","x":1}`, map[string]any{"x": json.Number("1")}, ""},
		{`{"name":"Hi {{ user.first_name }}!"}`, map[string]any{"name": "Hi !"}, ""},
		{`{"name":"{{ user.nothing.below }}","x":1}`, map[string]any{"x": json.Number("1")}, ""},
		{`{"deep":{"list":["{{ user.id }}",{{ organization.id }}],"null":{{ user.first_name }}}}`, map[string]any{"deep": map[string]any{"list": []any{"user_1", "org_1"}, "null": nil}}, ""},
		{`{"domains":"{{ organization.domains }}"}`, map[string]any{"domains": []any{"a.example", "b.example"}}, ""},
		{`{"m":"{{ organization_membership.role }}","x":1}`, map[string]any{"x": json.Number("1")}, ""},
		// A value is a value: it neither renders again nor leaves its place.
		{`{"q":"{{ user.metadata.quote }}"}`, map[string]any{"q": "{{ user.id }}"}, ""},
		{`{"q":"a {{ user.metadata.json }} b"}`, map[string]any{"q": `a ","sub":"evil b`}, ""},

		{`{"iss":"x"}`, nil, `"iss" is reserved`},
		{`{"sub":"{{ user.email }}"}`, nil, `"sub" is reserved`},
		{`{"exp":1}`, nil, "reserved"}, {`{"iat":1}`, nil, "reserved"}, {`{"nbf":1}`, nil, "reserved"}, {`{"jti":"x"}`, nil, "reserved"},
		{`{"sid":"x"}`, nil, "reserved"}, {`{"client_id":"x"}`, nil, "reserved"}, {`{"auth_time":1}`, nil, "reserved"},
		{`{"s\u0075b":"x"}`, nil, "reserved"},
		{`{}`, nil, "at least one key"},
		{`[]`, nil, "at least one key"},
		{`"x"`, nil, "at least one key"},
		{``, nil, "not valid JSON"},
		{`{"a":1`, nil, "not valid JSON"},
		{`{"a":1} {"b":2}`, nil, "text after"},
		{`{"a":"{{ user.email "}`, nil, "not closed"},
		{`{"a":{{ user.email }`, nil, "not closed"},
		{`{"a":"{{ secrets.key }}"}`, nil, "does not begin with"},
		{`{"a":"{{ }}"}`, nil, "does not begin with"},
		{`{"a":"{{ user.first_name || evil.x }}"}`, nil, "does not begin with"},
		{`{"a":"x {{ user.metadata }}"}`, nil, "cannot stand inside a string"},
		{`{"a":"` + strings.Repeat("x", MaxTemplateOutput) + `"}`, nil, "bytes, at most"},
	} {
		got, err := RenderTemplate(c.template, roots)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || !fault.Is(err, fault.Invalid) || fault.Code(err) == "" {
				t.Errorf("RenderTemplate(%s) = %v, %v; want an error with %q", c.template, got, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("RenderTemplate(%s), %v (-want +got):\n%s", c.template, err, diff)
		}
		if err := CheckTemplate(c.template); err != nil {
			t.Errorf("CheckTemplate(%s) = %v, want nil: it can render", c.template, err)
		}
	}
}

func FuzzRenderTemplate(f *testing.F) {
	for _, s := range []string{`{"a":"{{ user.email }}"}`, `{"a":{{ user.id || 'x' }}}`, `{"a":"\"{{ user.id }}\\"}`, `{"a":["{{",1e999,"}}"]}`, `{{ user }}`, `{"a":"{{}}"}`, `{"a":"{{}"}`, `{"":{{user}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, template string) {
		out, err := RenderTemplate(template, roots)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("RenderTemplate(%q) = %v, want an invalid fault", template, err)
			}
			return
		}
		for name := range out {
			if Reserved(name) {
				t.Fatalf("RenderTemplate(%q) sets %s", template, name)
			}
		}
		text, err := json.Marshal(out)
		if err != nil || len(text) > MaxTemplateOutput {
			t.Fatalf("RenderTemplate(%q) has %d bytes, %v", template, len(text), err)
		}
	})
}

func TestAccessClaims(t *testing.T) {
	at := time.Unix(1_700_000_000, 999)
	a := Access{Issuer: "https://s/user_management/client_1", ClientID: "client_1", UserID: "user_1", Session: "session_1", AuthTime: at.Add(-time.Minute), IssuedAt: at, Lifetime: 5 * time.Minute,
		Extra: map[string]any{"aud": "convex", "sub": "evil", "iss": "evil", "exp": 9e15, "nbf": 1, "role": "admin"}}
	first, second := a.Claims(), a.Claims()
	if first["jti"] == second["jti"] || len(first["jti"].(string)) != 26 {
		t.Errorf("jti = %v and %v, want two fresh ULIDs", first["jti"], second["jti"])
	}
	delete(first, "jti")
	want := map[string]any{"iss": a.Issuer, "sub": "user_1", "sid": "session_1", "client_id": "client_1", "iat": at.Unix(), "exp": at.Unix() + 300, "auth_time": at.Unix() - 60, "aud": "convex", "role": "admin"}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("Claims (-want +got):\n%s", diff)
	}
}
