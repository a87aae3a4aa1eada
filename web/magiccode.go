package web

import "io"

// MagicCode asks for the sign-in code that was sent to Email. It posts FieldCode. It
// reads the same whether the address has an account or not.
type MagicCode struct {
	Frame
	Form       Form
	Email      string
	Error      string
	CodeError  string
	Notice     string // for example that a new code was sent
	ResendForm Form   // sends a new code
	SignInURL  string // to start over, with a password or another address
	Inbox      Inbox
}

// Render implements [Page].
func (p MagicCode) Render(w io.Writer, nonce string) error {
	if !p.Kind.lower() {
		p.Inbox = Inbox{}
	}
	return view{
		file: "magic_code.html", Marker: "magic-code", Title: "Check your email", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.CodeError != "",
		Inputs: focusFirst(input{
			Name: FieldCode, Label: "6-digit code", Type: "text", Autocomplete: "one-time-code",
			Error: p.CodeError, Code: true, Dir: "ltr",
		}),
	}.render(w, nonce)
}
