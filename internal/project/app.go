package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// App is an app folder as found on disk. All paths are absolute with symbolic
// links resolved.
type App struct {
	Name           string         // name of the root package.json, or of the root folder
	Root           string         // workspace or repository root; nothing outside it is read or written
	ConfigDir      string         // folder that holds convex.json, or should
	ConfigPath     string         // ConfigDir/convex.json
	HasConfig      bool           // whether that file exists
	FunctionsDir   string         // convex/, or `functions` of convex.json
	WebDir         string         // folder of the web app; ConfigDir when there is only one folder
	Framework      Framework      // of the web app
	PackageManager PackageManager // of the web app
	Scripts        map[string]string
	Dependencies   map[string]string // of the web app's package.json, dev included
}

// EnvPath is the .env.local that the web app reads.
func (a *App) EnvPath() string { return filepath.Join(a.WebDir, ".env.local") }

// BackendEnvPath is the .env.local that the convex command line reads and
// writes. It equals EnvPath unless backend and web app live apart.
func (a *App) BackendEnvPath() string { return filepath.Join(a.ConfigDir, ".env.local") }

// Rel is path relative to the root, slash separated, for messages and plans.
func (a *App) Rel(path string) string {
	rel, err := filepath.Rel(a.Root, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

func (a *App) open() (*os.Root, error) {
	root, err := os.OpenRoot(a.Root)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "open app folder %s", a.Root)
	}
	return root, nil
}

// Find finds the app that dir belongs to. It looks for convex.json upward until
// the Git root (or the root of the file system), then downward in the workspace.
// The web app is the nearest one above dir, else the one next to convex.json,
// else the only one of the workspace.
//
// A missing convex.json is no error: HasConfig is false and ConfigDir says where
// it belongs (see [App.MissingConfig]). When several backends or web apps could
// be meant, the error is of kind NeedsPerson and names them.
func Find(dir string) (*App, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "no folder %s", dir).WithFix("pass --app with an existing folder")
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return nil, fault.New(fault.Invalid, "%s is not a folder", abs).WithFix("pass --app with a folder")
	}
	rootDir, err := findRoot(abs)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(rootDir)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "open app folder %s", rootDir)
	}
	defer root.Close()
	start, err := filepath.Rel(rootDir, abs)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "find the app of %s", abs)
	}
	f := &finder{root: root, start: filepath.ToSlash(start), manifests: map[string]*manifest{}}
	return f.find()
}

// findRoot decides how far the app can reach: the nearest workspace root above
// dir inside its Git repository, else that repository, else the folder that
// convex.json or package.json gives away, else dir.
func findRoot(dir string) (string, error) {
	var workspace, config, pkg, git string
	for d := dir; ; d = filepath.Dir(d) {
		if config == "" && isFile(filepath.Join(d, "convex.json")) {
			config = d
		}
		if isFile(filepath.Join(d, "package.json")) {
			if pkg == "" {
				pkg = d
			}
			if workspace == "" {
				is, err := isWorkspaceRoot(d)
				if err != nil {
					return "", err
				}
				if is {
					workspace = d
				}
			}
		}
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			git = d
			break
		}
		if filepath.Dir(d) == d {
			break
		}
	}
	root := workspace
	switch {
	case root != "":
	case git != "":
		root = git
	case pkg != "":
		root = pkg
	default:
		root = dir
	}
	if config != "" && len(config) < len(root) { // both lie on the way up from dir
		root = config
	}
	return root, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func isWorkspaceRoot(dir string) (bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, fault.Wrap(err, fault.NotFound, "open folder %s", dir)
	}
	defer root.Close()
	m, err := readManifest(root, ".")
	if err != nil {
		return false, err
	}
	return len(workspacePatterns(root, m)) > 0, nil
}

type finder struct {
	root      *os.Root
	start     string // relative to root
	manifests map[string]*manifest
	folders   []string // filled by walk
	walked    bool
}

func (f *finder) find() (*App, error) {
	for _, d := range upward(f.start) {
		if _, err := f.manifest(d); err != nil {
			return nil, err
		}
	}
	config, has, err := f.configUpward()
	if err != nil {
		return nil, err
	}
	web, webKnown := f.webUpward()
	if !has {
		if config, has, err = f.configDown(web, webKnown); err != nil {
			return nil, err
		}
	}
	if config == "" && webKnown {
		config = web
	}
	if !webKnown {
		if web, err = f.webDown(config); err != nil {
			return nil, err
		}
	}
	if config == "" {
		config = web
	}
	return f.app(config, has, web)
}

func (f *finder) app(config string, has bool, web string) (*App, error) {
	base := f.root.Name()
	a := &App{
		Root:      base,
		ConfigDir: filepath.Join(base, filepath.FromSlash(config)),
		WebDir:    filepath.Join(base, filepath.FromSlash(web)),
		HasConfig: has,
		Name:      filepath.Base(base),
		Framework: plain(),
	}
	a.ConfigPath = filepath.Join(a.ConfigDir, "convex.json")
	a.FunctionsDir = filepath.Join(a.ConfigDir, "convex")
	if has {
		name := path.Join(config, "convex.json")
		b, err := f.root.ReadFile(name)
		if err != nil {
			return nil, readError(err, f.root, name)
		}
		if dir, ok := functionsOf(b); ok {
			if !filepath.IsLocal(filepath.FromSlash(path.Join(config, dir))) {
				return nil, fault.New(fault.Invalid, "%s: functions leads out of %s", a.ConfigPath, base).
					WithCode("functions-outside").WithFix("name a folder inside the repository, such as \"convex/\"")
			}
			a.FunctionsDir = filepath.Join(a.ConfigDir, filepath.FromSlash(dir))
		}
	}
	m, err := f.manifest(web)
	if err != nil {
		return nil, err
	}
	if m != nil {
		a.Framework, a.Scripts, a.Dependencies = Detect(m.Dependencies), m.Scripts, m.Dependencies
	}
	for _, d := range []string{".", config, web} {
		if m := f.manifests[d]; m != nil && m.Name != "" {
			a.Name = m.Name
			break
		}
	}
	a.PackageManager = packageManager(f.root, web, f.manifests)
	return a, nil
}

func (f *finder) manifest(dir string) (*manifest, error) {
	if m, ok := f.manifests[dir]; ok {
		return m, nil
	}
	m, err := readManifest(f.root, dir)
	if err != nil {
		return nil, err
	}
	f.manifests[dir] = m
	return m, nil
}

func (f *finder) has(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (f *finder) hasDir(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.IsDir()
}

func (f *finder) configUpward() (string, bool, error) {
	for _, d := range upward(f.start) {
		name := path.Join(d, "convex.json")
		_, err := f.root.Stat(name)
		if err == nil {
			return d, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", false, readError(err, f.root, name)
		}
	}
	return "", false, nil
}

// configDown looks for convex.json below the root; without one, for the folder
// that has Convex functions.
func (f *finder) configDown(web string, webKnown bool) (string, bool, error) {
	if err := f.walk(); err != nil {
		return "", false, err
	}
	configs := f.members(f.where(func(d string) bool { return f.has(path.Join(d, "convex.json")) }))
	if len(configs) > 0 {
		one, err := f.oneBackend(configs, web, webKnown)
		return one, err == nil, err
	}
	backend := func(d string) bool {
		m := f.manifests[d]
		return m != nil && m.depends("convex") && f.hasDir(path.Join(d, "convex"))
	}
	for _, d := range upward(f.start) {
		if backend(d) {
			return d, false, nil
		}
	}
	if dirs := f.members(f.where(backend)); len(dirs) > 0 {
		one, err := f.oneBackend(dirs, web, webKnown)
		return one, false, err
	}
	return "", false, nil
}

// oneBackend picks the backend that the web app depends on when several exist.
func (f *finder) oneBackend(dirs []string, web string, webKnown bool) (string, error) {
	if m := f.manifests[web]; len(dirs) > 1 && webKnown && m != nil {
		dirs = narrow(dirs, func(d string) bool {
			b := f.manifests[d]
			return d == web || b != nil && b.Name != "" && m.depends(b.Name)
		})
	}
	if len(dirs) == 1 {
		return dirs[0], nil
	}
	return "", fault.New(fault.NeedsPerson, "%d Convex backends could be meant below %s: %s",
		len(dirs), f.root.Name(), strings.Join(dirs, ", ")).
		WithCode("backend-ambiguous").WithFix("choose one with --app DIR, for example --app %s", dirs[0])
}

// webUpward is the nearest folder above the start that holds a web app. The root
// of a workspace is left for webDown: its package.json often lists tools only.
func (f *finder) webUpward() (string, bool) {
	for _, d := range upward(f.start) {
		m := f.manifests[d]
		if m == nil || Detect(m.Dependencies).ID == Plain {
			continue
		}
		if d == "." && len(workspacePatterns(f.root, m)) > 0 {
			continue
		}
		return d, true
	}
	return "", false
}

func (f *finder) webDown(config string) (string, error) {
	if config != "" && config != "." {
		m, err := f.manifest(config)
		if err != nil {
			return "", err
		}
		if m != nil && Detect(m.Dependencies).ID != Plain {
			return config, nil
		}
	}
	if err := f.walk(); err != nil {
		return "", err
	}
	isWeb := func(d string) bool {
		m := f.manifests[d]
		return m != nil && Detect(m.Dependencies).ID != Plain
	}
	dirs := f.members(f.where(func(d string) bool { return d != "." && isWeb(d) }))
	if m := f.manifests["."]; isWeb(".") && (len(dirs) == 0 || len(workspacePatterns(f.root, m)) == 0) {
		return ".", nil
	}
	// Packages that only use Vite as a tool, then apps that have nothing to do
	// with sign-in or with this backend, are no candidates while better ones exist.
	dirs = narrow(dirs, func(d string) bool {
		return Detect(f.manifests[d].Dependencies).ID != Vite || f.has(path.Join(d, "index.html"))
	})
	dirs = narrow(dirs, func(d string) bool {
		fw := Detect(f.manifests[d].Dependencies)
		return len(fw.Packages) > 0 && f.manifests[d].depends(fw.Packages[0])
	})
	dirs = narrow(dirs, func(d string) bool {
		backend := f.manifests[config]
		return f.manifests[d].depends("convex") || backend != nil && backend.Name != "" && f.manifests[d].depends(backend.Name)
	})
	switch len(dirs) {
	case 1:
		return dirs[0], nil
	case 0:
		if config != "" {
			return config, nil
		}
		for _, d := range upward(f.start) {
			if f.manifests[d] != nil {
				return d, nil
			}
		}
		return f.start, nil
	}
	var names []string
	for _, d := range dirs {
		names = append(names, fmt.Sprintf("%s (%s)", d, Detect(f.manifests[d].Dependencies).Name))
	}
	return "", fault.New(fault.NeedsPerson, "%d web apps could be meant below %s: %s",
		len(dirs), f.root.Name(), strings.Join(names, ", ")).
		WithCode("web-app-ambiguous").WithFix("choose one with --app DIR, for example --app %s", dirs[0])
}

// narrow keeps the folders that keep accepts, or all when it accepts none.
func narrow(dirs []string, keep func(string) bool) []string {
	kept := slices.DeleteFunc(slices.Clone(dirs), func(d string) bool { return !keep(d) })
	if len(kept) == 0 {
		return dirs
	}
	return kept
}
