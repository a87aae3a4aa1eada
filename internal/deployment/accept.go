package deployment

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

const leeway = 5 // seconds, for customJwt

// Accept decides whether a deployment with these providers, in stored order,
// accepts token at the time now, and as whom. Exactly one result is not nil.
//
// The first provider that has the token's issuer and, if it has an application
// ID, one of its audiences decides alone: there is no second try with another.
// Key sets and discovery documents come through fetch; nil stands for a new
// Fetcher.
func Accept(ctx context.Context, providers []authconfig.Provider, token string, now time.Time, fetch *Fetcher) (*Identity, *Refusal) {
	if fetch == nil {
		fetch = new(Fetcher)
	}
	parts := strings.Split(token, ".")
	c, err := parseClaims(parts)
	switch {
	case errors.Is(err, errCalendar):
		return nil, internalError(err.Error())
	case err != nil:
		return nil, badPayload(err.Error())
	case c.issuer == nil:
		return nil, noIssuer()
	}
	i := slices.IndexFunc(providers, func(p authconfig.Provider) bool { return matches(p, c) })
	if i < 0 {
		return nil, noProvider(providers)
	}
	if providers[i].Kind == authconfig.OIDC {
		return acceptIDToken(ctx, providers[i], parts, c, now, fetch)
	}
	return acceptCustom(ctx, providers[i], parts, c, now, fetch)
}

// matches compares text, letter by letter, but for trailing slashes and a
// scheme that the token leaves out.
func matches(p authconfig.Provider, c *claims) bool {
	if p.ApplicationID != nil && !slices.Contains(c.audience, *p.ApplicationID) {
		return false
	}
	issuer := *c.issuer
	if !hasScheme(issuer) {
		issuer = "https://" + issuer
	}
	return strings.TrimRight(issuer, "/") == strings.TrimRight(p.Issuer, "/")
}

func hasScheme(issuer string) bool {
	return strings.HasPrefix(issuer, "https://") || strings.HasPrefix(issuer, "http://")
}

// acceptCustom decides for a customJwt provider that matches the claims.
func acceptCustom(ctx context.Context, p authconfig.Provider, parts []string, c *claims, now time.Time, fetch *Fetcher) (*Identity, *Refusal) {
	keys, refusal := customKeys(ctx, p.JWKS, now, fetch)
	if refusal != nil {
		return nil, refusal
	}
	h, err := parseHeader(parts[0])
	if err != nil {
		return nil, undecodable(nil, err.Error())
	}
	if err := verifyCustom(parts, h, keys, p.Algorithm); err != nil {
		return nil, undecodable(h.kid, err.Error())
	}
	if refusal := checkTimes(c, now.Unix()); refusal != nil {
		return nil, refusal
	}
	switch {
	case c.subject == nil:
		return nil, badClaims("missing sub")
	case c.expiry == nil:
		return nil, badClaims("missing exp")
	}
	return customIdentity(c), nil
}

func checkTimes(c *claims, now int64) *Refusal {
	if c.expiry != nil && now-*c.expiry > leeway {
		return expired(now - *c.expiry)
	}
	if c.notBefore != nil && *c.notBefore-now > leeway {
		return notYetValid("nbf", *c.notBefore-now)
	}
	if c.issuedAt != nil && *c.issuedAt-now > leeway {
		return notYetValid("iat", *c.issuedAt-now)
	}
	return nil
}

// verifyCustom verifies the token's signature. The causes are what R9 hides.
func verifyCustom(parts []string, h *header, keys []key, algorithm string) error {
	if len(parts) != 3 {
		return fmt.Errorf("expected 3 parts but got %d", len(parts))
	}
	if h.kid == nil {
		return errors.New("the header names no key")
	}
	i := slices.IndexFunc(keys, func(k key) bool { return k.kid != nil && *k.kid == *h.kid })
	if i < 0 {
		return errors.New("no key of that name in the key set")
	}
	k := keys[i]
	if h.algorithm != algorithm {
		return fmt.Errorf("the token is signed with %s, the provider wants %s", h.algorithm, algorithm)
	}
	if k.algorithm != "" && k.algorithm != algorithm {
		return fmt.Errorf("the key is for %s, the provider wants %s", k.algorithm, algorithm)
	}
	if public, ok := k.public.(*rsa.PublicKey); ok {
		// The verifier counts a modulus in whole bytes.
		if bits := (public.N.BitLen() + 7) / 8 * 8; bits < minRSA || bits > maxRSA {
			return fmt.Errorf("the RSA key has %d bits, want %d to %d", public.N.BitLen(), minRSA, maxRSA)
		}
	}
	signature, err := decodeSegment(parts[2])
	if err != nil {
		return fmt.Errorf("decode signature: %w", err)
	}
	return checkSignature(k.public, algorithm, parts[0]+"."+parts[1], signature)
}

// customKeys gets the key set of a customJwt provider.
func customKeys(ctx context.Context, jwks string, now time.Time, fetch *Fetcher) ([]key, *Refusal) {
	d, refusal := customDocument(ctx, jwks, now, fetch)
	if refusal != nil {
		return nil, refusal
	}
	keys, err := d.strict()
	if err != nil {
		return nil, badJWKS(jwks, err.Error())
	}
	return keys, nil
}

func customDocument(ctx context.Context, jwks string, now time.Time, fetch *Fetcher) (*document, *Refusal) {
	if isDataURL(jwks) {
		if d := fetch.cached(jwks, now); d != nil {
			return d, nil
		}
		body, err := decodeDataURL(jwks)
		if err != nil {
			return nil, badDataURL(err.Error())
		}
		d := newDocument(jwks, body)
		fetch.keep(d)
		return d, nil
	}
	d, err := fetch.get(ctx, jwks, now)
	switch {
	case err != nil:
		return nil, jwksUnreachable(jwks, err)
	case d.status != http.StatusOK:
		return nil, jwksStatus(jwks, d.status)
	case !isKeySetType(d.contentType):
		return nil, jwksContentType(jwks, d.contentType)
	}
	return d, nil
}

func isKeySetType(contentType string) bool {
	return isType(contentType, "application/json", "application/jwk-set+json")
}

// isType reports whether a Content-Type is one of the media types, in UTF-8.
func isType(contentType string, allowed ...string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(allowed, mediaType) {
		return false
	}
	charset, present := params["charset"]
	return !present || strings.EqualFold(charset, "utf-8")
}
