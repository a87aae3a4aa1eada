package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/project"
)

// What lies in the app's folder beside its code.
var (
	envTracked = define(Entry{Code: project.CodeTracked, Leg: Setup, Severity: Broken, Likely: 50, Requirements: []string{"R42", "R48"},
		Title: "Git tracks a file that holds credentials",
		Why:   "Everybody with the repository has them, and its history keeps them. A line in .gitignore does not change that.",
		Fix:   "Run git rm --cached on the file, commit, and replace the credentials that it held."})
	envNotIgnored = define(Entry{Code: "env-file-not-ignored", Leg: Setup, Severity: Risky, Likely: 35, Requirements: []string{"R48"}, Fixable: true,
		Title: "Git does not ignore a file that holds credentials",
		Why:   "The next git add takes it along.",
		Fix:   "Add its name to .gitignore; berth init does."})
	runnerStrips = define(Entry{Code: "runner-strips-variables", Leg: Setup, Severity: Risky, Likely: 58, Requirements: []string{"R64", "R85"},
		Title: "the monorepo's runner keeps variables from the app",
		Why:   "Turborepo gives a task only the variables that turbo.json names. The others are unset in it, though the shell or the host has them.",
		Fix:   "Name them in the task's env (or passThroughEnv): \"WORKOS_*\", and \"CONVEX_*\" where convex runs."})
	buildWithoutConvex = define(Entry{Code: "build-without-convex-deploy", Leg: Setup, Severity: Risky, Likely: 48, Requirements: []string{"R65", "R85"},
		Title: "the host's build does not push the backend",
		Why:   "The pages are new and the backend stays as it was, and a preview gets no backend of its own: its address is missing or another deployment's.",
		Fix:   "Build with npx convex deploy --cmd 'npm run build', or berth deploy -- npm run build."})
	twoLocks = define(Entry{Code: "two-lock-files", Leg: Setup, Severity: Risky, Likely: 8, Requirements: []string{"R54", "R55"},
		Title: "lock files of two package managers lie side by side",
		Why:   "The host installs by one and this machine by the other: the AuthKit packages can be of different versions.",
		Fix:   "Delete the one that is not used any more."})
)

// readText reads a small file below the root. ok is false when it is not there.
func (s *Subject) readText(rel string) (text []byte, ok bool) {
	root, err := os.OpenRoot(s.App.Root)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(rel))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	text, err = io.ReadAll(io.LimitReader(f, maxSourceFile))
	return text, err == nil
}

// readJSON reads JSON with comments into v. ok is false when there is none.
func (s *Subject) readJSON(rel string, v any) bool {
	text, ok := s.readText(rel)
	if !ok {
		return false
	}
	plain, err := hujson.Standardize(text)
	return err == nil && json.Unmarshal(plain, v) == nil
}

// folders are the app's root, its web app and its backend, each once, relative to the root.
func (s *Subject) folders() []string {
	list := []string{".", s.App.Rel(s.App.WebDir), s.App.Rel(s.App.ConfigDir)}
	slices.Sort(list)
	return slices.Compact(list)
}

var _ = register(Check{Name: "files that Git must not have", Needs: NeedsApp, Codes: []string{envTracked, envNotIgnored}, Run: func(ctx context.Context, s *Subject) ([]Finding, error) {
	if s.Git == nil {
		return nil, nil
	}
	if exit, err := s.Git(ctx, s.App.Root, "rev-parse", "--git-dir"); err == nil && exit != 0 {
		return nil, nil // no repository
	}
	files := []string{s.App.EnvPath(), s.App.BackendEnvPath(), filepath.Join(s.App.Root, "tmp", "authkit_test_accounts.json")}
	var found []Finding
	for i, file := range files {
		if slices.Contains(files[:i], file) {
			continue
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		change, missing, tracked, err := s.App.GitignoreChange(ctx, s.Git, file)
		if err != nil {
			return nil, err
		}
		if tracked != nil {
			found = append(found, Finding{Code: envTracked, Where: s.App.Rel(file), Seen: tracked.Message, Fix: tracked.Fix})
		}
		if missing {
			ignore := s.App.Rel(change.Path)
			found = append(found, Finding{Code: envNotIgnored, Where: s.App.Rel(file), Seen: "no line of " + ignore + " takes it in",
				Repair: func(context.Context) (string, error) {
					_, err := s.App.Apply([]project.FileChange{change})
					return ignore + " names " + path.Base(s.App.Rel(file)), err
				}})
		}
	}
	return found, nil
}})

var _ = register(Check{Name: "lock files", Needs: NeedsApp, Codes: []string{twoLocks}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	managers := map[string]string{"bun.lock": "bun", "bun.lockb": "bun", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "package-lock.json": "npm", "npm-shrinkwrap.json": "npm"}
	var found []Finding
	for _, dir := range s.folders() {
		here := map[string]string{}
		for file, manager := range managers {
			if _, err := os.Stat(filepath.Join(s.App.Root, filepath.FromSlash(dir), file)); err == nil {
				here[manager] = file
			}
		}
		if len(here) > 1 {
			var names []string
			for _, file := range here {
				names = append(names, file)
			}
			slices.Sort(names)
			found = append(found, Finding{Code: twoLocks, Where: dir, Seen: strings.Join(names, " and ") + " are in one folder"})
		}
	}
	return found, nil
}})

// turboTask is a task of turbo.json, as far as variables go
// (https://turborepo.com/docs/reference/configuration).
type turboTask struct {
	Env         []string `json:"env"`
	PassThrough []string `json:"passThroughEnv"`
}

// allows reports whether one of the patterns names a variable: a trailing star
// takes in all that begin so, a leading exclamation mark takes out.
func allows(patterns []string, name string) bool {
	in := false
	for _, p := range patterns {
		p, out := strings.CutPrefix(p, "!")
		if ok, err := path.Match(p, name); err == nil && ok {
			in = !out
		}
	}
	return in
}

var (
	convexDeploys = regexp.MustCompile(`\b(convex|berth)(@\S+)?\s+deploy\b`)
	startsBuild   = regexp.MustCompile(`\b(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?([\w:.-]+)`)
)

var _ = register(Check{Name: "monorepo runner", Needs: NeedsApp, Codes: []string{runnerStrips}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	var turbo struct {
		Tasks             map[string]turboTask `json:"tasks"`
		Pipeline          map[string]turboTask `json:"pipeline"` // before version 2
		GlobalEnv         []string             `json:"globalEnv"`
		GlobalPassThrough []string             `json:"globalPassThroughEnv"`
		Mode              string               `json:"envMode"`
	}
	// Version 1 keeps nothing back unless a task says so.
	if !s.readJSON("turbo.json", &turbo) || turbo.Mode == "loose" || len(turbo.Tasks) == 0 {
		return nil, nil
	}
	global := slices.Concat(turbo.GlobalEnv, turbo.GlobalPassThrough)
	var found []Finding
	for _, dir := range s.folders() {
		var manifest struct {
			Name    string            `json:"name"`
			Scripts map[string]string `json:"scripts"`
		}
		if !s.readJSON(path.Join(dir, "package.json"), &manifest) {
			continue
		}
		var own struct { // a package's own turbo.json adds to the root's
			Tasks map[string]turboTask `json:"tasks"`
		}
		if dir != "." {
			s.readJSON(path.Join(dir, "turbo.json"), &own)
		}
		for _, name := range slices.Sorted(maps.Keys(turbo.Tasks)) {
			task, bare := turbo.Tasks[name], name
			if of, rest, ok := strings.Cut(name, "#"); ok {
				if of != manifest.Name {
					continue
				}
				bare = rest
			} else if _, special := turbo.Tasks[manifest.Name+"#"+name]; special {
				continue
			}
			script, has := manifest.Scripts[bare]
			if !has || strings.Contains(script, "turbo ") {
				continue
			}
			var need []string
			if convexDeploys.MatchString(script) {
				need = append(need, "CONVEX_DEPLOY_KEY")
			}
			if s.App.Framework.Server && dir == s.App.Rel(s.App.WebDir) && bare == "build" {
				need = append(need, "WORKOS_CLIENT_ID", "WORKOS_API_KEY", "WORKOS_COOKIE_PASSWORD")
			}
			need = slices.DeleteFunc(need, func(v string) bool {
				return allows(slices.Concat(global, task.Env, task.PassThrough, own.Tasks[bare].Env, own.Tasks[bare].PassThrough), v)
			})
			if len(need) > 0 {
				found = append(found, Finding{Code: runnerStrips, Where: "turbo.json", Seen: fmt.Sprintf("the task %s runs %q in %s without %s", name, script, dir, strings.Join(need, ", "))})
			}
		}
	}
	return found, nil
}})

var _ = register(Check{Name: "build command of the host", Needs: NeedsApp, Codes: []string{buildWithoutConvex}, Run: func(_ context.Context, s *Subject) ([]Finding, error) {
	if s.Config == nil {
		return nil, nil
	}
	var found []Finding
	for _, dir := range s.folders() {
		var vercel struct {
			Build *string `json:"buildCommand"`
		}
		file := path.Join(dir, "vercel.json")
		if !s.readJSON(file, &vercel) || vercel.Build == nil || strings.TrimSpace(*vercel.Build) == "" || s.deploys(dir, *vercel.Build, 4) {
			continue
		}
		found = append(found, Finding{Code: buildWithoutConvex, Where: file, Seen: fmt.Sprintf("buildCommand is %q", *vercel.Build)})
	}
	return found, nil
}})

// deploys reports whether a command pushes the backend, itself or by a script of
// package.json, or does something that cannot be told from here.
func (s *Subject) deploys(dir, command string, depth int) bool {
	if convexDeploys.MatchString(command) {
		return true
	}
	var manifest struct {
		Scripts map[string]string `json:"scripts"`
	}
	s.readJSON(path.Join(dir, "package.json"), &manifest)
	for _, m := range startsBuild.FindAllStringSubmatch(command, -1) {
		if script, ok := manifest.Scripts[m[1]]; ok && depth > 0 && s.deploys(dir, script, depth-1) {
			return true
		}
	}
	// Another runner, or a script in a file, may do it.
	return regexp.MustCompile(`\b(turbo|nx|make|just|task|bash|sh|node|deno|tsx|lerna|moon)\b|\.sh\b|(^|\s)\./`).MatchString(command)
}
