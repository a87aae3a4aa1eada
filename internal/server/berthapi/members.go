package berthapi

import (
	"net/http"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// mountMembers registers who belongs to a team, and where those people sign in.
func (a *API) mountMembers(s route.Surface, mux *http.ServeMux, team func(string, teamHandler)) {
	team("GET /berth/v1/members", a.members)
	team("POST /berth/v1/members", a.putMember)
	team("DELETE /berth/v1/members/{email}", a.removeMember)
	s.Handle(mux, "GET /berth/v1/login", a.login)
}

func wireMember(m store.Member) berth.Member {
	return berth.Member{Email: m.Email, Role: string(m.Role), Projects: append([]string{}, m.Projects...), JoinedAt: m.JoinedAt}
}

func (a *API) members(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	all, err := t.Members(r.Context())
	if err != nil {
		return err
	}
	out := []berth.Member{}
	for _, m := range all {
		out = append(out, wireMember(m))
	}
	return route.JSON(w, http.StatusOK, out)
}

// putMember makes a member and tells the person by mail. A repetition changes
// what the person is and sends nothing.
func (a *API) putMember(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	var req berth.Member
	if err := readStrict(r, &req); err != nil {
		return err
	}
	before, err := t.Members(r.Context())
	if err != nil {
		return err
	}
	m, err := t.PutMember(r.Context(), req.Email, store.MemberRole(req.Role), req.Projects)
	if err != nil {
		return err
	}
	known := false
	for _, b := range before {
		known = known || b.ID == m.ID
	}
	if !known {
		e, _, err := a.DB.MembersEnvironment(r.Context(), a.MailIsSent)
		if err != nil {
			return err
		}
		if err := a.Auth.TellMember(r.Context(), e, m.Email, t.Name); err != nil {
			return err
		}
	}
	return route.JSON(w, http.StatusOK, wireMember(m))
}

func (a *API) removeMember(t *store.Team, w http.ResponseWriter, r *http.Request) error {
	if err := t.RemoveMember(r.Context(), r.PathValue("email")); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, struct{}{})
}

// login is public: it is asked before anybody has signed in.
func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	e, clientID, err := a.DB.MembersEnvironment(r.Context(), a.MailIsSent)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, berth.Login{Issuer: a.Auth.ConnectIssuer(e), ClientID: clientID})
}
