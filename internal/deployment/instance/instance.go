// Package instance is one live deployment: what was pushed, its documents, and
// the running of its functions for clients, other functions, the scheduler and
// HTTP routes. A [Registry] keeps those that are in use.
package instance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/store"
)

// Config is what instances are made from.
type Config struct {
	DB    *store.DB
	Fetch *deployment.Fetcher // gets the key sets of auth providers
	Log   *slog.Logger
	// URLs returns the origins of a deployment: of its functions and of its HTTP actions.
	URLs func(store.Deployment) (cloud, site string)
	// HTTP sends what actions fetch. Nil: a client with a deadline.
	HTTP *http.Client
}

// Instance is one deployment in memory. It is safe for concurrent use.
type Instance struct {
	cfg        Config
	deployment store.Deployment
	data       *database.Database
	logs       *logRing
	cache      cache
	outcomes   outcomes

	used    atomic.Int64 // when a function was last called, nanoseconds since 1970
	loading sync.Mutex   // from reading or writing the store to replacing live

	mu      sync.Mutex
	live    *live
	moved   chan struct{} // closed when live is replaced
	pending map[string]*pendingPush

	stop   context.CancelFunc
	closed <-chan struct{}
	done   sync.WaitGroup
}

// live is what runs: functions with the variables they see. It is replaced, never changed.
type live struct {
	generation uint64 // grows with each replacement
	state      deployment.State
	modules    []store.Module
	program    *runtime.Program // nil before the first push
	functions  map[string]function
	routes     []runtime.Route
	crons      []cronJob
}

// open reads a deployment and makes it ready to run.
func open(ctx context.Context, cfg Config, d store.Deployment) (*Instance, error) {
	data, err := database.Open(ctx, cfg.DB.Documents(d.ID), cfg.DB.Now)
	if err != nil {
		return nil, err
	}
	i := &Instance{cfg: cfg, deployment: d, data: data, logs: newLogRing(), moved: make(chan struct{}), pending: map[string]*pendingPush{}}
	if i.live, err = i.load(ctx); err != nil {
		return nil, err
	}
	if err := cfg.DB.SweepFiles(ctx, d.ID); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	i.stop, i.closed = stop, run.Done()
	i.done.Go(func() { i.schedule(run) })
	return i, nil
}

// close stops what runs by itself and lets go of contexts.
func (i *Instance) close() {
	i.stop()
	i.done.Wait()
	if p := i.now().program; p != nil {
		p.Close()
	}
}

// Closed returns a channel that is closed when the deployment is let go of:
// it was deleted, or the server stops.
func (i *Instance) Closed() <-chan struct{} { return i.closed }

// load reads what the store has of the deployment.
func (i *Instance) load(ctx context.Context) (*live, error) {
	d, err := i.cfg.DB.DeploymentByName(ctx, i.deployment.Name)
	if err != nil {
		return nil, err
	}
	vars, err := i.cfg.DB.Variables(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	cloud, site := i.cfg.URLs(d)
	state := deployment.State{Variables: vars, AuthConfig: d.AuthConfig, CloudURL: cloud, SiteURL: site}
	if err := json.Unmarshal(d.Providers, &state.Providers); err != nil {
		return nil, err
	}
	modules, err := i.cfg.DB.Modules(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	l, failure, err := prepare(ctx, state, modules)
	if failure != nil {
		// It was good when it was pushed; a variable may have changed since.
		i.cfg.Log.WarnContext(ctx, "the functions of a deployment cannot be loaded", "deployment", d.Name, "err", failure)
		l = &live{state: state, modules: modules}
	}
	return l, err
}

// prepare compiles and analyses modules. failure is what is wrong with them.
func prepare(ctx context.Context, state deployment.State, modules []store.Module) (l *live, failure, err error) {
	l = &live{state: state, modules: modules}
	if len(modules) == 0 {
		return l, nil, nil
	}
	pushed := make([]runtime.Module, len(modules))
	for n, m := range modules {
		pushed[n] = runtime.Module{Path: m.Path, Source: m.Source, SourceMap: m.SourceMap, Environment: m.Environment}
	}
	if l.program, failure = runtime.Compile(ctx, pushed, state.Environment()); failure != nil {
		return nil, failure, ctx.Err()
	}
	exports, failure := l.program.Analyze(ctx)
	if failure == nil {
		failure = l.read(exports)
	}
	if failure != nil {
		l.program.Close()
		return nil, failure, ctx.Err()
	}
	return l, nil, nil
}

func (i *Instance) now() *live {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.live
}

// replace makes l what runs from now on.
func (i *Instance) replace(l *live) {
	i.mu.Lock()
	old := i.live
	l.generation = old.generation + 1
	i.live = l
	close(i.moved)
	i.moved = make(chan struct{})
	i.mu.Unlock()
	if old.program != nil && old.program != l.program {
		old.program.Close()
	}
}

// Moved returns a channel that is closed when functions or variables change.
func (i *Instance) Moved() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.moved
}

// Deployment returns the record of the deployment.
func (i *Instance) Deployment() store.Deployment {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.deployment
}

// Data returns the deployment's documents.
func (i *Instance) Data() *database.Database { return i.data }

// Now returns the time of the deployment's clock.
func (i *Instance) Now() time.Time { return i.cfg.DB.Now() }

// Redacts reports whether clients get short errors, as in production.
func (i *Instance) Redacts() bool { return i.deployment.Kind == claim.Prod }

// Providers returns who may issue tokens for the deployment, in stored order.
func (i *Instance) Providers() []authconfig.Provider { return i.now().state.Providers }

// Accept decides about a user's token.
func (i *Instance) Accept(ctx context.Context, token string) (*deployment.Identity, *deployment.Refusal) {
	return deployment.Accept(ctx, i.Providers(), token, i.cfg.DB.Now(), i.cfg.Fetch)
}

// Variables returns the deployment's environment variables, without the built-in ones.
func (i *Instance) Variables() map[string]string { return i.now().state.Variables }

// Environment returns the variables that functions see.
func (i *Instance) Environment() map[string]string { return i.now().state.Environment() }

// URLs returns the deployment's origins.
func (i *Instance) URLs() (cloud, site string) {
	s := i.now().state
	return s.CloudURL, s.SiteURL
}

// ChangeVariables changes variables all together or not at all. auth.config is
// evaluated again and the functions are loaded with the new values.
func (i *Instance) ChangeVariables(ctx context.Context, changes []deployment.Change) error {
	var next deployment.State
	err := i.cfg.DB.ChangeDeployment(ctx, i.deployment.Name, func(d *store.Deployment, vars map[string]string) (map[string]string, error) {
		var err error
		now := i.state(d, vars)
		if err = json.Unmarshal(d.Providers, &now.Providers); err != nil {
			return nil, err
		}
		if next, err = now.ChangeVariables(ctx, changes); err != nil {
			return nil, err
		}
		d.Providers, err = encodeProviders(next.Providers)
		return next.Variables, err
	})
	if err != nil {
		return err
	}
	return i.Reload(ctx)
}

func (i *Instance) state(d *store.Deployment, vars map[string]string) deployment.State {
	cloud, site := i.cfg.URLs(*d)
	return deployment.State{Variables: vars, AuthConfig: d.AuthConfig, CloudURL: cloud, SiteURL: site}
}

func encodeProviders(list []authconfig.Provider) (json.RawMessage, error) {
	if list == nil {
		list = []authconfig.Provider{}
	}
	return json.Marshal(list)
}

// Reload reads the deployment again, after it was changed in the store.
func (i *Instance) Reload(ctx context.Context) error {
	i.loading.Lock()
	defer i.loading.Unlock()
	l, err := i.load(ctx)
	if err != nil {
		return err
	}
	i.replace(l)
	return nil
}

// newRequestID returns the 16 hexadecimal digits that name a call in errors and logs.
func newRequestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

func httpClient(c *http.Client) *http.Client {
	if c != nil {
		return c
	}
	return &http.Client{Timeout: time.Minute}
}
