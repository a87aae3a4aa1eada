// Package cli is the command line: one file per command, and the only place
// that knows the process's arguments, environment and standard streams.
//
// A command is an options struct, a constructor that declares its flags, and a
// run function that takes only the options. What a command prints goes through
// [Output]: results to stdout, talk to stderr. What it returns decides the exit
// code, in one place (exit.go).
package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/berthdev/berth/internal/fault"
)

// Variables of Berth's own that commands read. Flags come before them.
const (
	serverVar  = "BERTH_SERVER"                // URL of a Berth server
	tokenVar   = "BERTH_TOKEN"                 // its team token
	dataVar    = "BERTH_DATA"                  // data folder
	debugVar   = "BERTH_DEBUG"                 // 1: show the cause of an internal error
	githubVar  = "BERTH_GITHUB_WEBHOOK_SECRET" // authenticates branch events
	noColorVar = "NO_COLOR"                    // https://no-color.org
)

// Env is the process as commands see it. Nothing below this package asks the
// process for anything.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Dir            string // working folder
	Lookup         func(name string) (string, bool)
	Environ        func() []string // for child processes
	Interactive    bool            // stdin and stderr are terminals, and this is no CI
	Color          bool            // stderr is a terminal that shows colors
	ColorOut       bool            // stdout is
	Width          int             // of the terminal in columns; 80 when there is none
	Version        string
	Exe            string // path of this program, to start it again; may be empty
	Now            func() time.Time

	flags globals
	args  []string // as given, for the command that resumes this one
}

// globals are the flags that every command has.
type globals struct {
	app     string
	server  string
	data    string
	json    bool
	yes     bool
	dryRun  bool
	noColor bool
}

// ProcessEnv returns the real process.
func ProcessEnv(version string) *Env {
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // the folder was removed; what needs it says so
	}
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	tty := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	env := &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Dir: dir, Lookup: os.LookupEnv, Environ: os.Environ,
		Interactive: tty(os.Stdin) && tty(os.Stderr),
		Color:       tty(os.Stderr), ColorOut: tty(os.Stdout),
		Width: 80, Version: version, Exe: exe, Now: time.Now,
	}
	if ci := env.get("CI"); ci != "" && ci != "false" && ci != "0" {
		env.Interactive = false
	}
	if env.get("TERM") == "dumb" {
		env.Color, env.ColorOut = false, false
	}
	if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
		env.Width = w
	}
	return env
}

// get returns a variable, or "" when it is not set.
func (e *Env) get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// App is the folder in which to look for the app: --app, or the working folder.
func (e *Env) App() string {
	if e.flags.app == "" {
		return e.Dir
	}
	return e.abs(e.flags.app)
}

func (e *Env) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(e.Dir, path)
}

// Yes reports whether the person agreed beforehand (--yes).
func (e *Env) Yes() bool { return e.flags.yes }

// DryRun reports whether nothing may be written anywhere (--dry-run).
func (e *Env) DryRun() bool { return e.flags.dryRun }

// JSON reports whether results are wanted as JSON (--json).
func (e *Env) JSON() bool { return e.flags.json }

// Server is the address of the Berth server to use and where it was said, ""
// when neither --server nor BERTH_SERVER names one.
func (e *Env) Server() (url, from string) {
	if e.flags.server != "" {
		return strings.TrimRight(e.flags.server, "/"), "--server"
	}
	return strings.TrimRight(e.get(serverVar), "/"), serverVar
}

// DataDir is the folder of the server on this machine: --data, BERTH_DATA, or
// the system's place for data of programs. It need not exist yet.
func (e *Env) DataDir() (string, error) {
	dir := e.flags.data
	if dir == "" {
		dir = e.get(dataVar)
	}
	if dir == "" {
		dir = systemDataDir(systemName, e.get)
	}
	if dir == "" {
		return "", fault.New(fault.Invalid, "there is no place for Berth's data: the home folder is not known").
			WithFix("name a folder with --data DIR or %s", dataVar)
	}
	dir = e.abs(dir)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return "", fault.New(fault.Invalid, "the data folder %s is not a folder", dir).WithFix("name a folder with --data DIR or %s", dataVar)
	}
	return dir, nil
}

// systemDataDir is where programs keep data of a person on a system, named as
// Go names it: $XDG_DATA_HOME (XDG Base Directory Specification), else what the
// system's own rules say. It returns "" when the environment names no home.
func systemDataDir(system string, get func(name string) string) string {
	// The specification says that a relative path is to be ignored.
	if dir := get("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "berth")
	}
	switch home := get("HOME"); {
	case system == "windows":
		if dir := get("LocalAppData"); dir != "" {
			return filepath.Join(dir, "berth")
		}
		return ""
	case home == "":
		return ""
	case system == "darwin":
		return filepath.Join(home, "Library", "Application Support", "berth")
	default:
		return filepath.Join(home, ".local", "share", "berth")
	}
}
