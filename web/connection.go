package web

import "io"

// Provider is a social provider that a person can sign in with.
type Provider struct {
	Name string // Google
	URL  string // where the link leads
}

// Fields of the test identity provider's form, besides FieldEmail and FieldDecision.
const (
	FieldFirstName  = "first_name"
	FieldLastName   = "last_name"
	FieldGroups     = "groups"     // separated by commas
	FieldAttributes = "attributes" // a JSON object
	FieldIdentity   = "identity"   // TestIdentity.ID of the button pressed
)

// Further values of FieldDecision at the test identity provider.
const (
	DecisionUnverified = "unverified" // the provider does not vouch for the address
	DecisionFail       = "fail"       // the provider fails
)

// TestProvider is the built-in test identity provider: a person says who they
// are. It is not for production.
type TestProvider struct {
	Frame
	Form       Form
	Connection string // Google, or the name of an organization's connection
	Single     bool   // of an organization: it says groups and attributes, and its addresses are proven otherwise
	Email      string
	FirstName  string
	LastName   string
	Groups     string
	Attributes string
	EmailError string
	// AttributesError says why the attributes cannot be read.
	AttributesError string
	Identities      []TestIdentity // who came by earlier; one click signs in as them
}

// TestIdentity is a person of the test identity provider.
type TestIdentity struct {
	ID    string // posted as FieldIdentity
	Name  string // may be empty
	Email string
}

// Render implements [Page].
func (p TestProvider) Render(w io.Writer, nonce string) error {
	inputs := []input{
		emailInput(p.Email, "off", p.EmailError),
		{Name: FieldFirstName, Label: "First name", Type: "text", Value: p.FirstName, Optional: true, Autocomplete: "off", Dir: "auto"},
		{Name: FieldLastName, Label: "Last name", Type: "text", Value: p.LastName, Optional: true, Autocomplete: "off", Dir: "auto"},
	}
	if p.Single {
		inputs = append(inputs,
			input{Name: FieldGroups, Label: "Groups", Type: "text", Value: p.Groups, Optional: true, Autocomplete: "off", Dir: "auto", Hints: []string{"Separated by commas"}},
			input{Name: FieldAttributes, Label: "Further attributes", Type: "text", Value: p.Attributes, Optional: true, Autocomplete: "off", Dir: "ltr",
				Hints: []string{`A JSON object, such as {"department": "Sales"}`}, Error: p.AttributesError})
	}
	title := "Test identity provider"
	if p.Frame.Deployment != "" {
		title += " of " + p.Frame.Deployment
	} else if p.Frame.Brand.Name != "" {
		title += " of " + p.Frame.Brand.Name
	}
	return view{
		file: "test_provider.html", Marker: "test-identity-provider", Title: title, Exact: true, Frame: p.Frame, Page: p,
		Failed: p.EmailError != "" || p.AttributesError != "", Inputs: focusFirst(inputs...), Addition: title,
	}.render(w, nonce)
}

// Leaving sends a person to the identity provider of their organization. The
// way there is a link, because what answers a form may lead to known places only
// (see CSP); a Refresh header takes it for them.
type Leaving struct {
	Frame
	Connection string
	URL        string
}

// Render implements [Page].
func (p Leaving) Render(w io.Writer, nonce string) error {
	return view{file: "leaving.html", Marker: "sso", Title: "Single sign-on", Frame: p.Frame, Page: p}.render(w, nonce)
}

// connectionSamples are the pages of sign-in at identity providers.
func connectionSamples() []Sample {
	social := TestProvider{Frame: previewFrame, Form: sampleForm, Connection: "Google"}
	known := social
	known.Identities = []TestIdentity{{"prof_01", "Ada Lovelace", "ada@example.com"}, {"prof_02", "", longEmail}}
	single := TestProvider{Frame: devFrame, Form: sampleForm, Connection: "Acme", Single: true, Email: "ada@acme.example", Groups: "Engineering, Admins"}
	wrong := single
	wrong.EmailError, wrong.AttributesError, wrong.Attributes = "This is not an e-mail address.", "This is not a JSON object.", "{"
	long := known
	long.Frame, long.Connection = longFrame, longName
	buttons := SignIn{Frame: previewFrame, Form: sampleForm, SignUpURL: "/sign-up", ResetURL: "/reset-password", MagicCodeURL: "/magic-code/send", SSOURL: "/sign-in/sso",
		Providers: []Provider{{"Google", "/sso/begin?provider=GoogleOAuth"}, {"Microsoft", "/sso/begin?provider=MicrosoftOAuth"}, {"GitHub", "/sso/begin?provider=GitHubOAuth"}, {"Apple", "/sso/begin?provider=AppleOAuth"}}}
	signUp := SignUp{Frame: previewFrame, Form: sampleForm, PasswordRules: sampleRules, MinPassword: 10, SignInURL: "/sign-in", Providers: buttons.Providers}
	noPassword := buttons
	noPassword.NoPassword, noPassword.Frame = true, prodFrame
	onlySocial := noPassword
	onlySocial.MagicCodeURL, onlySocial.SSOURL, onlySocial.SignUpURL = "", "", ""
	onlySingle := noPassword
	onlySingle.MagicCodeURL, onlySingle.SignUpURL, onlySingle.Providers = "", "", nil
	return []Sample{
		{"test-provider", social}, {"test-provider-known", known}, {"test-provider-sso", single}, {"test-provider-errors", wrong}, {"test-provider-long", long},
		{"leaving", Leaving{Frame: prodFrame, Connection: "Acme", URL: "/sso/begin?flow=x"}},
		{"sign-in-social", buttons}, {"sign-in-no-password", noPassword}, {"sign-in-only-social", onlySocial}, {"sign-in-only-sso", onlySingle}, {"sign-up-social", signUp},
	}
}
