package host

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// origin adds the origin that the variable name holds. Some platforms leave
// out the scheme; their hosts serve https only.
func (d *detection) origin(name string, role Role) {
	value := d.env.get(name)
	if value == "" {
		return
	}
	o, err := parseOrigin(value)
	if err == nil && o.local && d.b.Kind == Dev {
		return // "vercel dev" and "netlify dev" put their own local server here
	}
	if err == nil && o.local {
		err = fault.New(fault.Invalid, "it names this machine")
	}
	if err != nil {
		d.b.warn("bad_url", name+" is not the origin of a deployment ("+fault.From(err).Message+") and is left out", "pass the origin with --url")
		return
	}
	d.add(URL{Origin: o.text, Role: role, From: name})
}

// add keeps one entry per origin. The production role wins, so that a preview
// never registers the production host under another name.
func (d *detection) add(u URL) {
	for i, have := range d.b.URLs {
		if have.Origin != u.Origin {
			continue
		}
		if u.Role == ProductionURL || have.Guess && !u.Guess && have.Role != ProductionURL {
			d.b.URLs[i] = u
		}
		return
	}
	d.b.URLs = append(d.b.URLs, u)
}

// settleURLs adds what a person named and says what is missing.
func (d *detection) settleURLs() error {
	b := d.b
	for _, value := range d.o.URLs {
		o, err := parseOrigin(value)
		if err != nil {
			return fault.New(fault.Invalid, "--url %s is not an origin: %s", quote(value), fault.From(err).Message).
				WithFix("write it as https://host, without a path")
		}
		if b.Kind == Prod && (o.local || !strings.HasPrefix(o.text, "https://")) {
			return fault.New(fault.Invalid, "--url %s cannot be an address of production: it must be https and public", quote(value)).
				WithFix("pass the https origin of the app")
		}
		if b.Kind != Prod && o.text == b.ProductionOrigin() {
			return fault.New(fault.Conflict, "--url %s is the production host, which cannot be an address of a %s deployment", quote(value), b.Kind).
				WithCode("production_url").WithFix("pass the address of this deployment")
		}
		d.named(URL{Origin: o.text, Role: CustomURL, From: "--url"})
	}
	if b.Kind == Prod {
		for _, u := range b.URLs {
			if strings.HasPrefix(u.Origin, "http://") {
				b.warn("plain_http", u.From+" names a host without https, which a production environment refuses as a redirect URI", "turn on HTTPS for the site")
			}
		}
	}
	if b.Host != None && b.StableOrigin() == "" {
		b.warn("no_urls", b.Host.Title()+" tells no address of this deployment during the build", d.urlFix())
	}
	if b.URLs == nil {
		b.URLs = []URL{}
	}
	return nil
}

// named adds an origin that a person named: it keeps its place but becomes
// custom, so that it is the stable one.
func (d *detection) named(u URL) {
	for i, have := range d.b.URLs {
		if have.Origin == u.Origin {
			if have.Role != ProductionURL {
				d.b.URLs[i] = u
			}
			return
		}
	}
	d.b.URLs = append(d.b.URLs, u)
}

func (d *detection) urlFix() string {
	switch d.b.Host {
	case Vercel:
		return "turn on \"Automatically expose System Environment Variables\" in the project's settings, or pass --url"
	case CloudflareWorkers:
		return "the addresses are known after the upload: run berth deploy with --url for each of preview_urls and deployment_urls that wrangler reports"
	case GitHubActions, CI:
		return "pass --url with the address that the deploy tool prints"
	}
	return "pass --url"
}

type origin struct {
	text  string // canonical
	local bool   // names the machine itself
}

// parseOrigin reads "host", "host:port" or "scheme://host[:port]" with at most
// a slash behind it. Only the letter case and the default port are changed.
func parseOrigin(value string) (origin, error) {
	bad := func(why string) (origin, error) { return origin{}, fault.New(fault.Invalid, "%s", why) }
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		scheme, rest = "https", value
	}
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "http" {
		return bad("its scheme is neither http nor https")
	}
	rest = strings.ToLower(strings.TrimSuffix(rest, "/"))
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		host, port = rest[:i], rest[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return bad("its port is not a number from 1 to 65535")
		}
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	o := origin{text: scheme + "://" + host}
	if port != "" {
		o.text += ":" + port
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" || "["+addr.String()+"]" != host {
			return bad("its host is not an IPv6 address in short form")
		}
		o.local = addr.IsLoopback() || addr.IsUnspecified()
		return o, nil
	}
	if !plainHost(host) {
		return bad("it has more or other parts than scheme, host and port")
	}
	if c := host[strings.LastIndexByte(host, '.')+1:][0]; '0' <= c && c <= '9' {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return bad("its host is neither a name nor an IPv4 address")
		}
		o.local = addr.IsLoopback() || addr.IsUnspecified()
	}
	o.local = o.local || host == "localhost" || strings.HasSuffix(host, ".localhost")
	return o, nil
}

// plainHost reports whether s is a DNS name of letters, digits, "-" and "_".
func plainHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
