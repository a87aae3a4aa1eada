package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/berthdev/berth/internal/fault"
)

// Exit codes. 1 is every failure that has no code of its own.
const (
	exitOK              = 0
	exitError           = 1
	exitPending         = 2 // findings, or changes that wait
	exitNeedsPerson     = 3
	exitUnauthenticated = 4
	exitInterrupted     = 130
)

// Exit ends a command with a code and no message, because everything was said:
// the code of a wrapped command, or [exitPending].
type Exit struct{ Code int }

// Error names the code; nobody gets to see it.
func (e *Exit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*Exit](err); ok {
		return e.Code
	}
	switch fault.From(err).Kind {
	case fault.NeedsPerson:
		return exitNeedsPerson
	case fault.Unauthenticated:
		return exitUnauthenticated
	case fault.Interrupted:
		return exitInterrupted
	default:
		return exitError
	}
}

// resumable is an error with the command that goes on from here.
type resumable struct {
	error
	resume string
}

func (r *resumable) Unwrap() error { return r.error }

// Resume adds to an error the command to run once its reason is gone.
func Resume(err error, command string) error { return &resumable{err, command} }

// settled turns whatever a stopped command returned into an interruption:
// errors that come of a canceled context blame other parties.
func settled(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || fault.Is(err, fault.Interrupted) {
		return err
	}
	if _, ok := errors.AsType[*Exit](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Interrupted, "interrupted").WithFix("run the same command again; it goes on where it stopped")
}

// report tells the person, or with --json the program, about an error.
func (e *Env) report(err error) {
	if _, ok := errors.AsType[*Exit](err); ok || err == nil {
		return
	}
	f := fault.From(err)
	shown := errorView{Kind: f.Kind, Code: f.Code, Message: f.Message, Fix: f.Fix}
	if r, ok := errors.AsType[*resumable](err); ok {
		shown.Resume = r.resume
	}
	debug := e.get(debugVar) == "1"
	if f.Kind == fault.Internal {
		shown.Message = "something went wrong inside Berth"
		if !debug {
			shown.Fix = "run it again with " + debugVar + "=1 to see the cause"
		}
	}
	if e.flags.json {
		_ = writeJSON(e.Stdout, map[string]errorView{"error": shown}) // nobody is left to tell
	} else {
		p := e.talk()
		p.Line("%s %s", p.Red("berth:"), shown.Message)
		if shown.Fix != "" {
			p.Line("%s %s", p.Bold("fix:"), shown.Fix)
		}
		if shown.Resume != "" {
			p.Line("%s %s", p.Bold("then:"), shown.Resume)
		}
	}
	if debug {
		e.talk().Line("cause: %v", err)
	}
}

// errorView is an error as a program sees it.
type errorView struct {
	Kind    fault.Kind `json:"kind"`
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message"`
	Fix     string     `json:"fix,omitempty"`
	Resume  string     `json:"resume,omitempty"`
}

func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
