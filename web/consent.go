package web

import "io"

// Consent asks whether an application may have access to the account. Its buttons post
// FieldDecision.
type Consent struct {
	Frame
	Form        Form
	Application string // name under which the application is registered
	Host        string // where the person goes next, empty: not said
	Email       string // whose account it is
	Scopes      []Scope
	Error       string
	SignInURL   string // to sign in as somebody else; empty: no link
}

// Scope is one thing that an application asks for.
type Scope struct {
	Name string // as the application sends it, for example "openid"
	Text string // what it means, for people; empty: the name is shown
}

// Render implements [Page].
func (p Consent) Render(w io.Writer, nonce string) error {
	return view{
		file: "consent.html", Marker: "application-authorization", Title: "Allow access?", Frame: p.Frame, Page: p, Failed: p.Error != "",
	}.render(w, nonce)
}
