package workostest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/workos"
)

// Errors that a name provokes, for what a small server cannot come to by itself.
const (
	NameUnauthorized = "revoked" // environment name: 403 platform_not_authorized
	OtherTeamEmail   = "taken@example.com"
)

func (s *Server) platform() {
	s.mux.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, grant := r.FormValue("client_id"), r.FormValue("client_secret"), r.FormValue("grant_type")
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			req, ok := read[workos.TokenRequest](w, r)
			if !ok {
				return
			}
			id, secret, grant = req.ClientID, string(req.ClientSecret), req.GrantType
		}
		if id != ClientID || secret != ClientSecret || grant != "client_credentials" {
			write(w, workos.OAuthAnswer("invalid_client", "Invalid client credentials."))
			return
		}
		token := s.id("token")
		s.tokens[token] = true
		writeJSON(w, http.StatusOK, workos.Token{AccessToken: workos.Credential(token), ExpiresIn: 3600, TokenType: "bearer"})
	})
	s.authorized("POST /platform/teams", func(w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.NewTeam](w, r)
		if !ok {
			return
		}
		for _, t := range s.teams {
			if t.email == req.AdminEmail {
				write(w, workos.CodeAnswer(http.StatusConflict, workos.CodeUserAlreadyExists, "A user with this email already exists."))
				return
			}
		}
		t := &team{email: req.AdminEmail, members: []string{req.AdminEmail}, environments: map[string]*Environment{}, names: map[string]string{}, keys: map[string]string{}}
		t.Team = workos.Team{Object: "team", ID: s.id("team"), Name: req.Name, ProductionState: "Inactive", CreatedAt: now(), UpdatedAt: now()}
		s.teams[t.ID] = t
		s.keep(r, writeJSON(w, http.StatusCreated, t.Team))
	})
	s.inTeam("GET /platform/teams/{team}", func(t *team, w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, t.Team) })
	s.inTeam("POST /platform/teams/{team}/environments", func(t *team, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.NewEnvironmentRequest](w, r)
		switch {
		case !ok:
		case req.Name == NameUnauthorized:
			write(w, workos.CodeAnswer(http.StatusForbidden, workos.CodePlatformUnauthorized, "The platform is not authorized."))
		case req.Production && t.ProductionState == "Inactive":
			write(w, workos.CodeAnswer(http.StatusUnprocessableEntity, workos.CodeBillingRequired, "A production environment requires billing."))
		default:
			e := &Environment{s: s, ID: s.id("environment"), ClientID: s.id("client"), Production: req.Production}
			t.environments[e.ID], t.names[e.ID] = e, req.Name
			s.keep(r, writeJSON(w, http.StatusCreated, t.show(e)))
		}
	})
	s.inTeam("GET /platform/teams/{team}/environments", func(t *team, w http.ResponseWriter, r *http.Request) {
		if !s.CanListEnvironments {
			write(w, workos.MessageAnswer(http.StatusNotFound, "Not Found"))
			return
		}
		var list []workos.PlatformEnvironment
		for _, e := range t.environments {
			list = append(list, t.show(e))
		}
		slices.SortFunc(list, func(a, b workos.PlatformEnvironment) int { return strings.Compare(a.ID, b.ID) })
		page(w, r.URL.Query(), list, func(e workos.PlatformEnvironment) string { return e.ID })
	})
	s.inEnvironment("GET /platform/teams/{team}/environments/{env}", func(t *team, e *Environment, w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, t.show(e))
	})
	s.inEnvironment("DELETE /platform/teams/{team}/environments/{env}", func(t *team, e *Environment, w http.ResponseWriter, _ *http.Request) {
		delete(t.environments, e.ID)
		w.WriteHeader(http.StatusNoContent)
	})
	s.inEnvironment("POST /platform/teams/{team}/environments/{env}/api_keys", func(t *team, e *Environment, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.NewAPIKey](w, r)
		if !ok {
			return
		}
		k := workos.APIKey{Object: "key", ID: s.id("api_key"), Name: req.Name, ExpiresAt: req.ExpiresAt, CreatedAt: now(), UpdatedAt: now()}
		k.Value = workos.Credential(s.id("sk_test"))
		t.keys[k.ID] = string(k.Value)
		s.byKey[string(k.Value)] = e
		s.keep(r, writeJSON(w, http.StatusCreated, k))
	})
	s.inEnvironment("POST /platform/teams/{team}/environments/{env}/api_keys/{key}/expire", func(t *team, _ *Environment, w http.ResponseWriter, r *http.Request) {
		value, ok := t.keys[r.PathValue("key")]
		if !ok {
			write(w, workos.CodeAnswer(http.StatusNotFound, "api_key_not_found", "API key not found."))
			return
		}
		delete(t.keys, r.PathValue("key"))
		delete(s.byKey, value)
		w.WriteHeader(http.StatusNoContent)
	})
	s.inTeam("POST /platform/teams/{team}/invitations", func(t *team, w http.ResponseWriter, r *http.Request) {
		req, ok := read[workos.Invitation](w, r)
		switch {
		case !ok:
		case slices.Contains(t.members, req.Email):
			write(w, workos.MessageAnswer(http.StatusBadRequest, "This user is already a member of this team."))
		case req.Email == OtherTeamEmail:
			write(w, workos.MessageAnswer(http.StatusBadRequest, "This user is already a member of another team."))
		default:
			req.Object = "workos_team_invitation"
			writeJSON(w, http.StatusCreated, req)
		}
	})
}

func (t *team) show(e *Environment) workos.PlatformEnvironment {
	return workos.PlatformEnvironment{Object: "environment", ID: e.ID, Name: t.names[e.ID], ClientID: e.ClientID}
}

// keep remembers the answer to a create for a repetition with the same key.
func (s *Server) keep(r *http.Request, data []byte) {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		s.made[key] = data
	}
}

// authorized registers a call of the Platform API. A repeated Idempotency-Key
// gets the first answer again.
func (s *Server) authorized(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !s.tokens[token] && token != "team-token" {
			write(w, workos.UnauthorizedAnswer())
			return
		}
		if data, ok := s.made[r.Header.Get("Idempotency-Key")]; ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(data)
			return
		}
		h(w, r)
	})
}

func (s *Server) inTeam(pattern string, h func(*team, http.ResponseWriter, *http.Request)) {
	s.authorized(pattern, func(w http.ResponseWriter, r *http.Request) {
		t, ok := s.teams[r.PathValue("team")]
		if !ok {
			write(w, workos.CodeAnswer(http.StatusNotFound, workos.CodeTeamNotFound, "Team not found."))
			return
		}
		h(t, w, r)
	})
}

func (s *Server) inEnvironment(pattern string, h func(*team, *Environment, http.ResponseWriter, *http.Request)) {
	s.inTeam(pattern, func(t *team, w http.ResponseWriter, r *http.Request) {
		e, ok := t.environments[r.PathValue("env")]
		if !ok {
			write(w, workos.CodeAnswer(http.StatusNotFound, workos.CodeEnvironmentNotFound, "Environment not found."))
			return
		}
		h(t, e, w, r)
	})
}
