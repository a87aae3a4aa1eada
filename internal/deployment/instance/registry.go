package instance

import (
	"context"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// idle is how long a deployment that nobody uses stays in memory.
const idle = 10 * time.Minute

// quiet is how long a deployment keeps prepared contexts after its last call.
const quiet = time.Minute

// Registry keeps the deployments that are in use, each opened once.
type Registry struct {
	cfg Config

	mu     sync.Mutex
	open   map[string]*entry // by name
	closed bool
}

type entry struct {
	ready    chan struct{} // closed when instance or err is there
	instance *Instance
	err      error
	users    int
	used     time.Time
}

// NewRegistry returns a Registry without open deployments.
func NewRegistry(cfg Config) *Registry { return &Registry{cfg: cfg, open: map[string]*entry{}} }

// Open returns the deployment of a name, from memory or from the store. The
// caller calls release when it needs it no longer.
func (r *Registry) Open(ctx context.Context, name string) (i *Instance, release func(), err error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, nil, fault.New(fault.Unavailable, "the server is stopping")
	}
	e := r.open[name]
	if e == nil {
		e = &entry{ready: make(chan struct{})}
		r.open[name] = e
		go r.load(context.WithoutCancel(ctx), name, e)
	}
	e.users++
	r.mu.Unlock()
	release = sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.users--
		e.used = time.Now()
	})
	select {
	case <-e.ready:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	if e.err != nil {
		release()
		return nil, nil, e.err
	}
	return e.instance, release, nil
}

func (r *Registry) load(ctx context.Context, name string, e *entry) {
	d, err := r.cfg.DB.DeploymentByName(ctx, name)
	if err == nil {
		e.instance, err = open(ctx, r.cfg, d)
	}
	e.err = err
	if err != nil {
		r.mu.Lock()
		if r.open[name] == e {
			delete(r.open, name)
		}
		r.mu.Unlock()
	}
	close(e.ready)
}

// Forget closes a deployment that was deleted.
func (r *Registry) Forget(name string) {
	r.mu.Lock()
	e := r.open[name]
	delete(r.open, name)
	r.mu.Unlock()
	if e != nil {
		<-e.ready
		if e.instance != nil {
			e.instance.close()
		}
	}
}

// Reload reads a deployment again if it is open, after the store was changed by
// another way than through its instance.
func (r *Registry) Reload(ctx context.Context, name string) error {
	r.mu.Lock()
	e := r.open[name]
	r.mu.Unlock()
	if e == nil {
		return nil
	}
	<-e.ready
	if e.instance == nil {
		return nil
	}
	return e.instance.Reload(ctx)
}

// Run lets go of deployments that nobody uses until ctx ends, then of all.
func (r *Registry) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.Close()
			return nil
		case <-tick.C:
			r.rest(time.Now().Add(-quiet))
			r.sweep(time.Now().Add(-idle))
		}
	}
}

// rest lets deployments that called nothing since a moment give up what only
// makes the next call faster: they may have connections and stay open for long.
func (r *Registry) rest(before time.Time) {
	r.mu.Lock()
	var resting []*Instance
	for _, e := range r.open {
		select {
		case <-e.ready:
			if e.instance != nil && e.instance.used.Load() < before.UnixNano() {
				resting = append(resting, e.instance)
			}
		default:
		}
	}
	r.mu.Unlock()
	for _, i := range resting {
		if p := i.now().program; p != nil {
			p.Rest()
		}
	}
}

// sweep closes what was last used before a moment. Deployments with scheduled
// calls or crons stay.
func (r *Registry) sweep(before time.Time) {
	r.mu.Lock()
	var old []*Instance
	for name, e := range r.open {
		select {
		case <-e.ready:
		default:
			continue
		}
		if e.users == 0 && e.used.Before(before) && !e.instance.busy() {
			old = append(old, e.instance)
			delete(r.open, name)
		}
	}
	r.mu.Unlock()
	for _, i := range old {
		i.close()
	}
}

// busy reports whether something runs by itself.
func (i *Instance) busy() bool { return len(i.now().crons) > 0 || i.data.Tables()[jobsTable] > 0 }

// Close closes all deployments. Open fails afterwards.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	all := r.open
	r.open = map[string]*entry{}
	r.mu.Unlock()
	for _, e := range all {
		<-e.ready
		if e.instance != nil {
			e.instance.close()
		}
	}
}
