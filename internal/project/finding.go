package project

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// Finding is something wrong in the app folder that is no error by itself.
type Finding struct {
	Code    string // stable word, such as "authkit-unknown-key"
	Message string
	Fix     string
	Path    string // file, or place inside convex.json such as authKit.dev.configure
	Line    int    // from 1; 0 when there is none
}

// Codes of findings.
const (
	CodeUnknownKey      = "authkit-unknown-key"
	CodeDuplicateKey    = "json-duplicate-key"
	CodeMalformedURI    = "uri-malformed"
	CodeLocalInProd     = "uri-not-for-production"
	CodeUnknownTemplate = "template-unknown"
	CodePublicKey       = "api-key-public"
	CodeKeyInConfig     = "api-key-in-config"
	CodeEnvName         = "env-name-invalid"
	CodeWrongPrefix     = "env-prefix-wrong"
	CodeHandSet         = "credentials-hand-set"
	CodePackages        = "packages-missing"
	CodeNoCallback      = "callback-route-missing"
	CodeTracked         = "env-file-tracked"
)

// lint fills the findings of a config that fits the schema.
func (r *configReader) lint() {
	r.lintKeys()
	for _, l := range r.texts {
		r.lintText(l)
	}
	slices.SortStableFunc(r.config.Findings, func(a, b Finding) int { return a.Line - b.Line })
}

func (r *configReader) find(code, path string, line int, fix, message string, args ...any) {
	r.config.Findings = append(r.config.Findings, Finding{
		Code: code, Path: path, Line: line, Message: fmt.Sprintf(message, args...), Fix: fix,
	})
}

// lintKeys reports keys that the vendor's tool drops without a word.
func (r *configReader) lintKeys() {
	root := r.doc.root.Value.(*hujson.Object)
	seen := map[string]bool{}
	for _, m := range root.Members {
		name := memberName(m)
		if seen[name] && (name == "authKit" || name == "functions") {
			r.find(CodeDuplicateKey, name, r.doc.line(&m.Name), "keep one of them", "%q is given twice; only the last one counts", name)
		}
		seen[name] = true
		if name != "authKit" && closest(name, []string{"authKit"}) != "" {
			r.find(CodeUnknownKey, name, r.doc.line(&m.Name), fmt.Sprintf("rename it to %q", "authKit"),
				"%q is ignored: no sign-in is set up from it; did you mean %q?", abbreviate(name), "authKit")
		}
	}
	authKit := member(&r.doc.root, "authKit")
	if authKit == nil {
		return
	}
	r.unknown(authKit, "authKit", []string{"dev", "preview", "prod"})
	for _, k := range Kinds {
		section := member(authKit, string(k))
		if section == nil {
			continue
		}
		path := "authKit." + string(k)
		known := []string{"configure", "localEnvVars", "environmentType"}
		r.unknown(section, path, known)
		if c := member(section, "configure"); c != nil {
			r.unknown(c, path+".configure", []string{"redirectUris", "appHomepageUrl", "corsOrigins"})
		}
		if e := member(section, "localEnvVars"); e != nil {
			r.unknown(e, path+".localEnvVars", nil)
		}
	}
}

// unknown reports members of v that are not known, and members given twice. With
// known nil every name is allowed.
func (r *configReader) unknown(v *hujson.Value, path string, known []string) {
	o, ok := v.Value.(*hujson.Object)
	if !ok {
		return
	}
	seen := map[string]bool{}
	for _, m := range o.Members {
		name, line := memberName(m), r.doc.line(&m.Name)
		at := path + "." + abbreviate(name)
		if seen[name] {
			r.find(CodeDuplicateKey, at, line, "keep one of them", "%q is given twice; only the last one counts", abbreviate(name))
		}
		seen[name] = true
		if known == nil || slices.Contains(known, name) {
			continue
		}
		if guess := closest(name, known); guess != "" {
			r.find(CodeUnknownKey, at, line, fmt.Sprintf("rename it to %q", guess),
				"unknown key %q is ignored; did you mean %q?", abbreviate(name), guess)
			continue
		}
		r.find(CodeUnknownKey, at, line, "remove it, or use one of "+strings.Join(known, ", "),
			"unknown key %q is ignored", abbreviate(name))
	}
}

func memberName(m hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// closest returns the known word that name most likely stands for, or "".
func closest(name string, known []string) string {
	aliases := map[string]string{"production": "prod", "development": "dev", "redirects": "redirectUris",
		"redirecturls": "redirectUris", "homepageurl": "appHomepageUrl", "env": "localEnvVars", "envvars": "localEnvVars"}
	lower := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	if a, ok := aliases[lower]; ok && slices.Contains(known, a) {
		return a
	}
	best, distance := "", 4
	for _, k := range known {
		limit := 1 + len(k)/5
		if d := editDistance(lower, strings.ToLower(k)); d <= limit && d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance counts insertions, deletions and replacements of bytes. Long
// names are cut: they are no misspelling of a short word.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func (r *configReader) lintText(l located) {
	pieces, err := parseTemplate(l.text)
	if err != nil {
		r.find(CodeUnknownTemplate, l.path, l.line, "use only "+allowedExpressions, "%s", err)
		return
	}
	if keyPattern.MatchString(l.text) {
		r.find(CodeKeyInConfig, l.path, l.line, "write ${authEnv.WORKOS_API_KEY} and revoke the key: convex.json is committed",
			"an API key is written into convex.json")
	}
	if l.use != localVar {
		r.lintURI(l)
		return
	}
	if !isEnvName(l.name) {
		r.find(CodeEnvName, l.path, l.line, "use letters, digits and _", "%q is not a name that every shell and framework can read", abbreviate(l.name))
	}
	readsKey := slices.ContainsFunc(pieces, func(p piece) bool { return p.ref != nil && p.ref.Source == AuthEnv && p.ref.Name == apiKeyVar })
	if prefix := publicPrefix(l.name); prefix != "" && (readsKey || keyPattern.MatchString(l.text)) {
		r.find(CodePublicKey, l.path, l.line, "use the name WORKOS_API_KEY, and only in an app with server code; revoke the key if a build was published",
			"%s sends the API key to the browser: names with %s are public", l.name, prefix)
	}
	if strings.HasSuffix(l.name, redirectURIVar) {
		r.lintURI(l)
	}
}

func publicPrefix(name string) string {
	for _, p := range publicPrefixes {
		if strings.HasPrefix(name, p) {
			return p
		}
	}
	return ""
}

func (r *configReader) lintURI(l located) {
	problem, better := checkURI(l.text, l.use == corsOrigin)
	if problem != "" {
		fix := "write a full URI such as https://app.example.com/callback"
		if better != "" {
			fix = "write " + abbreviate(better)
		}
		r.find(CodeMalformedURI, l.path, l.line, fix, "%s %s", abbreviate(redactURI(l.text)), problem)
		return
	}
	if l.kind == Prod && (strings.HasPrefix(l.text, "http://") || isLoopbackURI(l.text)) && !strings.HasPrefix(l.text, "http://127.0.0.1") {
		r.find(CodeLocalInProd, l.path, l.line, "use the https address of the production app",
			"%s is not allowed in production: only https and no localhost", abbreviate(redactURI(l.text)))
	}
}
