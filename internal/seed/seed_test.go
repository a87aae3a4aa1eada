package seed_test

import (
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/seed"
)

const whole = `{
  // permissions come first
  "permissions": [{"slug": "reports:read", "name": "Read reports"}],
  "roles": [{"slug": "editor", "permissions": ["reports:read"]}],
  "organizations": [{"name": "Acme", "external_id": "acme", "domains": ["acme.example"], "roles": [{"slug": "org-lead"}]}],
  "users": [
    {"email": "ada@example.com", "name": "Ada Lovelace", "organizations": [{"organization": "acme", "roles": ["editor"]}]},
    {"email": "bob@example.com", "verified": false, "metadata": {"plan": "free"}},
  ],
}`

func TestParse(t *testing.T) {
	f, err := seed.Parse("seed.json", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if first, last := f.Users[0].Names(); first != "Ada" || last != "Lovelace" || !f.Users[0].IsVerified() || f.Users[1].IsVerified() {
		t.Errorf("users = %+v, want Ada Lovelace, proven, and bob, not", f.Users)
	}
}

func TestParseSaysWhereItIsWrong(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"{\n  \"users\": [\n    {\"email\": \"a@b.example\", \"pasword\": \"x\"}\n  ]\n}", `seed.json line 3 column 30: "pasword" is not known here`},
		{`{"user": []}`, `line 1 column 2: "user" is not known here`},
		{`{"users": {}}`, "line 1 column 11: users has to be a list"},
		{`{"users": [{"email": 1}]}`, "users[0].email has to be a text"},
		{`{"users": [{"email": "a@b.example", "verified": "yes"}]}`, "has to be true or false"},
		{`{"users": [], "users": []}`, `"users" is there twice`},
		{`[]`, "the file has to be an object"},
		{`{"users": [{"email": "nobody"}]}`, `line 1 column 12: "nobody" is not an e-mail address`},
		{`{"users": [{"email": "a@b.example"},` + "\n" + ` {"email": "A@b.example"}]}`, "line 2 column 2: A@b.example is there twice"},
		{`{"users": [{"email": "a@b.example", "password": "short"}]}`, "at least 10 characters"},
		{`{"users": [{"email": "a@b.example", "organizations": [{"organization": "Acme"}]}]}`, "no organization of this file"},
		{`{"organizations": [{"name": "Acme", "roles": [{"slug": "lead"}]}]}`, "has to begin with org-"},
		{`{"roles": [{"name": "x"}]}`, "needs a slug"},
		{`{"users": [null]}`, "users[0] has to be an object"},
		{`{"users": `, "seed.json is no JSON"},
	} {
		_, err := seed.Parse("seed.json", []byte(tt.text))
		if fault.Code(err) != "seed_invalid" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%s) = %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{whole, "{}", "[]", `{"users":[{"email":"a@b"}]}`, `{"users":[{"metadata":{"a":null}}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if file, err := seed.Parse("f", []byte(text)); (file == nil) == (err == nil) && err == nil {
			t.Error("Parse = nil, nil")
		}
	})
}
