package deployment

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// lastSecond is the end of the calendar that Convex's verifier knows (the year
// 262142): it crashes on later times.
const lastSecond = 8_210_266_876_799

var errCalendar = errors.New("a time beyond the verifier's calendar")

// strictBase64 is base64url without padding (RFC 7515 section 2) that refuses
// stray bits in the last character.
var strictBase64 = base64.RawURLEncoding.Strict()

func decodeSegment(s string) ([]byte, error) {
	// Go's decoder skips line ends.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line end in base64")
	}
	return strictBase64.DecodeString(s)
}

// claims is a token's payload. Names that are null count as absent.
type claims struct {
	issuer, subject             *string
	audience                    []string
	expiry, notBefore, issuedAt *int64 // seconds since 1970
	members                     []member
}

// parseClaims reads the payload of a token whose number of parts may be wrong.
func parseClaims(parts []string) (*claims, error) {
	if len(parts) < 2 {
		return nil, errors.New("no second part")
	}
	data, err := decodeSegment(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decode payload: %w", err)
	}
	v, err := parseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	if v.kind != '{' {
		return nil, errors.New("the payload is no JSON object")
	}
	c := &claims{members: v.members}
	for _, field := range []struct {
		name string
		read func(value) error
	}{
		{"iss", readText(&c.issuer)},
		{"sub", readText(&c.subject)},
		{"aud", c.readAudience},
		{"exp", readTime(&c.expiry)},
		{"nbf", readTime(&c.notBefore)},
		{"iat", readTime(&c.issuedAt)},
		{"jti", readText(new(*string))},
	} {
		found, n := v.find(field.name)
		switch {
		case n > 1:
			return nil, fmt.Errorf("duplicate claim %s", field.name)
		case n == 0 || found.kind == 'n':
			continue
		}
		if err := field.read(found); err != nil {
			return nil, fmt.Errorf("claim %s: %w", field.name, err)
		}
	}
	return c, nil
}

func readText(to **string) func(value) error {
	return func(v value) error {
		if v.kind != '"' {
			return errors.New("not a string")
		}
		*to = &v.text
		return nil
	}
}

func (c *claims) readAudience(v value) error {
	switch v.kind {
	case '"':
		c.audience = []string{v.text}
		return nil
	case '[':
		for _, item := range v.items {
			if item.kind != '"' {
				return errors.New("not a list of strings")
			}
			c.audience = append(c.audience, item.text)
		}
		return nil
	default:
		return errors.New("neither a string nor a list")
	}
}

func readTime(to **int64) func(value) error {
	return func(v value) error {
		if v.kind != '#' {
			return errors.New("not a number")
		}
		seconds, err := strconv.ParseFloat(v.raw, 64)
		if err != nil || seconds < 0 {
			return errors.New("not a time")
		}
		if seconds = math.Round(seconds); seconds > lastSecond {
			return errCalendar
		}
		*to = new(int64(seconds))
		return nil
	}
}

// header is the protected header of a token (RFC 7515 section 4).
type header struct {
	algorithm string
	kid       *string
	typ       *string
	members   value
}

// The signature algorithms that Convex's customJwt reader knows by name. It
// verifies only RS256 and ES256, but a header with another name of these is
// readable and one with, say, EdDSA is not.
var knownAlgorithms = []string{
	"none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
	"ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
}

// parseHeader reads a header as the customJwt reader does.
func parseHeader(part string) (*header, error) {
	h, err := parseAnyHeader(part)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(knownAlgorithms, h.algorithm) {
		return nil, fmt.Errorf("unknown algorithm %q", h.algorithm)
	}
	return h, nil
}

// parseAnyHeader reads a header with any algorithm name.
func parseAnyHeader(part string) (*header, error) {
	data, err := decodeSegment(part)
	if err != nil {
		return nil, fmt.Errorf("decode header: %w", err)
	}
	v, err := parseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if v.kind != '{' {
		return nil, errors.New("the header is no JSON object")
	}
	h := &header{members: v}
	texts := map[string]**string{"kid": &h.kid, "typ": &h.typ}
	for _, name := range []string{"alg", "kid", "typ", "cty", "jku", "jwk", "x5u", "x5t", "x5c", "crit"} {
		found, n := v.find(name)
		switch {
		case n > 1:
			return nil, fmt.Errorf("duplicate header member %s", name)
		case name == "alg":
			if n == 0 || found.kind != '"' {
				return nil, errors.New("no algorithm")
			}
			h.algorithm = found.text
		case n == 0 || found.kind == 'n':
		case name == "x5c" || name == "crit":
			if !isTextList(found) {
				return nil, fmt.Errorf("header member %s is no list of strings", name)
			}
		case found.kind != '"':
			return nil, fmt.Errorf("header member %s is no string", name)
		case texts[name] != nil:
			*texts[name] = new(found.text)
		}
	}
	return h, nil
}

func isTextList(v value) bool {
	return v.kind == '[' && !slices.ContainsFunc(v.items, func(item value) bool { return item.kind != '"' })
}
