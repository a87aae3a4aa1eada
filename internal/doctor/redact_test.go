package doctor

import (
	"encoding/base64"
	"strings"
	"testing"
)

// planted is one secret of every kind in the places where it is met (R130).
var planted = []struct{ name, text, secret string }{
	{"an API key", "using sk_test_a2V5XzAxSFhY for the call", "sk_test_a2V5XzAxSFhY"},
	{"an API key glued to a word", "xsk_live_a2V5XzAx", "a2V5XzAx"},
	{"a webhook secret", `{"secret": "whsec_MfKQ9r8GKYqrTwjU"}`, "MfKQ9r8GKYqrTwjU"},
	{"an access token", "got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2ln here", "eyJzdWIiOiJ1c2VyIn0"},
	{"a cookie header", "Set-Cookie: wos-session=Fe26.2*1*abc; Path=/", "abc"},
	{"a cookie in JSON", `"cookie": "session=opensesame"`, "opensesame"},
	{"a sealed session", "value Fe26.2*1*3f7a*QwErTy", "QwErTy"},
	{"a bearer", "Authorization: Bearer tok3nvalue99", "tok3nvalue99"},
	{"a password in an env file", "WORKOS_COOKIE_PASSWORD=correct-horse", "correct-horse"},
	{"a password in JSON", `{"password":"correct horse \"battery\""}`, "battery"},
	{"a refresh token in JSON", `{"refresh_token": "abcDEF123"}`, "abcDEF123"},
	{"a refresh token in quoted JSON", `"{\"refresh_token\":\"abcDEF123\"}"`, "abcDEF123"},
	{"a deploy key", "CONVEX=prod:happy-otter-123|eyJ2MiI6IjAxMjM0NTY3In0=", "IjAxMjM0NTY3In0"},
	{"a self-hosted key", "convex-self-hosted preview:acme:shop|0123456789abcdef", "0123456789abcdef"},
	{"a password in an address", "smtp://mailer:hunter2@smtp.example.com", "hunter2"},
	{"an authorization code", "GET /callback?code=01HXYZCODE&state=s3cr3tstate", "01HXYZCODE"},
	{"a private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"},
	{"a private key that is cut", "-----BEGIN PRIVATE KEY-----\nMIIEow", "MIIEow"},
	{"random text", "id Zk3mQ9xW7vB2nL5pR8tY1uI4oA6sD0fG3hJ9kC2x", "Zk3mQ9xW7vB2nL5pR8tY1uI4oA6sD0fG3hJ9kC2x"},
	{"an e-mail address", "ada.lovelace@example.com signed in", "ada.lovelace"},
	{"a value that is known", "it is bluebird77 indeed", "bluebird77"},
	{"a known value in base64", "it is " + base64.StdEncoding.EncodeToString([]byte("bluebird77")), base64.StdEncoding.EncodeToString([]byte("bluebird77"))},
	{"a known value in an address", "/x/blue%2Fbird+77", "blue%2Fbird+77"},
}

var knowing = Redactor{Known: []string{"bluebird77", "blue/bird 77"}}

func TestEveryKindOfSecretIsTakenOut(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			if kinds := knowing.Scan(p.text); len(kinds) == 0 {
				t.Errorf("Scan(%q) = nothing", p.text)
			}
			got := knowing.Redact(p.text)
			if strings.Contains(got, p.secret) {
				t.Errorf("Redact(%q) = %q, which has the secret", p.text, got)
			}
			if kinds := knowing.Scan(got); len(kinds) > 0 {
				t.Errorf("Scan(%q) = %v, want nothing", got, kinds)
			}
			if again := knowing.Redact(got); again != got {
				t.Errorf("Redact twice = %q, want %q", again, got)
			}
		})
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"const clientId = process.env.WORKOS_CLIENT_ID;",
		`{"authKit":{"dev":{"localEnvVars":{"VITE_WORKOS_CLIENT_ID":"${authEnv.WORKOS_CLIENT_ID}"}}}}`,
		"client_01M7YVPACYRTSFZ8QXR9M5J69N is registered with http://localhost:5173/callback",
		`{"names": ["WORKOS_API_KEY", "WORKOS_COOKIE_PASSWORD"]}`,
		"apiKey: process.env.WORKOS_API_KEY",
		"@workos-inc/authkit-react 0.16.2",
	} {
		if got := (Redactor{}).Redact(text); got != text {
			t.Errorf("Redact(%q) = %q", text, got)
		}
	}
	if got := (Redactor{KeepEmails: true}).Redact("ada@example.com"); got != "ada@example.com" {
		t.Errorf("Redact with KeepEmails = %q", got)
	}
}

func FuzzRedact(f *testing.F) {
	for _, p := range planted {
		f.Add(p.text)
	}
	f.Add("[redacted:[redacted:value]=token=[redacted")
	f.Fuzz(func(t *testing.T, text string) {
		got := knowing.Redact(text)
		if kinds := knowing.Scan(got); len(kinds) > 0 {
			t.Fatalf("Scan(Redact(%q)) = %v in %q", text, kinds, got)
		}
		if strings.Contains(got, "bluebird77") {
			t.Fatalf("Redact(%q) = %q, which has a known value", text, got)
		}
		p := planted[len(text)%len(planted)]
		if within := knowing.Redact(text + "\n" + p.text); strings.Contains(within, p.secret) && !strings.Contains(text, p.secret) {
			t.Fatalf("Redact(%q + %s) kept the secret: %q", text, p.name, within)
		}
	})
}
