package berthapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// inboxLimit bounds one page of the inbox.
const inboxLimit = 100

// inbox lists the mail of an environment, newest first. Production mail is not
// shown: it went to people.
func (a *API) inbox(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if e.Production {
		return fault.New(fault.Denied, "%s is a production environment: its mail is not kept", e.Name).WithCode("production_has_no_inbox")
	}
	q := r.URL.Query()
	limit := inboxLimit
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 && n < limit {
		limit = n
	}
	var since time.Time
	if text := q.Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fault.New(fault.Invalid, "since must be a time in RFC 3339").WithCode("invalid_request")
		}
	}
	list, err := e.Messages(r.Context(), q.Get("to"), since, limit)
	if err != nil {
		return err
	}
	out := make([]berth.Message, len(list))
	for i, m := range list {
		out[i] = berth.Message{ID: m.ID, To: m.To, Kind: m.Kind, Subject: m.Subject, Text: m.Text, Code: m.Code, Link: m.Link, CreatedAt: m.CreatedAt}
	}
	return route.JSON(w, http.StatusOK, out)
}
