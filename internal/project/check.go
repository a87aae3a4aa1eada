package project

import (
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Check compares convex.json with the app around it: variable prefixes, values
// set by hand next to a managed section, packages and the callback route. The
// findings of the file itself are in [Config.Findings].
func (a *App) Check(c *Config, env *EnvFile) ([]Finding, error) {
	findings := append(a.checkPrefixes(c), a.checkEnv(c, env)...)
	findings = append(findings, a.checkPackages()...)
	routes, err := a.checkCallbacks(c)
	return append(findings, routes...), err
}

// checkPrefixes reports public variables of another framework: they are never
// read (R12).
func (a *App) checkPrefixes(c *Config) []Finding {
	dev := c.sections[Dev]
	if dev == nil || a.Framework.ID == Plain {
		return nil
	}
	var found []Finding
	for _, v := range dev.LocalEnvVars {
		prefix := publicPrefix(v.Name)
		if prefix == "" || prefix == a.Framework.Prefix {
			continue
		}
		name := a.Framework.Prefix + strings.TrimPrefix(v.Name, prefix)
		for _, known := range []string{a.Framework.ClientID, a.Framework.RedirectURI} {
			if strings.HasSuffix(known, strings.TrimPrefix(v.Name, prefix)) {
				name = known
			}
		}
		found = append(found, Finding{
			Code: CodeWrongPrefix, Path: "authKit.dev.localEnvVars." + v.Name, Line: dev.Line,
			Message: v.Name + " is not read by " + a.Framework.Name + ", whose public variables start with " + a.Framework.Prefix,
			Fix:     "rename it to " + name,
		})
	}
	return found
}

// checkEnv reports credentials that a person set while convex.json asks for
// managed ones, and an API key in a public variable (R42).
func (a *App) checkEnv(c *Config, env *EnvFile) []Finding {
	if env == nil {
		return nil
	}
	var found []Finding
	managed := c.sections[Dev] != nil && !c.sections[Dev].LocalEnvVarsOff
	for _, name := range env.Names() {
		e := env.last(name)
		if e.value == "" {
			continue
		}
		if prefix := publicPrefix(name); prefix != "" && (keyPattern.MatchString(e.value) || strings.HasSuffix(name, apiKeyVar)) {
			found = append(found, Finding{
				Code: CodePublicKey, Path: a.EnvPath(), Line: e.line,
				Message: name + " sends the API key to the browser: names with " + prefix + " are public",
				Fix:     "remove the line and revoke the key if a build was published",
			})
		}
		credential := name == clientIDVar || name == apiKeyVar || name == environmentIDVar || name == a.Framework.ClientID
		if managed && credential && !env.owns(*e) {
			found = append(found, Finding{
				Code: CodeHandSet, Path: a.EnvPath(), Line: e.line,
				Message: name + " is set by hand while authKit.dev in convex.json asks for a managed environment; the value by hand wins",
				Fix:     "remove the line, or set authKit.dev.localEnvVars to false",
			})
		}
	}
	return found
}

func (a *App) checkPackages() []Finding {
	missing := a.Framework.MissingPackages(a.Dependencies)
	if len(missing) == 0 {
		return nil
	}
	return []Finding{{
		Code: CodePackages, Path: filepath.Join(a.WebDir, "package.json"),
		Message: "sign-in with " + a.Framework.Name + " needs " + strings.Join(missing, " and "),
		Fix:     "run " + strings.Join(a.PackageManager.Install(missing...), " ") + " in " + a.Rel(a.WebDir),
	}}
}

func (a *App) checkCallbacks(c *Config) ([]Finding, error) {
	s := c.sections[Dev]
	if s == nil || s.Configure == nil {
		return nil, nil
	}
	var found []Finding
	for _, uri := range s.Configure.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Host == "" {
			continue // a finding of the file itself
		}
		_, ok, err := a.CallbackRoute(u.Path)
		if err != nil {
			return nil, err
		}
		if !ok {
			found = append(found, Finding{
				Code: CodeNoCallback, Path: a.WebDir,
				Message: "no route of " + a.Framework.Name + " answers " + u.Path + ", where sign-in returns to",
				Fix:     "add the callback route of the AuthKit kit at " + u.Path + ", or change the redirect URI to the route that exists",
			})
		}
	}
	return found, nil
}

// CallbackRoute finds the file that answers a path in the web app (R56). For an
// app whose routes live in the browser every path is answered; ok is then true
// and file "". Routes that are made by code are found in a routes file by their
// text, which is a hint and no proof.
func (a *App) CallbackRoute(urlPath string) (file string, ok bool, err error) {
	root, err := a.open()
	if err != nil {
		return "", false, err
	}
	defer root.Close()
	web, err := a.local(a.WebDir)
	if err != nil {
		return "", false, err
	}
	want := strings.Trim(urlPath, "/")
	var dirs []string
	switch a.Framework.ID {
	case NextJS:
		dirs = []string{"app", "src/app", "pages", "src/pages"}
	case TanStackStart:
		dirs = []string{"src/routes", "app/routes"}
	case SvelteKit:
		dirs = []string{"src/routes"}
	case ReactRouter, Remix:
		dirs = []string{"app/routes"}
	default:
		return "", true, nil
	}
	for _, dir := range dirs {
		base := path.Join(web, dir)
		walkErr := fs.WalkDir(root.FS(), base, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir
			}
			if d.IsDir() && slices.Contains(skipped, d.Name()) {
				return fs.SkipDir
			}
			if file == "" && !d.IsDir() && routeOf(a.Framework.ID, dir, strings.TrimPrefix(name, base+"/")) == want {
				file = rootPath(root, name)
			}
			return nil
		})
		if walkErr != nil {
			return "", false, readError(walkErr, root, base)
		}
	}
	if file != "" {
		return file, true, nil
	}
	for _, name := range []string{"app/routes.ts", "app/routes.js", "app/routes.tsx"} {
		if a.Framework.ID != ReactRouter && a.Framework.ID != Remix {
			break
		}
		b, err := readLimited(root, path.Join(web, name))
		if err == nil && (strings.Contains(string(b), `"`+want+`"`) || strings.Contains(string(b), `"/`+want+`"`) || strings.Contains(string(b), `'`+want+`'`)) {
			return filepath.Join(a.WebDir, filepath.FromSlash(name)), true, nil
		}
	}
	return "", false, nil
}

// routeOf gives the path that a file below a routes folder answers, without
// outer slashes, or "\x00" when it answers none.
func routeOf(id FrameworkID, dir, file string) string {
	const none = "\x00"
	ext := path.Ext(file)
	if !slices.Contains([]string{".ts", ".tsx", ".js", ".jsx", ".mjs"}, ext) {
		if ext != ".svelte" {
			return none
		}
	}
	file = strings.TrimSuffix(file, ext)
	folder, base := path.Dir(file), path.Base(file)
	switch {
	case id == NextJS && strings.HasSuffix(dir, "app"):
		if base != "route" && base != "page" {
			return none
		}
		return withoutGroups(folder, "(")
	case id == SvelteKit:
		if base != "+server" && base != "+page" && base != "+page.server" {
			return none
		}
		return withoutGroups(folder, "(")
	case id == NextJS:
		return strings.TrimSuffix(strings.TrimSuffix(file, "/index"), "/")
	}
	// File routes in which a dot stands for a slash, a leading underscore for a
	// layout and a trailing one for leaving it.
	if base == "route" || base == "index" {
		file = folder
	}
	return withoutGroups(strings.ReplaceAll(file, ".", "/"), "(_")
}

// withoutGroups drops the folders that start with a byte of marks.
func withoutGroups(folder, marks string) string {
	var parts []string
	for p := range strings.SplitSeq(folder, "/") {
		if p != "" && p != "." && !strings.ContainsAny(p[:1], marks) {
			parts = append(parts, strings.TrimSuffix(p, "_"))
		}
	}
	return strings.Join(parts, "/")
}
