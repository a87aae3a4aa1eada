package control

import (
	"strings"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// projectEnvironment is an environment of a project's own, with its key.
type projectEnvironment struct {
	convex.ProjectEnvironment
	WorkosAPIKey     convex.Token `json:"workosApiKey"`
	NewlyProvisioned *bool        `json:"newlyProvisioned,omitempty"`
}

func wireEnvironment(e store.ProjectEnvironment) convex.ProjectEnvironment {
	return convex.ProjectEnvironment{WorkosEnvironmentID: e.Environment.ID, WorkosEnvironmentName: e.Environment.Name, WorkosClientID: e.Environment.ClientID,
		UserEnvironmentName: e.Name, IsProduction: e.Environment.Production}
}

func (c *call) projectEnvironments() error {
	t, p, err := c.ruled()
	if err != nil {
		return err
	}
	all, err := t.ProjectEnvironments(c.ctx(), p)
	if err != nil {
		return err
	}
	out := []convex.ProjectEnvironment{}
	for _, e := range all {
		out = append(out, wireEnvironment(e))
	}
	return c.ok(map[string]any{"environments": out})
}

func (c *call) createProjectEnvironment() error {
	var req struct {
		EnvironmentName string `json:"environmentName"`
		IsProduction    bool   `json:"isProduction"`
	}
	t, p, err := c.ruled()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	if t.Disconnected {
		return invalid("NoWorkOSTeam", "The team %s has no WorkOS team.", t.Slug)
	}
	if strings.TrimSpace(req.EnvironmentName) == "" || len(req.EnvironmentName) > 100 {
		return invalid("InvalidEnvironmentName", "An environment needs a name of at most 100 bytes.")
	}
	e, err := t.AddProjectEnvironment(c.ctx(), p, req.EnvironmentName, req.IsProduction)
	if fault.Code(err) == "DuplicateEnvironmentName" {
		return invalid("DuplicateEnvironmentName", "%s", fault.From(err).Message)
	}
	if err != nil {
		return err
	}
	made := true
	return c.ok(projectEnvironment{wireEnvironment(e), convex.Token(e.APIKey.Reveal()), &made})
}

// environmentOf returns the environment of a project with a client ID.
func (c *call) environmentOf(t *store.Team, p store.Project, clientID string) (store.ProjectEnvironment, error) {
	all, err := t.ProjectEnvironments(c.ctx(), p)
	for _, e := range all {
		if e.Environment.ClientID == clientID {
			return e, nil
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "The project has no environment with the client ID %s.", clientID).WithCode(convex.CodeEnvironmentNotProvisioned)
	}
	return store.ProjectEnvironment{}, err
}

func (c *call) projectEnvironment() error {
	t, p, err := c.ruled()
	if err != nil {
		return err
	}
	e, err := c.environmentOf(t, p, c.r.PathValue("client_id"))
	if err != nil {
		return err
	}
	return c.ok(projectEnvironment{ProjectEnvironment: wireEnvironment(e), WorkosAPIKey: convex.Token(e.APIKey.Reveal())})
}

// environmentInBody returns the environment that the body names.
func (c *call) environmentInBody() (*store.Team, store.ProjectEnvironment, error) {
	var req struct {
		ProjectID int64  `json:"projectId"`
		ClientID  string `json:"clientId"`
	}
	if err := c.read(&req); err != nil {
		return nil, store.ProjectEnvironment{}, err
	}
	t, p, err := c.numbered(req.ProjectID)
	if err == nil {
		err = c.mustRule(p)
	}
	if err != nil {
		return nil, store.ProjectEnvironment{}, err
	}
	e, err := c.environmentOf(t, p, req.ClientID)
	return t, e, err
}

func (c *call) deleteProjectEnvironment() error {
	t, e, err := c.environmentInBody()
	if err != nil {
		return err
	}
	if err := t.DeleteEnvironment(c.ctx(), e.Environment.ID); err != nil {
		return err
	}
	return c.removed(t, e.Environment.ID, e.Environment.Name)
}

func (c *call) projectEnvironmentHealth() error {
	_, e, err := c.environmentInBody()
	if err != nil {
		return err
	}
	return c.ok(convex.EnvironmentHealth{ID: e.Environment.ID, Name: e.Environment.Name, ClientID: e.Environment.ClientID})
}
