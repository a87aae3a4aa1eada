package control

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountKeys(on func(string, func(*call) error)) {
	on("POST /v1/deployments/{name}/create_deploy_key", (*call).createDeployKey)
	on("POST /v1/deployments/{name}/delete_deploy_key", (*call).deleteDeployKey)
	on("GET /v1/deployments/{name}/list_deploy_keys", (*call).deployKeys)
	on("POST /v1/projects/{id}/create_preview_deploy_key", func(c *call) error { return c.createProjectKey(store.PreviewKey, "previewDeployKey") })
	on("POST /v1/projects/{id}/delete_preview_deploy_key", func(c *call) error { return c.deleteProjectKey(store.PreviewKey) })
	on("GET /v1/projects/{id}/list_preview_deploy_keys", func(c *call) error { return c.projectKeys(store.PreviewKey) })
	// Convex makes project keys in its dashboard alone; these are named alike.
	on("POST /v1/projects/{id}/create_project_key", func(c *call) error { return c.createProjectKey(store.ProjectKey, "projectKey") })
	on("POST /v1/projects/{id}/delete_project_key", func(c *call) error { return c.deleteProjectKey(store.ProjectKey) })
	on("GET /v1/projects/{id}/list_project_keys", func(c *call) error { return c.projectKeys(store.ProjectKey) })
	on("GET /v1/list_personal_access_tokens", (*call).personalTokens)
	on("POST /v1/delete_personal_access_token", (*call).deletePersonalToken)
}

// actions are what a deploy key can be restricted to, as Convex names them.
var actions = strings.Fields(`deployment:view deployment:delete deployment:updateExpiresAt deployment:deploy deployment:pause deployment:unpause
	deployment:env:view deployment:env:write deployment:logs:view deployment:metrics:view deployment:auditLog:view deployment:data:view deployment:data:write
	deployment:insights:view deployment:integrations:view deployment:integrations:write deployment:functions:actAsUser deployment:functions:runInternalQueries
	deployment:functions:runInternalMutations deployment:functions:runInternalActions deployment:functions:runTestQuery
	deployment:backups:create deployment:backups:import deployment:backups:delete deployment:backups:view deployment:backups:download`)

type newKey struct {
	Name           string   `json:"name"`
	AllowedActions []string `json:"allowedActions"`
	ExpiresAt      *int64   `json:"expiresAt"` // milliseconds since 1970; null: never
}

func (c *call) readKey() (store.AccessKey, error) {
	var req newKey
	if err := c.read(&req); err != nil {
		return store.AccessKey{}, err
	}
	k := store.AccessKey{Name: req.Name, Actions: req.AllowedActions, PersonID: c.Person.ID}
	for _, action := range req.AllowedActions {
		if !slices.Contains(actions, action) {
			return k, invalid("InvalidAction", "There is no action %q that a key can be for.", action)
		}
	}
	var err error
	k.ExpiresAt, err = c.expiry(req.ExpiresAt)
	return k, err
}

func (a *API) expiry(ms *int64) (time.Time, error) {
	if ms == nil {
		return time.Time{}, nil
	}
	at := time.UnixMilli(*ms)
	if !at.After(a.DB.Now()) {
		return at, invalid("InvalidExpiresAt", "expiresAt has passed.")
	}
	return at, nil
}

// keyless refuses keys where keys are made and ended: one that leaked must not
// outlive its revocation.
func (c *call) keyless() error {
	if c.IsKey() {
		return forbidden("manage keys with a key")
	}
	return nil
}

func (c *call) keyedDeployment() (*store.Team, store.Deployment, error) {
	d, err := c.usable(c.r.PathValue("name"), "")
	if err == nil {
		err = c.keyless()
	}
	if err != nil {
		return nil, d, err
	}
	t, _, err := c.projectOf(d)
	return t, d, err
}

func (c *call) createDeployKey() error {
	t, d, err := c.keyedDeployment()
	if err != nil {
		return err
	}
	k, err := c.readKey()
	if err != nil {
		return err
	}
	k.Kind, k.DeploymentID = store.DeploymentKey, d.ID
	_, value, err := t.CreateAccessKey(c.ctx(), k)
	if err != nil {
		return err
	}
	return c.ok(map[string]convex.Token{"deployKey": convex.Token(string(d.Kind) + ":" + d.Name + "|" + value.Reveal())})
}

// deleteKey ends the key that the body names.
func (c *call) deleteKey(end func(id string) error) error {
	var req struct {
		ID string `json:"id"`
	}
	if err := c.read(&req); err != nil {
		return err
	}
	if _, value, whole := strings.Cut(req.ID, "|"); whole {
		req.ID = value
	}
	if err := end(req.ID); err != nil {
		return err
	}
	return c.empty()
}

func (c *call) deleteDeployKey() error {
	t, d, err := c.keyedDeployment()
	if err != nil {
		return err
	}
	return c.deleteKey(func(id string) error {
		return t.DeleteAccessKey(c.ctx(), store.AccessKey{Kind: store.DeploymentKey, DeploymentID: d.ID}, id)
	})
}

// keptKey is a key as it is listed, without its secret.
type keptKey struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	CreateTime     int64    `json:"createTime"`
	LastUsedTime   *int64   `json:"lastUsedTime"`
	ExpiresAt      *int64   `json:"expiresAt"`
	AllowedActions []string `json:"allowedActions,omitempty"`
}

func (c *call) listKeys(like store.AccessKey) error {
	all, err := c.DB.AccessKeys(c.ctx(), like)
	if err != nil {
		return err
	}
	orNull := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		ms := t.UnixMilli()
		return &ms
	}
	out := []keptKey{}
	for _, k := range all {
		out = append(out, keptKey{k.ID, k.Name, k.CreatedAt.UnixMilli(), orNull(k.LastUsedAt), orNull(k.ExpiresAt), k.Actions})
	}
	return c.ok(out)
}

func (c *call) deployKeys() error {
	_, d, err := c.keyedDeployment()
	if err != nil {
		return err
	}
	return c.listKeys(store.AccessKey{Kind: store.DeploymentKey, DeploymentID: d.ID})
}

func (c *call) createProjectKey(kind store.AccessKeyKind, member string) error {
	t, p, err := c.byNumber()
	// Any member makes previews, so any member makes keys for them.
	if err == nil && kind != store.PreviewKey {
		err = c.mustRule(p)
	}
	if err == nil {
		err = c.keyless()
	}
	if err != nil {
		return err
	}
	k, err := c.readKey()
	if err != nil {
		return err
	}
	k.Kind, k.ProjectID = kind, p.ID
	_, value, err := t.CreateAccessKey(c.ctx(), k)
	if err != nil {
		return err
	}
	return c.ok(map[string]convex.Token{member: convex.Token(string(kind) + ":" + t.Slug + ":" + p.Slug + "|" + value.Reveal())})
}

func (c *call) deleteProjectKey(kind store.AccessKeyKind) error {
	t, p, err := c.ruled()
	if err == nil {
		err = c.keyless()
	}
	if err != nil {
		return err
	}
	return c.deleteKey(func(id string) error {
		return t.DeleteAccessKey(c.ctx(), store.AccessKey{Kind: kind, ProjectID: p.ID}, id)
	})
}

func (c *call) projectKeys(kind store.AccessKeyKind) error {
	_, p, err := c.byNumber()
	if err == nil {
		err = c.keyless()
	}
	if err != nil {
		return err
	}
	return c.listKeys(store.AccessKey{Kind: kind, ProjectID: p.ID})
}

// asPerson refuses callers that are nobody in particular.
func (c *call) asPerson() error {
	if c.Person.ID == "" {
		return forbidden("do this without signing in as a person")
	}
	return nil
}

func (c *call) personalTokens() error {
	if err := c.asPerson(); err != nil {
		return err
	}
	return c.listKeys(store.AccessKey{Kind: store.PersonalKey, PersonID: c.Person.ID})
}

func (c *call) deletePersonalToken() error {
	if err := c.asPerson(); err != nil {
		return err
	}
	return c.deleteKey(func(id string) error { return c.DB.DeletePersonalKey(c.ctx(), c.Person, id) })
}

// createPersonalToken makes a personal access token of whoever signed in to the
// members' environment, or showed an earlier one.
func (a *API) createPersonalToken(w http.ResponseWriter, r *http.Request) error {
	p, err := a.person(r.Context(), route.Bearer(r))
	if err != nil {
		return err
	}
	var req newKey
	if err := route.Read(r, &req); err != nil {
		return err
	}
	expires, err := a.expiry(req.ExpiresAt)
	if err != nil {
		return err
	}
	_, value, err := a.DB.CreatePersonalKey(r.Context(), p, req.Name, expires)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, map[string]convex.Token{"accessToken": convex.Token(value.Reveal())})
}

func (a *API) person(ctx context.Context, token string) (store.Person, error) {
	if strings.Count(token, ".") != 2 { // no access token of the sign-in
		caller, err := a.DB.Caller(ctx, token)
		if err != nil {
			return store.Person{}, err
		}
		return caller.Person, (&call{API: a, Caller: caller}).asPerson()
	}
	e, clientID, err := a.DB.MembersEnvironment(ctx, a.MailIsSent)
	if err != nil {
		return store.Person{}, err
	}
	bad := fault.New(fault.Unauthenticated, "The sign-in is not valid here or has expired.").WithCode("Unauthorized")
	in, err := a.Auth.Introspect(ctx, e, token)
	if fault.Is(err, fault.Unauthenticated) {
		return store.Person{}, bad
	}
	if err != nil {
		return store.Person{}, err
	}
	if in.Refresh || in.App.ClientID != clientID || in.Session.UserID == "" {
		return store.Person{}, bad
	}
	u, err := e.User(ctx, in.Session.UserID)
	if err != nil {
		return store.Person{}, err
	}
	if !u.EmailVerified {
		return store.Person{}, fault.New(fault.Denied, "The address %s has not been verified.", u.Email).WithCode("EmailNotVerified")
	}
	return a.DB.PersonByEmail(ctx, u.Email)
}
