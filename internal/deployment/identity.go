package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Identity is an accepted user.
type Identity struct {
	TokenIdentifier string // issuer and subject as the token spells them, joined by "|"
	Issuer, Subject string
	ExpiresAt       int64                      // the token's exp, seconds since 1970
	Fields          map[string]json.RawMessage // what getUserIdentity() gives, the three above included
}

// MarshalJSON gives what getUserIdentity() gives.
func (i *Identity) MarshalJSON() ([]byte, error) { return json.Marshal(i.Fields) }

// Expired refuses an identity that was accepted earlier and whose token has
// expired since. A connection asks it before each mutation, action and update;
// there is no leeway.
func (i *Identity) Expired(now time.Time) *Refusal {
	if now.Unix() >= i.ExpiresAt {
		return tokenExpired()
	}
	return nil
}

func newIdentity(c *claims) *Identity {
	i := &Identity{
		TokenIdentifier: *c.issuer + "|" + *c.subject,
		Issuer:          *c.issuer,
		Subject:         *c.subject,
		ExpiresAt:       *c.expiry,
	}
	i.Fields = map[string]json.RawMessage{
		"tokenIdentifier": encodeText(i.TokenIdentifier),
		"issuer":          encodeText(i.Issuer),
		"subject":         encodeText(i.Subject),
	}
	return i
}

func encodeText(s string) json.RawMessage {
	data, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`) // unreachable: any string can be encoded
	}
	return data
}

var registeredClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

// customIdentity maps the claims of a customJwt: all that are not registered,
// flattened. A claim named like a field wins over it.
func customIdentity(c *claims) *Identity {
	i := newIdentity(c)
	var rest []member
	for _, m := range c.members {
		if !slices.Contains(registeredClaims, m.name) {
			rest = append(rest, m)
		}
	}
	custom := map[string]json.RawMessage{}
	flatten("", rest, custom)
	delete(custom, "fva") // grows with every refresh
	maps.Copy(i.Fields, custom)
	return i
}

// flatten writes members under dotted names. Doubled members: the last wins;
// names that meet after flattening: the one whose first part sorts last.
func flatten(prefix string, members []member, to map[string]json.RawMessage) {
	last := map[string]value{}
	for _, m := range members {
		last[m.name] = m.value
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if v := last[name]; v.kind == '{' {
			flatten(prefix+name+".", v.members, to)
		} else {
			to[prefix+name] = json.RawMessage(v.raw)
		}
	}
}

// oidcFields maps standard claims (OpenID Connect Core section 5.1) whose
// value is a string to fields of the identity.
var oidcFields = map[string]string{
	"name": "name", "nickname": "nickname", "email": "email", "gender": "gender",
	"given_name": "givenName", "family_name": "familyName", "preferred_username": "preferredUsername",
	"phone_number": "phoneNumber", "profile": "profileUrl", "picture": "pictureUrl", "website": "websiteUrl",
	"birthdate": "birthday", "zoneinfo": "timezone", "locale": "language",
}

var oidcFlags = map[string]string{"email_verified": "emailVerified", "phone_number_verified": "phoneNumberVerified"}

// Claims that an OIDC identity leaves out.
var oidcDropped = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "acr", "amr", "nonce",
	"auth_time", "at_hash", "c_hash", "fva", "middle_name",
}

// oidcIdentity maps the claims of an ID token. An error means that a standard
// claim has the wrong type.
func oidcIdentity(c *claims) (*Identity, error) {
	i := newIdentity(c)
	for _, m := range c.members {
		base, _, _ := strings.Cut(m.name, "#") // language tag, section 5.2
		field, flag := oidcFields[m.name], oidcFlags[m.name]
		switch {
		case slices.Contains(oidcDropped, base):
		case m.value.kind == 'n' && (field != "" || flag != "" || m.name == "address" || m.name == "updated_at"):
		case field != "":
			if m.value.kind != '"' {
				return nil, fmt.Errorf("claim %s is no string", m.name)
			}
			i.Fields[field] = encodeText(m.value.text)
		case flag != "":
			if m.value.kind != 't' && m.value.kind != 'f' {
				return nil, fmt.Errorf("claim %s is no boolean", m.name)
			}
			i.Fields[flag] = json.RawMessage(m.value.raw)
		case m.name == "address":
			if m.value.kind != '{' {
				return nil, errors.New("claim address is no object")
			}
			if formatted, n := m.value.find("formatted"); n > 0 && formatted.kind == '"' {
				i.Fields["address"] = encodeText(formatted.text)
			}
		case m.name == "updated_at":
			at, err := updatedAt(m.value)
			if err != nil {
				return nil, err
			}
			i.Fields["updatedAt"] = encodeText(at)
		case base != m.name && oidcFields[base] != "":
		default:
			i.Fields[m.name] = json.RawMessage(m.value.raw)
		}
	}
	return i, nil
}

// updatedAt gives the time as RFC 3339 text in UTC.
func updatedAt(v value) (string, error) {
	var at time.Time
	switch v.kind {
	case '#':
		seconds, err := strconv.ParseFloat(v.raw, 64)
		if err != nil || math.Abs(seconds) > lastSecond {
			return "", errors.New("claim updated_at is no time")
		}
		whole, fraction := math.Modf(seconds)
		at = time.Unix(int64(whole), int64(fraction*1e9))
	case '"':
		parsed, err := time.Parse(time.RFC3339Nano, v.text)
		if err != nil {
			return "", errors.New("claim updated_at is no time")
		}
		at = parsed
	default:
		return "", errors.New("claim updated_at is neither number nor text")
	}
	layout := "2006-01-02T15:04:05-07:00"
	switch ns := at.Nanosecond(); {
	case ns == 0:
	case ns%1e6 == 0:
		layout = "2006-01-02T15:04:05.000-07:00"
	case ns%1e3 == 0:
		layout = "2006-01-02T15:04:05.000000-07:00"
	default:
		layout = "2006-01-02T15:04:05.000000000-07:00"
	}
	return at.UTC().Format(layout), nil
}
