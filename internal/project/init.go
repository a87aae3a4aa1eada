package project

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
)

// InitOptions says what [App.InitPlan] writes.
type InitOptions struct {
	Port         int    // of the dev server; 0 means the framework's default
	CallbackPath string // "" means the framework's convention
	ProdURL      string // origin of production such as https://app.example.com, optional

	// Host is the host whose build variables are used: "vercel", or "none" for
	// no host's; "" looks for traces of Vercel in the app.
	//
	// Without a host's variables the preview section is left empty: that asks
	// for an environment for each preview, and Berth itself registers every
	// address of a preview that it learns from the build. The prod section then
	// needs ProdURL and is left out without it.
	Host string

	// Algorithm is what signs access tokens: "" or RS256 writes the auth.config.ts
	// of the vendor's templates; ES256 one that takes the algorithm from
	// AlgorithmVar, which Berth sets to what the environment has.
	Algorithm string

	// AddMissing adds to an authKit section that exists what it lacks. Without
	// it such a section stays as it is (R34).
	AddMissing bool
}

// InitPlan is what init would do, as data.
type InitPlan struct {
	Changes []FileChange // only files that would change
	Notes   []string     // what was left alone or left out, and why
}

const schemaPath = "./node_modules/convex/schemas/convex.schema.json"

// InitPlan plans the authKit section of convex.json and auth.config.ts for the
// app's framework. It writes nothing; see [App.Apply].
func (a *App) InitPlan(o InitOptions) (*InitPlan, error) {
	wanted, notes, err := a.authKit(o)
	if err != nil {
		return nil, err
	}
	plan := &InitPlan{Notes: notes}
	change, note, err := a.configChange(wanted, o.AddMissing)
	if err != nil {
		return nil, err
	}
	if note != "" {
		plan.Notes = append(plan.Notes, note)
	}
	if change.Changed() {
		plan.Changes = append(plan.Changes, change)
	}
	change, note, err = a.authConfigChange(o.Algorithm)
	if err != nil {
		return nil, err
	}
	if note != "" {
		plan.Notes = append(plan.Notes, note)
	}
	if change.Changed() {
		plan.Changes = append(plan.Changes, change)
	}
	return plan, nil
}

// authKit builds the section for the app's framework.
func (a *App) authKit(o InitOptions) (node, []string, error) {
	port, callback, host := o.Port, o.CallbackPath, o.Host
	if port == 0 {
		port = a.Framework.Port
	}
	if port < 1 || port > 65535 {
		return node{}, nil, fault.New(fault.Invalid, "%d is no port", port).WithCode("port-invalid").WithFix("name a port from 1 to 65535")
	}
	if callback == "" {
		callback = a.Framework.CallbackPath
	}
	if !strings.HasPrefix(callback, "/") || strings.ContainsAny(callback, " ?#"+debris) {
		return node{}, nil, fault.New(fault.Invalid, "%q is no callback path", abbreviate(callback)).
			WithCode("callback-invalid").WithFix("name a path such as /callback")
	}
	if host == "" {
		host = a.detectHost()
	}
	if host != "vercel" && host != "none" {
		return node{}, nil, fault.New(fault.Invalid, "host %q is not known to init", abbreviate(host)).
			WithCode("host-unknown").WithFix("use vercel or none; previews get their addresses from the build on every host")
	}
	dev := "http://localhost:" + strconv.Itoa(port)
	var vars []field
	for _, v := range a.Framework.LocalEnvVars(dev + callback) {
		vars = append(vars, field{v.Name, str(v.Value)})
	}
	fields := []field{
		{"dev", object(field{"configure", configureNode(dev, dev, callback)}, field{"localEnvVars", object(vars...)})},
	}
	const production = "https://${buildEnv.VERCEL_PROJECT_PRODUCTION_URL}"
	prod := ""
	if host == "vercel" {
		prod = production
		const branch = "https://${buildEnv.VERCEL_BRANCH_URL}"
		fields = append(fields, field{"preview", object(field{"configure", configureNode(branch, branch, callback)})})
	} else {
		fields = append(fields, field{"preview", object()})
	}
	if o.ProdURL != "" {
		var err error
		if prod, err = prodOrigin(o.ProdURL); err != nil {
			return node{}, nil, err
		}
	}
	if prod == "" {
		return object(fields...), []string{"no prod section: the address of production is not known; add it with --prod-url https://…"}, nil
	}
	fields = append(fields, field{"prod", object(field{"configure", configureNode(prod, prod, callback)})})
	return object(fields...), nil, nil
}

func configureNode(origin, home, callback string) node {
	return object(
		field{"redirectUris", list(origin + callback)},
		field{"appHomepageUrl", str(home)},
		field{"corsOrigins", list(origin)},
	)
}

func prodOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || isLoopbackURI(s) || strings.ContainsAny(u.Host, "*"+debris) {
		return "", fault.New(fault.Invalid, "%s cannot be the address of production", abbreviate(redactURI(s))).
			WithCode("prod-url-invalid").WithFix("name an https origin without a path, such as https://app.example.com")
	}
	return "https://" + u.Host, nil
}

// detectHost looks for what Vercel's tools leave in an app folder.
func (a *App) detectHost() string {
	for _, dir := range []string{a.WebDir, a.ConfigDir, a.Root} {
		for _, name := range []string{"vercel.json", "vercel.ts", filepath.Join(".vercel", "project.json")} {
			if isFile(filepath.Join(dir, name)) {
				return "vercel"
			}
		}
	}
	return "none"
}

func (a *App) configChange(wanted node, addMissing bool) (FileChange, string, error) {
	change := FileChange{Path: a.ConfigPath, Mode: 0o644}
	src, err := a.readFile(a.ConfigPath)
	if errors.Is(err, fs.ErrNotExist) {
		change.After = newConfig(wanted)
		return change, "", nil
	}
	if err != nil {
		return change, "", err
	}
	change.Before, change.After = src, src
	if _, err := ParseConfig(a.ConfigPath, src); err != nil {
		return change, "", err
	}
	doc, err := parseDocument(a.ConfigPath, src)
	if err != nil {
		return change, "", err
	}
	if member(&doc.root, "authKit") != nil && !addMissing {
		return change, a.Rel(a.ConfigPath) + " has an authKit section; it stays as it is", nil
	}
	if !merge(&doc.root, object(field{"authKit", wanted}), layoutOf(doc), "") {
		return change, "", nil
	}
	change.After = doc.root.Pack()
	// What was written must read back, or nothing is written.
	if _, err := ParseConfig(a.ConfigPath, change.After); err != nil {
		return change, "", fault.Wrap(err, fault.Internal, "%s: the edit gave a file that does not read back", a.ConfigPath)
	}
	return change, "", nil
}

// newConfig is a whole convex.json around an authKit section.
func newConfig(authKit node) []byte {
	var b strings.Builder
	object(field{"$schema", str(schemaPath)}, field{"authKit", authKit}).render(&b, layout{"  ", "\n"}, "")
	return []byte(b.String() + "\n")
}

// MissingConfig is the error for an app without convex.json. Its fix holds a
// file made for the app's framework and port (R8); 0 is the framework's default.
func (a *App) MissingConfig(port int) *fault.Error {
	err := fault.Wrap(fs.ErrNotExist, fault.NotFound, "no convex.json in %s or above it", a.ConfigDir).WithCode("config-missing")
	wanted, _, nodeErr := a.authKit(InitOptions{Port: port})
	if nodeErr != nil {
		return err.WithFix("run berth init")
	}
	return err.WithFix("run berth init, or write %s:\n%s", a.ConfigPath, newConfig(wanted))
}

// authConfig trusts both forms of token that AuthKit gives. It reads only
// WORKOS_CLIENT_ID, which is set before the file is pushed: reading a variable
// without a value stops a push.
const authConfig = `const clientId = process.env.WORKOS_CLIENT_ID;

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://api.workos.com/",
      algorithm: "RS256",
      applicationID: clientId,
      jwks: ` + "`https://api.workos.com/sso/jwks/${clientId}`" + `,
    },
    {
      type: "customJwt",
      issuer: ` + "`https://api.workos.com/user_management/${clientId}`" + `,
      algorithm: "RS256",
      jwks: ` + "`https://api.workos.com/sso/jwks/${clientId}`" + `,
    },
  ],
};
`

// AlgorithmVar is the variable of a deployment from which auth.config may take
// the algorithm of access tokens, RS256 or ES256. Berth sets it on deployments
// whose auth.config reads it.
const AlgorithmVar = "BERTH_AUTH_ALGORITHM"

// authConfigFor returns the file for an algorithm that a person chose.
func authConfigFor(algorithm string) (string, error) {
	switch algorithm {
	case "", "RS256":
		return authConfig, nil
	case "ES256":
		source := strings.ReplaceAll(authConfig, `algorithm: "RS256",`, "algorithm,")
		first, rest, _ := strings.Cut(source, "\n")
		return first + "\nconst algorithm = process.env." + AlgorithmVar + ` as "RS256" | "ES256";` + "\n" + rest, nil
	}
	return "", fault.New(fault.Invalid, "the algorithm %q is not known", abbreviate(algorithm)).WithCode("algorithm-unknown").WithFix("use RS256 or ES256")
}

func (a *App) authConfigChange(algorithm string) (FileChange, string, error) {
	source, err := authConfigFor(algorithm)
	if err != nil {
		return FileChange{}, "", err
	}
	for _, name := range []string{"auth.config.ts", "auth.config.js"} {
		path := filepath.Join(a.FunctionsDir, name)
		_, err := a.readFile(path)
		if err == nil {
			return FileChange{}, a.Rel(path) + " exists; it stays as it is", nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return FileChange{}, "", err
		}
	}
	return FileChange{Path: filepath.Join(a.FunctionsDir, "auth.config.ts"), After: []byte(source), Mode: 0o644}, "", nil
}

// DevPorts lists the loopback ports of the dev section's redirect URIs, in order.
func (c *Config) DevPorts() []int {
	s := c.sections[Dev]
	if s == nil || s.Configure == nil {
		return nil
	}
	var ports []int
	for _, uri := range s.Configure.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || !isLoopbackURI(uri) {
			continue
		}
		if n, err := strconv.Atoi(u.Port()); err == nil && !slices.Contains(ports, n) {
			ports = append(ports, n)
		}
	}
	return ports
}

// RetargetPort plans the move of every loopback address of the dev section of
// convex.json from one port to another (R46). Addresses with other ports stay.
func (a *App) RetargetPort(from, to int) (FileChange, error) {
	change := FileChange{Path: a.ConfigPath, Mode: 0o644}
	src, err := a.readFile(a.ConfigPath)
	if err != nil {
		return change, err
	}
	change.Before, change.After = src, src
	doc, err := parseDocument(a.ConfigPath, src)
	if err != nil {
		return change, err
	}
	authKit := member(&doc.root, "authKit")
	if authKit == nil {
		return change, nil
	}
	dev := member(authKit, string(Dev))
	if dev == nil {
		return change, nil
	}
	address := regexp.MustCompile(fmt.Sprintf(`^(https?://(?:localhost|127\.0\.0\.1|\[::1\]|[A-Za-z0-9.-]+\.localhost)):%d($|[/?])`, from))
	for v := range dev.All() {
		l, ok := v.Value.(hujson.Literal)
		if !ok || l.Kind() != '"' {
			continue
		}
		if s := l.String(); address.MatchString(s) {
			v.Value = hujson.Literal(quote(address.ReplaceAllString(s, fmt.Sprintf("${1}:%d${2}", to))))
		}
	}
	change.After = doc.root.Pack()
	return change, nil
}

// LocalTemplates are the variables of .env.local that a dev deployment needs:
// those of convex.json, or the framework's when it names none. They are nil when
// localEnvVars is false.
func (a *App) LocalTemplates(dev *Section, port int) []Template {
	switch {
	case dev != nil && dev.LocalEnvVarsOff:
		return nil
	case dev != nil && dev.LocalEnvVars != nil:
		return dev.LocalEnvVars
	}
	return a.Framework.LocalEnvVars(fmt.Sprintf("http://localhost:%d%s", port, a.Framework.CallbackPath))
}
