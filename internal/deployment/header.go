package deployment

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/secret"
)

// Caller says as whom a request presents itself.
type Caller string

const (
	Anonymous Caller = "anonymous"
	User      Caller = "user"  // with a token, see Accept
	Admin     Caller = "admin" // with an admin key, which the caller checks
)

// Credential is what an Authorization header presents. Nothing in it has been
// verified.
type Credential struct {
	Caller   Caller
	Token    string        // with User
	AdminKey secret.String // with Admin: everything after "Convex ", an impersonated identity included
}

// ParseAuthorization reads the credential of a request: its Authorization
// header, or the adminKey query parameter of its URL when there is no header.
func ParseAuthorization(r *http.Request) (Credential, *Refusal) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		if key := r.URL.Query().Get("adminKey"); key != "" {
			return Credential{Caller: Admin, AdminKey: secret.String(key)}, nil
		}
		return Credential{Caller: Anonymous}, nil
	}
	header := values[0]
	for i := range len(header) {
		if c := header[i]; c != '\t' && (c < 0x20 || c > 0x7e) {
			return Credential{}, badHeader("H1", "HeaderParseFailure", "Invalid authentication header")
		}
	}
	if len(header) < len("Bearer ") {
		return Credential{}, badHeader("H2", "InvalidHeaderFailure", "Invalid authentication header")
	}
	scheme, value := header[:7], strings.TrimSpace(header[7:])
	switch {
	case value == "":
	case strings.EqualFold(scheme, "Bearer "):
		return Credential{Caller: User, Token: value}, nil
	case strings.EqualFold(scheme, "Convex "):
		return Credential{Caller: Admin, AdminKey: secret.String(value)}, nil
	}
	return Credential{}, badHeader("H3", "InvalidAdminKey", "Invalid admin key")
}

func badHeader(id, code, text string) *Refusal {
	return &Refusal{ID: id, Code: code, Status: http.StatusBadRequest, Message: text, Redacted: text}
}

// BadAdminKey refuses an admin key that is not the deployment's.
func BadAdminKey() *Refusal {
	const text = "The provided admin key was invalid for this instance"
	return &Refusal{ID: "H4", Code: "BadAdminKey", Status: http.StatusUnauthorized, Message: text, Redacted: text}
}
