package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

type versionOptions struct{ env *Env }

func newVersionCommand(env *Env) *cobra.Command {
	o := &versionOptions{env: env}
	return &cobra.Command{
		Use:     "version",
		Short:   "show the version",
		Example: "berth version --json\tfor a bug report",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runVersion(o) },
	}
}

type versionView struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func runVersion(o *versionOptions) error {
	v := versionView{o.env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	return o.env.Output().Result(v, func(p *Printer) {
		p.Line("berth %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch)
	})
}
