package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/authconfig"
)

// Reading is what a token says of itself. Nothing in it was verified.
type Reading struct {
	Header    json.RawMessage `json:"header,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Algorithm string          `json:"alg,omitempty"`
	KeyID     string          `json:"kid,omitempty"`
	Issuer    string          `json:"iss,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	Audience  []string        `json:"aud,omitempty"`
	// Times are seconds since 1970, nil when the token has none.
	IssuedAt  *int64 `json:"iat,omitempty"`
	NotBefore *int64 `json:"nbf,omitempty"`
	ExpiresAt *int64 `json:"exp,omitempty"`
	// Problem says why it cannot be read as a JWT, "" when it can.
	Problem string `json:"problem,omitempty"`
}

// Read takes a token apart without asking anybody.
func Read(token string) Reading {
	parts := strings.Split(token, ".")
	var r Reading
	if data, err := decodeSegment(parts[0]); err == nil && json.Valid(data) {
		r.Header = data
	}
	if h, err := parseAnyHeader(parts[0]); err == nil {
		r.Algorithm = h.algorithm
		if h.kid != nil {
			r.KeyID = *h.kid
		}
	}
	if len(parts) > 1 {
		if data, err := decodeSegment(parts[1]); err == nil && json.Valid(data) {
			r.Claims = data
		}
	}
	c, err := parseClaims(parts)
	switch {
	case len(parts) != 3:
		r.Problem = fmt.Sprintf("a JWT has three parts joined by dots, this has %d", len(parts))
	case err != nil:
		r.Problem = err.Error()
	}
	if err != nil {
		return r
	}
	r.Audience, r.IssuedAt, r.NotBefore, r.ExpiresAt = c.audience, c.issuedAt, c.notBefore, c.expiry
	if c.issuer != nil {
		r.Issuer = *c.issuer
	}
	if c.subject != nil {
		r.Subject = *c.subject
	}
	return r
}

// Decision is what one provider has to do with a token.
type Decision struct {
	Provider authconfig.Provider `json:"provider"`
	// Decides says that this provider is the one that a deployment asks: the
	// first in stored order whose issuer and application ID fit.
	Decides bool `json:"decides"`
	// Differs is the first thing that does not fit, "" when all that was looked at does.
	Differs string `json:"differs,omitempty"`
}

// Verdict is what a deployment would answer to a token.
type Verdict struct {
	Accepted  bool       `json:"accepted"`
	Refusal   string     `json:"refusal,omitempty"` // the text that clients get
	Code      string     `json:"code,omitempty"`
	Cause     string     `json:"cause,omitempty"` // what the text hides
	Decisions []Decision `json:"decisions"`
	// Unchecked names what could not be verified offline: the signature.
	Unchecked string    `json:"unchecked,omitempty"`
	Identity  *Identity `json:"identity,omitempty"`
}

// Explain decides as [Accept] does and says why, provider by provider. With
// offline nothing is fetched: a provider whose key set is behind a URL is judged
// by all but the signature.
func Explain(ctx context.Context, providers []authconfig.Provider, token string, now time.Time, fetch *Fetcher, offline bool) Verdict {
	v := Verdict{Decisions: []Decision{}}
	parts := strings.Split(token, ".")
	c, err := parseClaims(parts)
	decider := -1
	if err == nil && c.issuer != nil {
		decider = slices.IndexFunc(providers, func(p authconfig.Provider) bool { return matches(p, c) })
	}
	for i, p := range providers {
		d := Decision{Provider: p, Decides: i == decider}
		switch {
		case err != nil:
			d.Differs = "the token cannot be read"
		case c.issuer == nil:
			d.Differs = "the token has no iss"
		case i != decider:
			d.Differs = difference(p, c)
			if d.Differs == "" {
				d.Differs = "an earlier provider fits too, and only the first is asked"
			}
		}
		v.Decisions = append(v.Decisions, d)
	}
	if offline && decider >= 0 && !isDataURL(providers[decider].JWKS) {
		v.Unchecked = "the signature: its key is at " + keySource(providers[decider])
		refusal := offlineRefusal(providers[decider], parts, c, now)
		v.Accepted = refusal == nil
		v.refuse(refusal, decider)
		return v
	}
	identity, refusal := Accept(ctx, providers, token, now, fetch)
	v.Accepted, v.Identity = refusal == nil, identity
	v.refuse(refusal, decider)
	return v
}

func (v *Verdict) refuse(r *Refusal, decider int) {
	if r == nil {
		return
	}
	v.Refusal, v.Code, v.Cause = r.Message, r.Code, r.Cause
	if decider >= 0 {
		if v.Decisions[decider].Differs = r.Cause; r.Cause == "" {
			v.Decisions[decider].Differs = r.Message
		}
	}
}

func keySource(p authconfig.Provider) string {
	if p.Kind == authconfig.OIDC {
		return strings.TrimRight(p.Issuer, "/") + "/.well-known/openid-configuration"
	}
	return p.JWKS
}

// offlineRefusal judges all but the signature.
func offlineRefusal(p authconfig.Provider, parts []string, c *claims, now time.Time) *Refusal {
	if len(parts) != 3 {
		return undecodable(nil, fmt.Sprintf("expected 3 parts but got %d", len(parts)))
	}
	h, err := parseHeader(parts[0])
	if err != nil {
		return undecodable(nil, err.Error())
	}
	if p.Kind == authconfig.CustomJWT {
		switch {
		case h.kid == nil:
			return undecodable(nil, "the header names no key")
		case h.algorithm != p.Algorithm:
			return undecodable(h.kid, fmt.Sprintf("the token is signed with %s, the provider wants %s", h.algorithm, p.Algorithm))
		}
	}
	if r := checkTimes(c, now.Unix()); r != nil {
		return r
	}
	if c.subject == nil {
		return badClaims("missing sub")
	}
	if c.expiry == nil {
		return badClaims("missing exp")
	}
	return nil
}

// difference says in which first thing a provider and a token differ.
func difference(p authconfig.Provider, c *claims) string {
	issuer := *c.issuer
	if !hasScheme(issuer) {
		issuer = "https://" + issuer
	}
	have, want := strings.TrimRight(issuer, "/"), strings.TrimRight(p.Issuer, "/")
	if have != want {
		return "iss differs: " + Diff(want, have)
	}
	if p.ApplicationID != nil && !slices.Contains(c.audience, *p.ApplicationID) {
		switch {
		case len(c.audience) == 0:
			return fmt.Sprintf("the token has no aud, the provider wants %q", *p.ApplicationID)
		case len(c.audience) == 1:
			return "aud differs: " + Diff(*p.ApplicationID, c.audience[0])
		}
		return fmt.Sprintf("aud is %q, the provider wants %q among them", c.audience, *p.ApplicationID)
	}
	return ""
}

// Diff shows two texts with the place of their first difference: what they have
// in common at the beginning and at the end is shortened.
func Diff(want, have string) string {
	if strings.EqualFold(want, have) && want != have {
		return fmt.Sprintf("%q and %q differ in upper and lower case", want, have)
	}
	i := 0
	for i < len(want) && i < len(have) && want[i] == have[i] {
		i++
	}
	show := func(s string) string {
		if i >= len(s) {
			return "ends there"
		}
		rest := s[i:]
		if len(rest) > 24 {
			rest = rest[:24] + "…"
		}
		return fmt.Sprintf("goes on with %q", rest)
	}
	common := want[:i]
	if len(common) > 48 {
		common = "…" + common[len(common)-47:]
	}
	return fmt.Sprintf("after %q the provider's %s and the token's %s", common, show(want), show(have))
}
