package workos

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// Event is something that happened in an environment. Its id begins with
// "event_". The body of a webhook is one of them.
type Event struct {
	Object    string          `json:"object"` // "event"
	ID        string          `json:"id"`
	Event     string          `json:"event"` // user.created, …
	Data      json.RawMessage `json:"data"`
	CreatedAt Time            `json:"created_at"`
	Context   json.RawMessage `json:"context,omitempty"`
}

// EventList is the answer of GET /events. It pages in one direction.
type EventList struct {
	Object   string  `json:"object"` // "list"
	Data     []Event `json:"data"`
	Metadata struct {
		After *string `json:"after"`
	} `json:"list_metadata"`
}

// NewEventList wraps a page; an empty cursor becomes null.
func NewEventList(data []Event, after string) EventList {
	out := EventList{Object: "list", Data: data}
	if data == nil {
		out.Data = []Event{}
	}
	out.Metadata.After = orNull(after)
	return out
}

// AuthenticationEvent is the data of events named authentication.*.
type AuthenticationEvent struct {
	Type      string       `json:"type"`   // password, magic_auth, …
	Status    string       `json:"status"` // succeeded, failed
	IPAddress *string      `json:"ip_address"`
	UserAgent *string      `json:"user_agent"`
	UserID    *string      `json:"user_id"`
	Email     *string      `json:"email"`
	SSO       *SSOEvent    `json:"sso,omitempty"`   // of single sign-on
	Error     *ErrorDetail `json:"error,omitempty"` // of a failed one
}

// WebhookEndpoint is an address that events are sent to. Its id begins with
// "we_".
type WebhookEndpoint struct {
	Object    string     `json:"object"` // "webhook_endpoint"
	ID        string     `json:"id"`
	URL       string     `json:"endpoint_url"`
	Secret    Credential `json:"secret"` // whsec_…
	Status    string     `json:"status"` // enabled, disabled
	Events    []string   `json:"events"` // never null on the wire
	CreatedAt Time       `json:"created_at"`
	UpdatedAt Time       `json:"updated_at"`
}

// SignatureHeader is the header of a webhook that Sign makes.
const SignatureHeader = "WorkOS-Signature"

// Sign returns the signature of a webhook body: HMAC-SHA256 with the endpoint's
// secret over the time in milliseconds, a period and the body. The official
// SDKs refuse one that is older than three minutes.
func Sign(endpointSecret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(endpointSecret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ", v1=" + hex.EncodeToString(mac.Sum(nil))
}

// EventJSON encodes v as JSON.stringify would encode it after JSON.parse.
// workos-node checks a signature against that, not against the body itself:
// nothing is escaped that need not be, and members whose names are numbers come
// first (ECMAScript, OrdinaryOwnPropertyKeys).
func EventJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	out := unescape(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	if !hasNumericName(out) {
		return out, nil
	}
	return reorder(out)
}

// unescape writes the runes that package json escapes and JavaScript does not.
func unescape(data []byte) []byte {
	raw := map[string]string{`\u2028`: "\u2028", `\u2029`: "\u2029", `\ufffd`: "\ufffd"}
	var out []byte
	from := 0
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if i+6 <= len(data) {
			if text, ok := raw[string(data[i:i+6])]; ok {
				out = append(append(out, data[from:i]...), text...)
				from = i + 6
			}
		}
		i++ // whatever follows a backslash begins no escape
	}
	if from == 0 {
		return data
	}
	return append(out, data[from:]...)
}

// hasNumericName reports whether a member may have a number for its name.
func hasNumericName(data []byte) bool {
	for i := 1; i+1 < len(data); i++ {
		if data[i] == '"' && data[i+1] == ':' && data[i-1] >= '0' && data[i-1] <= '9' {
			return true
		}
	}
	return false
}

// reorder puts the members of all objects into the order of JavaScript.
func reorder(data []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	open, err := dec.Token()
	if err != nil || open != json.Delim('{') && open != json.Delim('[') {
		return data, err // a string, a number, true, false or null is as it is
	}
	type member struct {
		name  []byte
		index uint64 // of a name that is an array index
		order bool   // it is one
		value []byte
	}
	var members []member
	for dec.More() {
		var m member
		if open == json.Delim('{') {
			token, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name := token.(string) // JSON has no other names
			if m.name, err = EventJSON(name); err != nil {
				return nil, err
			}
			n, err := strconv.ParseUint(name, 10, 32)
			m.index, m.order = n, err == nil && n < 1<<32-1 && strconv.FormatUint(n, 10) == name
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if m.value, err = reorder(value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	slices.SortStableFunc(members, func(a, b member) int {
		switch {
		case a.order && b.order:
			return cmp.Compare(a.index, b.index)
		case a.order:
			return -1
		case b.order:
			return 1
		}
		return 0
	})
	closing := map[json.Delim]byte{'{': '}', '[': ']'}
	delim := open.(json.Delim)
	out := []byte{byte(delim)}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		if m.name != nil {
			out = append(append(out, m.name...), ':')
		}
		out = append(out, m.value...)
	}
	return append(out, closing[delim]), nil
}
