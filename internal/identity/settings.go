package identity

import (
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
)

// Settings are what an environment can be told about sign-in, tokens and its
// pages, besides its addresses. The zero value is every default.
type Settings struct {
	Brand    Brand         `json:"brand,omitzero"`
	Tokens   TokenSettings `json:"tokens,omitzero"`
	Sessions Sessions      `json:"sessions,omitzero"`
	Methods  Methods       `json:"methods,omitzero"`
	Pages    Pages         `json:"pages,omitzero"`
	Connect  Connect       `json:"connect,omitzero"`
}

// Check refuses settings that cannot hold in an environment, or in production in
// particular. Errors have the code invalid_settings; production that is to
// list test users is Denied with production_has_no_test_accounts.
func (s Settings) Check(production bool) error {
	if production && s.Pages.ListTestUsers {
		return fault.New(fault.Denied, "a production environment has no test users to list").WithCode("production_has_no_test_accounts")
	}
	for _, check := range []func() error{s.Brand.Check, s.Tokens.Check, s.Sessions.Check} {
		if err := check(); err != nil {
			return err
		}
	}
	return s.Connect.Check(production)
}

// Connect shapes the sign-in to applications.
type Connect struct {
	// LoginURI is where the environment's own application signs people in, in
	// place of the hosted pages (WorkOS Standalone Connect); "" for those.
	LoginURI string `json:"login_uri,omitempty"`
}

// Check refuses a login URI that a browser cannot be sent to: the rules are
// those of a default redirect URI, and it must be of the web.
func (c Connect) Check(production bool) error {
	if c.LoginURI == "" {
		return nil
	}
	if !strings.HasPrefix(c.LoginURI, "http://") && !strings.HasPrefix(c.LoginURI, "https://") {
		return badSetting("the login URI is an http or https URL, not %q", c.LoginURI)
	}
	if err := CheckDefaultRedirectURI(c.LoginURI, production); err != nil {
		return badSetting("the login URI cannot be used: %s", fault.From(err).Message)
	}
	return nil
}

// Pages say what hosted pages show, beside the brand.
type Pages struct {
	// ListTestUsers offers the test users of a lower environment on its sign-in
	// page to everybody who can open it, and not only on the server's own machine.
	ListTestUsers bool `json:"list_test_users,omitempty"`
}

// Brand is how the pages of an environment present themselves.
type Brand struct {
	Name    string `json:"name,omitempty"`     // shown instead of the environment's name
	LogoURL string `json:"logo_url,omitempty"` // https or data:image URL
	Accent  string `json:"accent,omitempty"`   // #rgb or #rrggbb
}

// TokenSettings shape access tokens.
type TokenSettings struct {
	Algorithm string        `json:"algorithm,omitempty"` // RS256 (default) or ES256
	Audience  string        `json:"audience,omitempty"`  // aud; "" leaves it out, as WorkOS does
	Lifetime  time.Duration `json:"lifetime,omitempty"`  // nanoseconds; 0: 5 minutes
}

// Sessions bound how long a sign-in lasts.
type Sessions struct {
	Lifetime   time.Duration `json:"lifetime,omitempty"`   // nanoseconds; 0: 30 days
	Inactivity time.Duration `json:"inactivity,omitempty"` // nanoseconds without a refresh that end it; 0: none
}

// Methods say how people may sign in. All but social sign-in are open by default.
type Methods struct {
	NoPassword  bool `json:"no_password,omitempty"`
	NoMagicCode bool `json:"no_magic_code,omitempty"`
	NoSSO       bool `json:"no_sso,omitempty"`
	NoSignUp    bool `json:"no_sign_up,omitempty"` // only invited people and those made by API
}
