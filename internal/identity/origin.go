package identity

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/berthdev/berth/internal/fault"
)

// CheckOrigin reports whether origin may be registered as a CORS origin: an
// http or https origin exactly as a browser sends it in the Origin header
// (RFC 6454 section 6.2), so lower case, without path or trailing slash and
// without the default port. "*" follows the rules of [CheckRedirectURI]: one,
// in the left-most label, never directly under a public suffix, and as port of
// loopback hosts only; a bare "*" is refused, because browsers do not accept
// it together with credentials. The error is [fault.Invalid].
func CheckOrigin(origin string) error {
	if origin == "*" || origin == "null" {
		return fault.New(fault.Invalid, "origin %q would let any site read answers that carry credentials", origin).
			WithFix("register each origin, such as https://app.example.com")
	}
	t, err := parseTarget(origin, true)
	if err != nil {
		return err
	}
	switch {
	case !t.web():
		return fault.New(fault.Invalid, "origin %s is neither http nor https", show(origin)).
			WithFix("write it as https://host or http://localhost:port")
	case t.tail != "":
		return fault.New(fault.Invalid, "origin %s has a path", show(origin)).
			WithFix("write %s", t.origin())
	case t.port != "" && t.port == defaultPort(t.scheme):
		return fault.New(fault.Invalid, "origin %s names the default port, which browsers leave out", show(origin)).
			WithFix("write %s", t.origin())
	}
	return nil
}

// MatchOrigin reports whether the Origin header asked is allowed by the entry
// registered: equal, or covered by its wildcard.
func MatchOrigin(registered, asked string) bool {
	if CheckOrigin(registered) != nil {
		return false
	}
	a, err := parseTarget(asked, false)
	if err != nil || !a.web() || a.tail != "" {
		return false
	}
	r, err := parseTarget(registered, true)
	return err == nil && r.scheme == a.scheme && r.matchHost(a.host) && r.matchPort(a)
}

// OriginOf returns the origin of an http or https URI, as a browser would send
// it: without the default port. A wildcard in host or port is kept. Other URIs
// are [fault.Invalid].
func OriginOf(uri string) (string, error) {
	t, err := parseTarget(uri, true)
	if err != nil {
		return "", err
	}
	if !t.web() {
		return "", fault.New(fault.Invalid, "%s has no web origin: its scheme is neither http nor https", show(uri))
	}
	return t.origin(), nil
}

// target is a URI that was taken apart without changing a byte.
type target struct {
	scheme string
	host   string // http and https: in lower case, "[...]" for IPv6, may hold one "*" in a pattern
	port   string // http and https: decimal, "*" in a pattern, "" when none is written
	opaque string // other schemes: the slashes and what stands before the path
	tail   string // path and query as written, "" when there is neither
}

func (t target) web() bool { return t.scheme == "http" || t.scheme == "https" }

func (t target) origin() string {
	if t.port == "" || t.port == defaultPort(t.scheme) {
		return t.scheme + "://" + t.host
	}
	return t.scheme + "://" + t.host + ":" + t.port
}

// local reports whether the host names the machine of whoever opens it.
func (t target) local() bool {
	return t.loopback() || strings.HasSuffix(t.host, ".localhost") || t.host == "0.0.0.0" || t.host == "[::]"
}

// loopback reports whether the host is localhost or a loopback address.
func (t target) loopback() bool {
	if t.host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(t.host, "[]"))
	return err == nil && addr.IsLoopback()
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// notForApps are schemes that run code, read local data or lead into another
// program than the one that asked to sign in.
var notForApps = map[string]bool{
	"about": true, "blob": true, "content": true, "cid": true, "data": true, "feed": true, "file": true,
	"filesystem": true, "ftp": true, "ftps": true, "intent": true, "jar": true, "javascript": true,
	"livescript": true, "mailto": true, "mhtml": true, "mocha": true, "res": true, "resource": true,
	"sms": true, "ssh": true, "tel": true, "urn": true, "vbscript": true, "view-source": true,
	"ws": true, "wss": true, "wyciwyg": true,
}

// parseTarget takes uri apart and refuses whatever two readers could read in
// two ways. With pattern set the wildcards of registered entries are allowed.
func parseTarget(uri string, pattern bool) (target, error) {
	bad := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Invalid, "URI "+strings.ReplaceAll(show(uri), "%", "%%")+" "+format, args...)
	}
	if uri == "" {
		return target{}, fault.New(fault.Invalid, "the URI is empty").WithFix("write it as https://host/path")
	}
	if len(uri) > MaxRedirectURI {
		return target{}, bad("has %d bytes, at most %d are allowed", len(uri), MaxRedirectURI)
	}
	if err := checkCharacters(uri, bad); err != nil {
		return target{}, err
	}
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || !validScheme(scheme) {
		return target{}, bad("has no scheme in lower case").WithFix("write it as https://host/path")
	}
	if notForApps[scheme] {
		return target{}, bad("has the scheme %q, which cannot take a sign-in back to an app", scheme).
			WithFix("use https, or the private scheme of a native app such as myapp://callback")
	}
	t := target{scheme: scheme}
	slashes, authority := "//", ""
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		rest = after
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority, t.tail = rest[:end], rest[end:]
	} else if !t.web() && strings.HasPrefix(rest, "/") {
		slashes, t.tail = "", rest
	} else {
		return target{}, bad("lacks // after the scheme").WithFix("write it as %s://host/path", scheme)
	}
	if strings.Contains(authority, "@") {
		return target{}, bad("has a user name or password before the host").WithFix("remove everything up to and including the @")
	}
	if err := checkTail(t.tail, bad); err != nil {
		return target{}, err
	}
	if !t.web() {
		t.opaque = slashes + authority
		for _, c := range []byte(authority) {
			if !letterOrDigit(c) && !strings.ContainsRune("-._:", rune(c)) {
				return target{}, bad("has the character %q before its path", c).WithFix("write it as %s://callback", scheme)
			}
		}
		if authority == "" && strings.TrimLeft(t.tail, "/") == "" {
			return target{}, bad("names nothing after its scheme").WithFix("write it as %s://callback", scheme)
		}
		return t, nil
	}
	var err error
	if t.host, t.port, err = splitHost(authority, bad); err != nil {
		return target{}, err
	}
	if err := checkPort(t, pattern, bad); err != nil {
		return target{}, err
	}
	return t, checkHost(t.host, pattern, bad)
}

type complaint func(format string, args ...any) *fault.Error

// checkCharacters lets through the characters of RFC 3986 that mean the same
// to every reader. Browsers drop tabs and line feeds, turn a backslash into a
// slash and map full-width dots to dots, so none of these may appear.
func checkCharacters(uri string, bad complaint) error {
	for i := range len(uri) {
		c := uri[i]
		switch {
		case c >= 0x80:
			return bad("has a character outside ASCII at byte %d", i).WithFix("write international hosts in punycode (xn--...) and percent-encode the path")
		case c <= ' ' || c == 0x7F:
			return bad("has white space or a control character at byte %d", i).WithFix("remove it")
		case c == '\\':
			return bad("has a backslash, which browsers read as a slash").WithFix("use /")
		case c == '#':
			return bad("has a fragment, which RFC 6749 section 3.1.2 forbids").WithFix("remove the # and what follows it")
		case strings.IndexByte(`"<>^`+"`{|}", c) >= 0:
			return bad("has the character %q, which a URI must percent-encode", c).WithFix("write %%%02X instead", c)
		case c == '%':
			if i+2 >= len(uri) || !isHex(uri[i+1]) || !isHex(uri[i+2]) {
				return bad("has a %% without two hexadecimal digits at byte %d", i).WithFix("write %%25 for a percent sign")
			}
			if v, _ := strconv.ParseUint(uri[i+1:i+3], 16, 8); v < 0x20 || v == 0x7F {
				return bad("has an encoded control character at byte %d", i).WithFix("remove it")
			}
		}
	}
	return nil
}

// checkTail refuses what browsers would rewrite in a path.
func checkTail(tail string, bad complaint) error {
	if strings.ContainsAny(tail, "*") {
		return bad("has a * after the host").WithFix("a wildcard may only stand in the first label of the host; register each path")
	}
	if strings.ContainsAny(tail, "[]") {
		return bad("has a square bracket after the host").WithFix("write %%5B and %%5D instead")
	}
	path, _, _ := strings.Cut(tail, "?")
	for segment := range strings.SplitSeq(path, "/") {
		plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		if plain == "." || plain == ".." {
			return bad("has the path segment %q, which browsers resolve before the request", segment).WithFix("write the path that is meant")
		}
	}
	return nil
}

func splitHost(authority string, bad complaint) (host, port string, err error) {
	host = authority
	colon := strings.LastIndexByte(authority, ':')
	if end := strings.LastIndexByte(authority, ']'); colon > end {
		host, port = authority[:colon], authority[colon+1:]
		if port == "" {
			return "", "", bad("has a : without a port").WithFix("remove the : or write the port")
		}
	}
	if host == "" {
		return "", "", bad("has no host").WithFix("write it as https://host/path")
	}
	return host, port, nil
}

func checkPort(t target, pattern bool, bad complaint) error {
	switch {
	case t.port == "":
		return nil
	case t.port == "*" && pattern:
		if !t.loopback() {
			return bad("has * as port of a host that is not this machine").WithFix("write the port; :* works for localhost and loopback addresses only")
		}
		return nil
	}
	n, err := strconv.ParseUint(t.port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != t.port {
		return bad("has the port %q", t.port).WithFix("write a number from 1 to 65535 without leading zeros")
	}
	return nil
}

// punycode decodes and re-encodes one label the way browsers do (UTS 46,
// non-transitional), to refuse labels that they refuse or rewrite.
var punycode = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

func checkHost(host string, pattern bool, bad complaint) error {
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" || "["+addr.String()+"]" != host {
			return bad("has an IPv6 address that is not in its short form (RFC 5952)").WithFix("write it as in http://[::1]:3000/callback")
		}
		return nil
	}
	if len(host) > 253 {
		return bad("has a host of %d characters, DNS allows 253", len(host))
	}
	labels := strings.Split(host, ".")
	for i, label := range labels {
		if label == "" {
			return bad("has an empty label in its host").WithFix("remove the extra dot")
		}
		if len(label) > 63 {
			return bad("has a host label of %d characters, DNS allows 63", len(label))
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 'A' && c <= 'Z':
				return bad("has capital letters in its host, which browsers lower").WithFix("write %s", strings.ToLower(host))
			case c == '%':
				return bad("has a percent-encoded host").WithFix("write the host in plain letters")
			case c == '*' && !pattern:
				return bad("has a * in its host")
			case c == '*' && i > 0:
				return bad("has a * that is not in the first label of its host").WithFix("write it as https://*.sub.example.com/path")
			case !letterOrDigit(c) && c != '-' && c != '_' && c != '*':
				return bad("has the character %q in its host", c).WithFix("write the host in letters, digits, - and dots")
			}
		}
		if strings.HasPrefix(label, "xn--") {
			if strings.Contains(label, "*") {
				return bad("has a * inside a punycode label").WithFix("put the wildcard in a label of its own")
			}
			u, err := punycode.ToUnicode(label)
			back, err2 := punycode.ToASCII(u)
			if err != nil || err2 != nil || back != label || u == label {
				return bad("has the label %q, which is not valid punycode", label).WithFix("write the name that a browser shows in its requests")
			}
		}
	}
	if strings.Contains(host, "*") {
		return checkWildcard(labels, bad)
	}
	if last := labels[len(labels)-1]; numeric(last) {
		// Browsers read such hosts as IPv4 in every notation of inet_aton
		// (WHATWG URL, section 3.5): 0x7f.1 and 2130706433 are 127.0.0.1.
		if addr, err := netip.ParseAddr(host); err != nil || addr.String() != host {
			return bad("has a host that browsers read as another IPv4 address").WithFix("write the address as four decimal numbers")
		}
	}
	return nil
}

func checkWildcard(labels []string, bad complaint) error {
	if strings.Count(labels[0], "*") > 1 {
		return bad("has more than one * in its host").WithFix("keep one")
	}
	rest := strings.Join(labels[1:], ".")
	if rest == "" || numeric(labels[len(labels)-1]) {
		return bad("has a * without a domain behind it").WithFix("write it as https://*.sub.example.com/path")
	}
	// The second look-up catches rules such as "*.compute.amazonaws.com", by
	// which each child of a name that is no suffix itself is one.
	suffix, _ := publicsuffix.PublicSuffix(rest)
	child, _ := publicsuffix.PublicSuffix("x." + rest)
	if suffix == rest || child == "x."+rest {
		return bad("has a * directly under %s, where anyone can own a name", rest).
			WithFix("register the exact host of each deployment, or use a domain of your own")
	}
	return nil
}

// numeric reports whether a browser takes a host that ends in label for an
// IPv4 address (WHATWG URL, "ends in a number").
func numeric(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(label, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

func validScheme(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// show quotes a URI for a message: never what stands before an @ (it may be a
// password), never the query (it may hold a bypass secret), never in full when
// it is long.
func show(uri string) string {
	const most = 120
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		uri = uri[:i] + "?..."
	}
	if i := strings.LastIndexByte(uri, '@'); i >= 0 {
		uri = "...@" + uri[i+1:]
	}
	if len(uri) > most {
		uri = uri[:most] + "..."
	}
	return strconv.Quote(uri)
}
