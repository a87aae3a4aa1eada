package berthapi

import (
	"net/http"
	"strconv"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// audit lists the administrative acts of the team, newest first. The
// parameters limit (1 to 100, default 50) and after page through them.
func (a *API) audit(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	p := store.Page{Limit: 50, After: r.URL.Query().Get("after")}
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return fault.New(fault.Invalid, "limit must be a number from 1 to 100").WithCode("invalid_request")
		}
		p.Limit = n
	}
	events, _, after, err := t.AuditEvents(r.Context(), p)
	if err != nil {
		return err
	}
	out := berth.AuditPage{Events: make([]berth.AuditEvent, len(events)), After: after}
	for i, e := range events {
		out.Events[i] = berth.AuditEvent{ID: e.ID, EnvironmentID: e.EnvironmentID, ActorKind: string(e.Actor.Kind), ActorID: e.Actor.ID,
			Action: e.Action, Target: e.Target, CreatedAt: e.CreatedAt}
	}
	return route.JSON(w, http.StatusOK, out)
}
