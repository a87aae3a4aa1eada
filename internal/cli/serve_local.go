package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/server"
)

const (
	aliveTimeout = 3 * time.Second  // of the call that asks whether a server is there
	startTimeout = 30 * time.Second // of a server in the background, a slow disk included
)

// alive asks whether the server that wrote l runs: the one at its address must
// know its token, so that neither another program on the port nor a server of
// another folder is taken for it.
func alive(ctx context.Context, l server.Local) (berth.Me, bool) {
	if l.URL == "" || l.Token == "" {
		return berth.Me{}, false
	}
	c := berth.New(l.URL, secret.String(l.Token))
	c.Wire.Retries, c.Wire.Timeout = -1, aliveTimeout
	me, err := c.Me(ctx)
	return me, err == nil
}

// Access is a Berth server and the token for it.
type Access struct {
	URL   string
	Token secret.String // empty when none is known
	From  string        // where the address was said: --server, BERTH_SERVER, or the data folder
}

// FindServer returns the server to use: the one of --server or BERTH_SERVER,
// with BERTH_TOKEN or the token of berth login, else the one that runs on the
// data folder. Without either
// the error has kind NotFound and code no_server.
func (e *Env) FindServer(ctx context.Context) (Access, error) {
	at, from := e.Server()
	a := Access{URL: at, From: from, Token: secret.String(e.get(tokenVar))}
	if at != "" && a.Token != "" {
		return a, nil
	}
	dir, err := e.DataDir()
	if err != nil {
		return a, err
	}
	local, err := server.ReadLocal(dir)
	switch {
	case err != nil && !fault.Is(err, fault.NotFound):
		return a, err
	case at != "":
		if local.URL == at {
			a.Token = secret.String(local.Token)
		}
		if a.Token == "" {
			stored, err := e.readLogins()
			if err != nil {
				return a, err
			}
			a.Token = stored.Servers[at].Token.Secret()
		}
		return a, nil
	}
	if _, ok := alive(ctx, local); !ok {
		return a, fault.New(fault.NotFound, "no server runs on %s", dir).WithCode("no_server").
			WithFix("start one with `berth serve`, or name one with --server URL")
	}
	return Access{URL: local.URL, Token: secret.String(local.Token), From: dir}, nil
}

// EnsureServer returns the server that runs on dataDir and starts one in the
// background when there is none. Of several callers at once one starts it.
func EnsureServer(ctx context.Context, env *Env, dataDir string) (local server.Local, started bool, err error) {
	return ensureServer(ctx, env, dataDir, nil)
}

// ensureServer starts the server with further arguments of serve.
func ensureServer(ctx context.Context, env *Env, dataDir string, args []string) (server.Local, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		local, err := server.ReadLocal(dataDir)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return local, false, err
		}
		if _, ok := alive(ctx, local); ok {
			return local, false, nil
		}
		err = startServer(ctx, env, dataDir, args)
		if err == nil {
			local, err = server.ReadLocal(dataDir)
			return local, true, err
		}
		// Another caller was first, and its server is about to answer.
		if fault.Code(err) != "database_in_use" {
			return local, false, err
		}
		if pause(ctx, handOverPoll) != nil {
			return local, false, err
		}
	}
}

func logPath(dataDir string) string { return filepath.Join(dataDir, "serve.log") }

// maxLog is the size at which the next start begins a new log file.
const maxLog = 1 << 20

// startServer starts `berth serve` as a process of its own and waits until it
// listens. The child says so, or what went wrong, as JSON on its stdout; from
// then on it writes only to the log file.
func startServer(ctx context.Context, env *Env, dataDir string, args []string) error {
	if env.Exe == "" {
		return fault.New(fault.Unsupported, "the path of the berth program is not known, so no server can be started in the background").
			WithFix("run `berth serve` in another terminal")
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot make the data folder %s", dataDir).WithFix("choose a folder that can be written with --data DIR")
	}
	mode := os.O_APPEND
	if info, err := os.Stat(logPath(dataDir)); err == nil && info.Size() > maxLog {
		mode = os.O_TRUNC
	}
	log, err := os.OpenFile(logPath(dataDir), os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s", logPath(dataDir)).WithFix("check the permissions of the folder, or choose another with --data DIR")
	}
	defer log.Close()
	said, speak, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command(env.Exe, append([]string{"serve", "--data", dataDir, "--json", "--no-color"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dataDir, env.Environ(), speak, log
	cmd.SysProcAttr = detached
	err = cmd.Start()
	speak.Close()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot start %s", env.Exe)
	}
	answer := make(chan error, 1)
	go func() { answer <- firstWord(said, dataDir) }()
	select {
	case err = <-answer:
		if err != nil {
			return errors.Join(err, ignoreExit(cmd.Wait()))
		}
		return cmd.Process.Release()
	case <-ctx.Done():
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
		return fault.Wrap(ctx.Err(), fault.Unavailable, "the server did not start within %s", startTimeout).WithFix("see %s", logPath(dataDir))
	}
}

// ignoreExit leaves out that a child failed, which it has explained itself.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// firstWord reads what a starting server says first: where it is, or an error.
func firstWord(said *os.File, dataDir string) error {
	var word struct {
		serveView
		Error *errorView `json:"error"`
	}
	err := json.NewDecoder(said).Decode(&word)
	switch {
	case err != nil:
		return fault.Wrap(err, fault.Unavailable, "the server ended before it listened").WithFix("see %s", logPath(dataDir))
	case word.Error != nil:
		return fault.New(word.Error.Kind, "%s", word.Error.Message).WithFix("%s", word.Error.Fix).WithCode(word.Error.Code)
	}
	return nil
}
