package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// R42: however a secret is printed, logged or encoded, it does not show.
func TestStringNeverShows(t *testing.T) {
	const value = "sk_test_do_not_show"
	s := String(value)
	holder := struct {
		Key String
		Ptr *String
		M   map[string]String
	}{s, &s, map[string]String{"k": s}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", s, holder)
	}
	data, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "key", s, "holder", holder)
	log = slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "key", s, "holder", holder)
	if strings.Contains(out.String(), value) {
		t.Errorf("a secret shows:\n%s", out.String())
	}
	if s.Reveal() != value || String("").String() != "" {
		t.Errorf("Reveal = %q, empty = %q; want the text, and nothing for nothing", s.Reveal(), String("").String())
	}
}

func TestBox(t *testing.T) {
	box, err := NewBox(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewBox(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("text")
	sealed := box.Seal("purpose", "row 1", plain)
	if got, err := box.Open("purpose", "row 1", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Open = %q, %v; want %q", got, err, plain)
	}
	if bytes.Contains(sealed, plain) || bytes.Equal(sealed, box.Seal("purpose", "row 1", plain)) {
		t.Error("Seal shows the text or repeats itself")
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return box.Open("other", "row 1", sealed) },
		"another row":     func() ([]byte, error) { return box.Open("purpose", "row 2", sealed) },
		"another key":     func() ([]byte, error) { return other.Open("purpose", "row 1", sealed) },
		"cut short":       func() ([]byte, error) { return box.Open("purpose", "row 1", sealed[:len(sealed)-1]) },
		"nothing":         func() ([]byte, error) { return box.Open("purpose", "row 1", nil) },
		"a changed bit": func() ([]byte, error) {
			b := bytes.Clone(sealed)
			b[len(b)-1] ^= 1
			return box.Open("purpose", "row 1", b)
		},
	} {
		if got, err := open(); err != ErrSealed {
			t.Errorf("%s: Open = %q, %v; want ErrSealed", name, got, err)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewBox(make([]byte, n)); err == nil {
			t.Errorf("NewBox of %d bytes = nil, want an error", n)
		}
	}
}

func TestAuthenticatorTellsPartsAndPurposesApart(t *testing.T) {
	box, err := NewBox(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	a := box.Authenticator("a")
	if bytes.Equal(a.Sum([]byte("ab"), []byte("c")), a.Sum([]byte("a"), []byte("bc"))) {
		t.Error("Sum does not tell (ab, c) from (a, bc)")
	}
	if bytes.Equal(a.Sum([]byte("x")), box.Authenticator("b").Sum([]byte("x"))) {
		t.Error("two purposes share a key")
	}
	if !bytes.Equal(a.Sum([]byte("x")), box.Authenticator("a").Sum([]byte("x"))) {
		t.Error("one purpose has two keys")
	}
}
