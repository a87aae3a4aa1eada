package authkit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func (a *API) mountEvents(on *keyed.Routes) {
	on.Handle("GET /events", a.listEvents)
	on.Handle("POST /webhook_endpoints", a.createEndpoint)
	on.Handle("GET /webhook_endpoints", a.listEndpoints)
	on.Handle("GET /webhook_endpoints/{id}", a.getEndpoint)
	on.Handle("PATCH /webhook_endpoints/{id}", a.updateEndpoint)
	on.Handle("DELETE /webhook_endpoints/{id}", a.deleteEndpoint)
}

// EventData returns the JSON of what an event is about. Codes, tokens and the
// links that hold them are left out: who may see them fetches them by id.
func EventData(about any) ([]byte, error) {
	switch v := about.(type) {
	case identity.User:
		return workos.EventJSON(User(v))
	case identity.Session:
		return workos.EventJSON(session(v))
	case identity.Organization:
		return workos.EventJSON(organization(v))
	case identity.Membership:
		return workos.EventJSON(membershipEvent(v))
	case identity.Invitation:
		return workos.EventJSON(invitationEvent(v))
	case identity.MailCode:
		return workos.EventJSON(mailCodeEvent(v))
	case identity.Connection:
		return workos.EventJSON(workos.ConnectionEvent{Connection: connection(v), ExternalKey: v.ID})
	case identity.Authentication:
		return workos.EventJSON(authenticationEvent(v))
	}
	return nil, fmt.Errorf("no event is about a %T", about)
}

// maxUserAgent bounds what an event keeps of a User-Agent, in bytes.
const maxUserAgent = 512

func authenticationEvent(v identity.Authentication) workos.AuthenticationEvent {
	v.Client.UserAgent = v.Client.UserAgent[:min(len(v.Client.UserAgent), maxUserAgent)]
	out := workos.AuthenticationEvent{Type: v.Type, Status: "succeeded", IPAddress: keyed.OrNull(v.Client.IPAddress),
		UserAgent: keyed.OrNull(strings.ToValidUTF8(v.Client.UserAgent, "\ufffd")), UserID: keyed.OrNull(v.UserID), Email: keyed.OrNull(v.Email)}
	if v.SSO != nil {
		out.SSO = &workos.SSOEvent{OrganizationID: keyed.OrNull(v.SSO.OrganizationID), ConnectionID: keyed.OrNull(v.SSO.ConnectionID), SessionID: keyed.OrNull(v.SSO.SessionID)}
	}
	if v.Failed {
		out.Status, out.Error = "failed", &workos.ErrorDetail{Code: v.ErrorCode, Message: v.Error}
	}
	return out
}

// membershipEvent is a membership without its user, who has events of its own.
func membershipEvent(m identity.Membership) any {
	full := membership(m, identity.User{})
	return struct {
		Object           string            `json:"object"`
		ID               string            `json:"id"`
		UserID           string            `json:"user_id"`
		OrganizationID   string            `json:"organization_id"`
		OrganizationName string            `json:"organization_name"`
		Status           string            `json:"status"`
		Role             workos.RoleSlug   `json:"role"`
		Roles            []workos.RoleSlug `json:"roles"`
		DirectoryManaged bool              `json:"directory_managed"`
		CustomAttributes map[string]any    `json:"custom_attributes"`
		CreatedAt        workos.Time       `json:"created_at"`
		UpdatedAt        workos.Time       `json:"updated_at"`
	}{full.Object, full.ID, full.UserID, full.OrganizationID, full.OrganizationName, full.Status, full.Role, full.Roles,
		full.DirectoryManaged, full.CustomAttributes, full.CreatedAt, full.UpdatedAt}
}

func invitationEvent(i identity.Invitation) any {
	return struct {
		Object         string       `json:"object"`
		ID             string       `json:"id"`
		Email          string       `json:"email"`
		State          string       `json:"state"`
		AcceptedAt     *workos.Time `json:"accepted_at"`
		RevokedAt      *workos.Time `json:"revoked_at"`
		ExpiresAt      workos.Time  `json:"expires_at"`
		OrganizationID *string      `json:"organization_id"`
		InviterUserID  *string      `json:"inviter_user_id"`
		AcceptedUserID *string      `json:"accepted_user_id"`
		RoleSlug       *string      `json:"role_slug"`
		CreatedAt      workos.Time  `json:"created_at"`
		UpdatedAt      workos.Time  `json:"updated_at"`
	}{"invitation", i.ID, i.Email, string(i.State), workos.AtOrNull(i.AcceptedAt), workos.AtOrNull(i.RevokedAt), workos.At(i.ExpiresAt),
		keyed.OrNull(i.OrganizationID), keyed.OrNull(i.InviterUserID), keyed.OrNull(i.AcceptedUserID), keyed.OrNull(i.RoleSlug), workos.At(i.CreatedAt), workos.At(i.UpdatedAt)}
}

func mailCodeEvent(c identity.MailCode) any {
	out := struct {
		Object    string       `json:"object"`
		ID        string       `json:"id"`
		UserID    string       `json:"user_id"`
		Email     string       `json:"email"`
		ExpiresAt workos.Time  `json:"expires_at"`
		CreatedAt workos.Time  `json:"created_at"`
		UpdatedAt *workos.Time `json:"updated_at,omitempty"` // a password reset has none
	}{string(c.Kind), c.ID, c.UserID, c.Email, workos.At(c.ExpiresAt), workos.At(c.CreatedAt), workos.AtOrNull(c.CreatedAt)}
	if c.Kind == identity.PasswordReset {
		out.UpdatedAt = nil
	}
	return out
}

// fieldError is the 422 of GET /events.
func fieldError(field, code string) workos.Answer {
	return workos.Answer{Status: http.StatusUnprocessableEntity, Body: workos.CodeError{Message: "Validation failed.",
		Errors: []workos.ErrorDetail{{Field: field, Code: code}}}}
}

func (a *API) listEvents(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		field, _, _ := strings.Cut(fault.From(err).Message, " ")
		return fieldError(field, "invalid").Write(w)
	}
	q := r.URL.Query()
	f := store.EventFilter{Names: several(r, "events"), OrganizationID: q.Get("organization_id")}
	if slices.ContainsFunc(f.Names, func(name string) bool { return !identity.KnownEvent(name) }) {
		return fieldError("events", "unknown_event_type").Write(w)
	}
	for field, to := range map[string]*time.Time{"range_start": &f.Since, "range_end": &f.Until} {
		if text := q.Get(field); text != "" {
			if *to, err = isoTime(text); err != nil {
				return fieldError(field, "invalid_date").Write(w)
			}
		}
	}
	if f.OrganizationID != "" {
		_, err := e.Organization(r.Context(), f.OrganizationID)
		// The events of an organization that is gone can still be read.
		if fault.Is(err, fault.NotFound) {
			old, _, err := e.Events(r.Context(), store.EventFilter{OrganizationID: f.OrganizationID}, store.Page{Limit: 1})
			if err != nil {
				return err
			}
			if len(old) == 0 {
				return workos.MessageAnswer(http.StatusBadRequest, "Organization not found: '"+f.OrganizationID+"'.").Write(w)
			}
		} else if err != nil {
			return err
		}
	}
	list, after, err := e.Events(r.Context(), f, p)
	if err != nil {
		return err
	}
	out := make([]workos.Event, len(list))
	for i, v := range list {
		out[i] = workos.Event{Object: "event", ID: v.ID, Event: v.Name, Data: v.Data, CreatedAt: workos.At(v.CreatedAt), Context: v.Context}
	}
	return route.JSON(w, http.StatusOK, workos.NewEventList(out, after))
}

// isoTime reads an ISO 8601 date, with or without a time of day.
func isoTime(text string) (t time.Time, err error) {
	// A plus of an offset that was not escaped arrives as a blank.
	text = strings.ReplaceAll(text, " ", "+")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, err
}

func endpoint(v identity.Endpoint) workos.WebhookEndpoint {
	out := workos.WebhookEndpoint{Object: "webhook_endpoint", ID: v.ID, URL: v.URL, Secret: workos.Credential(v.Secret), Status: "disabled", Events: v.Events,
		CreatedAt: workos.At(v.CreatedAt), UpdatedAt: workos.At(v.UpdatedAt)}
	if v.Enabled {
		out.Status = "enabled"
	}
	if out.Events == nil {
		out.Events = []string{}
	}
	return out
}

// endpointBody is the body of creating and changing an endpoint.
type endpointBody struct {
	URL    *string   `json:"endpoint_url"`
	Events *[]string `json:"events"`
	Status *string   `json:"status"`
}

// check returns the answer to a body that cannot be followed.
func (a *API) checkEndpoint(e *store.Env, b endpointBody) (workos.Answer, bool) {
	invalid := func(code, message string) (workos.Answer, bool) {
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "invalid_request_parameters", "Validation failed.", workos.ErrorDetail{Code: code, Message: message}), true
	}
	if b.URL != nil {
		if err := a.CheckTarget(*b.URL, e.Production); err != nil {
			return workos.CodeAnswer(http.StatusUnprocessableEntity, "invalid_url", fault.From(err).Message), true
		}
	}
	if b.Events != nil {
		if len(*b.Events) == 0 {
			return invalid("events_required", "events needs at least one name.")
		}
		for _, name := range *b.Events {
			if !identity.KnownEvent(name) {
				return invalid("unknown_event_type", "Invalid enum value.")
			}
		}
	}
	if b.Status != nil && *b.Status != "enabled" && *b.Status != "disabled" {
		return invalid("invalid_status", "status must be enabled or disabled.")
	}
	return workos.Answer{}, false
}

func (a *API) answerEndpoint(w http.ResponseWriter, status int, v identity.Endpoint, err error) error {
	f := fault.From(err)
	switch {
	case err == nil:
	case f.Code == "endpoint_not_found":
		return workos.CodeAnswer(http.StatusNotFound, "entity_not_found", f.Message).Write(w)
	default:
		return err
	}
	w.Header().Set("Cache-Control", "no-store") // it holds a secret
	return route.JSON(w, status, endpoint(v))
}

func (a *API) createEndpoint(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b endpointBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.URL == nil {
		b.URL = new("")
	}
	if b.Events == nil {
		b.Events = &[]string{}
	}
	if bad, is := a.checkEndpoint(e, b); is {
		return bad.Write(w)
	}
	v, err := e.CreateEndpoint(r.Context(), identity.Endpoint{URL: *b.URL, Events: *b.Events})
	return a.answerEndpoint(w, http.StatusCreated, v, err)
}

func (a *API) listEndpoints(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	list, before, after, err := e.Endpoints(r.Context(), p)
	if err != nil {
		return err
	}
	out := make([]workos.WebhookEndpoint, len(list))
	for i, v := range list {
		out[i] = endpoint(v)
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getEndpoint(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := e.Endpoint(r.Context(), r.PathValue("id"))
	return a.answerEndpoint(w, http.StatusOK, v, err)
}

func (a *API) updateEndpoint(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b endpointBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if bad, is := a.checkEndpoint(e, b); is {
		return bad.Write(w)
	}
	change := store.EndpointChange{URL: b.URL}
	if b.Events != nil {
		change.Events = *b.Events
	}
	if b.Status != nil {
		change.Enabled = new(*b.Status == "enabled")
	}
	v, err := e.UpdateEndpoint(r.Context(), r.PathValue("id"), change)
	return a.answerEndpoint(w, http.StatusOK, v, err)
}

func (a *API) deleteEndpoint(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteEndpoint(r.Context(), r.PathValue("id")); err != nil {
		return a.answerEndpoint(w, 0, identity.Endpoint{}, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
