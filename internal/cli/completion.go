package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/internal/fault"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

type completionOptions struct {
	env   *Env
	root  *cobra.Command
	shell string
}

func newCompletionCommand(env *Env) *cobra.Command {
	o := &completionOptions{env: env}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print completions for bash, zsh, fish or powershell",
		Long:  "Prints a script that completes commands and flags in a shell.",
		Example: `source <(berth completion bash)	bash, in this session
berth completion zsh > "${fpath[1]}/_berth"	zsh, from the next session on
berth completion fish | source	fish, in this session`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(shells, args[0]) {
				return nil
			}
			message := "the name of a shell is missing"
			if len(args) > 0 {
				message = "there are no completions for " + strings.Join(args, " ")
			}
			return fault.New(fault.Invalid, "%s", message).WithCode("shell_unknown").WithFix("name one of %s", strings.Join(shells, ", "))
		},
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.root, o.shell = cmd.Root(), args[0]
			return runCompletion(o)
		},
	}
}

func runCompletion(o *completionOptions) error {
	switch o.shell {
	case "bash":
		return o.root.GenBashCompletionV2(o.env.Stdout, true)
	case "zsh":
		return o.root.GenZshCompletion(o.env.Stdout)
	case "fish":
		return o.root.GenFishCompletion(o.env.Stdout, true)
	default:
		return o.root.GenPowerShellCompletionWithDesc(o.env.Stdout)
	}
}
