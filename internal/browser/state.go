package browser

import (
	"cmp"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"
)

// State is a storage state as Playwright reads it
// (https://playwright.dev/docs/api/class-browsercontext#browser-context-storage-state).
type State struct {
	Cookies []Cookie `json:"cookies"`
	Origins []Origin `json:"origins"`
}

// Cookie is a cookie with what a browser knows of it.
type Cookie struct {
	Name     string  `json:"name"`
	Value    string  `json:"value"`
	Domain   string  `json:"domain"` // with a leading dot when subdomains get it
	Path     string  `json:"path"`
	Expires  float64 `json:"expires"` // Unix seconds; -1: with the browser's session
	HTTPOnly bool    `json:"httpOnly"`
	Secure   bool    `json:"secure"`
	SameSite string  `json:"sameSite"` // Strict, Lax, None
}

// Origin is what an origin keeps in localStorage.
type Origin struct {
	Origin       string `json:"origin"`
	LocalStorage []Item `json:"localStorage"`
}

// Item is one entry of localStorage.
type Item struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// jar keeps cookies twice: a cookiejar decides what is sent, and a record keeps
// what the cookiejar does not tell.
type jar struct {
	now    func() time.Time
	inner  *cookiejar.Jar
	record map[string]Cookie
}

func newJar(now func() time.Time) *jar {
	inner, err := cookiejar.New(nil)
	if err != nil {
		panic("browser: a cookie jar without options cannot fail: " + err.Error())
	}
	return &jar{now: now, inner: inner, record: map[string]Cookie{}}
}

// trustworthy is u as the cookiejar has to see it: browsers send Secure
// cookies to localhost over plain http too (Secure Contexts, section 3.1).
func trustworthy(u *url.URL) *url.URL {
	v := *u
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || ip != nil && ip.IsLoopback() {
		v.Scheme = "https"
	}
	return &v
}

func (j *jar) cookies(u *url.URL) []*http.Cookie { return j.inner.Cookies(trustworthy(u)) }

func (j *jar) set(u *url.URL, list []*http.Cookie) {
	at := trustworthy(u)
	j.inner.SetCookies(at, list)
	for _, c := range list {
		v := Cookie{Name: c.Name, Value: c.Value, Domain: u.Hostname(), Path: c.Path, Expires: -1, HTTPOnly: c.HttpOnly, Secure: c.Secure, SameSite: "Lax"}
		if c.Domain != "" && net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" {
			v.Domain = "." + strings.TrimPrefix(c.Domain, ".")
		}
		if !strings.HasPrefix(v.Path, "/") {
			// RFC 6265 section 5.1.4, the default path.
			v.Path = "/"
			if i := strings.LastIndexByte(u.Path, '/'); i > 0 {
				v.Path = u.Path[:i]
			}
		}
		switch c.SameSite {
		case http.SameSiteStrictMode:
			v.SameSite = "Strict"
		case http.SameSiteNoneMode:
			v.SameSite = "None"
		}
		switch {
		case c.MaxAge > 0:
			v.Expires = float64(j.now().Add(time.Duration(c.MaxAge) * time.Second).Unix())
		case c.MaxAge == 0 && !c.Expires.IsZero():
			v.Expires = float64(c.Expires.Unix())
		}
		key := v.Domain + ";" + v.Path + ";" + v.Name
		if c.MaxAge < 0 || v.Expires >= 0 && v.Expires <= float64(j.now().Unix()) || c.Secure && at.Scheme != "https" {
			delete(j.record, key)
			continue
		}
		j.record[key] = v
	}
}

// Cookies returns the cookies that an address would get, as a browser keeps them.
func (b *Browser) Cookies(address *url.URL) []Cookie {
	var list []Cookie
	sent := b.jar.cookies(address)
	for _, c := range b.jar.record {
		bare := strings.TrimPrefix(c.Domain, ".")
		fits := address.Hostname() == bare || strings.HasPrefix(c.Domain, ".") && strings.HasSuffix(address.Hostname(), c.Domain)
		if fits && slices.ContainsFunc(sent, func(s *http.Cookie) bool { return s.Name == c.Name && s.Value == c.Value }) {
			list = append(list, c)
		}
	}
	return list
}

// State returns the cookies together with what origins keep in localStorage.
func (b *Browser) State(origins ...Origin) State {
	cookies := slices.SortedFunc(maps.Values(b.jar.record), func(a, b Cookie) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Path, b.Path), strings.Compare(a.Name, b.Name))
	})
	return State{Cookies: append([]Cookie{}, cookies...), Origins: append([]Origin{}, origins...)}
}
