package authconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/publicsuffix"
)

const seeDocs = "To learn more, see the auth documentation at https://docs.convex.dev/auth."

func missingExport() *Error {
	return &Error{Code: CodeMissingExport, Message: "auth config file is missing default export. " + seeDocs}
}

func unserializable() *Error {
	return &Error{Code: CodeUnserializable, Message: "auth config file can only contain strings " + seeDocs}
}

func schemaError(format string, args ...any) *Error {
	return &Error{Code: CodeSchema, Message: "auth config file must include a list of provider credentials: " + fmt.Sprintf(format, args...)}
}

func urlError(original, reason string) *Error {
	return &Error{Code: CodeProviderURL, Message: `Invalid provider domain URL "` + original + `": ` + reason}
}

// Parse checks the JSON of auth.config's default export and returns its
// providers normalised, without duplicates and in the order of [Compare], as a
// fresh deployment stores them. Errors are *Error with Convex's texts.
//
// A domain or issuer without a scheme gets https:// and must then name
// localhost or end in a real top-level domain; with one, it must be http or
// https. Unknown members are ignored, except misspellings of applicationID.
func Parse(data []byte) ([]Provider, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || string(trimmed) == "null" {
		return nil, missingExport()
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		if !json.Valid(data) {
			return nil, schemaError("expected value ")
		}
		return nil, schemaError("invalid type: %s, expected struct SerializedAuthConfig ", describe(data))
	}
	raw, present := top["providers"]
	if !present {
		return nil, schemaError("missing field `providers` ")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, schemaError("invalid type: %s, expected a sequence ", describe(raw))
	}
	entries := make([]map[string]json.RawMessage, len(list))
	for i, item := range list {
		// What is no object fails below, after the more helpful checks of all entries.
		if json.Unmarshal(item, &entries[i]) != nil {
			entries[i] = nil
		}
		if err := checkConfusions(i, entries[i]); err != nil {
			return nil, err
		}
	}
	providers := make([]Provider, 0, len(entries))
	for _, entry := range entries {
		p, ok := readProvider(entry)
		if !ok {
			return nil, schemaError("data did not match any variant of untagged enum SerializedAuthInfo ")
		}
		providers = append(providers, p)
	}
	for i := range providers {
		issuer, err := normalizeIssuer(providers[i].Issuer)
		if err != nil {
			return nil, err
		}
		providers[i].Issuer = issuer
	}
	return Merge(nil, providers), nil
}

// checkConfusions finds the mistakes that Convex names one by one. A nil entry
// is no object and passes.
func checkConfusions(index int, entry map[string]json.RawMessage) *Error {
	if entry == nil {
		return nil
	}
	_, hasDomain := entry["domain"]
	_, hasIssuer := entry["issuer"]
	_, hasID := entry["applicationID"]
	_, badID := entry["applicationId"]
	_, worseID := entry["applicationid"]
	kind, isText := text(entry["type"])
	issuer, _ := text(entry["issuer"])
	switch {
	case badID || worseID:
		return schemaError("Provider at index %d must have applicationID property spelled lowercase 'application', capital I, capital D.", index)
	case isText && kind != string(CustomJWT) && kind != string(OIDC) && kind != "unknown":
		return schemaError("Provider at index %d has unexpected 'type' value '%s'", index, kind)
	case kind == string(CustomJWT) && hasDomain:
		return schemaError("Provider at index %d is a customJwt so cannot have a 'domain' specified", index)
	case kind != string(CustomJWT) && hasIssuer:
		return schemaError("Provider at index %d is oidc so cannot have an 'issuer' specified.", index)
	case !hasID && (issuer == "https://api.workos.com" || issuer == "https://api.workos.com/"):
		return &Error{Code: CodeInsecure, Message: fmt.Sprintf("This auth configuration appears potentially insecure: Provider at index %d has an issuer that is shared among many applications, so must to specify an ApplicationID to check against an `aud` field of a JWT.", index)}
	}
	return nil
}

func readProvider(entry map[string]json.RawMessage) (Provider, bool) {
	kind, _ := text(entry["type"])
	id, hasID := text(entry["applicationID"])
	if kind == string(CustomJWT) {
		p := Provider{Kind: CustomJWT}
		if hasID {
			p.ApplicationID = &id
		} else if raw, present := entry["applicationID"]; present && string(raw) != "null" {
			return p, false
		}
		var ok [3]bool
		p.Issuer, ok[0] = text(entry["issuer"])
		p.JWKS, ok[1] = text(entry["jwks"])
		p.Algorithm, ok[2] = text(entry["algorithm"])
		return p, ok == [3]bool{true, true, true} && (p.Algorithm == "RS256" || p.Algorithm == "ES256")
	}
	domain, hasDomain := text(entry["domain"])
	return Provider{Kind: OIDC, Issuer: domain, ApplicationID: &id}, hasID && hasDomain
}

// text returns the string that raw encodes.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

// describe names a JSON value as Convex's reader does.
func describe(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "null"
	case raw[0] == '"':
		s, _ := text(raw)
		return fmt.Sprintf("string %q", s)
	case raw[0] == '{':
		return "map"
	case raw[0] == '[':
		return "sequence"
	case raw[0] == 't' || raw[0] == 'f':
		return fmt.Sprintf("boolean `%s`", raw)
	case bytes.ContainsAny(raw, ".eE"):
		return fmt.Sprintf("floating point `%s`", raw)
	default:
		return fmt.Sprintf("integer `%s`", raw)
	}
}

var schemePrefix = regexp.MustCompile(`^[\pL\pN_]+://`)

// normalizeIssuer adds https:// where there is no scheme and refuses what is
// no http(s) URL. It keeps every other byte: issuers are compared as text.
func normalizeIssuer(original string) (string, error) {
	if strings.HasPrefix(original, `"`) {
		return "", urlError(original, `starts with a double quote (")`)
	}
	hadScheme := schemePrefix.MatchString(original)
	full := original
	if !hadScheme {
		full = "https://" + original
	}
	// A URL parser as Convex's (WHATWG) ignores outer blanks and inner tabs and line ends.
	cleaned := strings.Trim(full, " \t\r\n\f\v\x00")
	cleaned = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(cleaned)
	u, err := url.Parse(cleaned)
	switch {
	case err != nil && strings.Contains(err.Error(), "invalid port"):
		return "", urlError(original, "invalid port number")
	case err != nil:
		return "", urlError(original, "invalid international domain name")
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", urlError(original, "scheme should be http or https")
	}
	if u.Hostname() == "" {
		return "", urlError(original, "empty host")
	}
	if !hadScheme && !hasTopLevelDomain(u.Hostname()) {
		return "", urlError(original, "Does not look like a URL (must have a scheme or end with a top-level domain)")
	}
	return full, nil
}

// hasTopLevelDomain reports whether host is localhost or ends in a top-level
// domain of the public suffix list.
func hasTopLevelDomain(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" {
		return true
	}
	dot := strings.LastIndexByte(host, '.')
	if dot < 0 || dot == len(host)-1 {
		return false
	}
	_, managed := publicsuffix.PublicSuffix("x." + host[dot+1:])
	return managed
}
