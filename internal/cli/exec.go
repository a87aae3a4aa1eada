package cli

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
)

type execOptions struct {
	env      *Env
	backend  backendFlags
	printEnv bool
	command  []string
}

func newExecCommand(env *Env) *cobra.Command {
	o := &execOptions{env: env, backend: newBackendFlags(env)}
	o.backend.start = true
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND...",
		Short: "run the convex tool, or any command, against this deployment",
		Long: `Runs a command with what the unmodified convex command line needs to work on a
deployment of the Berth server: its control plane, a credential, the deployment's
name, and its calls to api.workos.com. On Convex's own cloud only those calls go
to the Berth server; the credentials stay as they are. Input, output, signals and
the exit code are the command's own.`,
		Example: `berth exec -- npx convex dev	push this checkout's functions, and watch
berth exec -- npx convex run messages:list	call a function
berth exec --prod -- npx convex env list	on the production deployment
berth exec --print-env	which variables the command would get`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := afterDash(cmd, args); err != nil {
				return err
			}
			o.command = args
			return runExec(cmd.Context(), o)
		},
	}
	o.backend.register(cmd)
	cmd.Flags().BoolVar(&o.printEnv, "print-env", false, "list the variables, secrets hidden, and run nothing")
	return cmd
}

func runExec(ctx context.Context, o *execOptions) error {
	if len(o.command) == 0 && !o.printEnv {
		return fault.New(fault.Invalid, "berth exec needs a command").WithFix("for example: berth exec -- npx convex dev").WithCode("argument_missing")
	}
	if o.printEnv || o.env.DryRun() {
		o.backend.start = false
	}
	b, err := o.backend.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	vars, err := o.variables(ctx, b)
	if err != nil {
		return err
	}
	if o.printEnv || o.env.DryRun() {
		return printVariables(o.env, vars)
	}
	return passThrough(ctx, o.env, b.app.ConfigDir, o.command, vars)
}

// variables are what the command gets beside the process's own.
func (o *execOptions) variables(ctx context.Context, b *backend) ([]provision.Variable, error) {
	if b.Embedded {
		vars := deploymentVariables(b)
		node, err := o.env.preloadVariables(b.Server, b)
		return append(vars, node...), err
	}
	access, err := o.env.FindServer(ctx)
	if fault.Code(err) == "no_server" {
		o.env.Output().Warn("there is no Berth server here, so the command runs as it would without Berth")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return o.env.preloadVariables(access.URL, nil)
}

// deploymentVariables point the convex command line at a deployment of a Berth
// server. A developer gets a person's credential, so that every selector of the
// tool works; production and previews get a key that opens nothing else.
func deploymentVariables(b *backend) []provision.Variable {
	kind := cmp.Or(b.Type, convex.Dev)
	vars := []provision.Variable{
		{Name: provision.ControlVar, Value: secret.String(b.Base), Public: true},
		{Name: "CONVEX_VERSION_API_ORIGIN", Value: secret.String(b.Base), Public: true}, // nothing leaves for the version service
		{Name: provision.DeploymentVar, Value: secret.String(string(kind) + ":" + b.Name), Public: true},
	}
	if kind == convex.Dev && b.UserToken != "" {
		vars = append(vars, provision.Variable{Name: provision.AccessTokenVar, Value: b.UserToken}, provision.Variable{Name: provision.DeployKeyVar, Public: true})
	} else {
		vars = append(vars, provision.Variable{Name: provision.DeployKeyVar, Value: b.AdminKey}, provision.Variable{Name: provision.AccessTokenVar, Public: true})
	}
	// Empty values keep the tool from reading others out of .env.local.
	return append(vars, provision.Variable{Name: "CONVEX_DEPLOYMENT_TOKEN", Public: true},
		provision.Variable{Name: provision.SelfHostedURLVar, Public: true}, provision.Variable{Name: provision.SelfHostedKeyVar, Public: true})
}

// toolVariables are deploymentVariables and the preload for a command that dev
// or deploy runs, nothing when the deployment and the sign-in are elsewhere.
// What cannot be prepared is said; the command runs all the same.
func (s *session) toolVariables(ctx context.Context) []provision.Variable {
	env, out := s.target.env, s.target.env.Output()
	warn := func(err error) []provision.Variable {
		out.Warn("the convex command line will not find its way to the Berth server: %s", fault.From(err).Message)
		return nil
	}
	if !s.conn.Embedded {
		return nil
	}
	access, err := env.FindServer(ctx)
	if err != nil {
		return warn(err)
	}
	node, err := env.preloadVariables(access.URL, nil)
	if err != nil {
		return warn(err)
	}
	found, err := s.conn.Backend(ctx, s.req)
	if err != nil {
		return append(node, warn(err)...)
	}
	if !found.Embedded || found.Deployment == nil {
		return node
	}
	b := &backend{Name: found.Name, Type: convex.Type(s.req.Kind), Deployment: found.Deployment, AdminKey: found.Key, Embedded: true, Server: access.URL, Base: access.URL, UserToken: access.Token}
	return append(node, deploymentVariables(b)...)
}

type variableView struct {
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Secret bool   `json:"secret,omitempty"`
}

// printVariables lists variables for people and programs, without secrets.
func printVariables(env *Env, vars []provision.Variable) error {
	vars = slices.Clone(vars)
	slices.SortFunc(vars, func(a, b provision.Variable) int { return strings.Compare(a.Name, b.Name) })
	views := make([]variableView, len(vars))
	for i, v := range vars {
		views[i] = variableView{Name: v.Name, Secret: !v.Public}
		if v.Public {
			views[i].Value = v.Value.Reveal()
		}
	}
	return env.Output().Result(views, func(p *Printer) {
		if len(views) == 0 {
			p.Line("no variables are added")
		}
		for _, v := range views {
			if v.Secret {
				v.Value = p.Dim("(secret)")
			}
			p.Line("%s=%s", v.Name, v.Value)
		}
	})
}

// passThrough runs a command as if it had been started without Berth: streams,
// signals and exit code are its own.
func passThrough(ctx context.Context, env *Env, dir string, command []string, vars []provision.Variable) error {
	// The signal that ends ctx reaches the command through forward, by its own name.
	cmd := childCommand(context.WithoutCancel(ctx), env, dir, command, vars)
	cmd.WaitDelay = 0
	err := cmd.Start()
	if err == nil {
		stop := forward(cmd.Process)
		err = cmd.Wait()
		stop()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &Exit{exitStatus(exit)}
	}
	return childError(ctx, err, command[0])
}
