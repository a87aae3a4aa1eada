package project

import (
	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
)

// RenameKeys plans to give the keys of convex.json that nothing reads the names
// that were most likely meant: those of findings with [CodeUnknownKey] that name
// one. A name that the same object has already is not given twice. Every other
// byte stays. renamed lists them as "old to new".
func (a *App) RenameKeys() (change FileChange, renamed []string, err error) {
	src, err := a.readFile(a.ConfigPath)
	if err != nil {
		return FileChange{}, nil, err
	}
	change = FileChange{Path: a.ConfigPath, Before: src, After: src, Mode: 0o644}
	doc, err := parseDocument(a.ConfigPath, src)
	if err != nil {
		return change, nil, err
	}
	rename := func(v *hujson.Value, known []string, guesses []string) {
		o, ok := v.Value.(*hujson.Object)
		if !ok {
			return
		}
		for i, m := range o.Members {
			name := memberName(m)
			isKnown := false
			for _, k := range known {
				isKnown = isKnown || k == name
			}
			guess := closest(name, guesses)
			if isKnown || guess == "" || guess == name || member(v, guess) != nil {
				continue
			}
			o.Members[i].Name.Value = hujson.Literal(quote(guess))
			renamed = append(renamed, abbreviate(name)+" to "+guess)
		}
	}
	same := func(v *hujson.Value, known ...string) { rename(v, known, known) }
	rename(&doc.root, nil, []string{"authKit"})
	if authKit := member(&doc.root, "authKit"); authKit != nil {
		same(authKit, "dev", "preview", "prod")
		for _, k := range Kinds {
			section := member(authKit, string(k))
			if section == nil {
				continue
			}
			same(section, "configure", "localEnvVars", "environmentType")
			if c := member(section, "configure"); c != nil {
				same(c, "redirectUris", "appHomepageUrl", "corsOrigins")
			}
		}
	}
	if len(renamed) == 0 {
		return change, nil, nil
	}
	change.After = doc.root.Pack()
	if _, err := ParseConfig(a.ConfigPath, change.After); err != nil {
		return change, nil, fault.Wrap(err, fault.Invalid, "%s cannot be mended by renaming keys: %s", a.ConfigPath, fault.From(err).Message).WithFix("%s", fault.From(err).Fix)
	}
	return change, renamed, nil
}
