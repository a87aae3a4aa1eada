package token

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/berthdev/berth/internal/fault"
)

// MaxTemplateOutput is the largest rendered template in bytes; a session
// cookie that carries the token must stay under 4 KiB.
const MaxTemplateOutput = 3072

// Reserved reports whether a claim cannot be set by a template.
func Reserved(name string) bool {
	switch name {
	case "iss", "sub", "exp", "iat", "nbf", "jti", "sid", "client_id", "auth_time":
		return true
	}
	return false
}

// templateRoots are the objects that expressions may begin with.
var templateRoots = map[string]bool{"user": true, "organization": true, "organization_membership": true}

// CheckTemplate refuses a JWT template that can never render: broken JSON,
// reserved claims, unknown roots, or an empty object. The rules are those of
// WorkOS's JWT templates.
func CheckTemplate(template string) error {
	_, err := RenderTemplate(template, nil)
	return err
}

// RenderTemplate renders a template over roots such as {"user": {...}}.
// Expressions are {{ path || path || 'literal' }}. A string that is nothing
// but one expression takes the value's own type; inside longer strings null
// becomes empty. Top-level nulls are dropped.
func RenderTemplate(template string, roots map[string]any) (map[string]any, error) {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "JWT template: "+format, args...).WithCode("invalid_jwt_template")
	}
	// A bare {{ x }} outside a string is a value: quote it so that the whole is JSON.
	text, err := quoteBare(template)
	if err != nil {
		return nil, bad("%v", err)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, bad("not valid JSON: %v", err)
	}
	if dec.More() {
		return nil, bad("there is text after the object")
	}
	object, ok := tree.(map[string]any)
	if !ok || len(object) == 0 {
		return nil, bad("it must be an object with at least one key")
	}
	out := map[string]any{}
	for name, value := range object {
		if Reserved(name) {
			return nil, bad("the claim %q is reserved", name)
		}
		v, err := render(value, roots)
		if err != nil {
			return nil, bad("claim %q: %v", name, err)
		}
		if v != nil {
			out[name] = v
		}
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return nil, bad("%v", err)
	}
	if len(encoded) > MaxTemplateOutput {
		return nil, fault.New(fault.Invalid, "JWT template: the rendered claims have %d bytes, at most %d are allowed", len(encoded), MaxTemplateOutput).WithCode("token_too_big")
	}
	return out, nil
}

// quoteBare wraps expressions that stand outside JSON strings in quotes.
func quoteBare(s string) (string, error) {
	var out bytes.Buffer
	inString := false
	for i := 0; i < len(s); i++ {
		switch {
		case inString && s[i] == '\\' && i+1 < len(s):
			out.WriteByte(s[i])
			i++
		case s[i] == '"':
			inString = !inString
		case !inString && strings.HasPrefix(s[i:], "{{"):
			end := strings.Index(s[i:], "}}")
			if end < 0 {
				return "", fault.New(fault.Invalid, "an expression is not closed with }}")
			}
			quoted, err := json.Marshal(s[i : i+end+2])
			if err != nil {
				return "", err
			}
			out.Write(quoted)
			i += end + 1
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String(), nil
}

func render(v any, roots map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		return renderString(v, roots)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			r, err := render(item, roots)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			r, err := render(item, roots)
			if err != nil {
				return nil, err
			}
			out[k] = r
		}
		return out, nil
	default:
		return v, nil
	}
}

func renderString(s string, roots map[string]any) (any, error) {
	if strings.HasPrefix(s, "{{") && strings.Index(s, "}}") == len(s)-2 {
		return evaluate(s[2:len(s)-2], roots)
	}
	var out strings.Builder
	for {
		start := strings.Index(s, "{{")
		if start < 0 {
			out.WriteString(s)
			return out.String(), nil
		}
		end := strings.Index(s[start:], "}}")
		if end < 0 {
			return nil, fault.New(fault.Invalid, "an expression is not closed with }}")
		}
		out.WriteString(s[:start])
		v, err := evaluate(s[start+2:start+end], roots)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case nil:
		case string:
			out.WriteString(v)
		case map[string]any, []any:
			return nil, fault.New(fault.Invalid, "an object or list cannot stand inside a string")
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			out.Write(text)
		}
		s = s[start+end+2:]
	}
}

func evaluate(expr string, roots map[string]any) (any, error) {
	var found any
	for _, alt := range strings.Split(expr, "||") {
		alt = strings.TrimSpace(alt)
		if len(alt) >= 2 && (alt[0] == '\'' || alt[0] == '"') && alt[len(alt)-1] == alt[0] {
			if found == nil {
				found = alt[1 : len(alt)-1]
			}
			continue
		}
		path := strings.Split(alt, ".")
		if !templateRoots[path[0]] {
			return nil, fault.New(fault.Invalid, "%q does not begin with user, organization or organization_membership", alt)
		}
		var v any = roots
		if roots == nil {
			v = nil
		}
		for _, step := range path {
			object, ok := v.(map[string]any)
			if !ok {
				v = nil
				break
			}
			v = object[step]
		}
		if found == nil {
			found = v
		}
	}
	return found, nil
}
