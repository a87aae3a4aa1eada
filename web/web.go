// Package web holds the pages that people see: the hosted AuthKit pages
// (sign-in, sign-up, verification, second factor, organization, device, consent,
// reset, errors), the console and the inbox, as embedded templates with one stylesheet
// and no script.
//
// There is one struct per page. A page is data; its Render method writes a whole
// HTML document. The package knows nothing of databases, sessions or routes:
// callers fill the struct, give the form its target and its hidden fields, and
// send the result with [Write], which sets the headers that the pages rely on.
//
// All colours come from the stylesheet except the brand's accent. It differs per
// environment, so it travels in a style element that the Content-Security-Policy
// admits by nonce (see [CSP]). Without a nonce the page renders in the default
// accent.
package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// Names of the fields that the pages' forms post, besides the hidden ones.
const (
	FieldName     = "name"      // sign-up: the person's name, may be empty
	FieldEmail    = "email"     // sign-in, sign-up, reset request
	FieldPassword = "password"  // sign-in, sign-up, new password
	FieldCode     = "code"      // e-mail verification; people paste blanks and dashes with it
	FieldTestUser = "test_user" // sign-in: TestUser.ID of the button pressed

	FieldOrganization = "organization_id" // organization selection: Organization.ID of the button pressed
	FieldUserCode     = "user_code"       // device: as typed, in any case, with or without its dash
	FieldDecision     = "decision"        // device and consent: DecisionAllow or DecisionDeny
)

// Values of FieldDecision. Anything else is a refusal.
const (
	DecisionAllow = "allow"
	DecisionDeny  = "deny"
)

// Kind is the kind of deployment that a page belongs to.
type Kind string

// Kinds of deployments, spelt as in convex.json. Only Dev and Preview get a badge
// and test users; an unknown or empty kind is treated like Prod.
const (
	Dev     Kind = "dev"
	Preview Kind = "preview"
	Prod    Kind = "prod"
)

// lower reports whether k is known to be outside production.
func (k Kind) lower() bool { return k == Dev || k == Preview }

// Label returns the word shown to people, or "" for production.
func (k Kind) Label() string {
	switch k {
	case Dev:
		return "Development"
	case Preview:
		return "Preview"
	default:
		return ""
	}
}

// Frame is what every hosted page shares: whose page it is and where it runs.
type Frame struct {
	Brand      Brand
	Kind       Kind
	Deployment string // names the deployment in the badge, for example its branch
}

// Field is a hidden form field, such as a CSRF token.
type Field struct{ Name, Value string }

// Form says where a page's form is posted and what it carries unseen.
type Form struct {
	Action string // path or URL; empty posts to the page's own address
	Hidden []Field
}

// Link is a labelled address. Addresses other than http, https and paths of the
// same origin are not rendered as links.
type Link struct{ Label, URL string }

// Page is a page of this package.
type Page interface {
	// Render writes the whole document, or nothing when it fails. The nonce
	// must be the one given to CSP for the same response.
	Render(w io.Writer, nonce string) error
}

// Write sends p with the headers that the pages rely on: the policy of [CSP] with a
// fresh nonce, no caching (pages carry CSRF tokens and e-mail addresses), no referrer,
// no sniffing. formTargets are as for CSP. When the page fails to render, nothing has
// been sent.
//
// With no-referrer browsers send "Origin: null" with the pages' forms, and over plain
// http to another machine no Sec-Fetch-Site either. So a check of those two headers
// cannot replace the CSRF token in the forms' hidden fields.
func Write(w http.ResponseWriter, status int, p Page, formTargets ...string) error {
	nonce := rand.Text()
	var b bytes.Buffer
	if err := p.Render(&b, nonce); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", CSP(nonce, formTargets...))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	if err != nil {
		return fmt.Errorf("send page: %w", err)
	}
	return nil
}

//go:embed templates/*.html
var templateFiles embed.FS

// templates parses every page once, on first use: a command that renders none
// does not pay for them.
var templates = sync.OnceValues(func() (map[string]*template.Template, error) {
	shared, err := template.New("layout.html").Funcs(template.FuncMap{
		"link": safeLink,
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse page layout: %w", err)
	}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("list page templates: %w", err)
	}
	set := make(map[string]*template.Template)
	for _, e := range entries {
		if e.Name() == "layout.html" || e.Name() == "parts.html" {
			continue
		}
		t, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("clone page layout: %w", err)
		}
		if t, err = t.ParseFS(templateFiles, "templates/"+e.Name()); err != nil {
			return nil, fmt.Errorf("parse page %s: %w", e.Name(), err)
		}
		set[e.Name()] = t
	}
	return set, nil
})

// view is what the layout sees.
type view struct {
	file string // template file of the page's body

	Marker   string // data-hak-page
	Title    string // document title without the brand
	Exact    bool   // the title is sent as it is
	Failed   bool   // the person has something to correct; said first in the title
	Wide     bool   // room for addresses and code
	Frame    Frame
	Inputs   []input // the form's visible fields, in order
	Page     Page
	Addition any // what the page computes for its template
	Nonce    string
}

func (v view) render(w io.Writer, nonce string) error {
	set, err := templates()
	if err != nil {
		return err
	}
	v.Nonce = nonce
	var b bytes.Buffer
	if err := set[v.file].ExecuteTemplate(&b, "layout.html", v); err != nil {
		return fmt.Errorf("render page %s: %w", v.Marker, err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write page %s: %w", v.Marker, err)
	}
	return nil
}

// DocumentTitle is the text of the title element.
func (v view) DocumentTitle() string {
	title := v.Title
	if name := v.Frame.Brand.Name; name != "" && !v.Exact {
		title += " · " + name
	}
	if v.Failed {
		title = "Error: " + title
	}
	return title
}

// Style is the brand's part of the stylesheet.
func (v view) Style() template.CSS { return v.Frame.Brand.style() }

// Stylesheet is the path of the stylesheet.
func (v view) Stylesheet() string { return StylesheetPath() }

// Icon is the address of the favicon: the brand's mark, or Berth's.
func (v view) Icon() template.URL { return v.Frame.Brand.icon() }

// Badge names the deployment, and is empty in production.
func (v view) Badge() string { return v.Frame.Kind.Label() }

// safeLink returns raw when a page may link to it, and "" otherwise.
func safeLink(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return ""
	}
	switch {
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
		return raw
	case u.Scheme == "" && u.Host == "" && u.Opaque == "" && raw[0] == '/' && !isNetworkPath(raw):
		return raw
	default:
		return ""
	}
}

// isNetworkPath reports whether browsers read raw as //host/…: they take a
// backslash for a slash.
func isNetworkPath(raw string) bool {
	return len(raw) > 1 && (raw[1] == '/' || raw[1] == '\\')
}
