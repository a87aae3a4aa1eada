package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
)

// files adds the app's own files to a developer's plan: .env.local, the line
// that makes Git ignore it, and convex.json when the port moved.
func (p *Prepared) files(ctx context.Context, d *plan.Desired, actual *plan.Actual) error {
	r := p.Request
	if r.Kind != claim.Dev || r.NoFiles {
		return nil
	}
	actual.Files = map[string][]byte{}
	add := func(c project.FileChange, pending bool, summary string) {
		if !c.Changed() && !pending {
			return
		}
		name := r.App.Rel(c.Path)
		if c.Before != nil {
			actual.Files[name] = c.Before
		}
		d.Files = append(d.Files, plan.DesiredFile{Path: name, Content: c.After, Pending: pending, Summary: summary})
	}
	cfg, err := r.App.ReadConfig()
	if err != nil {
		return err
	}
	if change, moved, err := p.movedPort(cfg); err != nil {
		return err
	} else if moved {
		add(change, false, fmt.Sprintf("port %d", r.RealPort.Number))
	}
	if p.Config.Section(project.Dev).LocalEnvVarsOff {
		return nil
	}
	file, err := r.App.ReadEnvFile(r.App.EnvPath())
	if err != nil {
		return err
	}
	vars, err := p.localVars(p.values())
	if err != nil {
		return err
	}
	edited, changes, err := file.Set(vars, p.envNote())
	if err != nil {
		return err
	}
	add(file.Change(r.App.EnvPath(), edited), !p.bound(), summarize(changes))
	for _, c := range changes {
		if c.Action == project.EnvKept && c.Stale {
			p.Plan.Warnings = append(p.Plan.Warnings, c.Name+" in "+r.App.Rel(r.App.EnvPath())+" was set by a person and is kept, but this deployment needs another value")
		}
	}
	ignore, ok, finding, err := r.App.GitignoreChange(ctx, project.RunGit, r.App.EnvPath())
	if err != nil {
		return err
	}
	if ok {
		add(ignore, false, "Git ignores "+r.App.Rel(r.App.EnvPath()))
	}
	if finding != nil {
		p.Findings = append(p.Findings, *finding)
	}
	return nil
}

// localVars are the variables of .env.local. Before the environment is made
// its values are stand-ins: the file is written only with the real ones.
func (p *Prepared) localVars(v project.Values) ([]project.EnvVar, error) {
	r := p.Request
	known := v.Auth
	v.Auth = func(name string) (string, bool) {
		if value, ok := known(name); ok {
			return value, true
		}
		return "pending", true
	}
	var out []project.EnvVar
	for _, t := range r.App.LocalTemplates(p.Config.Section(project.Dev), r.Port) {
		text, _, err := project.Expand(t.Value, v)
		if err != nil {
			return nil, err
		}
		out = append(out, project.EnvVar{Name: t.Name, Value: secret.String(text)})
	}
	for _, t := range serverVars(r.App.Framework, p.conn.APIBase, p.conn.Embedded) {
		out = append(out, project.EnvVar{Name: t.Name, Value: secret.String(t.Value)})
	}
	if r.App.Framework.Server {
		out = append(out, project.CookiePassword())
	}
	return out, nil
}

// envNote is the comment above Berth's block in .env.local: where the
// environment can be looked at.
func (p *Prepared) envNote() string {
	if p.conn.Embedded {
		return p.conn.APIBase + "/"
	}
	if _, id, _ := p.credentials(); id != "" {
		return "https://dashboard.workos.com/" + id + "/authentication"
	}
	return ""
}

// summarize names the variables that change, never their values.
func summarize(changes []project.EnvChange) string {
	by := map[project.EnvAction][]string{}
	for _, c := range changes {
		by[c.Action] = append(by[c.Action], c.Name)
	}
	var parts []string
	for _, action := range []project.EnvAction{project.EnvAdded, project.EnvFilled, project.EnvUpdated} {
		if names := by[action]; len(names) > 0 {
			slices.Sort(names)
			parts = append(parts, string(action)+" "+strings.Join(names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}
