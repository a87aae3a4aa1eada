package identity

import (
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// MaxRedirectURI is the longest redirect URI that may be registered or asked
// for, in bytes. WorkOS documents no bound; 2048 is what common browsers and
// proxies carry in one query parameter.
const MaxRedirectURI = 2048

// CheckRedirectURI reports whether uri may be registered as a redirect URI (or
// as a sign-out redirect, for which the same rules hold). The error is
// [fault.Invalid] and says what is wrong and what to write instead.
//
// The rules are those of the WorkOS page "Redirect URIs", plus the demand that
// a browser must see the very host that is written:
//   - an absolute http or https URI, or a private-use scheme of a native app
//     (myapp://callback or com.example.app:/callback, RFC 8252 section 7.1);
//   - ASCII only, scheme and host in lower case, international names in
//     punycode; no user name, fragment, backslash, white space, "." or ".."
//     path segment, and no number that a browser reads as another address;
//   - at most one "*", in the left-most label of the host, with an optional
//     prefix and suffix inside that label, and never directly under a public
//     suffix. A prefix or suffix does not help there: anyone may own the name
//     "app-x-team.vercel.app";
//   - ":*" as port for localhost and loopback addresses only;
//   - production: https only and no localhost, no http with "*"; the exception
//     is http://127.0.0.1 for native clients (RFC 8252 section 7.3).
//
// A query is allowed: the ban on it in production stood on an older page only.
func CheckRedirectURI(uri string, production bool) error {
	t, err := parseTarget(uri, true)
	if err != nil {
		return err
	}
	if !production || !t.web() {
		return nil
	}
	if t.scheme == "http" && t.host != "127.0.0.1" {
		return fault.New(fault.Invalid, "redirect URI %s uses http, which a production environment does not allow", show(uri)).
			WithFix("use https; native clients may use http://127.0.0.1")
	}
	if t.local() && t.host != "127.0.0.1" {
		return fault.New(fault.Invalid, "redirect URI %s points at this machine, which a production environment does not allow", show(uri)).
			WithFix("use the public https host; native clients may use http://127.0.0.1")
	}
	return nil
}

// CheckDefaultRedirectURI is [CheckRedirectURI] for the one default entry of an
// environment, which serves the flows that start at the identity server. The
// server must send a browser there, so it may hold no wildcard.
func CheckDefaultRedirectURI(uri string, production bool) error {
	if err := CheckRedirectURI(uri, production); err != nil {
		return err
	}
	if strings.Contains(uri, "*") {
		return fault.New(fault.Invalid, "the default redirect URI %s has a wildcard, so there is no address to send a browser to", show(uri)).
			WithFix("choose an exact redirect URI as the default and keep the wildcard as a further entry")
	}
	return nil
}

// MatchRedirectURI reports whether asked, the redirect_uri of a request, is
// allowed by the entry registered. The two must be equal byte for byte
// (RFC 9700 section 2.1), with these exceptions only:
//   - "*" in the left-most label of the registered host stands for one or more
//     letters, digits, "-" and "_", never for a dot;
//   - ":*" of a registered loopback host stands for any port that is written;
//   - "https://host" and "https://host/" are equal when neither has a query:
//     authkit-js asks for the bare origin, and a browser requests "/" for both.
//     What WorkOS does here is not known.
//
// asked is never normalised and must be well-formed itself, so that what was
// compared is what a browser will open. A registered entry that breaks the
// rules of [CheckRedirectURI] for every environment matches nothing.
func MatchRedirectURI(registered, asked string) bool {
	a, err := parseTarget(asked, false)
	if err != nil {
		return false
	}
	r, err := parseTarget(registered, true)
	if err != nil {
		return false
	}
	return r.scheme == a.scheme && r.opaque == a.opaque && sameTail(r, a) && r.matchHost(a.host) && r.matchPort(a)
}

// AllowedRedirectURI reports whether asked is allowed by any entry of
// registered, by the rule of [MatchRedirectURI].
func AllowedRedirectURI(registered []string, asked string) bool {
	for _, r := range registered {
		if MatchRedirectURI(r, asked) {
			return true
		}
	}
	return false
}

// sameTail compares what follows the authority.
func sameTail(r, a target) bool {
	if r.tail == a.tail {
		return true
	}
	return r.web() && strings.TrimPrefix(r.tail, "/") == "" && strings.TrimPrefix(a.tail, "/") == ""
}

func (t target) matchHost(host string) bool {
	prefix, rest, wild := strings.Cut(t.host, "*")
	if !wild {
		return t.host == host
	}
	if len(host) <= len(prefix)+len(rest) || !strings.HasPrefix(host, prefix) || !strings.HasSuffix(host, rest) {
		return false
	}
	for _, c := range []byte(host[len(prefix) : len(host)-len(rest)]) {
		if !letterOrDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func (t target) matchPort(a target) bool {
	if t.port == "*" {
		return a.port != ""
	}
	return t.port == a.port
}

// Closest returns the entry of registered that resembles asked most, and the
// byte offset in asked at which the two part; when one is the start of the
// other the offset is the length of the shorter. It exists for the page that
// explains a refused sign-in. Without entries it returns "" and -1.
//
// Likeness is the length of the common start plus the common end in relation
// to the longer of the two; ties go to the earlier entry. That takes linear
// time, so a hostile request cannot make the page expensive.
func Closest(registered []string, asked string) (uri string, at int) {
	at = -1
	best := -1.0
	for _, r := range registered {
		start := commonPrefix(r, asked)
		shorter := min(len(r), len(asked)) - start
		end := 0
		for end < shorter && r[len(r)-1-end] == asked[len(asked)-1-end] {
			end++
		}
		likeness := 1.0
		if longer := max(len(r), len(asked)); longer > 0 {
			likeness = float64(start+end) / float64(longer)
		}
		if likeness > best {
			best, uri, at = likeness, r, start
		}
	}
	return uri, at
}

// commonPrefix counts the bytes that a and b share at their start, in whole
// characters: look-alike letters often share their first byte.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && (n < len(a) && continuation(a[n]) || n < len(b) && continuation(b[n])) {
		n--
	}
	return n
}

func continuation(c byte) bool { return c&0xC0 == 0x80 }
