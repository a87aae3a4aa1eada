package identity

import (
	"strings"
	"testing"
	"time"
)

func TestNormalDomain(t *testing.T) {
	for in, want := range map[string]string{
		"acme.example": "acme.example", " ACME.Example. ": "acme.example", "a-b.c1.example": "a-b.c1.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"acme": "", "": "", ".": "", "a..example": "", "-a.example": "", "a-.example": "", "a_b.example": "", "a.example/x": "", "a.example:80": "", "10.0.0.1": "", "*.example": "",
		strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 130) + "example": "",
	} {
		got, err := NormalDomain(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("NormalDomain(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzNormalDomain(f *testing.F) {
	f.Add("acme.example")
	f.Add("ACME.example.")
	f.Add("xn--bcher-kva.example")
	f.Fuzz(func(t *testing.T, in string) {
		out, err := NormalDomain(in)
		if err != nil {
			return
		}
		if again, err := NormalDomain(out); err != nil || again != out || strings.ContainsAny(out, " /:*@\n") {
			t.Errorf("NormalDomain(%q) = %q, of which it makes %q, %v", in, out, again, err)
		}
	})
}

func TestSlugs(t *testing.T) {
	for _, try := range []struct {
		slug string
		own  bool
		ok   bool
	}{{"admin", false, true}, {"a_b-1", false, true}, {"org-admin", true, true}, {"org-admin", false, false}, {"admin", true, false}, {"", false, false}, {"Admin", false, false},
		{"a b", false, false}, {"-a", false, false}, {strings.Repeat("a", 48), false, true}, {strings.Repeat("a", 49), false, false}} {
		if err := CheckRoleSlug(try.slug, try.own); (err == nil) != try.ok {
			t.Errorf("CheckRoleSlug(%q, %v) = %v, want ok %v", try.slug, try.own, err, try.ok)
		}
	}
	for slug, ok := range map[string]bool{"docs:read": true, "*": true, "a.b-c_d": true, "": false, "A": false, "a b": false, strings.Repeat("a", 49): false} {
		if err := CheckPermissionSlug(slug); (err == nil) != ok {
			t.Errorf("CheckPermissionSlug(%q) = %v, want ok %v", slug, err, ok)
		}
	}
}

func TestAnInvitationExpiresOnlyWhilePending(t *testing.T) {
	now := time.Now()
	for _, try := range []struct {
		state   InvitationState
		expires time.Time
		want    InvitationState
	}{{InvitationPending, now.Add(1), InvitationPending}, {InvitationPending, now, InvitationExpired}, {InvitationAccepted, now, InvitationAccepted}, {InvitationRevoked, now, InvitationRevoked}} {
		if got := (Invitation{State: try.state, ExpiresAt: try.expires}).StateAt(now); got != try.want {
			t.Errorf("StateAt of %s that ends at %v = %s, want %s", try.state, try.expires, got, try.want)
		}
	}
}
