package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/fault"
)

// Output is how a command speaks: the embedded Printer talks to the person on
// stderr, Result answers on stdout.
type Output struct {
	*Printer
	env *Env
}

// Output returns the streams of this run.
func (e *Env) Output() *Output { return &Output{Printer: e.talk(), env: e} }

func (e *Env) talk() *Printer { return &Printer{e.Stderr, e.Color && e.colors()} }

func (e *Env) answer() *Printer { return &Printer{e.Stdout, e.ColorOut && e.colors()} }

// colors reports whether the person lets us use them.
func (e *Env) colors() bool { return !e.flags.noColor && e.get(noColorVar) == "" }

// Result answers on stdout: v as indented JSON with --json, else what text
// prints. Both are views of the same value.
func (o *Output) Result(v any, text func(*Printer)) error {
	if o.env.flags.json {
		return writeJSON(o.env.Stdout, v)
	}
	text(o.env.answer())
	return nil
}

// Confirm asks a question that begins with a verb, such as "Write 3 files?".
// --yes answers it beforehand. Unattended it is an error of kind NeedsPerson
// that names the flag; a no ends the command with exit code 1.
func (o *Output) Confirm(ctx context.Context, question string) error {
	if o.env.flags.yes {
		return nil
	}
	if !o.env.Interactive {
		return Resume(fault.New(fault.NeedsPerson, "%q needs an answer and nobody is at the terminal; nothing was changed", question).
			WithCode("confirmation_needed").WithFix("look at the changes above, then pass --yes"), o.env.again("--yes"))
	}
	answer, err := o.ask(ctx, question+" "+o.Dim("[Y/n]"))
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "", "y", "yes":
		return nil
	}
	o.Line("Nothing was changed.")
	return &Exit{exitError}
}

// ask prints a question and reads a line. Reading cannot be canceled, so an
// interruption leaves its goroutine to the end of the process.
func (o *Output) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(o.w, question+" ")
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(o.env.Stdin).ReadString('\n')
		read <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-read:
		if l.err != nil { // end of input is no answer
			o.Line("")
			return "", fault.Wrap(l.err, fault.Interrupted, "no answer was given; nothing was changed").WithFix("answer y or n, or pass --yes")
		}
		return l.text, nil
	case <-ctx.Done():
		o.Line("")
		return "", fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted; nothing was changed")
	}
}

// again is the command line of this run with one flag more, for a shell.
func (e *Env) again(flag string) string {
	words := []string{"berth"}
	placed := false
	for _, a := range e.args {
		if a == "--" && !placed {
			words = append(words, flag)
			placed = true
		}
		words = append(words, shellQuote(a))
	}
	if !placed {
		words = append(words, flag)
	}
	return strings.Join(words, " ")
}

// shellQuote writes a word for a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Printer writes lines in Berth's one quiet style.
type Printer struct {
	w     io.Writer
	color bool
}

// Line writes a line as it is.
func (p *Printer) Line(format string, args ...any) {
	fmt.Fprintf(p.w, "%s\n", fmt.Sprintf(format, args...))
}

// Fact writes a label and its value. Commands begin with facts: the target
// first.
func (p *Printer) Fact(label, format string, args ...any) {
	p.Line("%s  %s", p.Dim(pad(label, labelWidth)), fmt.Sprintf(format, args...))
}

const labelWidth = 8

// Step says what begins now.
func (p *Printer) Step(format string, args ...any) {
	p.Line("%s %s", p.Dim("·"), fmt.Sprintf(format, args...))
}

// OK says what was done.
func (p *Printer) OK(format string, args ...any) {
	p.Line("%s %s", p.Green("✓"), fmt.Sprintf(format, args...))
}

// Warn says what needs attention and is no error.
func (p *Printer) Warn(format string, args ...any) {
	p.Line("%s %s", p.Yellow("!"), fmt.Sprintf(format, args...))
}

// Fail says what did not work, where the command goes on.
func (p *Printer) Fail(format string, args ...any) {
	p.Line("%s %s", p.Red("✗"), fmt.Sprintf(format, args...))
}

// Table writes rows under a header in aligned columns. Cells may be colored.
func (p *Printer) Table(header []string, rows [][]string) {
	width := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			if i < len(width) {
				width[i] = max(width[i], columns(cell))
			}
		}
	}
	line := func(row []string, paint func(string) string) {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			if i < len(row)-1 && i < len(width) {
				cell = pad(cell, width[i])
			}
			b.WriteString(cell)
		}
		p.Line("%s", paint(strings.TrimRight(b.String(), " ")))
	}
	line(header, p.Dim)
	for _, row := range rows {
		line(row, func(s string) string { return s })
	}
}

// counted is a number with its noun, such as "3 files".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// pad fills s with spaces to a width in columns.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}

// columns counts the columns that s takes, without its color sequences.
func columns(s string) int {
	n := 0
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		n += utf8.RuneCountInString(before)
		if !found {
			return n
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

// Bold and the others wrap s in a color sequence, when colors are on.
func (p *Printer) Bold(s string) string { return p.paint("1", s) }

// Dim is for what matters less.
func (p *Printer) Dim(s string) string { return p.paint("2", s) }

// Red is for failures.
func (p *Printer) Red(s string) string { return p.paint("31", s) }

// Green is for what is right.
func (p *Printer) Green(s string) string { return p.paint("32", s) }

// Yellow is for what needs attention.
func (p *Printer) Yellow(s string) string { return p.paint("33", s) }

func (p *Printer) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
