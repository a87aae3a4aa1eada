package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/doctor"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
)

// bundleFile is one file of a support bundle.
type bundleFile struct{ name, text string }

// bundleView is the result of doctor --bundle.
type bundleView struct {
	File   string   `json:"file"`
	Files  []string `json:"files"`
	Bytes  int      `json:"bytes"`
	DryRun bool     `json:"dry_run,omitempty"`
}

// logTail is how much of the end of a server's log goes into a bundle.
const logTail = 64 << 10

// writeBundle writes what somebody who helps wants to see, without secrets. A
// bundle in which the scan finds one is not written (R130).
func (o *doctorOptions) writeBundle(ctx context.Context, app *project.App, view doctorView) error {
	r := o.redactor()
	files, err := o.collect(ctx, app, view)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	out := bundleView{File: o.bundle, DryRun: o.env.DryRun()}
	for _, f := range files {
		text := r.Redact(f.text)
		if kinds := r.Scan(text); len(kinds) > 0 {
			return fault.New(fault.Denied, "%s would hold a secret (%s); the bundle was not written", f.name, strings.Join(kinds, ", ")).WithCode("bundle_has_secret").
				WithFix("report this; berth doctor --json shows what was found without the files")
		}
		w, err := z.Create(f.name)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		out.Files = append(out.Files, f.name)
	}
	if err := z.Close(); err != nil {
		return err
	}
	out.Bytes = buf.Len()
	o.env.Output().Step("%s: %s", o.bundle, strings.Join(out.Files, ", "))
	if !out.DryRun {
		if err := writeNew(o.env.abs(o.bundle), buf.Bytes()); err != nil {
			return err
		}
	}
	return o.env.Output().Result(out, func(p *Printer) {
		if out.DryRun {
			p.Line("dry run: nothing was written")
			return
		}
		p.OK("wrote %s; a scan found no secret in it. Look at it before you send it.", o.bundle)
	})
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s exists already", path).WithFix("choose another name").WithCode("file_exists")
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s", path).WithFix("check the folder")
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half of a bundle helps nobody
		return fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	return nil
}

// redactor knows every value here whose name says that it is a secret.
func (o *doctorOptions) redactor() doctor.Redactor {
	r := doctor.Redactor{KeepEmails: o.keepEmails}
	add := func(name, value string) {
		if secretName(name) {
			r.Known = append(r.Known, value)
		}
	}
	for _, kv := range o.env.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		add(name, value)
	}
	if s := o.subject; s.Env != nil {
		for _, name := range s.Env.Names() {
			value, _ := s.Env.Lookup(name)
			add(name, value)
		}
	}
	if d := o.subject.Deployment; d != nil {
		for name, value := range d.Variables {
			add(name, value)
		}
	}
	return r
}

func secretName(name string) bool {
	return slices.ContainsFunc([]string{"KEY", "SECRET", "PASSWORD", "TOKEN", "COOKIE", "CREDENTIAL"}, func(w string) bool { return strings.Contains(strings.ToUpper(name), w) })
}

// ours are the parts of names of variables that have to do with sign-in.
var ours = []string{"WORKOS", "CONVEX", "BERTH", "VERCEL", "NETLIFY"}

// collect gathers the files of the bundle, before they are redacted.
func (o *doctorOptions) collect(ctx context.Context, app *project.App, view doctorView) ([]bundleFile, error) {
	var files []bundleFile
	addJSON := func(name string, v any) error {
		data, err := json.MarshalIndent(v, "", "  ")
		files = append(files, bundleFile{name, string(data) + "\n"})
		return err
	}
	for _, f := range o.subject.Source.Files {
		if strings.Contains(f.Path, "auth.config.") {
			if data, err := readBounded(app.Root + "/" + f.Path); err == nil {
				files = append(files, bundleFile{"app/" + f.Path, string(data)})
			}
		}
	}
	if app.HasConfig {
		data, err := readBounded(app.ConfigPath)
		if err != nil {
			return nil, err
		}
		files = append(files, bundleFile{"app/convex.json", string(data)})
	}
	names := map[string][]string{"process": {}}
	for _, kv := range o.env.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(ours, func(w string) bool { return strings.Contains(name, w) }) {
			names["process"] = append(names["process"], name)
		}
	}
	slices.Sort(names["process"])
	if o.subject.Env != nil {
		names[".env.local"] = o.subject.Env.Names()
	}
	if d := o.subject.Deployment; d != nil {
		for name := range d.Variables {
			names["deployment"] = append(names["deployment"], name)
		}
		slices.Sort(names["deployment"])
	}
	err := errors.Join(addJSON("variables.json", names), addJSON("doctor.json", view),
		addJSON("versions.json", map[string]any{"berth": o.env.Version, "framework": app.Framework.Name, "packages": app.Dependencies}))
	if err != nil {
		return nil, err
	}
	if !o.offline {
		files = append(files, o.status(ctx))
	}
	if dir, err := o.env.DataDir(); err == nil {
		if data, err := os.ReadFile(logPath(dir)); err == nil {
			data = data[max(0, len(data)-logTail):]
			if _, rest, cut := bytes.Cut(data, []byte("\n")); cut && len(data) == logTail {
				data = rest // a line that was cut could hide what a secret is
			}
			files = append(files, bundleFile{"server.log", string(data)})
		}
	}
	return files, nil
}

// status is what berth status --explain --json says, or why it cannot.
func (o *doctorOptions) status(ctx context.Context) bundleFile {
	var answer bytes.Buffer
	env := *o.env
	env.Stdout, env.Stderr, env.flags.json = &answer, io.Discard, true
	t := &o.target
	s := &statusOptions{env: &env, explain: true, target: targetFlags{env: &env, kind: t.kind, branch: t.branch, urls: t.urls, prodBranch: t.prodBranch,
		project: t.project, readOnly: true, noPort: true, anyKey: true}}
	if err := runStatus(ctx, s); err != nil {
		return bundleFile{"status.txt", "berth status: " + fault.From(err).Message + "\n"}
	}
	return bundleFile{"status.json", answer.String()}
}
