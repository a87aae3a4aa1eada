package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/project"
)

// accountsFile holds test accounts with their passwords: git-ignored, mode 0600 (R121).
const accountsFile = "tmp/authkit_test_accounts.json"

// account is one entry of the accounts file. It holds a password, so the type
// never leaves this package.
type account struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	ClientID   string `json:"client_id"`
	Deployment string `json:"deployment"`
	FirstName  string `json:"first_name,omitempty"`
	LastName   string `json:"last_name,omitempty"`
	// EmailVerified is what the address is reset to; absent means proven.
	EmailVerified *bool `json:"email_verified,omitempty"`
}

func (a account) verified() bool { return a.EmailVerified == nil || *a.EmailVerified }

func (a account) is(clientID, email string) bool {
	return a.ClientID == clientID && strings.EqualFold(a.Email, email)
}

// accountEntry is an account with the bytes it was read from: members that
// Berth does not know stay.
type accountEntry struct {
	account
	raw json.RawMessage
}

type accounts struct {
	before []byte // as read, nil when missing
	list   []accountEntry
}

func accountsPath(app *project.App) string {
	return filepath.Join(app.Root, filepath.FromSlash(accountsFile))
}

func readAccounts(app *project.App) (*accounts, error) {
	data, err := os.ReadFile(accountsPath(app))
	if errors.Is(err, fs.ErrNotExist) {
		return &accounts{}, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot read %s", accountsFile)
	}
	return parseAccounts(data)
}

func parseAccounts(data []byte) (*accounts, error) {
	bad := fault.New(fault.Invalid, "%s is not a list of accounts", accountsFile).WithFix("correct or delete the file").WithCode("accounts_invalid")
	a := &accounts{before: data}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, bad
	}
	for _, r := range raw {
		e := accountEntry{raw: r}
		if err := json.Unmarshal(r, &e.account); err != nil || len(r) == 0 || r[0] != '{' {
			return nil, bad
		}
		a.list = append(a.list, e)
	}
	return a, nil
}

// find returns the account of an address in an environment.
func (a *accounts) find(clientID, email string) (account, bool) {
	for _, e := range a.list {
		if e.is(clientID, email) {
			return e.account, true
		}
	}
	return account{}, false
}

// of returns the accounts of an environment, in the order of the file.
func (a *accounts) of(clientID string) []account {
	var list []account
	for _, e := range a.list {
		if e.ClientID == clientID && e.Email != "" && e.Password != "" {
			list = append(list, e.account)
		}
	}
	return list
}

// put adds an account, or replaces what is known of it, and reports whether
// anything changed.
func (a *accounts) put(v account) (bool, error) {
	for i := range a.list {
		e := &a.list[i]
		if !e.is(v.ClientID, v.Email) {
			continue
		}
		before, err := json.Marshal(e.account)
		if err != nil {
			return false, err
		}
		after, err := json.Marshal(v)
		if err != nil || string(before) == string(after) {
			return false, err
		}
		e.account = v
		e.raw, err = merge(e.raw, after)
		return true, err
	}
	raw, err := json.Marshal(v)
	a.list = append(a.list, accountEntry{v, raw})
	return true, err
}

// merge writes the members of an object into another one and keeps the rest.
func merge(raw, members json.RawMessage) (json.RawMessage, error) {
	v, err := hujson.Parse(raw)
	if err != nil {
		return nil, err
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(members, &set); err != nil {
		return nil, err
	}
	type operation struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	var patch []operation
	for name, value := range set {
		patch = append(patch, operation{"add", "/" + name, value})
	}
	slices.SortFunc(patch, func(a, b operation) int { return strings.Compare(a.Path, b.Path) })
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	if err := v.Patch(data); err != nil {
		return nil, err
	}
	v.Standardize()
	return v.Pack(), nil
}

func (a *accounts) drop(clientID, email string) bool {
	n := len(a.list)
	a.list = slices.DeleteFunc(a.list, func(e accountEntry) bool { return e.is(clientID, email) })
	return len(a.list) != n
}

// encode is the file as it is written.
func (a *accounts) encode() ([]byte, error) {
	raw := make([]json.RawMessage, len(a.list))
	for i, e := range a.list {
		raw[i] = e.raw
	}
	data, err := json.MarshalIndent(raw, "", "  ")
	return append(data, '\n'), err
}

func (a *accounts) write(ctx context.Context, app *project.App) error {
	data, err := a.encode()
	if err != nil {
		return err
	}
	if err := writeSecretFile(ctx, app, accountsPath(app), a.before, data); err != nil {
		return err
	}
	a.before = data
	return nil
}

// writeSecretFile replaces a file of the app that holds credentials: ignored by
// Git before it is written, mode 0600. before is what is there, nil for nothing.
func writeSecretFile(ctx context.Context, app *project.App, path string, before, after []byte) error {
	if err := insideApp(app, path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot make the folder of %s", app.Rel(path))
	}
	ignore, ok, finding, err := app.GitignoreChange(ctx, project.RunGit, path)
	if err != nil {
		return err
	}
	if finding != nil {
		return fault.New(fault.Conflict, "%s", finding.Message).WithFix("%s", finding.Fix).WithCode("tracked_by_git")
	}
	changes := []project.FileChange{{Path: path, Before: before, After: after, Mode: 0o600, Secret: true}}
	if ok {
		changes = append([]project.FileChange{ignore}, changes...)
	}
	_, err = app.Apply(changes)
	return err
}

// insideApp refuses a file with credentials where Git cannot be told to ignore it.
func insideApp(app *project.App, path string) error {
	if filepath.IsLocal(filepath.FromSlash(app.Rel(path))) {
		return nil
	}
	return fault.New(fault.Invalid, "%s is outside the app, where Git cannot be told to ignore it", path).
		WithFix("choose a file inside %s", app.Root).WithCode("outside-app")
}
