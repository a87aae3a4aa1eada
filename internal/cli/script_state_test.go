package cli

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

// What differs from run to run, and what golden files have instead.
var normalRules = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b(client|environment|user|key)_[0-9A-HJKMNP-TV-Z]{26}\b`), "${1}_ID"},
	{regexp.MustCompile(`\bsk_(test|live)_[A-Za-z0-9]+`), "sk_${1}_KEY"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://SERVER"},
	{regexp.MustCompile(`(WORKOS_API_PORT=)\d+`), "${1}PORT"},
	{regexp.MustCompile(`(WORKOS_COOKIE_PASSWORD=)[A-Za-z0-9_-]{43}\n`), "${1}COOKIE\n"},
	{regexp.MustCompile(`\b([A-Z][A-Z_]+)@[0-9a-f]{10}\b`), "${1}@MARK"},
	{regexp.MustCompile(`\b(dev ada) [0-9a-v]{4}\b`), "${1} WTID"},
	{regexp.MustCompile(`\bdev/ada-[0-9a-v]{4}\b`), "dev/ada-WTID"},
	{regexp.MustCompile(`\bwt-[0-9a-v]{20}\b`), "wt-ID"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`), "DATE"},
}

// scriptCondition knows the condition "mount": a small file system can be
// mounted in a namespace of one's own.
func scriptCondition(name string) (bool, error) {
	if name != "mount" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	dir, err := os.MkdirTemp("", "mount-")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	return exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", dir).Run() == nil, nil
}

// webServer is a dev server that found its port taken: it listens on another
// one until convex.json names that.
func webServer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for range 600 {
		if data, err := os.ReadFile("convex.json"); err == nil && strings.Contains(string(data), "localhost:"+port+"/callback") {
			fmt.Println("port", port)
			os.Exit(0)
		}
		time.Sleep(50 * time.Millisecond) // another process writes the file
	}
	os.Exit(1)
}

// The columns of a table are as wide as the ids that were in it.
var (
	tableLine = regexp.MustCompile(`(?m)^\S.* {3}.*$`)
	gap       = regexp.MustCompile(` {3,}`)
)

// cmdNormal copies a file (or stdout, stderr) with ids replaced.
func cmdNormal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: normal FROM TO")
	}
	text := ts.ReadFile(args[0])
	for _, r := range normalRules {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	text = tableLine.ReplaceAllStringFunc(text, func(row string) string { return gap.ReplaceAllString(row, "  ") })
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// cmdAppState writes the name, mode and hash of every file below a folder.
func cmdAppState(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: app-state FOLDER TO")
	}
	var out strings.Builder
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%s %s %x\n", filepath.ToSlash(rel), info.Mode(), sha256.Sum256(data))
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

// cmdServerState writes a hash of every table of the script's server, so that
// two states can be compared. Spare signing keys are made whenever there is
// time for it; they are left out.
func cmdServerState(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: server-state TO")
	}
	files, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), ".server", "*.db"))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("the server's folder holds %d databases", len(files))
	}
	db, err := sql.Open("sqlite", "file:"+files[0]+"?mode=ro")
	ts.Check(err)
	defer db.Close()
	tables := column(ts, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	var out strings.Builder
	for _, table := range tables {
		if table != "signing_keys" {
			rows := tableRows(ts, db, table)
			fmt.Fprintf(&out, "%s %d %s\n", table, len(rows), digestOf(rows))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out.String()), 0o600))
}

func column(ts *testscript.TestScript, db *sql.DB, query string) []string {
	rows, err := db.Query(query)
	ts.Check(err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		ts.Check(rows.Scan(&s))
		out = append(out, s)
	}
	ts.Check(rows.Err())
	return out
}

func tableRows(ts *testscript.TestScript, db *sql.DB, table string) []string {
	rows, err := db.Query(`SELECT * FROM "` + table + `"`)
	ts.Check(err)
	defer rows.Close()
	names, err := rows.Columns()
	ts.Check(err)
	var out []string
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		ts.Check(rows.Scan(into...))
		out = append(out, fmt.Sprintf("%q", values))
	}
	ts.Check(rows.Err())
	slices.SortFunc(out, cmp.Compare)
	return out
}

func digestOf(rows []string) string {
	sum := sha256.Sum256([]byte(strings.Join(rows, "\n")))
	return hex.EncodeToString(sum[:])
}
