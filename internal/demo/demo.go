package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Options say how to run the demo.
type Options struct {
	Exe      string   // the berth program, which the demo runs as its child processes
	Environ  []string // the process's environment, "NAME=value"; little of it reaches the children
	App      fs.FS    // the example app
	AppName  string   // its name
	TempDir  string   // where the temporary folder is made; "" is the system's place
	Keep     bool     // leave server and apps running until the context ends
	Now      func() time.Time
	Progress Progress
	// Show is called with the result as soon as it is known: before the demo
	// waits (Keep) and cleans up.
	Show func(*Result) error
}

// Progress hears what happens while it happens.
type Progress interface {
	Begin(what string)                       // a step begins
	Done(took time.Duration, outcome string) // it went well
	Failed(took time.Duration, output string)
}

// Run runs the demo. It returns an error when any part of what is shown did not
// hold, and the result as far as it came. When ctx ends the demo cleans up:
// that is [fault.Interrupted], except while Keep waits, where it is the end.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if o.Exe == "" {
		return nil, fault.New(fault.Unsupported, "the demo cannot find its own program to start it again").WithFix("run it by its full path")
	}
	began := o.Now()
	dir, err := os.MkdirTemp(o.TempDir, "berth-demo-")
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "no temporary folder can be made")
	}
	// macOS keeps temporary folders behind a symbolic link; Git prints the real path.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	s := &show{Options: o, dir: dir, result: &Result{App: o.AppName}}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.setUp(); err != nil {
		return s.result, err
	}
	for _, step := range s.steps() {
		if err := s.step(ctx, step); err != nil {
			return s.result, err
		}
	}
	s.result.OK = true
	s.result.Milliseconds = o.Now().Sub(began).Milliseconds()
	if o.Show != nil {
		if err := o.Show(s.result); err != nil {
			return s.result, err
		}
	}
	if o.Keep {
		<-ctx.Done()
	}
	return s.result, nil
}

// show is a running demo.
type show struct {
	Options
	dir     string // temporary folder
	shell   *shell
	ca      *Authority
	network *Network
	server  *background
	berth   *berth.Client
	base    string // URL of the server
	token   secret.String
	auth    []string // variables that lead the commands to the server
	shops   []*shop  // dev, previews, production
	result  *Result

	mu sync.Mutex // holds what parallel deploys write: settings and rows
}

// shop is one deployment of the example app.
type shop struct {
	row      *Row
	app      *App
	env      []string // of its build; nil for dev
	dir      string   // checkout
	origins  []string // at which reviewers open it, the stable one first
	settings Settings
	backend  string // name of the backend deployment
	origin   string // of its functions
	email    string
	password secret.String
	token    secret.String
	gone     bool
}

// home is where a sign-out is to end.
func (p *shop) home() string { return p.origins[0] }

const (
	appTitle       = "Shop"
	productionHost = "shop.example"
)

// dead is the branch that is deleted; its environment goes, the others stay.
const dead = "feature-b"

var branches = []string{"feature-a", dead, "feature-c"}

// commits are the parts of the commit hosts. Vercel makes them up.
var commits = map[string]string{"feature-a": "4f2c9d1ab", dead: "9be01c77d", "feature-c": "c31f08e52", "main": "e70a5b6c4"}

func previewHosts(branch string) (branchHost, commitHost string) {
	return "shop-git-" + branch + "-acme.example", "shop-" + commits[branch] + "-acme.example"
}

func (s *show) setUp() error {
	for _, name := range []string{"home", "server", "captured"} {
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			return fault.Wrap(err, fault.Invalid, "cannot write in %s", s.dir)
		}
	}
	s.shell = newShell(s.Environ, s.path("home"))
	var err error
	if s.ca, err = NewAuthority(s.Now); err != nil {
		return err
	}
	s.network = NewNetwork(s.ca)
	add := func(kind, branch, label string) *shop {
		p := &shop{
			row:   &Row{Deployment: label, Kind: kind, Branch: branch},
			app:   &App{Name: appTitle, Kind: kind, Label: label, Now: s.Now},
			email: "tester@" + branch + ".example", password: secret.String(rand.Text()),
		}
		s.shell.hide(p.password)
		p.app.Backend = func(ctx context.Context, token secret.String) (berth.Decision, error) {
			return s.berth.Check(ctx, p.backend, token)
		}
		s.shops = append(s.shops, p)
		s.result.Deployments = append(s.result.Deployments, p.row)
		return p
	}
	dev := add("dev", "main", "dev")
	dev.email = "tester@dev.example"
	for _, branch := range branches {
		add("preview", branch, "preview "+branch)
	}
	add("prod", "main", "production").email = "tester@production.example"
	return nil
}

func (s *show) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// close ends everything that was started and removes the folder.
func (s *show) close() error {
	var errs []error
	for _, p := range s.shops {
		errs = append(errs, p.app.Close())
	}
	if s.network != nil {
		s.network.Close()
	}
	if s.server != nil {
		s.server.stop()
	}
	if err := os.RemoveAll(s.dir); err != nil {
		errs = append(errs, fault.Wrap(err, fault.Conflict, "the temporary folder %s cannot be removed", s.dir).WithFix("remove it by hand"))
	}
	return errors.Join(errs...)
}

// step is a part of the demo. do returns what came out, for the reader.
type step struct {
	what string
	do   func(context.Context) (outcome string, err error)
}

func (s *show) step(ctx context.Context, st step) error {
	begun := s.Now()
	s.Progress.Begin(st.what)
	outcome, err := st.do(ctx)
	took := s.Now().Sub(begun)
	s.result.Steps = append(s.result.Steps, Step{What: st.what, Outcome: outcome, OK: err == nil, Milliseconds: took.Milliseconds()})
	if err == nil {
		s.Progress.Done(took, outcome)
		return nil
	}
	if ctx.Err() != nil {
		s.Progress.Failed(took, "")
		return fault.Wrap(err, fault.Interrupted, "interrupted; everything the demo made is removed")
	}
	s.Progress.Failed(took, s.evidence(err))
	f := fault.From(err)
	message := f.Message
	if child, ok := errors.AsType[*childError](err); ok {
		message = child.Error()
	}
	if message == "" {
		message = "something went wrong inside the demo"
	}
	return fault.Wrap(err, fault.Conflict, "the demo stopped at %q: %s", st.what, s.shell.clean(message)).WithCode("demo_failed").WithFix("%s", s.shell.clean(f.Fix))
}

// evidence is what the processes said about a failure.
func (s *show) evidence(err error) string {
	text := ""
	if child, ok := errors.AsType[*childError](err); ok {
		text = "$ " + child.name + "\n" + child.output
	}
	if s.server != nil {
		select {
		case <-s.server.done:
			text += "\nThe server has ended. It said:\n" + s.shell.clean(s.server.output.String())
		default:
		}
	}
	return text
}

func (s *show) steps() []step {
	steps := []step{
		{"start a server", s.startServer},
		{"make an app with a Git remote and three feature branches", s.makeApp},
		{"berth dev: the developer's own environment", s.deployDev},
		{"berth deploy: three preview branches at the same moment", s.deployPreviews},
		{"berth deploy: production", s.deployProduction},
		{"berth users create: a test user in each, its own", s.createUsers},
		{"push a function to each backend", s.pushFunctions},
		{"sign in through the hosted page and callback, on every host", s.signInEverywhere},
		{"call each backend's function with the user's token", s.checkTokens},
		{"take users and tokens to deployments that are not theirs", s.checkIsolation},
		{"sign out", s.signOutEverywhere},
		{"delete branch " + dead + ", then berth prune", s.prune},
		{"sign in again on the deployments that are left", s.signInAgain},
	}
	if s.Keep {
		steps = append(steps, step{"berth deploy --url: a link for your browser", s.addLinks})
	}
	return steps
}
