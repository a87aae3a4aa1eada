package authconfig

// Kind tells the two provider forms of auth.config apart.
type Kind string

const (
	OIDC      Kind = "oidc"
	CustomJWT Kind = "customJwt"
)

// Provider is one checked and normalised entry of auth.config, in the form
// Convex stores it.
type Provider struct {
	Kind          Kind
	Issuer        string  // customJwt: issuer; oidc: domain; normalised, see Parse
	ApplicationID *string // nil when absent or null; always set for oidc
	JWKS          string  // customJwt only: http(s) or data: URL, as written
	Algorithm     string  // customJwt only: RS256 or ES256
}
