package server

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/web"
)

// root answers everything that no surface knows: the console at / for the
// person at this machine, and a page that says that there is nothing.
func (s *Server) root() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch {
		case r.URL.Path == "/" && r.Method == http.MethodGet && fromThisMachine(r):
			err = s.console(w, r)
		case strings.HasPrefix(r.Header.Get("Accept"), "text/html"):
			err = web.Write(w, http.StatusNotFound, web.NotFound{Frame: web.Frame{Brand: web.Brand{Name: "Berth"}}, RequestID: route.RequestID(r.Context())})
		default:
			err = route.JSON(w, http.StatusNotFound, workos.MessageError{Message: "There is no " + r.Method + " " + r.URL.Path + "."})
		}
		if err != nil {
			s.cfg.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
		}
	})
}

// fromThisMachine reports whether a request came over loopback to a loopback
// name. The name is checked too: a page elsewhere may point its own at 127.0.0.1.
func fromThisMachine(r *http.Request) bool {
	ip := net.ParseIP(route.ClientIP(r))
	if ip == nil || !ip.IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name := net.ParseIP(host)
	return host == "localhost" || name != nil && name.IsLoopback()
}

// servesThisMachine is fromThisMachine on a server that is for this machine
// alone. With a public address a proxy may stand before it, whose requests all
// come over loopback; so may one that says so itself.
func (s *Server) servesThisMachine(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return s.publishedHere() && fromThisMachine(r)
}

// publishedHere tells whether the server's own address is on loopback.
func (s *Server) publishedHere() bool {
	u, err := url.Parse(s.base)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// forThisMachine tells whether nobody but this machine reaches the server: it
// listens on loopback and its address is there, so that no proxy stands before it.
func (s *Server) forThisMachine() bool {
	at, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback() && s.publishedHere()
}

// console lists what this server holds. It shows no secret.
func (s *Server) console(w http.ResponseWriter, r *http.Request) error {
	page := web.ConsolePage{Server: s.base, Version: s.cfg.Version}
	teams, err := s.db.Teams(r.Context())
	if err != nil {
		return err
	}
	for _, t := range teams {
		grants, err := t.Claims(r.Context(), "")
		if err != nil {
			return err
		}
		for _, g := range grants {
			d := web.ConsoleDeployment{Name: g.Claim.Deployment, Kind: web.Kind(g.Claim.Kind), Branch: g.Claim.Branch, URL: g.Claim.HomepageURL,
				Environment: g.Placement.EnvironmentName, ClientID: g.Placement.ClientID}
			if err := s.countUsers(r, t, &d); err != nil {
				return err
			}
			page.Deployments = append(page.Deployments, d)
		}
	}
	return web.Write(w, http.StatusOK, page)
}

func (s *Server) countUsers(r *http.Request, t *store.Team, d *web.ConsoleDeployment) error {
	e, err := t.EnvironmentByClientID(r.Context(), d.ClientID)
	if err != nil {
		return nil // an environment elsewhere: its users are not counted here
	}
	if !e.Production && s.servesThisMachine(r) {
		d.Links = append(d.Links, web.Link{Label: "Inbox", URL: "/inbox?" + url.Values{"client_id": {e.ClientID}}.Encode()})
	}
	d.Users, err = e.CountUsers(r.Context())
	return err
}
