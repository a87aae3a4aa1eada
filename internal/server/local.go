package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/berthapi"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// Local is what a server on this machine leaves in its data folder
// (server.json, mode 0600), so that commands of the same person find it.
type Local struct {
	URL   string `json:"url"`
	Token string `json:"token"` // team token
	PID   int    `json:"pid"`
	Team  string `json:"team"` // slug
}

// localTeam is the name of the team that a fresh database begins with.
const localTeam = "local"

func localPath(dataDir string) string { return filepath.Join(dataDir, "server.json") }

// ReadLocal returns what the last server on dataDir wrote, or NotFound. It
// does not say that the server is running.
func ReadLocal(dataDir string) (Local, error) {
	var l Local
	data, err := os.ReadFile(localPath(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return l, fault.New(fault.NotFound, "no server was started on %s yet", dataDir)
	}
	if err != nil {
		return l, fault.Wrap(err, fault.Invalid, "cannot read %s", localPath(dataDir))
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fault.Wrap(err, fault.Invalid, "%s is damaged", localPath(dataDir)).WithFix("stop the server, delete the file and start the server again")
	}
	return l, nil
}

// Announce makes the first team and its token when there is none, and writes
// server.json.
func (s *Server) Announce(ctx context.Context) (Local, error) {
	l, err := ReadLocal(s.cfg.DataDir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return l, err
	}
	t, err := s.db.TeamByToken(ctx, l.Token)
	if fault.Is(err, fault.Unauthenticated) {
		if t, err = s.db.FirstTeam(ctx, localTeam); err != nil {
			return l, err
		}
		c, err := t.CreateCredential(ctx, store.TokenCredential, "this machine", s.db.Now().AddDate(10, 0, 0))
		if err != nil {
			return l, err
		}
		l.Token = c.Secret.Reveal()
	} else if err != nil {
		return l, err
	}
	// Where members sign in is made now, so that its pages are there before the
	// first of them comes.
	if _, _, err := s.db.MembersEnvironment(ctx, s.mailer != nil); err != nil {
		return l, err
	}
	l.URL, l.PID, l.Team = s.base, os.Getpid(), t.Slug
	data, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	return l, writePrivate(localPath(s.cfg.DataDir), data)
}

func writePrivate(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".server-*") // mode 0600
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	return nil
}

// Ledger keeps claims in a file, for command lines that work with a vendor and
// no server. It serves /berth/v1 inside the process.
type Ledger struct {
	db      *store.DB
	handler http.Handler
}

// OpenLedger opens or makes the ledger file at path. Several processes may
// have it open.
func OpenLedger(ctx context.Context, path string, log *slog.Logger) (*Ledger, error) {
	db, err := store.Open(ctx, store.Options{Path: path, Shared: true})
	if err != nil {
		return nil, err
	}
	t, err := db.FirstTeam(ctx, localTeam)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	(&berthapi.API{DB: db, Log: log, BaseURL: func() string { return "" }, Local: t}).Mount(mux)
	return &Ledger{db: db, handler: route.WithRequestID(mux)}, nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }

// Handler serves /berth/v1 over the ledger.
func (l *Ledger) Handler() http.Handler { return l.handler }

// Healthy reports whether a Berth server answers at url.
func Healthy(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/berth/v1/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get("X-Request-ID") != ""
}

// MachineID returns the random id kept at path, made on first use. Of several
// processes that make it at once one wins and all return its id.
func MachineID(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fault.Wrap(err, fault.Invalid, "cannot make the data folder %s", filepath.Dir(path)).WithFix("choose a folder that can be written with --data DIR")
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".machine-*")
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "cannot read %s", path)
	}
	return strings.TrimSpace(string(data)), nil
}
