package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// PortSource says how a port is known.
type PortSource string

const (
	PortListening  PortSource = "listening"  // the system says the web server listens on it
	PortConfigured PortSource = "configured" // a script, vite.config or PORT names it
	PortDefault    PortSource = "default"    // the framework's usual port
)

// Port is the port of the web app's dev server and how it is known.
type Port struct {
	Number   int
	Source   PortSource
	Where    string // evidence for people: "node, process 4711" or "package.json, script dev"
	Expected int    // configured or default port; differs from Number when the server moved on (R52)
	Others   []int  // further ports of the app that could be meant
	Unknown  string // why the system could not be asked; "" when it could
}

// Moved reports whether the server listens on another port than expected.
func (p Port) Moved() bool { return p.Source == PortListening && p.Number != p.Expected }

// PortQuery says where to look for the port.
type PortQuery struct {
	Listeners Listeners // nil: do not ask the system
	RootPID   int       // the dev command Berth started; 0 when it did not
	Ignore    []int     // processes that are no web server, such as Berth itself
	Script    string    // script of package.json that starts the dev server; "" means dev
	Env       func(name string) (string, bool)
}

// Port finds the port of the web app's dev server: the one it listens on, else
// the configured one, else the framework's default.
func (a *App) Port(ctx context.Context, q PortQuery) (Port, error) {
	p, err := a.configuredPort(q)
	if err != nil {
		return Port{}, err
	}
	p.Expected = p.Number
	if q.Listeners == nil {
		return p, nil
	}
	all, err := q.Listeners(ctx)
	if fault.Is(err, fault.Unsupported) {
		p.Unknown = err.Error()
		return p, nil
	}
	if err != nil {
		return Port{}, err
	}
	candidates := a.webServers(all, q)
	if len(candidates) == 0 {
		return p, nil
	}
	best := slices.MinFunc(candidates, func(x, y Listener) int {
		return portRank(x.Port, p.Expected) - portRank(y.Port, p.Expected)
	})
	p.Number, p.Source = best.Port, PortListening
	p.Where = fmt.Sprintf("%s, process %d", abbreviate(best.Command), best.PID)
	for _, c := range candidates {
		if c.Port != best.Port && !slices.Contains(p.Others, c.Port) {
			p.Others = append(p.Others, c.Port)
		}
	}
	return p, nil
}

// portRank orders the ports of one app: the expected one, then those that a
// server moves to when it is taken, then the lowest.
func portRank(port, expected int) int {
	if port >= expected && port < expected+20 {
		return port - expected
	}
	return 1000 + port
}

// notWeb are programs that listen in an app folder without being its web server.
var notWeb = []string{"convex-local-ba", "convex-local-backend", "workerd", "berth", "postgres", "redis-server", "esbuild", "chrome", "chromium"}

// inspectorPort is where node --inspect listens.
const inspectorPort = 9229

// webServers keeps the listeners of this app: descendants of the started command
// when there is one, else every process that runs in the web app's folder of
// this very checkout.
func (a *App) webServers(all []Listener, q PortQuery) []Listener {
	var mine []Listener
	for _, l := range all {
		if slices.Contains(q.Ignore, l.PID) || slices.Contains(notWeb, l.Command) || l.Port == inspectorPort {
			continue
		}
		if q.RootPID != 0 && l.PID != q.RootPID && !slices.Contains(l.Parents, q.RootPID) {
			continue
		}
		mine = append(mine, l)
	}
	here := slices.DeleteFunc(slices.Clone(mine), func(l Listener) bool { return !a.runsHere(l.Dir) })
	if len(here) > 0 || q.RootPID == 0 {
		return here
	}
	// A runner may start the server from the root of the workspace. Servers of
	// sibling packages are not meant.
	return slices.DeleteFunc(mine, func(l Listener) bool { return l.Dir != a.Root && l.Dir != "" })
}

// runsHere reports whether dir is in the web app and not in another checkout
// inside it.
func (a *App) runsHere(dir string) bool {
	rel, err := filepath.Rel(a.WebDir, dir)
	if dir == "" || err != nil || !filepath.IsLocal(rel) {
		return false
	}
	for part := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		if part != "." && (strings.HasPrefix(part, ".") || slices.Contains(skipped, part)) {
			return !hasCheckout(dir, a.WebDir) // build output may hold a package.json of its own
		}
	}
	for d := dir; d != a.WebDir; d = filepath.Dir(d) {
		if isFile(filepath.Join(d, "package.json")) {
			return false // another package inside the web app's folder
		}
	}
	return !hasCheckout(dir, a.WebDir)
}

// hasCheckout reports whether a folder from dir up to but without top is the
// root of a Git checkout.
func hasCheckout(dir, top string) bool {
	for d := dir; d != top; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return true
		}
	}
	return false
}

// configuredPort reads, strongest first: the port flag of the dev script, PORT
// where the framework honours it, vite.config; else the default.
func (a *App) configuredPort(q PortQuery) (Port, error) {
	script := q.Script
	if script == "" {
		script = "dev"
	}
	if n, name := a.scriptPort(script, 0); n != 0 {
		return Port{Number: n, Source: PortConfigured, Where: "package.json, script " + name}, nil
	}
	config, name, err := a.viteConfig()
	if err != nil {
		return Port{}, err
	}
	if a.readsPORT(config) {
		if q.Env != nil {
			if n, ok := portNumber(q.Env("PORT")); ok {
				return Port{Number: n, Source: PortConfigured, Where: "PORT in the environment"}, nil
			}
		}
		// Next.js opens its port before it reads .env files.
		for _, file := range []string{".env.development.local", ".env.local", ".env.development", ".env"} {
			if a.Framework.ID == NextJS {
				break
			}
			env, err := a.ReadEnvFile(filepath.Join(a.WebDir, file))
			if err != nil {
				return Port{}, err
			}
			if n, ok := portNumber(env.Lookup("PORT")); ok {
				return Port{Number: n, Source: PortConfigured, Where: "PORT in " + file}, nil
			}
		}
	}
	if n := vitePort(config); n != 0 {
		return Port{Number: n, Source: PortConfigured, Where: name}, nil
	}
	return Port{Number: a.Framework.Port, Source: PortDefault, Where: a.Framework.Name}, nil
}

// readsPORT reports whether the dev server takes its port from PORT. Vite does
// not by itself, only when its configuration says so; Expo never does.
func (a *App) readsPORT(viteConfig string) bool {
	if slices.Contains(a.Framework.commands, "vite") {
		return strings.Contains(viteConfig, "PORT")
	}
	return a.Framework.ID != Expo
}

func portNumber(s string, ok bool) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, ok && err == nil && n > 0 && n < 65536
}

var (
	portFlag   = regexp.MustCompile(`(?:^|\s)(?:--port(?:\s+|=)|-p(?:\s+|=)?)["']?(\d{2,5})\b`)
	portPrefix = regexp.MustCompile(`(?:^|\s)PORT=["']?(\d{2,5})\b`)
	separators = regexp.MustCompile(`&&|\|\||[&|;"']`)
	runWords   = regexp.MustCompile(`(?:^|\s)(?:(?:bun|pnpm|yarn|npm)\s+(?:run\s+)?|npm:)([\w:.-]+)`)
)

// notDevServers are commands in a dev script whose port is not the web app's.
var notDevServers = []string{"convex", "storybook", "prisma", "drizzle-kit", "inngest", "stripe", "wait-on", "ngrok", "mailpit", "berth"}

// scriptPort finds a port flag in a script and in the scripts it runs.
func (a *App) scriptPort(script string, depth int) (port int, name string) {
	text := a.Scripts[script]
	if text == "" || depth > 4 {
		return 0, ""
	}
	for _, part := range separators.Split(text, -1) {
		words := strings.Fields(part)
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(notDevServers, w) }) &&
			!slices.ContainsFunc(words, func(w string) bool { return slices.Contains(a.Framework.commands, w) }) {
			continue
		}
		for _, re := range []*regexp.Regexp{portFlag, portPrefix} {
			if m := re.FindStringSubmatch(part); m != nil {
				if n, ok := portNumber(m[1], true); ok {
					return n, script
				}
			}
		}
		if m := runWords.FindStringSubmatch(part); m != nil && m[1] != script {
			if n, at := a.scriptPort(m[1], depth+1); n != 0 {
				return n, at
			}
		}
	}
	return 0, ""
}

// viteConfig reads the app's Vite configuration, "" when it has none.
func (a *App) viteConfig() (text, name string, err error) {
	for _, ext := range []string{"ts", "js", "mts", "mjs", "cts", "cjs"} {
		name = "vite.config." + ext
		b, err := a.readFile(filepath.Join(a.WebDir, name))
		if err == nil {
			return string(b), name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
	}
	return "", "", nil
}

var (
	jsComment  = regexp.MustCompile(`(?s)/\*.*?\*/|(?:^|[^:])//[^\n]*`)
	serverOpen = regexp.MustCompile(`\bserver\s*:\s*\{`)
	portMember = regexp.MustCompile(`^\s*["']?port["']?\s*:\s*(\d{2,5})\b`)
)

// vitePort reads server.port when it is written as a number. Members of nested
// objects, such as server.hmr.port, do not count.
func vitePort(config string) int {
	config = jsComment.ReplaceAllString(config, " ")
	at := serverOpen.FindStringIndex(config)
	if at == nil {
		return 0
	}
	depth, start := 0, at[1]
	for i := at[1]; i < len(config); i++ {
		c := config[i]
		if depth == 0 && i == start {
			if m := portMember.FindStringSubmatch(config[i:]); m != nil {
				n, _ := portNumber(m[1], true) // 0 when out of range
				return n
			}
		}
		switch c {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			if depth--; depth < 0 {
				return 0
			}
		case ',':
			if depth == 0 {
				start = i + 1
			}
		}
	}
	return 0
}
