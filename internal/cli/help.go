package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berthdev/berth/internal/fault"
)

// help prints the help of a command on stdout: what it does, examples first,
// then commands and flags. Lines of Example are "command<tab>what it is for".
func help(env *Env, cmd *cobra.Command) {
	p := env.answer()
	text := cmd.Long
	if text == "" {
		text = strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + "."
	}
	p.Line("%s", text)
	if cmd.Example != "" {
		section(p, "Examples")
		for _, row := range aligned(exampleRows(cmd.Example)) {
			p.Line("  %s", row)
		}
	}
	helpCommands(p, cmd)
	if cmd.HasParent() {
		section(p, "Usage")
		p.Line("  %s", cmd.UseLine())
	}
	helpFlags(p, "Flags", cmd.Flags(), cmd.LocalNonPersistentFlags())
	if !cmd.HasParent() {
		helpFlags(p, "Flags of every command", cmd.PersistentFlags(), cmd.PersistentFlags())
		p.Line("")
		p.Line("berth COMMAND --help says more.")
		return
	}
	var names []string
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, "--"+f.Name)
		}
	})
	p.Line("")
	p.Line("%s", p.Dim("Every command also has "+strings.Join(names, ", ")+": see berth --help."))
}

func section(p *Printer, title string) {
	p.Line("")
	p.Line("%s", p.Bold(title))
}

func exampleRows(text string) [][2]string {
	var rows [][2]string
	for line := range strings.Lines(text) {
		command, what, _ := strings.Cut(strings.TrimSpace(line), "\t")
		rows = append(rows, [2]string{command, what})
	}
	return rows
}

// helpCommands lists the commands beneath cmd, under their groups.
func helpCommands(p *Printer, cmd *cobra.Command) {
	titles := []string{""}
	for _, g := range cmd.Groups() {
		titles = append(titles, g.ID)
	}
	for _, title := range titles {
		var rows [][2]string
		for _, c := range cmd.Commands() {
			if c.GroupID == title && c.IsAvailableCommand() {
				rows = append(rows, [2]string{c.Name(), c.Short})
			}
		}
		if len(rows) == 0 {
			continue
		}
		if title == "" {
			title = "Commands"
		}
		section(p, title)
		for _, row := range alignedTo(rows, 11) {
			p.Line("  %s", row)
		}
	}
}

// helpFlags lists the flags of the set that are also in keep, in the order in
// which they were declared.
func helpFlags(p *Printer, title string, flags, keep *pflag.FlagSet) {
	var rows [][2]string
	flags.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || keep.Lookup(f.Name) == nil {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
			usage = strings.Replace(usage, " "+value, "", 1)
		}
		if d := shownDefault(f); d != "" && !strings.Contains(usage, "(default") {
			usage += " (default: " + d + ")"
		}
		rows = append(rows, [2]string{name, usage})
	})
	if len(rows) == 0 {
		return
	}
	section(p, title)
	for _, row := range aligned(rows) {
		p.Line("  %s", row)
	}
}

// shownDefault is a flag's default as people write it, "" for none.
func shownDefault(f *pflag.Flag) string {
	switch d := f.DefValue; {
	case d == "" || d == "false" || d == "0" || d == "0s" || d == "[]":
		return ""
	case strings.HasSuffix(d, "h0m0s"): // of a duration
		return strings.TrimSuffix(d, "0m0s")
	default:
		return d
	}
}

func aligned(rows [][2]string) []string { return alignedTo(rows, 0) }

func alignedTo(rows [][2]string, width int) []string {
	for _, row := range rows {
		width = max(width, columns(row[0]))
	}
	var out []string
	for _, row := range rows {
		out = append(out, strings.TrimRight(pad(row[0], width)+"   "+row[1], " "))
	}
	return out
}

func newHelpCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "show help of a command",
		Example: "berth help init\thow init works",
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			target := cmd.Root()
			for _, name := range args {
				next := subcommand(target, name)
				if next == nil {
					return unknownCommand(target, name)
				}
				target = next
			}
			help(env, target)
			return nil
		},
	}
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// unknownCommand is the error for a word that is no command, with the one that
// may have been meant.
func unknownCommand(parent *cobra.Command, name string) error {
	parent.SuggestionsMinimumDistance = 2
	fix := parent.CommandPath() + " --help lists the commands"
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		fix = "did you mean " + parent.CommandPath() + " " + strings.Join(near, " or ") + "? " + fix
	}
	return fault.New(fault.Invalid, "there is no command %q", strings.TrimPrefix(parent.CommandPath()+" "+name, "berth ")).
		WithCode("command_unknown").WithFix("%s", fix)
}

// flagError rewrites the flag library's errors.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	fix := cmd.CommandPath() + " --help lists the flags"
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		shown := "--" + name
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			shown = "-" + name
		} else if near := nearestFlag(cmd, name); near != "" {
			fix = "did you mean --" + near + "? " + fix
		}
		return fault.New(fault.Invalid, "%s has no flag %s", cmd.CommandPath(), shown).WithCode("flag_unknown").WithFix("%s", fix)
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		value, _ := pflag.UnquoteUsage(missing.GetFlag())
		return fault.New(fault.Invalid, "--%s needs a value", missing.GetFlag().Name).
			WithCode("flag_value_missing").WithFix("write --%s %s", missing.GetFlag().Name, strings.ToUpper(value))
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fault.New(fault.Invalid, "%q is no value for --%s", bad.GetValue(), bad.GetFlag().Name).
			WithCode("flag_value_invalid").WithFix("%s", fix)
	}
	return fault.Wrap(err, fault.Invalid, "%s", err).WithCode("flag_invalid").WithFix("%s", fix)
}

// nearestFlag is the flag whose name is closest to a misspelt one, "" when none
// is close.
func nearestFlag(cmd *cobra.Command, name string) string {
	best, bestDistance := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := editDistance(name, f.Name); d < bestDistance && !f.Hidden {
			best, bestDistance = f.Name, d
		}
	})
	return best
}

// editDistance is the number of single letters to insert, delete or replace to
// get from a to b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
