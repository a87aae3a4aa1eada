package web

import (
	"fmt"
	"io"
	"time"
)

// RedirectURIInvalid says that the application asked to return to an address that is
// not registered, which are, and how to register it. The address asked for is shown as
// text and never linked: whoever wrote it may be an attacker.
type RedirectURIInvalid struct {
	Frame
	Asked      string   // redirect_uri as it came; empty when it was missing
	Registered []string // in the order to show
	Problem    string   // why Asked cannot be registered as it is; empty when it can
	Command    string   // what applies the changed convex.json; empty: "berth apply"
	RequestID  string
}

// Render implements [Page].
func (p RedirectURIInvalid) Render(w io.Writer, nonce string) error {
	p.Command = commandOr(p.Command)
	return view{
		file: "redirect_uri_invalid.html", Marker: "redirect-uri-invalid", Wide: true,
		// Tools of the vendor recognise the page by this title.
		Title: "Invalid Redirect URI", Exact: true, Frame: p.Frame, Page: p,
		Addition: newMismatch(p.Asked, p.Registered, p.Kind, "redirectUris"),
	}.render(w, nonce)
}

// OriginNotAllowed says that a browser page of an origin that is not registered
// called the environment.
type OriginNotAllowed struct {
	Frame
	Origin    string   // Origin header as it came
	Allowed   []string // registered CORS origins
	Command   string   // what applies the changed convex.json; empty: "berth apply"
	RequestID string
}

// Render implements [Page].
func (p OriginNotAllowed) Render(w io.Writer, nonce string) error {
	p.Command = commandOr(p.Command)
	return view{
		file: "origin_not_allowed.html", Marker: "origin-not-allowed", Title: "Origin not allowed", Wide: true,
		Frame: p.Frame, Page: p, Addition: newMismatch(p.Origin, p.Allowed, p.Kind, "corsOrigins"),
	}.render(w, nonce)
}

// ClientIDInvalid says that no environment has the client ID asked for.
type ClientIDInvalid struct {
	Frame
	ClientID  string // as it came; empty when it was missing
	RequestID string
}

// Render implements [Page].
func (p ClientIDInvalid) Render(w io.Writer, nonce string) error {
	p.ClientID = visible(p.ClientID)
	return view{
		file: "client_id_invalid.html", Marker: "client-id-invalid", Title: "Unknown client ID", Wide: true, Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

// HomepageNotFound is where a sign-out ends that names no return address when the
// environment has no homepage either.
type HomepageNotFound struct {
	Frame
	Command   string // what applies the changed convex.json; empty: "berth apply"
	RequestID string
}

// Render implements [Page].
func (p HomepageNotFound) Render(w io.Writer, nonce string) error {
	p.Command = commandOr(p.Command)
	return view{
		file: "homepage_not_found.html", Marker: "app-homepage-url-not-found", Title: "You are signed out", Wide: true,
		Frame: p.Frame, Page: p,
		Addition: homepageSnippet(p.Kind),
	}.render(w, nonce)
}

// SignedOut confirms a sign-out.
type SignedOut struct {
	Frame
	HomeURL   string // the application; empty: no link
	SignInURL string // empty: no link
}

// Render implements [Page].
func (p SignedOut) Render(w io.Writer, nonce string) error {
	return view{
		file: "signed_out.html", Marker: "signed-out", Title: "You are signed out", Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

// RateLimited asks for patience.
type RateLimited struct {
	Frame
	RetryAfter time.Duration // as in the Retry-After header; 0: not known
	RetryURL   string        // empty: no link
	RequestID  string
}

// Render implements [Page].
func (p RateLimited) Render(w io.Writer, nonce string) error {
	return view{
		file: "rate_limited.html", Marker: "rate-limited", Title: "Too many attempts", Frame: p.Frame, Page: p,
		Addition: waitText(p.RetryAfter),
	}.render(w, nonce)
}

// ErrorPage says that something failed. With only a RequestID it is the page of an
// internal error.
type ErrorPage struct {
	Frame
	Title     string // empty: "Something went wrong"
	Message   string // empty: a general text
	Fix       string // the next step; may be empty
	Action    Link   // may be zero
	RequestID string
}

// Render implements [Page].
func (p ErrorPage) Render(w io.Writer, nonce string) error {
	if p.Title == "" {
		p.Title = "Something went wrong"
	}
	if p.Message == "" {
		p.Message = "This is on our side, not yours. Please try again in a moment."
	}
	return view{
		file: "error.html", Marker: "error", Title: p.Title, Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

// NotFound is the page of an address that does not exist.
type NotFound struct {
	Frame
	HomeURL   string // empty: no link
	RequestID string
}

// Render implements [Page].
func (p NotFound) Render(w io.Writer, nonce string) error {
	return view{
		file: "not_found.html", Marker: "not-found", Title: "Page not found", Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

func commandOr(command string) string {
	if command == "" {
		return "berth apply"
	}
	return command
}

// waitText rounds a waiting time up to words.
func waitText(d time.Duration) string {
	switch seconds := int64((d + time.Second - 1) / time.Second); {
	case seconds <= 0:
		return "in a moment"
	case seconds == 1:
		return "in 1 second"
	case seconds <= 90:
		return fmt.Sprintf("in %d seconds", seconds)
	case seconds <= 90*60:
		return fmt.Sprintf("in %d minutes", (seconds+59)/60)
	default:
		return fmt.Sprintf("in %d hours", (seconds+3599)/3600)
	}
}
