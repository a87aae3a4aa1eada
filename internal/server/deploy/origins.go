package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// Origins gives every deployment two origins of its own, of its functions and
// of its HTTP actions: two ports of this machine, which stay the same from one
// start of the server to the next, or two host names beneath a domain.
type Origins struct {
	DB  *store.DB
	Log *slog.Logger
	// BaseURL is the server's own origin.
	BaseURL func() string
	// Domain is where deployments have host names: NAME.Domain, and
	// NAME.site.Domain of HTTP actions. "" stands for ports.
	Domain string
	// Here reports whether the server is for this machine: without a domain only
	// then deployments have origins of their own. Elsewhere nobody would reach
	// the ports, and the server's own origin stands for all of them.
	Here func() bool
	// Handler serves requests whose context has an origin.
	Handler http.Handler

	mu     sync.Mutex
	open   map[string]*ports // by name of the deployment
	server *http.Server
	closed bool
}

// origin says which deployment a request is for.
type origin struct {
	name string
	site bool // its HTTP actions
}

type originKey struct{}

func originOf(ctx context.Context) (origin, bool) {
	o, ok := ctx.Value(originKey{}).(origin)
	return o, ok
}

// ports are the two listeners of a deployment.
type ports struct{ functions, site net.Listener }

func (p *ports) close() error { return errors.Join(p.functions.Close(), p.site.Close()) }

// named is a listener that knows whose it is.
type named struct {
	net.Listener
	origin
}

// URLs returns the origins of a deployment, without trailing slash. Its ports
// are opened when they are not.
func (o *Origins) URLs(d store.Deployment) (functions, site string) {
	base := o.BaseURL()
	if o.Domain != "" {
		scheme, port := "https", ""
		if u, err := url.Parse(base); err == nil {
			scheme = u.Scheme
			if p := u.Port(); p != "" {
				port = ":" + p
			}
		}
		return scheme + "://" + d.Name + "." + o.Domain + port, scheme + "://" + d.Name + ".site." + o.Domain + port
	}
	if !o.Here() {
		return base, base
	}
	p, err := o.listen(context.Background(), d)
	if err != nil {
		o.Log.Error("a deployment has no ports", "deployment", d.Name, "err", err)
		return base, base
	}
	return "http://" + p.functions.Addr().String(), "http://" + p.site.Addr().String()
}

// URL returns the origin of a deployment's functions.
func (o *Origins) URL(d store.Deployment) string {
	functions, _ := o.URLs(d)
	return functions
}

// listen opens the ports of a deployment: those of last time when they are
// free, else others, which are kept for the next time.
func (o *Origins) listen(ctx context.Context, d store.Deployment) (*ports, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.open[d.Name]; p != nil {
		return p, nil
	}
	if o.closed {
		return nil, fault.New(fault.Unavailable, "the server is stopping")
	}
	port, sitePort, err := o.DB.Ports(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	p := &ports{}
	if p.functions, err = listenOn(ctx, port); err != nil {
		return nil, err
	}
	if p.site, err = listenOn(ctx, sitePort); err != nil {
		return nil, errors.Join(err, p.functions.Close())
	}
	if got, gotSite := portOf(p.functions), portOf(p.site); got != port || gotSite != sitePort {
		if port != 0 {
			o.Log.Warn("a deployment has new addresses: its ports are taken by another program", "deployment", d.Name, "functions", got, "site", gotSite)
		}
		if err := o.DB.SetPorts(ctx, d.ID, got, gotSite); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if o.open == nil {
		o.open = map[string]*ports{}
		o.server = &http.Server{Handler: o.Handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
			BaseContext: func(l net.Listener) context.Context {
				return context.WithValue(context.Background(), originKey{}, l.(named).origin)
			}}
	}
	o.open[d.Name] = p
	for _, l := range []named{{p.functions, origin{name: d.Name}}, {p.site, origin{name: d.Name, site: true}}} {
		go func() {
			if err := o.server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				o.Log.Error("a deployment is not served any more", "deployment", d.Name, "err", err)
			}
		}()
	}
	return p, nil
}

func portOf(l net.Listener) int {
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return at.Port
}

// Ports are taken from below those that systems give to outgoing connections,
// so that one is seldom lost to such a connection while the server is down.
const (
	firstPort = 20000
	lastPort  = 32000
)

// listenOn opens a port of the loopback interface: want, or another when it is taken or 0.
func listenOn(ctx context.Context, want int) (net.Listener, error) {
	var lc net.ListenConfig
	try := func(port int) (net.Listener, error) {
		return lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	if want != 0 && !badPort(want) {
		if l, err := try(want); err == nil {
			return l, nil
		}
	}
	for range 50 {
		n, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstPort))
		if err != nil {
			return nil, err
		}
		if l, err := try(firstPort + int(n.Int64())); err == nil {
			return l, nil
		}
	}
	for range 50 {
		l, err := try(0)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "no port of this machine is free for a deployment")
		}
		if !badPort(portOf(l)) {
			return l, nil
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unavailable, "no port of this machine is free for a deployment")
}

// badPorts are those above 1023 to which browsers and Node.js send nothing
// (Fetch standard, "bad port").
var badPorts = []int{1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}

func badPort(port int) bool { return port < 1024 || slices.Contains(badPorts, port) }

// Reconcile opens the ports of all deployments and closes those of deployments
// that are gone. It returns the names of the latter.
func (o *Origins) Reconcile(ctx context.Context) (gone []string, err error) {
	if o.Domain != "" || !o.Here() {
		return nil, nil
	}
	teams, err := o.DB.Teams(ctx)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	var had []string
	for name := range o.open {
		had = append(had, name)
	}
	o.mu.Unlock()
	there := map[string]bool{}
	var problems []error
	for _, t := range teams {
		all, err := t.Deployments(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			there[d.Name] = true
			if _, err := o.listen(ctx, d); err != nil {
				problems = append(problems, err)
			}
		}
	}
	for _, name := range had {
		if !there[name] {
			o.Forget(name)
			gone = append(gone, name)
		}
	}
	return gone, errors.Join(problems...)
}

// Forget closes the ports of a deployment.
func (o *Origins) Forget(name string) {
	o.mu.Lock()
	p := o.open[name]
	delete(o.open, name)
	o.mu.Unlock()
	if p != nil {
		_ = p.close() // nothing more can be done about a listener
	}
}

// Hosts serves requests to the host names of deployments, and leaves others to next.
func (o *Origins) Hosts(next http.Handler) http.Handler {
	if o.Domain == "" {
		return next
	}
	suffix := "." + strings.ToLower(o.Domain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		name, ok := strings.CutSuffix(strings.ToLower(host), suffix)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		at := origin{}
		at.name, at.site = strings.CutSuffix(name, ".site")
		o.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), originKey{}, at)))
	})
}

// Shutdown closes all ports and lets open requests finish until ctx ends.
func (o *Origins) Shutdown(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	server := o.server
	all := o.open
	o.open = nil
	o.mu.Unlock()
	if server == nil {
		return nil
	}
	for _, p := range all {
		_ = p.close() // Serve may not have taken them over yet
	}
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return errors.Join(server.Close(), err)
	}
	return nil
}
