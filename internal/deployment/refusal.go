package deployment

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/authconfig"
)

// Refusal says why a token or an Authorization header was not accepted, in
// Convex's words.
type Refusal struct {
	ID       string // R1 to R18; H1 to H3 for the header; E1 for an internal error
	Code     string // machine-readable word of the answer
	Status   int    // HTTP status of the answer
	Message  string // text where errors are shown in full (dev, preview)
	Redacted string // text where errors are redacted (prod)
	Cause    string // for a diagnosis only, never sent to clients
}

// Error gives the full text, and the cause after it.
func (r *Refusal) Error() string {
	if r.Cause == "" {
		return r.Code + ": " + r.Message
	}
	return r.Code + ": " + r.Message + " (" + r.Cause + ")"
}

// Text gives the message as a deployment shows it, redacted or in full.
func (r *Refusal) Text(redacted bool) string {
	if redacted {
		return r.Redacted
	}
	return r.Message
}

const codeHeader = "InvalidAuthHeader"

func refuse(id, cause, message string) *Refusal {
	return &Refusal{ID: id, Code: codeHeader, Status: http.StatusUnauthorized, Message: message, Redacted: message, Cause: cause}
}

func badPayload(cause string) *Refusal {
	return refuse("R1", cause, "Could not parse JWT payload. Check that the token is a valid JWT format with three base64-encoded parts separated by dots.")
}

func noIssuer() *Refusal {
	return refuse("R2", "", "Missing issuer claim ('iss') in JWT payload. The JWT must include an 'iss' claim that matches one of your configured auth providers.")
}

func noProvider(providers []authconfig.Provider) *Refusal {
	const redacted = "No auth provider found matching the given token"
	text := redacted + " (no providers configured). Check convex/auth.config.ts."
	if len(providers) > 0 {
		names := make([]string, len(providers))
		for i, p := range providers {
			names[i] = p.String()
		}
		text = redacted + ". Check that your JWT's issuer and audience match one of your configured providers: [" + strings.Join(names, ", ") + "]"
	}
	return &Refusal{ID: "R3", Code: "NoAuthProvider", Status: http.StatusUnauthorized, Message: text, Redacted: redacted}
}

func badDataURL(cause string) *Refusal {
	return refuse("R4", cause, "Invalid JWKS data URL. Check that the data URL is properly formatted and contains valid base64-encoded JSON.")
}

func jwksUnreachable(url string, err error) *Refusal {
	return refuse("R5", err.Error(), fmt.Sprintf("Could not fetch JWKS from URL '%s': %v. Check that the URL is correct and accessible.", url, err))
}

func jwksStatus(url string, status int) *Refusal {
	return refuse("R6", "", fmt.Sprintf("Could not fetch JWKS from URL '%s': HTTP %d %s. Check that the URL is correct and accessible.", url, status, reason(status)))
}

func jwksContentType(url, contentType string) *Refusal {
	if contentType == "" {
		contentType = "unknown"
	}
	return refuse("R7", "", fmt.Sprintf("Invalid Content-Type '%s' when fetching JWKS from '%s'. Expected 'application/json' or 'application/jwk-set+json'.", contentType, url))
}

func badJWKS(url, cause string) *Refusal {
	return refuse("R8", cause, fmt.Sprintf("Invalid JWKS response body from '%s'. The response is not valid JSON or doesn't match the expected JWKS format.", url))
}

// undecodable is R9 when the token's header names a key, else R10.
func undecodable(kid *string, cause string) *Refusal {
	if kid == nil {
		return refuse("R10", cause, "Could not decode token. JWT may be missing a 'kid' (key ID) header.")
	}
	r := refuse("R9", cause, fmt.Sprintf("Could not decode token. The JWT's 'kid' (key ID) header is '%s', does this key match any key in the provider's JWKS?", *kid))
	r.Redacted = "Could not decode token. The JWT's 'kid' (key ID) header doesn't match any key in the provider's JWKS, or the JWT signature is invalid."
	return r
}

func expired(seconds int64) *Refusal {
	return refuse("R11", "", fmt.Sprintf("Could not validate token: Token expired %d seconds ago", seconds))
}

func notYetValid(claim string, seconds int64) *Refusal {
	return refuse("R12", claim, fmt.Sprintf("Could not validate token: Token will be valid in %d seconds", seconds))
}

func badClaims(cause string) *Refusal {
	return refuse("R13", cause, "Could not verify token claim. Check that the JWT contains valid claims and matches your auth provider configuration.")
}

func discoveryFailed(issuer, cause string) *Refusal {
	text := fmt.Sprintf("Auth provider discovery of %s failed", issuer)
	return &Refusal{ID: "R14", Code: "AuthProviderDiscoveryFailed", Status: http.StatusBadRequest, Message: text, Redacted: text, Cause: cause}
}

func discoveryStatus(issuer string, status int, body []byte) *Refusal {
	text := fmt.Sprintf("Auth provider discovery of %s failed: %d %s %s", issuer, status, reason(status), strings.ToValidUTF8(string(body), "\uFFFD"))
	r := &Refusal{ID: "R15", Code: "AuthProviderDiscoveryFailed", Status: http.StatusBadRequest, Message: text, Redacted: text}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusTooManyRequests:
		r.Status = status
	case status >= 500:
		r.Status = http.StatusServiceUnavailable
	}
	return r
}

func notIDToken(cause string) *Refusal {
	return refuse("R16", cause, "Could not parse as OIDC ID token. Token might not be an OIDC-compliant JWT.")
}

func unverifiedIDToken(cause string) *Refusal {
	r := refuse("R17", cause, "Could not verify OIDC token claim. Check that the token signature is valid and the token hasn't expired.")
	r.Code = "Unauthenticated"
	return r
}

func tokenExpired() *Refusal {
	r := refuse("R18", "", "Convex token identity expired")
	r.Code = "TokenExpired"
	return r
}

// internalError is what Convex answers where its verifier gives up: a time
// beyond its calendar, an OIDC issuer that is no URL.
func internalError(cause string) *Refusal {
	const text = "Your request couldn't be completed. Try again later."
	return &Refusal{ID: "E1", Code: "InternalServerError", Status: http.StatusInternalServerError, Message: text, Redacted: text, Cause: cause}
}

func reason(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Unknown"
}
