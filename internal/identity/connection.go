package identity

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

// Prefixes of ids that belong to single sign-on.
const (
	PrefixConnection = "conn"
	PrefixProfile    = "prof"
)

// Kinds of connections: what answers at the other end.
const (
	// TestConnection is the built-in test identity provider, where a person says
	// who they are. Production environments have none.
	TestConnection = "test"
	// OIDCConnection is an OpenID Connect provider.
	OIDCConnection = "oidc"
)

// ConnectionState says whether people can sign in by a connection.
type ConnectionState string

// The states that Berth uses of those of the protocol.
const (
	ConnectionActive   ConnectionState = "active"
	ConnectionInactive ConnectionState = "inactive"
)

// Connection is a way to an identity provider: an organization's own, or with
// no organization a social provider that everybody may use.
type Connection struct {
	ID             string
	OrganizationID string // "" for a social provider
	Type           string // connection_type: GoogleOAuth, GenericOIDC, TestIdp, ...
	Kind           string // TestConnection or OIDCConnection
	Name           string
	State          ConnectionState
	Domains        []OrganizationDomain // of the organization

	// Of OIDCConnection only.
	Issuer       string
	ClientID     string
	ClientSecret secret.String
	Scopes       []string // besides openid; empty: profile and email

	ReturnTokens bool // a sign-in answers the provider's own tokens too (oauth_tokens)
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Social reports whether it is a social provider.
func (c Connection) Social() bool { return c.OrganizationID == "" }

// Method is the auth_method of sessions that it opens.
func (c Connection) Method() string {
	if c.Social() {
		return "oauth"
	}
	return "sso"
}

// Profile is what an identity provider said of a person.
type Profile struct {
	ID            string
	ConnectionID  string
	UserID        string // "" until the person is known to be that user
	IDPID         string // the provider's name for the person (sub)
	Email         string
	EmailVerified bool // the provider vouches for the address
	FirstName     string
	LastName      string
	Groups        []string
	Attributes    map[string]any // everything it said
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// ProviderTokens are the tokens that a social provider gave.
type ProviderTokens struct {
	Provider     string    `json:"provider"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	ExpiresAt    time.Time `json:"expires_at"`
	Scopes       []string  `json:"scopes"`
}

// OrganizationMethods are the ways to sign in that an organization takes.
type OrganizationMethods struct {
	SSO       bool     `json:"sso"`
	Password  bool     `json:"password"`
	MagicAuth bool     `json:"magic_auth"`
	Social    []string `json:"social"` // types: GoogleOAuth, ...
}

// Allows reports whether a session of this method and provider may be in the
// organization. connected says that the session came by a connection of it.
func (m OrganizationMethods) Allows(method, provider string, connected bool) bool {
	switch method {
	case "password":
		return m.Password
	case "magic_code":
		return m.MagicAuth
	case "sso":
		return m.SSO && connected
	case "oauth":
		return slices.Contains(m.Social, provider)
	}
	return false
}

// Check refuses a rule that nobody can keep. Errors have the code
// organization_methods_invalid.
func (m OrganizationMethods) Check() error {
	for _, typ := range m.Social {
		if SocialProviderName(typ) == "" {
			return fault.New(fault.Invalid, "%q is no social provider", typ).WithFix("name some of %s", strings.Join(SocialProviders(), ", ")).WithCode("organization_methods_invalid")
		}
	}
	if !m.SSO && !m.Password && !m.MagicAuth && len(m.Social) == 0 {
		return fault.New(fault.Invalid, "without any way to sign in nobody could enter the organization").WithFix("allow one way at least, or take the rule away").
			WithCode("organization_methods_invalid")
	}
	return nil
}

// socialProviders are the provider values of authorization requests, with the
// names that people know. The contract's table has the same thirteen.
var socialProviders = []struct{ typ, name, issuer string }{
	{"GoogleOAuth", "Google", "https://accounts.google.com"},
	{"MicrosoftOAuth", "Microsoft", ""}, // per tenant
	{"GitHubOAuth", "GitHub", ""},
	{"AppleOAuth", "Apple", ""},
	{"BitbucketOAuth", "Bitbucket", ""},
	{"GitLabOAuth", "GitLab", "https://gitlab.com"},
	{"IntuitOAuth", "Intuit", ""},
	{"LinkedInOAuth", "LinkedIn", "https://www.linkedin.com/oauth"},
	{"SalesforceOAuth", "Salesforce", "https://login.salesforce.com"},
	{"SlackOAuth", "Slack", "https://slack.com"},
	{"VercelMarketplaceOAuth", "Vercel Marketplace", ""},
	{"VercelOAuth", "Vercel", ""},
	{"XeroOAuth", "Xero", "https://identity.xero.com"},
}

// ssoTypes are the connection types of organizations. Those of SAML are names
// only: the other end is an OpenID Connect provider or the test provider.
var ssoTypes = strings.Fields(`ADFSSAML AdpOidc Auth0Migration Auth0SAML AzureSAML CasSAML ClassLinkSAML CleverOIDC CloudflareSAML CyberArkSAML DuoSAML
	EntraIdOIDC GenericOIDC GenericSAML GoogleOIDC GoogleSAML JumpCloudSAML KeycloakSAML LastPassSAML LoginGovOidc MiniOrangeSAML NetIqSAML OktaOIDC OktaSAML
	OneLoginSAML OracleSAML PingFederateSAML PingOneSAML RipplingSAML SalesforceSAML ShibbolethGenericSAML ShibbolethSAML SimpleSamlPhpSAML TestIdp VMwareSAML`)

// SocialProviders lists the types of social providers in the order to show.
func SocialProviders() []string {
	out := make([]string, len(socialProviders))
	for i, p := range socialProviders {
		out[i] = p.typ
	}
	return out
}

// SocialProviderName returns what people call a social provider, "" when the
// type is none.
func SocialProviderName(typ string) string {
	for _, p := range socialProviders {
		if p.typ == typ {
			return p.name
		}
	}
	return ""
}

// SocialIssuer returns the public issuer of a social provider that has one.
func SocialIssuer(typ string) string {
	for _, p := range socialProviders {
		if p.typ == typ {
			return p.issuer
		}
	}
	return ""
}

// CheckConnection refuses a connection that cannot work.
func CheckConnection(c Connection, production bool) error {
	bad := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Invalid, format, args...).WithCode("connection_invalid")
	}
	switch {
	case c.Social() && SocialProviderName(c.Type) == "":
		return bad("%q is no social provider", c.Type).WithFix("name one of %s, or the organization that the connection is for", strings.Join(SocialProviders(), ", "))
	case !c.Social() && !slices.Contains(ssoTypes, c.Type):
		return bad("%q is no connection type of an organization", c.Type).WithFix("use GenericOIDC, OktaOIDC, EntraIdOIDC, GoogleOIDC, TestIdp or another of the protocol's types")
	case c.Name == "" || len(c.Name) > 200:
		return bad("a connection needs a name of at most 200 bytes")
	case c.State != ConnectionActive && c.State != ConnectionInactive:
		return bad("the state of a connection is active or inactive, not %q", c.State)
	case c.Kind == TestConnection && production:
		return bad("a production environment has no test identity provider").WithFix("configure an OpenID Connect provider")
	case c.Kind == TestConnection:
		return nil
	case c.Kind != OIDCConnection:
		return bad("the kind of a connection is test or oidc, not %q", c.Kind)
	case c.ClientID == "" || c.ClientSecret == "":
		return bad("an oidc connection needs the client id and the client secret that its provider gave")
	}
	for _, scope := range c.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n\"\\") {
			return bad("%q is no scope", scope)
		}
	}
	return checkIssuer(c.Issuer, production)
}

// checkIssuer holds an issuer to OpenID Connect Discovery 1.0 section 3: https
// without query and fragment. Outside production http is allowed on this machine.
func checkIssuer(raw string, production bool) error {
	u, err := url.Parse(raw)
	local := false
	if err == nil {
		ip := net.ParseIP(u.Hostname())
		local = u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	}
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && local && !production) {
		return fault.New(fault.Invalid, "the issuer %q is not an https URL", raw).WithFix("give the issuer as in the provider's /.well-known/openid-configuration").WithCode("connection_invalid")
	}
	return nil
}
