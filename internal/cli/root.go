package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
)

const systemName = runtime.GOOS

// Main runs the process: arguments, signals and streams are the real ones. It
// returns the exit code.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return Run(ctx, os.Args[1:], ProcessEnv(version))
}

// Run runs one command and returns its exit code. Everything the command says
// goes to the streams of env.
func Run(ctx context.Context, args []string, env *Env) int {
	run := *env // flags belong to one run
	run.flags, run.args = globals{}, args
	root := newRootCommand(&run)
	root.SetArgs(args)
	root.SetIn(run.Stdin)
	root.SetOut(run.Stdout)
	root.SetErr(run.Stderr)
	err := settled(ctx, root.ExecuteContext(ctx))
	// A flag error may come before --json was read.
	run.flags.json = run.flags.json || jsonAsked(args)
	run.report(err)
	return exitCode(err)
}

func jsonAsked(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json")
}

// Groups of commands, in the order in which help shows them.
const (
	groupStart  = "Start"
	groupLook   = "Look"
	groupChange = "Change"
	groupServer = "Server"
	groupOther  = "Other"
)

var groups = []string{groupStart, groupLook, groupChange, groupServer, groupOther}

// commands lists every command under its group, in the order of help.
var commands = []struct {
	group string
	build func(*Env) *cobra.Command
}{
	{groupStart, newInitCommand},
	{groupStart, newDevCommand},
	{groupStart, newDeployCommand},
	{groupStart, newExecCommand},
	{groupLook, newStatusCommand},
	{groupLook, newPlanCommand},
	{groupLook, newVerifyCommand},
	{groupLook, newDoctorCommand},
	{groupLook, newTokenCommand},
	{groupChange, newApplyCommand},
	{groupChange, newPruneCommand},
	{groupLook, newInboxCommand},
	{groupLook, newLogsCommand},
	{groupLook, newAuditCommand},
	{groupChange, newUsersCommand},
	{groupChange, newEnvCommand},
	{groupChange, newConnectionsCommand},
	{groupChange, newKeysCommand},
	{groupChange, newFlagsCommand},
	{groupChange, newSettingsCommand},
	{groupChange, newTeamCommand},
	{groupServer, newServeCommand},
	{groupServer, newLoginCommand},
	{groupServer, newLogoutCommand},
	{groupServer, newDemoCommand},
	{groupOther, newCompletionCommand},
	{groupOther, newVersionCommand},
}

// Help shows commands in the order of the list above.
func init() { cobra.EnableCommandSorting = false }

const rootLong = `Berth gives every deployment of an app its own working sign-in.`

const rootExamples = `berth init	write the sign-in section of convex.json
berth dev -- npm run dev	sign-in for this checkout, then the dev server
berth deploy -- npm run build	in a build: sign-in for this branch
berth prune	take back what dead branches left behind
berth demo	watch five deployments sign in, offline`

func newRootCommand(env *Env) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:               "berth",
		Short:             "gives every deployment its own sign-in",
		Long:              rootLong,
		Example:           rootExamples,
		Args:              cobra.ArbitraryArgs, // runRoot names the unknown command
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if version {
				return runVersion(&versionOptions{env: env})
			}
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			help(env, cmd)
			return nil
		},
	}
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&env.flags.app, "app", "", "folder of the app `DIR` (default: here)")
	f.BoolVar(&env.flags.json, "json", false, "results and errors as JSON on stdout")
	f.BoolVarP(&env.flags.yes, "yes", "y", false, "agree to what would be asked")
	f.BoolVar(&env.flags.dryRun, "dry-run", false, "show what would be done, write nothing anywhere")
	f.StringVar(&env.flags.server, "server", "", "address of a Berth server `URL` (default: $"+serverVar+")")
	f.StringVar(&env.flags.data, "data", "", "data folder of the server on this machine `DIR` (default: $"+dataVar+")")
	f.BoolVar(&env.flags.noColor, "no-color", false, "no colors (also: $"+noColorVar+")")
	f.BoolP("help", "h", false, "show help")
	root.Flags().BoolVar(&version, "version", false, "show the version")

	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(env, cmd) })
	root.SetHelpCommand(newHelpCommand(env))
	root.SetFlagErrorFunc(flagError)
	for _, group := range groups {
		root.AddGroup(&cobra.Group{ID: group, Title: group})
	}
	for _, c := range commands {
		cmd := c.build(env)
		cmd.GroupID = c.group
		root.AddCommand(cmd)
	}
	return root
}

// noArgs refuses arguments. For a command with commands beneath it the argument
// is taken for a misspelt one.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasAvailableSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	return fault.New(fault.Invalid, "%s takes no argument, got %q", cmd.CommandPath(), args[0]).
		WithCode("argument_unknown").WithFix("%s --help shows how to use it", cmd.CommandPath())
}
