package deployment

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

// acceptIDToken decides for an OIDC provider that matches the claims (OpenID
// Connect Core section 3.1.3.7, with Convex's choices).
func acceptIDToken(ctx context.Context, p authconfig.Provider, parts []string, c *claims, now time.Time, fetch *Fetcher) (*Identity, *Refusal) {
	issuer := *c.issuer
	if u, err := url.Parse(issuer); err != nil || !hasScheme(issuer) || u.Host == "" {
		return nil, internalError("the issuer of the token is no URL")
	}
	keys, refusal := discover(ctx, issuer, now, fetch)
	if refusal != nil {
		return nil, refusal
	}
	if len(parts) != 3 {
		return nil, notIDToken(fmt.Sprintf("expected 3 parts but got %d", len(parts)))
	}
	h, err := parseAnyHeader(parts[0])
	if err != nil {
		return nil, notIDToken(err.Error())
	}
	signature, err := decodeSegment(parts[2])
	if err != nil {
		return nil, notIDToken("decode signature: " + err.Error())
	}
	if c.subject == nil || c.expiry == nil || c.issuedAt == nil {
		return nil, notIDToken("sub, exp and iat are required")
	}
	identity, err := oidcIdentity(c)
	if err != nil {
		return nil, notIDToken(err.Error())
	}
	if err := verifyIDToken(p, parts, h, c, signature, keys, now.Unix()); err != nil {
		return nil, unverifiedIDToken(err.Error())
	}
	return identity, nil
}

func verifyIDToken(p authconfig.Provider, parts []string, h *header, c *claims, signature []byte, keys []key, now int64) error {
	if err := checkIDTokenHeader(h); err != nil {
		return err
	}
	if p.ApplicationID == nil {
		return errors.New("the provider has no application ID")
	}
	if slices.ContainsFunc(c.audience, func(a string) bool { return a != *p.ApplicationID }) {
		return errors.New("the token has other audiences too")
	}
	fitting := slices.DeleteFunc(slices.Clone(keys), func(k key) bool {
		return !fits(k.public, h.algorithm) || k.use != "" && k.use != "sig" || h.kid != nil && (k.kid == nil || *k.kid != *h.kid)
	})
	if len(fitting) != 1 {
		return fmt.Errorf("%d keys of the provider fit the token, want 1", len(fitting))
	}
	if err := checkSignature(fitting[0].public, h.algorithm, parts[0]+"."+parts[1], signature); err != nil {
		return err
	}
	if now >= *c.expiry {
		return fmt.Errorf("the token expired %d seconds ago", now-*c.expiry)
	}
	return nil
}

func checkIDTokenHeader(h *header) error {
	if h.typ != nil {
		switch strings.TrimPrefix(strings.ToLower(*h.typ), "application/") {
		case "jwt", "jose":
		default:
			return fmt.Errorf("the token is of type %q", *h.typ)
		}
	}
	for _, name := range []string{"cty", "crit"} {
		if v, n := h.members.find(name); n > 0 && v.kind != 'n' {
			return fmt.Errorf("the header has a member %s", name)
		}
	}
	if h.algorithm != "RS256" && h.algorithm != "EdDSA" {
		return fmt.Errorf("the token is signed with %s, want RS256 or EdDSA", h.algorithm)
	}
	return nil
}

func fits(public any, algorithm string) bool {
	switch public.(type) {
	case *rsa.PublicKey:
		return algorithm == "RS256"
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	default:
		return false
	}
}

// discover gets the key set of an issuer (OpenID Connect Discovery section 4).
func discover(ctx context.Context, issuer string, now time.Time, fetch *Fetcher) ([]key, *Refusal) {
	where := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	d, err := fetch.get(ctx, where, now)
	switch {
	case err != nil:
		return nil, discoveryFailed(issuer, err.Error())
	case d.status != http.StatusOK:
		return nil, discoveryStatus(issuer, d.status, d.body)
	case d.contentType != "" && !isType(d.contentType, "application/json"):
		return nil, discoveryFailed(issuer, "content type "+d.contentType)
	}
	jwks, err := readDiscovery(d.body, issuer)
	if err != nil {
		return nil, discoveryFailed(issuer, err.Error())
	}
	set, err := fetch.get(ctx, jwks, now)
	switch {
	case err != nil:
		return nil, discoveryFailed(issuer, "key set: "+err.Error())
	case set.status != http.StatusOK:
		return nil, discoveryFailed(issuer, fmt.Sprintf("key set: status %d", set.status))
	case set.contentType != "" && !isKeySetType(set.contentType):
		return nil, discoveryFailed(issuer, "key set: content type "+set.contentType)
	}
	keys, err := set.lenient()
	if err != nil {
		return nil, discoveryFailed(issuer, "key set: "+err.Error())
	}
	return keys, nil
}

func readDiscovery(body []byte, issuer string) (jwks string, err error) {
	v, err := parseJSON(body)
	if err != nil {
		return "", err
	}
	found, _ := v.find("issuer")
	if found.kind != '"' || found.text != issuer {
		return "", fmt.Errorf("the document is for the issuer %s", found.raw)
	}
	uri, _ := v.find("jwks_uri")
	if uri.kind != '"' {
		return "", errors.New("the document names no jwks_uri")
	}
	return uri.text, nil
}
