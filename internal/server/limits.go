package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/berthdev/berth/internal/limit"
	"github.com/berthdev/berth/internal/server/hosted"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
)

// limited holds every client address to a rate: a page for people, JSON for
// programs.
func (s *Server) limited(requests *limit.Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := requests.Take(route.ClientIP(r))
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
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
