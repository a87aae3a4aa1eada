package authconfig

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

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

// Equal reports whether p and q are the same provider.
func (p Provider) Equal(q Provider) bool { return Compare(p, q) == 0 }

// String gives the form in which Convex names a provider in a refusal.
func (p Provider) String() string {
	id := "none"
	if p.ApplicationID != nil {
		id = *p.ApplicationID
	}
	if p.Kind == OIDC {
		return fmt.Sprintf("OIDC(domain=%s, app_id=%s)", p.Issuer, id)
	}
	return fmt.Sprintf("CustomJWT(issuer=%s, app_id=%s)", p.Issuer, id)
}

// Compare orders providers as Convex does when it stores new ones: OIDC before
// customJwt, then application ID with an absent one first, then issuer, JWKS
// and algorithm (RS256 before ES256).
func Compare(a, b Provider) int {
	return cmp.Or(
		cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)),
		compareOptional(a.ApplicationID, b.ApplicationID),
		cmp.Compare(a.Issuer, b.Issuer),
		cmp.Compare(a.JWKS, b.JWKS),
		-cmp.Compare(a.Algorithm, b.Algorithm),
	)
}

func kindRank(k Kind) int {
	if k == OIDC {
		return 0
	}
	return 1
}

func compareOptional(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	default:
		return cmp.Compare(*a, *b)
	}
}

// Merge returns the providers that Convex holds after a push of pushed onto
// stored: a set, in which providers that stay keep their place and new ones
// follow in the order of [Compare]. The order decides which provider is tried
// for a token. The arguments are not changed.
func Merge(stored, pushed []Provider) []Provider {
	fresh := slices.Clone(pushed)
	slices.SortFunc(fresh, Compare)
	fresh = slices.CompactFunc(fresh, Provider.Equal)
	merged := make([]Provider, 0, len(fresh))
	for _, p := range stored {
		if i, found := slices.BinarySearchFunc(fresh, p, Compare); found {
			merged = append(merged, p)
			fresh = slices.Delete(fresh, i, i+1)
		}
	}
	return append(merged, fresh...)
}

// The two wire forms, as in the appAuth member of a start_push answer.
type (
	customJWTForm struct {
		Type          Kind    `json:"type"`
		ApplicationID *string `json:"applicationID"`
		Issuer        string  `json:"issuer"`
		JWKS          string  `json:"jwks"`
		Algorithm     string  `json:"algorithm"`
	}
	oidcForm struct {
		ApplicationID string `json:"applicationID"`
		Domain        string `json:"domain"`
	}
)

// MarshalJSON gives the form in which a deployment reports a provider
// (appAuth): {"type":"customJwt","applicationID","issuer","jwks","algorithm"}
// or {"applicationID","domain"}.
func (p Provider) MarshalJSON() ([]byte, error) {
	if p.Kind == CustomJWT {
		return json.Marshal(customJWTForm{CustomJWT, p.ApplicationID, p.Issuer, p.JWKS, p.Algorithm})
	}
	form := oidcForm{Domain: p.Issuer}
	if p.ApplicationID != nil {
		form.ApplicationID = *p.ApplicationID
	}
	return json.Marshal(form)
}

// UnmarshalJSON reads what MarshalJSON gives. The provider is taken to be
// checked and normalised; use [Parse] for what a person wrote.
func (p *Provider) UnmarshalJSON(data []byte) error {
	var form struct {
		customJWTForm
		Domain string `json:"domain"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return fmt.Errorf("read auth provider: %w", err)
	}
	*p = Provider{Kind: OIDC, Issuer: form.Domain, ApplicationID: form.ApplicationID}
	if form.Type == CustomJWT {
		*p = Provider{CustomJWT, form.Issuer, form.ApplicationID, form.JWKS, form.Algorithm}
	}
	return nil
}
