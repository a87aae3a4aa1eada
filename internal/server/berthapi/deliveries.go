package berthapi

import (
	"net/http"
	"strconv"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// deliveryLimit bounds one page of the delivery log.
const deliveryLimit = 100

// deliveries lists what became of an environment's webhooks, newest event first.
func (a *API) deliveries(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit := deliveryLimit
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 && n < limit {
		limit = n
	}
	list, err := e.Deliveries(r.Context(), q.Get("endpoint_id"), limit)
	if err != nil {
		return err
	}
	out := make([]berth.Delivery, len(list))
	for i, d := range list {
		out[i] = berth.Delivery{EndpointID: d.EndpointID, URL: d.URL, EventID: d.Event.ID, Event: d.Event.Name, State: string(d.State), Tries: d.Tries,
			HTTPStatus: d.HTTPStatus, Error: d.Error, TriedAt: d.TriedAt, NextAt: d.NextAt, CreatedAt: d.Event.CreatedAt}
	}
	return route.JSON(w, http.StatusOK, out)
}
