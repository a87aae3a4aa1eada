package web

import (
	"net/url"
	"strings"
)

// CSP returns the Content-Security-Policy of a page rendered with nonce. Nothing is
// allowed but the stylesheet of this origin, the style element that carries nonce (the
// brand's accent), images and the page's own forms.
//
// formTargets are the addresses a form may lead to besides this origin, each an origin
// or any URL of it. Chromium applies form-action to every redirect that follows a form
// post, not just to the form's own target: a sign-in form whose answer redirects to the
// application is blocked, silently for the person, unless the application's origin is
// listed. So give the redirect URI of the flow, and when the application is known to
// redirect on to another host, that one too.
//
// A target with a scheme of its own (myapp://callback) or with a host that the CSP
// grammar cannot spell (an IPv6 address) is admitted by its scheme. A target that is
// not an absolute URL is left out.
func CSP(nonce string, formTargets ...string) string {
	style := "'self'"
	if nonce != "" && nonceSafe(nonce) {
		style += " 'nonce-" + nonce + "'"
	}
	form := []string{"'self'"}
	seen := map[string]bool{}
	for _, target := range formTargets {
		if source := formSource(target); source != "" && !seen[source] {
			seen[source] = true
			form = append(form, source)
		}
	}
	return strings.Join([]string{
		"default-src 'none'",
		"style-src " + style,
		"img-src 'self' data: https:",
		"form-action " + strings.Join(form, " "),
		"frame-ancestors 'none'",
		"base-uri 'none'",
	}, "; ")
}

// formSource turns a URL into a source expression (CSP level 3, section 2.3.1), or
// returns "" when there is none that is safe to put into a header.
func formSource(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" {
		return ""
	}
	scheme := strings.ToLower(u.Scheme)
	switch scheme {
	case "javascript", "data", "blob", "vbscript", "file", "about":
		return ""
	case "http", "https":
	default:
		return scheme + ":"
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if host == "" {
		return ""
	}
	if !only(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") {
		return scheme + ":"
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host
}

func nonceSafe(nonce string) bool {
	return only(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
}

func only(s, allowed string) bool {
	return strings.Trim(s, allowed) == ""
}
