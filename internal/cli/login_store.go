package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
)

// logins are the tokens that berth login keeps in the data folder (mode 0600),
// by the origin they are for.
type logins struct {
	Servers map[string]login `json:"servers"`
}

type login struct {
	Token     convex.Token `json:"token"`
	Name      string       `json:"name,omitempty"` // of the token
	CreatedAt time.Time    `json:"created_at"`
}

func (e *Env) loginsPath() (string, error) {
	dir, err := e.DataDir()
	return filepath.Join(dir, "logins.json"), err
}

func (e *Env) readLogins() (logins, error) {
	l := logins{Servers: map[string]login{}}
	path, err := e.loginsPath()
	if err != nil {
		return l, err
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return l, fault.Wrap(err, fault.Invalid, "cannot read %s: %v", path, err)
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fault.Wrap(err, fault.Invalid, "%s is damaged", path).WithFix("delete it and run berth login again")
	}
	if l.Servers == nil {
		l.Servers = map[string]login{}
	}
	return l, nil
}

func (e *Env) writeLogins(l logins) error {
	path, err := e.loginsPath()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(path, append(data, '\n'))
}

// convexToken is a person's token for a control plane, "" when there is none:
// CONVEX_OVERRIDE_ACCESS_TOKEN, what berth login stored, or what convex login
// left in its own file.
func (e *Env) convexToken(base string) (secret.String, error) {
	if token := e.get(provision.AccessTokenVar); token != "" {
		return secret.String(token), nil
	}
	stored, err := e.readLogins()
	if err != nil {
		return "", err
	}
	if l := stored.Servers[base]; l.Token != "" {
		return l.Token.Secret(), nil
	}
	return convexLogin(convexLoginPath(cmp.Or(e.get("HOME"), e.get("USERPROFILE")), base)), nil
}

// convexLoginPath is where the convex command line keeps its login for a
// control plane.
func convexLoginPath(home, base string) string {
	if home == "" {
		return ""
	}
	dir := ".convex"
	if base != convex.DefaultControlPlane {
		dir = ".convex-test"
		if u, err := url.Parse(base); err == nil && u.Port() != "" && u.Port() != "8050" {
			dir += "-" + u.Port()
		}
	}
	return filepath.Join(home, dir, "config.json")
}

// convexLogin reads the token of a login file of the convex command line. A
// file that cannot be read is no login.
func convexLogin(path string) secret.String {
	data, err := os.ReadFile(path)
	var file struct {
		AccessToken string `json:"accessToken"`
	}
	if err != nil || json.Unmarshal(data, &file) != nil {
		return ""
	}
	return secret.String(strings.TrimSpace(file.AccessToken))
}

// errNoLogin says how to log in to a control plane.
func errNoLogin(e *Env, base string) error {
	command, fix := "npx convex login", "log in, or set "+provision.AccessTokenVar
	if base != convex.DefaultControlPlane {
		command = "berth login --server " + shellQuote(base)
	}
	return Resume(fault.New(fault.Unauthenticated, "there is no login for %s here", base).WithFix("%s: %s", fix, command).WithCode("login_missing"), e.same())
}
