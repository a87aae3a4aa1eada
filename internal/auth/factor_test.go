package auth

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"strings"
	"testing"

	"github.com/pquerna/otp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

func TestNewSecretsAreFullLengthAndDiffer(t *testing.T) {
	a, b := NewTOTPSecret(), NewTOTPSecret()
	if a == b {
		t.Error("two secrets are the same")
	}
	raw, err := base32Secret.DecodeString(a.Reveal())
	if err != nil || len(raw) != newTOTPSecretLength {
		t.Errorf("secret decodes to %d bytes, %v; want %d", len(raw), err, newTOTPSecretLength)
	}
	if checked, err := CheckTOTPSecret(a.Reveal()); err != nil || checked != a {
		t.Errorf("CheckTOTPSecret of our own = %v, want it unchanged", err)
	}
}

func TestKeyOfKeepsIssuerAndAccountApart(t *testing.T) {
	for _, c := range []struct{ issuer, account, wantIssuer, wantAccount string }{
		{"Acme", "ada@example.com", "Acme", "ada@example.com"},
		{"Acme: Ltd", "a:b", "Acme  Ltd", "a b"},
		{"", "", "Berth", "account"},
		{"Größe & Söhne/1?", "d=1&secret=EVIL", "Größe & Söhne/1?", "d=1&secret=EVIL"},
	} {
		key, err := KeyOf(identity.Factor{ID: "auth_factor_1", Issuer: c.issuer, Account: c.account, Secret: "JBSWY3DPEHPK3PXP"}, true)
		if err != nil {
			t.Errorf("KeyOf(%q, %q) = %v", c.issuer, c.account, err)
			continue
		}
		read, err := otp.NewKeyFromURL(key.URI.Reveal())
		if err != nil || read.Issuer() != c.wantIssuer || read.AccountName() != c.wantAccount || read.Secret() != "JBSWY3DPEHPK3PXP" || read.Digits() != totpDigits || read.Period() != 30 {
			t.Errorf("an app reads issuer %q, account %q, %v; want %q, %q", read.Issuer(), read.AccountName(), err, c.wantIssuer, c.wantAccount)
		}
	}
}

// R62: whatever issuer, account and secret come through the API, the answer is a
// key that an app reads back or an error.
func FuzzTOTPKey(f *testing.F) {
	f.Add("Acme", "ada@example.com", "JBSWY3DPEHPK3PXP")
	f.Add(":", "\x00", "jbsw y3dp ehpk 3pxp====")
	f.Add(strings.Repeat("ü", 64), strings.Repeat("%", 128), strings.Repeat("A", 102))
	f.Add(strings.Repeat("ü", 64), strings.Repeat("%", 128), strings.Repeat("A", 96))
	f.Fuzz(func(t *testing.T, issuer, account, text string) {
		s, err := CheckTOTPSecret(text)
		if err != nil {
			return
		}
		if again, err := CheckTOTPSecret(s.Reveal()); err != nil || again != s {
			t.Fatalf("the normal form %q is not its own: %v", s.Reveal(), err)
		}
		if len(issuer) > 128 || len(account) > 128 {
			return // refused before
		}
		key, err := KeyOf(identity.Factor{Issuer: issuer, Account: account, Secret: s}, true)
		if err != nil {
			t.Fatalf("KeyOf(%q, %q, %q) = %v", issuer, account, s.Reveal(), err)
		}
		read, err := otp.NewKeyFromURL(key.URI.Reveal())
		if err != nil || secret.String(read.Secret()) != s {
			t.Fatalf("an app reads %q from %q, %v", read, key.URI.Reveal(), err)
		}
		data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.QR.Reveal(), "data:image/png;base64,"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(data)); err != nil {
			t.Fatalf("the QR code is no PNG: %v", err)
		}
	})
}
