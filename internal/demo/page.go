package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is what the app's one page shows.
type page struct {
	App      string
	Kind     string
	Label    string
	Origin   string
	ClientID string
	API      string
	Email    string // of the person who is signed in
	UserID   string
	Issuer   string
	Expires  string // time of day
	Backend  string // the backend's verdict, "" when it was not asked
	Accepted bool
	Error    string
	Fix      string
	Nonce    string
}

func (a *App) home(w http.ResponseWriter, r request) error {
	p := a.page(r)
	if s := r.session; s.user.ID != "" {
		p.Email, p.UserID, p.Issuer = s.user.Email, s.user.ID, s.claims.Issuer
		p.Expires = time.Unix(s.claims.Expires, 0).Format(time.TimeOnly)
		if a.Backend != nil {
			ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
			defer cancel()
			switch d, err := a.Backend(ctx, s.access); {
			case err != nil:
				p.Backend = "did not answer"
			case d.Accepted:
				p.Backend, p.Accepted = "accepts the token", true
			default:
				p.Backend = "refuses the token: " + d.Code + ", " + d.Message
			}
		}
	}
	return p.write(w, http.StatusOK)
}

func (a *App) page(r request) page {
	return page{App: a.Name, Kind: a.Kind, Label: a.Label, Origin: r.origin, ClientID: r.settings.ClientID, API: r.settings.API}
}

func (a *App) fail(w http.ResponseWriter, r request, err error) {
	f := fault.From(err)
	status := http.StatusBadGateway // what went wrong behind the app
	switch f.Kind {
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Denied:
		status = http.StatusForbidden
	case fault.Unauthenticated:
		status = http.StatusUnauthorized
	case fault.RateLimited:
		status = http.StatusTooManyRequests
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	}
	p := a.page(r)
	p.Error, p.Fix = f.Message, f.Fix
	if f.Kind == fault.Internal {
		p.Error = "Something went wrong in this app."
	}
	if strings.HasSuffix(r.Header.Get("Accept"), "json") {
		_ = writeJSON(w, status, map[string]string{"error": p.Error}) // the client is gone
		return
	}
	_ = p.write(w, status) // the client is gone
}

func (p page) write(w http.ResponseWriter, status int) error {
	p.Nonce = rand.Text()
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return errors.Join(errors.New("render the page"), err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	// No form-action: browsers hold it against every redirect that follows a
	// form, and sign-out leads through the identity server to the homepage.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}
