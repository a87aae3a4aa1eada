package doctor

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redactor takes secrets out of text that leaves the machine. It knows secrets
// by their shape, by the name they are given to, and by value.
type Redactor struct {
	KeepEmails bool     // e-mail addresses stay
	Known      []string // values that must not be in the text, in any of the usual encodings
}

// rule recognises one kind of secret. Group 1, when there is one, stays.
type rule struct {
	kind    string
	pattern *regexp.Regexp
}

const (
	secretWord = `(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|deploy[_-]?key|credential|code_verifier|authorization|cookie)`
	mark       = "[redacted:"
)

// rules in the order in which they are applied: whole shapes before the names
// that values are given to.
var rules = []rule{
	{"private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)},
	{"cookie", regexp.MustCompile(`(?i)((?:^|[^a-z_])(?:set-)?cookie["']?[ \t]*[:=][ \t]*)([^\s][^\r\n]*)`)},
	{"authorization", regexp.MustCompile(`(?i)(\b(?:bearer|basic)[ \t]+)([a-z0-9._~+/=|:-]{6,})`)},
	{"token", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}`)},
	{"session", regexp.MustCompile(`Fe26\.2\*[^\s"',;]*`)},
	{"API key", regexp.MustCompile(`sk_[A-Za-z0-9_]{3,}`)},
	{"webhook secret", regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]{3,}`)},
	{"deploy key", regexp.MustCompile(`(?:prod|preview|dev|project|team)(?::[A-Za-z0-9:_-]+)?\|[A-Za-z0-9+/=_-]{8,}`)},
	{"password", regexp.MustCompile(`(://[^/\s:@"']*:)([^/\s@"'\[][^/\s@"']*)@`)},
	{"parameter", regexp.MustCompile(`(?i)([?&](?:code|state|nonce|ticket|otp|session_id|id_token_hint)=)([^&\s"'\[][^&\s"']*)`)},
	{"value", regexp.MustCompile(`(?i)([a-z0-9_.-]*` + secretWord + `[a-z0-9_.-]*\\+["'][ \t]*[:=][ \t]*\\+["'])([^"'\\\r\n]+)`)},
	{"value", regexp.MustCompile(`(?i)([a-z0-9_.-]*` + secretWord + `[a-z0-9_.-]*\\?["']?[ \t]*[:=][ \t]*)("(?:[^"\\\r\n]|\\.)+"|'(?:[^'\\\r\n]|\\.)+'|[^\s"',;{}()\[\]]+)`)},
}

var (
	email    = rule{"e-mail", regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)}
	longText = regexp.MustCompile(`[A-Za-z0-9+_=-]{40,}`)
	plain    = []string{"true", "false", "null", "undefined", "set", "unset", "process.env"}
)

// Redact returns the text without secrets; what is taken out is named in its
// place. Redacting again changes nothing.
func (r Redactor) Redact(text string) string {
	for range 20 {
		next := r.once(text)
		if next == text && len(r.Scan(text)) == 0 {
			return text
		}
		text = next
	}
	// Nothing that the scan objects to may leave, whatever it is.
	return mark + "all]"
}

func (r Redactor) once(text string) string {
	for _, v := range r.encodings() {
		text = strings.ReplaceAll(text, v, mark+"value]")
	}
	for _, rule := range r.all() {
		text = rule.pattern.ReplaceAllStringFunc(text, func(found string) string {
			kept, value, tail := rule.parts(found)
			if innocent(value) {
				return found
			}
			quoted := ""
			if len(value) > 1 && (value[0] == '"' || value[0] == '\'') {
				quoted = value[:1]
			}
			return kept + quoted + mark + rule.kind + "]" + quoted + tail
		})
	}
	return longText.ReplaceAllStringFunc(text, func(found string) string {
		if random(found) {
			return mark + "random text]"
		}
		return found
	})
}

func (r Redactor) all() []rule {
	if r.KeepEmails {
		return rules
	}
	return append(slices.Clone(rules), email)
}

// parts splits what a rule found in what stays, the secret and what follows it.
func (r rule) parts(found string) (kept, value, tail string) {
	if r.pattern.NumSubexp() < 2 {
		return "", found, ""
	}
	m := r.pattern.FindStringSubmatch(found)
	if m == nil { // the pattern looks at what stands before, which found has not
		return "", found, ""
	}
	kept, value = m[1], m[2]
	return kept, value, found[len(kept)+len(value):]
}

// innocent is what stands in the place of a secret and is none.
func innocent(value string) bool {
	bare := strings.Trim(value, `"'\`)
	return bare == "" || marked.MatchString(bare) || slices.ContainsFunc(plain, func(p string) bool { return bare == p || p == "process.env" && regexpEnv.MatchString(bare) })
}

var marked = regexp.MustCompile(`^\[redacted:[A-Za-z -]+\]$`)

var regexpEnv = regexp.MustCompile(`^process\.env\.[A-Z0-9_]+!?$`)

// random tells text of a generator from names: it has capitals, small letters and digits.
func random(word string) bool {
	return strings.ContainsAny(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && strings.ContainsAny(word, "abcdefghijklmnopqrstuvwxyz") && strings.ContainsAny(word, "0123456789")
}

// encodings are the known values as they may stand in a text, the longest first.
func (r Redactor) encodings() []string {
	var list []string
	for _, v := range r.Known {
		if len(v) < 6 || innocent(v) {
			continue
		}
		inJSON, _ := json.Marshal(v) // a string always can be
		for _, form := range []string{v, url.QueryEscape(v), url.PathEscape(v), strings.Trim(string(inJSON), `"`), base64.StdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v))} {
			if form != "" && !strings.Contains(mark+"value]", form) {
				list = append(list, form)
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(list)
}

// Scan looks for secrets in a text and returns the kinds that it has, sorted.
// The text that [Redactor.Redact] returns has none.
func (r Redactor) Scan(text string) []string {
	found := map[string]bool{}
	for _, v := range r.encodings() {
		if strings.Contains(text, v) {
			found["value"] = true
		}
	}
	for _, rule := range r.all() {
		for _, m := range rule.pattern.FindAllString(text, -1) {
			if _, value, _ := rule.parts(m); !innocent(value) {
				found[rule.kind] = true
			}
		}
	}
	for _, word := range longText.FindAllString(text, -1) {
		if random(word) {
			found["random text"] = true
		}
	}
	var kinds []string
	for k := range found {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}
