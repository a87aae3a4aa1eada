package authkit

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/store"
)

// hasSessionCookie tells the browser SDK that a refresh is worth a request. It
// is readable by scripts and holds no secret: the client IDs with a session,
// joined by dots, since environments under one parent domain share it.
const hasSessionCookie = "workos-has-session"

// refreshCookie is the name of the HttpOnly cookie with the refresh token of
// one client. Browsers scope cookies by host and not by port, so the name
// keeps environments of one server apart.
func refreshCookie(clientID string) string { return "berth-refresh-" + clientID }

// cookieRefreshToken is the refresh token of a browser that keeps it in a
// cookie (the browser SDK outside developer mode).
func cookieRefreshToken(r *http.Request, e *store.Env) string {
	if r.Header.Get("Origin") == "" {
		return "" // servers send theirs in the body
	}
	c, err := r.Cookie(refreshCookie(e.ClientID))
	if err != nil {
		return ""
	}
	return c.Value
}

// setSessionCookies gives a browser its refresh token as a cookie. A request
// without credentials, as developer mode sends it, ignores them.
func (a *API) setSessionCookies(w http.ResponseWriter, r *http.Request, e *store.Env, t *auth.Tokens) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	api, site := a.hosts(origin)
	secure := strings.HasPrefix(a.BaseURL(), "https://")
	refresh := &http.Cookie{Name: refreshCookie(e.ClientID), Value: t.RefreshToken.Reveal(), Path: "/user_management", HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(e.Settings.Sessions.MaxLifetime() / time.Second)}
	if secure && site == "" && api != "" {
		refresh.SameSite = http.SameSiteNoneMode // another site: the browser decides whether it keeps it
	}
	http.SetCookie(w, refresh)
	a.setHasSession(w, r, site, secure, func(ids []string) []string {
		if !slices.Contains(ids, e.ClientID) {
			ids = append(ids, e.ClientID)
		}
		return ids
	})
}

// clearSessionCookies takes a browser's session away at sign-out.
func (a *API) clearSessionCookies(w http.ResponseWriter, r *http.Request, clientID, target string) {
	secure := strings.HasPrefix(a.BaseURL(), "https://")
	http.SetCookie(w, &http.Cookie{Name: refreshCookie(clientID), Path: "/user_management", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	_, site := a.hosts(target)
	a.setHasSession(w, r, site, secure, func(ids []string) []string {
		return slices.DeleteFunc(ids, func(id string) bool { return id == clientID })
	})
}

func (a *API) setHasSession(w http.ResponseWriter, r *http.Request, site string, secure bool, change func([]string) []string) {
	var ids []string
	if c, err := r.Cookie(hasSessionCookie); err == nil {
		for id := range strings.SplitSeq(c.Value, ".") {
			if strings.HasPrefix(id, "client_") {
				ids = append(ids, id)
			}
		}
	}
	ids = change(ids)
	c := &http.Cookie{Name: hasSessionCookie, Value: strings.Join(ids, "."), Path: "/", Domain: site, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(auth.SessionLifetime / time.Second)}
	if len(ids) == 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// hosts returns the API's host and the domain that it shares with an
// application, as a cookie's Domain: "" when both are the same host, which
// needs none, or when they share nothing but a public suffix.
func (a *API) hosts(app string) (api, shared string) {
	apiURL, err := url.Parse(a.BaseURL())
	if err != nil {
		return "", ""
	}
	appURL, err := url.Parse(app)
	if err != nil {
		return apiURL.Hostname(), ""
	}
	x, y := apiURL.Hostname(), appURL.Hostname()
	if x == y || net.ParseIP(x) != nil || net.ParseIP(y) != nil {
		return x, ""
	}
	a1, b1 := strings.Split(x, "."), strings.Split(y, ".")
	n := 0
	for n < len(a1) && n < len(b1) && a1[len(a1)-1-n] == b1[len(b1)-1-n] {
		n++
	}
	common := strings.Join(a1[len(a1)-n:], ".")
	if suffix, _ := publicsuffix.PublicSuffix(common); n < 2 || suffix == common {
		return x, ""
	}
	return x, common
}
