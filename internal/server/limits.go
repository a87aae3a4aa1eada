package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/authkit"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
)

// limited holds every client address to a rate: a page for people, JSON for
// programs. A preflight of the token endpoint is answered all the same: were it
// refused, a browser would not send the request, and its program could not read
// that it has to wait.
func (s *Server) limited(requests *limit.Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := requests.Take(route.ClientIP(r))
		if err == nil || r.Method == http.MethodOptions && r.URL.Path == tokenEndpoint {
			next.ServeHTTP(w, r)
			return
		}
		s.readable(w, r)
		if strings.HasPrefix(r.Header.Get("Accept"), "text/html") {
			err = hosted.TooMany(w, r, err)
		} else {
			err = keyed.TooMany(w, r, err)
		}
		if err != nil {
			s.cfg.Log.DebugContext(r.Context(), "answer of a limit not sent", "err", err) // the client is gone
		}
	})
}

const tokenEndpoint = "/user_management/authenticate"

// readable lets a program in a browser read the refusal of a limit where it may
// read the route's own answers. The environment is in a body that nobody has
// read, so the token endpoint takes the origins of all of them, as its preflight
// does.
func (s *Server) readable(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	switch path := r.URL.Path; {
	case path == tokenEndpoint && origin != "":
		known, err := s.db.OriginKnown(r.Context(), origin)
		if err != nil {
			s.cfg.Log.ErrorContext(r.Context(), "origins not read", "err", err)
		}
		if known {
			authkit.AllowOrigin(w, origin)
		}
	case strings.HasPrefix(path, "/sso/jwks/"), strings.HasSuffix(path, "/.well-known/openid-configuration"):
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	}
}

// fromProxy gives requests of trusted proxies the address of their client: the
// last of X-Forwarded-For that is not such a proxy itself. What stands before
// it was said by the client, who may say anything.
func fromProxy(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	isProxy := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !isProxy(peer.Addr().Unmap()) {
			next.ServeHTTP(w, r)
			return
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break // nothing before it can be believed
			}
			r.RemoteAddr = net.JoinHostPort(hop.Unmap().String(), "0")
			if !isProxy(hop.Unmap()) {
				break
			}
		}
		next.ServeHTTP(w, r)
	})
}
