package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Result is what the demo showed. It holds no secret.
type Result struct {
	OK           bool      `json:"ok"`
	App          string    `json:"app"`    // name of the example
	Server       string    `json:"server"` // URL
	Milliseconds int64     `json:"milliseconds"`
	Deployments  []*Row    `json:"deployments"`
	Isolation    Isolation `json:"isolation"`
	Pruned       Pruned    `json:"pruned"`
	Steps        []Step    `json:"steps"`
	Links        []Link    `json:"links,omitempty"`         // while it is kept running
	Accounts     string    `json:"accounts_file,omitempty"` // holds e-mail addresses and passwords of the test users
}

// Row is one deployment.
type Row struct {
	Deployment      string   `json:"deployment"`
	Kind            string   `json:"kind"` // dev, preview, prod
	Branch          string   `json:"branch"`
	EnvironmentName string   `json:"environment"`
	ClientID        string   `json:"client_id"`
	URLs            []string `json:"urls"`
	RedirectURIs    []string `json:"redirect_uris"`
	Session         Verdict  `json:"session"`
	Token           Verdict  `json:"token"`
	Backend         Verdict  `json:"backend"`
	SignOut         string   `json:"sign_out"` // where it ended
	Pruned          bool     `json:"pruned"`   // at the end, when its branch was deleted
	Visits          []Visit  `json:"visits"`
}

// Verdict is one of the three legs: session, token, backend.
type Verdict struct {
	OK     bool   `json:"ok"`
	Name   string `json:"name,omitempty"` // of the backend deployment
	User   string `json:"user,omitempty"` // whom its function saw
	Detail string `json:"detail,omitempty"`
}

// Visit is the record of one browser's way.
type Visit struct {
	Origin string `json:"origin"`
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Hops   []Hop  `json:"hops"`
}

// Isolation is what happened to a user and a token in a deployment that is not
// theirs.
type Isolation struct {
	User    string `json:"user"`
	From    string `json:"from"`
	In      string `json:"in"`
	Page    string `json:"page"`    // what the sign-in page said
	Code    string `json:"code"`    // the backend's refusal, in Convex's words
	Message string `json:"message"` //
	Hops    []Hop  `json:"hops"`
}

// Pruned is the deployment whose branch was deleted.
type Pruned struct {
	Branch   string `json:"branch"`
	ClientID string `json:"client_id"`
	Page     string `json:"page"` // what a sign-in there says now
}

// Step is one step of the demo.
type Step struct {
	What         string `json:"what"`
	Outcome      string `json:"outcome,omitempty"`
	OK           bool   `json:"ok"`
	Milliseconds int64  `json:"milliseconds"`
}

// Link is an address for a person's browser.
type Link struct {
	Deployment string `json:"deployment"`
	URL        string `json:"url"`
	Email      string `json:"email"` // of its test user
}

// Header names the columns of Table.
var Header = []string{"deployment", "environment", "URL", "session", "token", "backend", "sign-out target"}

// Table returns the cells of the table, a line per URL.
func (r *Result) Table() [][]string {
	var rows [][]string
	for _, d := range r.Deployments {
		for i, u := range d.URLs {
			row := []string{d.Deployment, shortID(d.ClientID), hostOf(u), word(d.Session.OK, "ok"), word(d.Token.OK, "valid"), word(d.Backend.OK, "saw "+shortID(d.Backend.User)), hostOf(d.SignOut)}
			if i > 0 {
				row[0], row[1] = "", ""
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// shortID keeps the end of an ID, which is what differs.
func shortID(id string) string {
	prefix, rest, _ := strings.Cut(id, "_")
	if len(rest) <= 6 {
		return id
	}
	return prefix + "…" + rest[len(rest)-6:]
}

func word(ok bool, good string) string {
	if ok {
		return good
	}
	return "no"
}

// Summary says in a few sentences what was shown.
func (r *Result) Summary() []string {
	is := r.Isolation
	refusal, _, _ := strings.Cut(is.Message, ". ") // the rest names the providers, and is in the JSON
	return []string{
		"Every deployment has an auth environment of its own: its own users, keys and addresses, configured from convex.json.",
		fmt.Sprintf("So %s is unknown in %s (%q), and the backend there refuses a token from %s (%s: %q).",
			is.User, is.In, is.Page, is.From, is.Code, refusal),
		fmt.Sprintf("When branch %s was deleted, its environment went (%q); the other %d still sign in.", r.Pruned.Branch, r.Pruned.Page, len(r.Deployments)-1),
		fmt.Sprintf("Everything took %.1f s, with the real commands and pages, on this machine alone.", float64(r.Milliseconds)/1000),
	}
}

// writeAccounts leaves the test users in a file for the person who keeps the
// demo running. Passwords are not printed.
func (s *show) writeAccounts() (string, error) {
	type account struct {
		Deployment string `json:"deployment"`
		Email      string `json:"email"`
		Password   string `json:"password"`
	}
	var list []account
	for _, p := range s.living() {
		list = append(list, account{p.row.Deployment, p.email, p.password.Reveal()})
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return "", err
	}
	path := s.path("accounts.json")
	return path, os.WriteFile(path, append(data, '\n'), 0o600)
}
