package cli

import (
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/fault"
)

// R121: what Berth does not know in the accounts file stays, in its place.
func TestAccountsKeepUnknownMembers(t *testing.T) {
	a, err := parseAccounts([]byte(`[{"note":"kept","email":"Ada@example.com","password":"old","client_id":"c","tags":[1]},{"team":"qa"}]`))
	if err != nil {
		t.Fatal(err)
	}
	v, ok := a.find("c", "ada@example.com")
	if !ok {
		t.Fatal("find = nothing, want ada, whatever the case")
	}
	if changed, err := a.put(v); changed || err != nil {
		t.Errorf("put of the same = %v, %v; want no change", changed, err)
	}
	v.Password, v.EmailVerified = "new", new(false)
	if changed, err := a.put(v); !changed || err != nil {
		t.Errorf("put = %v, %v; want a change", changed, err)
	}
	data, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"note": "kept"`, `"password": "new"`, `"email_verified": false`, `"team": "qa"`} {
		if strings.Count(string(data), want) != 1 {
			t.Errorf("encode = %s, want %s in it once", data, want)
		}
	}
	if strings.Index(string(data), "note") > strings.Index(string(data), "password") {
		t.Errorf("encode = %s, want the members in their order", data)
	}
	for _, bad := range []string{"", "{}", "[1]", "[null]", `[{"email":1}]`} {
		if _, err := parseAccounts([]byte(bad)); fault.Code(err) != "accounts_invalid" {
			t.Errorf("parseAccounts(%s) = %v, want accounts_invalid", bad, err)
		}
	}
}

// No flag takes a password of the relay: command lines can be seen.
func TestSMTPFlags(t *testing.T) {
	env := &Env{Lookup: func(name string) (string, bool) {
		v, ok := map[string]string{smtpURLVar: "smtp://u:p@h", mailFromVar: "a@b.example"}[name]
		return v, ok
	}}
	got, err := (&mailFlags{url: "smtps://ada@relay.example"}).smtp(env)
	if err != nil || got.URL != "smtps://ada@relay.example" || got.From != "a@b.example" {
		t.Errorf("smtp = %v %v, want the flag over the variable", got.URL.Reveal(), err)
	}
	_, err = (&mailFlags{url: "smtp://u:topsecret@h"}).smtp(env)
	if fault.Code(err) != "smtp_password_visible" || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("smtp with a password in the flag = %v, want smtp_password_visible", err)
	}
}
