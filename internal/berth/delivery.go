package berth

import "time"

// Delivery is one event on its way to a webhook endpoint.
type Delivery struct {
	EndpointID string    `json:"endpoint_id"`
	URL        string    `json:"url"`
	EventID    string    `json:"event_id"`
	Event      string    `json:"event"` // user.created, ...
	State      string    `json:"state"` // pending, delivered, failed
	Tries      int       `json:"tries"`
	HTTPStatus int       `json:"http_status,omitzero"` // of the last answer
	Error      string    `json:"error,omitzero"`       // why the last try failed
	TriedAt    time.Time `json:"tried_at,omitzero"`    // the last try
	NextAt     time.Time `json:"next_at,omitzero"`     // the next one; left out when it is over
	CreatedAt  time.Time `json:"created_at"`
}
