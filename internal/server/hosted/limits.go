package hosted

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// limitEmail bounds passwords for one address from one place.
func (p *Pages) limitEmail(r *http.Request, e *store.Env, email string) error {
	return p.Limits.HostedEmail.Take(e.ID, identity.EmailKey(email), route.ClientIP(r))
}

// limitCode bounds the mailed codes that are tried for one address.
func (p *Pages) limitCode(e *store.Env, email string) error {
	return p.Limits.CodeEntry.Take(e.ID, identity.EmailKey(email))
}

// limitFactor bounds the codes that are tried as a user's second factor.
func (p *Pages) limitFactor(e *store.Env, u identity.User) error {
	return p.Limits.Authenticate.Take(e.ID, "factor", u.ID)
}

// limitSend bounds the mails that one address can be made to get. The API
// counts with the same keys.
func (p *Pages) limitSend(e *store.Env, kind identity.MailCodeKind, to string) error {
	return p.Limits.Sends.Take(e.ID, string(kind), identity.EmailKey(to))
}

// tooMany shows the page of a limit in an environment's frame.
func (p *Pages) tooMany(w http.ResponseWriter, r *http.Request, frame web.Frame, err error) error {
	return writeTooMany(w, r, frame, err)
}

// TooMany shows the page of a limit that is met before an environment is known.
func TooMany(w http.ResponseWriter, r *http.Request, err error) error {
	return writeTooMany(w, r, web.Frame{Brand: defaultBrand}, err)
}

func writeTooMany(w http.ResponseWriter, r *http.Request, frame web.Frame, err error) error {
	after := route.RetryAfter(err)
	w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	return web.Write(w, http.StatusTooManyRequests, web.RateLimited{Frame: frame, RetryAfter: after, RetryURL: formPage(r), RequestID: route.RequestID(r.Context())})
}

// formPage is the page whose form was posted, or "" when it is not known. The
// page of a mailed code is there only once a code was sent.
func formPage(r *http.Request) string {
	flow := r.PostForm.Get("flow")
	if r.Method != http.MethodPost || flow == "" {
		return ""
	}
	path := strings.TrimSuffix(r.URL.Path, "/send")
	if r.URL.Path == "/magic-code/send" {
		path = "/sign-in"
	}
	return path + "?" + url.Values{"flow": {flow}}.Encode()
}
