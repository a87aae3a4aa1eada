package web

import "io"

// SignIn asks for e-mail and password. It posts FieldEmail and FieldPassword.
type SignIn struct {
	Frame
	Form          Form
	Email         string // prefilled, from login_hint or the last attempt
	Error         string // the sign-in as a whole failed, for example wrong e-mail or password
	EmailError    string
	PasswordError string
	Notice        string // good news from the step before, for example a changed password
	SignUpURL     string // empty: no link to sign-up
	ResetURL      string // empty: no link to the password reset
	MagicCodeURL  string // where the form is posted for a code by mail; empty: no such button
	SSOURL        string // where the form is posted for single sign-on; empty: no such button
	NoPassword    bool   // the password is not asked for
	Providers     []Provider

	// TestUsers are shown as a list of buttons, outside production only. The
	// buttons post FieldTestUser through TestUserForm.
	TestUsers    []TestUser
	TestUserForm Form
}

// TestUser is a test account of the environment.
type TestUser struct {
	ID    string // posted as FieldTestUser
	Name  string // may be empty
	Email string
}

// Render implements [Page].
func (p SignIn) Render(w io.Writer, nonce string) error {
	if !p.Kind.lower() {
		p.TestUsers = nil
	}
	var inputs []input
	if !p.NoPassword || p.MagicCodeURL != "" || p.SSOURL != "" {
		inputs = append(inputs, emailInput(p.Email, "username", p.EmailError))
	}
	if !p.NoPassword {
		inputs = append(inputs, input{
			Name: FieldPassword, Label: "Password", Type: "password",
			Autocomplete: "current-password", Error: p.PasswordError, Dir: "ltr",
		})
	}
	return view{
		file: "sign_in.html", Marker: "sign-in", Title: "Sign in", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.EmailError != "" || p.PasswordError != "",
		Inputs: focusFirst(inputs...),
	}.render(w, nonce)
}

// SignUp asks for what a new account needs. It posts FieldName, FieldEmail and
// FieldPassword.
type SignUp struct {
	Frame
	Form          Form
	Name          string
	Email         string
	Error         string
	NameError     string
	EmailError    string
	PasswordError string
	PasswordRules []string // short sentences, for example "At least 10 characters"
	MinPassword   int      // length that the browser checks; 0: none
	SignInURL     string
	Providers     []Provider
}

// Render implements [Page].
func (p SignUp) Render(w io.Writer, nonce string) error {
	return view{
		file: "sign_up.html", Marker: "sign-up", Title: "Create your account", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.NameError != "" || p.EmailError != "" || p.PasswordError != "",
		Inputs: focusFirst(
			input{
				Name: FieldName, Label: "Name", Type: "text", Value: p.Name, Optional: true,
				Autocomplete: "name", Error: p.NameError, Dir: "auto",
			},
			emailInput(p.Email, "email", p.EmailError),
			newPasswordInput("Password", p.PasswordRules, p.MinPassword, p.PasswordError),
		),
	}.render(w, nonce)
}

// EmailVerification asks for the code that was sent to Email. It posts FieldCode.
type EmailVerification struct {
	Frame
	Form       Form
	Email      string
	Error      string
	CodeError  string
	Notice     string // for example that a new code was sent
	ResendForm Form   // sends a new code
	SignInURL  string // to start over with another address
	Inbox      Inbox
}

// Inbox tells where mail of an environment outside production lands. It is shown
// outside production only.
type Inbox struct {
	URL     string // inbox page
	Command string // command that reads it, for example "berth inbox"
}

// Render implements [Page].
func (p EmailVerification) Render(w io.Writer, nonce string) error {
	if !p.Kind.lower() {
		p.Inbox = Inbox{}
	}
	return view{
		file: "email_verification.html", Marker: "email-verification", Title: "Check your email", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.CodeError != "",
		Inputs: focusFirst(input{
			Name: FieldCode, Label: "6-digit code", Type: "text", Autocomplete: "one-time-code",
			Error: p.CodeError, Code: true, Dir: "ltr",
		}),
	}.render(w, nonce)
}

// ResetRequest asks for the address of the account whose password is to be reset.
// It posts FieldEmail.
type ResetRequest struct {
	Frame
	Form       Form
	Email      string
	Error      string // for example that a reset link has expired
	EmailError string
	SignInURL  string
}

// Render implements [Page].
func (p ResetRequest) Render(w io.Writer, nonce string) error {
	return view{
		file: "reset_request.html", Marker: "reset-password", Title: "Reset your password", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.EmailError != "",
		Inputs: focusFirst(emailInput(p.Email, "username", p.EmailError)),
	}.render(w, nonce)
}

// ResetSent says that a link is on its way if the address has an account. It reads
// the same whether it has one or not.
type ResetSent struct {
	Frame
	Email     string
	SignInURL string
	Inbox     Inbox
}

// Render implements [Page].
func (p ResetSent) Render(w io.Writer, nonce string) error {
	if !p.Kind.lower() {
		p.Inbox = Inbox{}
	}
	return view{
		file: "reset_sent.html", Marker: "reset-password", Title: "Check your email", Frame: p.Frame, Page: p,
	}.render(w, nonce)
}

// ResetNew asks for the new password. It posts FieldPassword.
type ResetNew struct {
	Frame
	Form          Form
	Email         string // whose password it is; password managers read it
	Error         string
	PasswordError string
	PasswordRules []string
	MinPassword   int
}

// Render implements [Page].
func (p ResetNew) Render(w io.Writer, nonce string) error {
	return view{
		file: "reset_new.html", Marker: "reset-password", Title: "Choose a new password", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.PasswordError != "",
		Inputs: focusFirst(newPasswordInput("New password", p.PasswordRules, p.MinPassword, p.PasswordError)),
	}.render(w, nonce)
}
