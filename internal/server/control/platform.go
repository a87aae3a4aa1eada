package control

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountPlatform(on func(string, func(*call) error)) {
	on("GET /v1/token_details", (*call).tokenDetails)
	on("GET /v1/teams/{team}/projects", (*call).projects)
	on("POST /v1/teams/{team}/create_project", (*call).createProject)
	on("GET /v1/teams/{team}/projects/{project}", (*call).projectBySlug)
	on("GET /v1/teams/{team}/projects/{project}/deployment", (*call).deploymentOfProject)
	on("GET /v1/projects/{id}", (*call).project)
	on("GET /v1/projects/{id}/list_deployments", (*call).deployments)
	on("POST /v1/projects/{id}/create_deployment", (*call).createDeployment)
	on("GET /v1/deployments/{name}", (*call).deployment)
	on("POST /v1/deployments/{name}/update", (*call).updateDeployment)
}

// listedProject is a project as the Platform API describes it.
type listedProject struct {
	convex.Project
	CreateTime int64 `json:"createTime"` // milliseconds since 1970
}

func wireProject(p store.Project, t *store.Team) listedProject {
	return listedProject{convex.Project{ID: p.Number, Name: p.Name, Slug: p.Slug, TeamID: t.Number, TeamSlug: t.Slug}, p.CreatedAt.UnixMilli()}
}

// listedDeployment is a deployment as the Platform API describes it.
type listedDeployment struct {
	Name           string      `json:"name"`
	ProjectID      int64       `json:"projectId"`
	DeploymentType convex.Type `json:"deploymentType"`
	DeploymentURL  string      `json:"deploymentUrl"`
	Reference      string      `json:"reference"`
	IsDefault      bool        `json:"isDefault"`
	Kind           string      `json:"kind"` // cloud
	CreateTime     int64       `json:"createTime"`
	ExpiresAt      *int64      `json:"expiresAt"` // milliseconds since 1970; null: never
	PreviewName    string      `json:"previewIdentifier,omitempty"`
}

func (c *call) wireDeployment(d store.Deployment, p store.Project) listedDeployment {
	out := listedDeployment{Name: d.Name, ProjectID: p.Number, DeploymentType: convex.Type(d.Kind), DeploymentURL: c.URL(d), Reference: reference(d),
		IsDefault: isDefault(d) || c.own(d), Kind: "cloud", CreateTime: d.CreatedAt.UnixMilli()}
	if !d.ExpiresAt.IsZero() {
		at := d.ExpiresAt.UnixMilli()
		out.ExpiresAt = &at
	}
	if d.Kind == claim.Preview {
		out.PreviewName = d.Reference
	}
	return out
}

// page is a page of a list.
type page[T any] struct {
	Items      []T        `json:"items"`
	Pagination pagination `json:"pagination"`
}

type pagination struct {
	HasMore    bool    `json:"hasMore"`
	NextCursor *string `json:"nextCursor"`
}

func (c *call) tokenDetails() error {
	kind, teams := "teamToken", c.TeamIDs()
	if c.Key.ID != "" {
		kind = map[store.AccessKeyKind]string{store.PersonalKey: "personalAccessToken", store.DeploymentKey: "deploymentToken",
			store.PreviewKey: "previewToken", store.ProjectKey: "projectToken"}[c.Key.Kind]
	}
	out := map[string]any{"type": kind, "name": c.Key.Name, "createTime": c.Key.CreatedAt.UnixMilli()}
	if len(teams) == 1 {
		t, err := c.Team(c.ctx(), teams[0])
		if err != nil {
			return err
		}
		out["teamId"] = t.Number
	}
	if id := c.ProjectID(); id != "" {
		p, err := c.DB.ProjectByID(c.ctx(), id)
		if err != nil {
			return err
		}
		out["projectId"] = p.Number
	}
	return c.ok(out)
}

// projectsPage is how many projects a page has.
const projectsPage = 100

func (c *call) projects() error {
	t, err := c.team()
	if err != nil {
		return err
	}
	var after int64
	if text := c.r.URL.Query().Get("cursor"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return invalid("InvalidCursor", "The cursor is none of this list.")
		}
	}
	all, err := t.Projects(c.ctx(), after, projectsPage+1)
	if err != nil {
		return err
	}
	out := page[listedProject]{Items: []listedProject{}}
	if len(all) > projectsPage {
		all = all[:projectsPage]
		cursor := strconv.FormatInt(all[len(all)-1].Number, 10)
		out.Pagination = pagination{true, &cursor}
	}
	for _, p := range all {
		if c.MaySee(p) {
			out.Items = append(out.Items, wireProject(p, t))
		}
	}
	return c.ok(out)
}

func (c *call) createProject() error {
	var req struct {
		ProjectName    string       `json:"projectName"`
		DeploymentType *convex.Type `json:"deploymentType"`
	}
	t, err := c.team()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	if c.IsKey() {
		return forbidden("make projects")
	}
	o := store.Opening{}
	if req.DeploymentType != nil {
		switch *req.DeploymentType {
		case convex.Prod:
			o = store.Opening{Kind: claim.Prod, Reference: defaultProd}
		case convex.Dev:
			o = store.Opening{Kind: claim.Dev}
			if c.Person.ID == "" {
				o.Reference = "default"
			}
		default:
			return invalid("InvalidDeploymentType", "deploymentType must be dev or prod.")
		}
	}
	p, err := t.CreateProject(c.ctx(), req.ProjectName, c.Person.ID)
	if err != nil {
		return err
	}
	out := map[string]any{"slug": p.Slug, "projectId": p.Number}
	if o.Kind != "" {
		o.Project, o.PersonID = p.Slug, c.Person.ID
		d, _, err := t.Open(c.ctx(), o)
		if err != nil {
			return err
		}
		out["deploymentName"], out["deploymentUrl"] = d.Name, c.URL(d)
	}
	return c.ok(out)
}

// inTeam returns the project that the path names by team and slug.
func (c *call) inTeam() (*store.Team, store.Project, error) {
	t, err := c.team()
	if err != nil {
		return nil, store.Project{}, err
	}
	_, p, err := c.projectNamed(t.Slug, c.r.PathValue("project"))
	if err == nil && p.ID == "" {
		err = fault.New(fault.NotFound, "The project was not found.").WithCode(convex.CodeProjectNotFound)
	}
	return t, p, err
}

// byNumber returns the project that the path names by its number.
func (c *call) byNumber() (*store.Team, store.Project, error) {
	number, err := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	if err != nil {
		number = 0
	}
	return c.numbered(number)
}

func (c *call) numbered(number int64) (*store.Team, store.Project, error) {
	p, err := c.DB.ProjectByNumber(c.ctx(), number)
	if err == nil && !c.MaySee(p) {
		err = fault.New(fault.NotFound, "The project was not found.").WithCode(convex.CodeProjectNotFound)
	}
	if err != nil {
		return nil, p, err
	}
	t, err := c.Team(c.ctx(), p.TeamID)
	return t, p, err
}

// ruled is byNumber for those who rule the project.
func (c *call) ruled() (*store.Team, store.Project, error) {
	t, p, err := c.byNumber()
	if err == nil {
		err = c.mustRule(p)
	}
	return t, p, err
}

func (c *call) mustRule(p store.Project) error {
	if !c.MayAdminister(p) {
		return forbidden("do this: it takes an admin of the team or the project")
	}
	return nil
}

func (c *call) projectBySlug() error {
	t, p, err := c.inTeam()
	if err != nil {
		return err
	}
	return c.ok(wireProject(p, t))
}

func (c *call) project() error {
	t, p, err := c.byNumber()
	if err != nil {
		return err
	}
	return c.ok(wireProject(p, t))
}

func (c *call) deploymentOfProject() error {
	_, p, err := c.inTeam()
	if err != nil {
		return err
	}
	q := c.r.URL.Query()
	var fits func(store.Deployment) bool
	switch {
	case q.Get("reference") != "":
		fits = func(d store.Deployment) bool {
			return reference(d) == q.Get("reference") || d.Name == q.Get("reference")
		}
	case q.Get("defaultDev") == "true":
		fits = c.own
	case q.Get("defaultProd") == "true":
		fits = isDefault
	default:
		return invalid("InvalidArguments", "Say which deployment: reference, defaultDev or defaultProd.")
	}
	d, ok, err := c.find(p, fits)
	if err != nil {
		return err
	}
	if !ok {
		return missing(cmp.Or(q.Get("reference"), "that is asked for"))
	}
	return c.ok(c.wireDeployment(d, p))
}

func (c *call) deployments() error {
	_, p, err := c.byNumber()
	if err != nil {
		return err
	}
	all, err := c.DB.DeploymentsOf(c.ctx(), p.ID)
	if err != nil {
		return err
	}
	out := []listedDeployment{}
	for _, d := range all {
		out = append(out, c.wireDeployment(d, p))
	}
	return c.ok(out)
}

func (c *call) deployment() error {
	d, err := c.named(c.r.PathValue("name"))
	if err != nil {
		return err
	}
	_, p, err := c.projectOf(d)
	if err != nil {
		return err
	}
	return c.ok(c.wireDeployment(d, p))
}

// createDeployment makes a deployment with a reference of its own, such as a
// second one of production's kind for staging. A reference that is taken is a
// Conflict.
func (c *call) createDeployment() error {
	var req struct {
		Type      convex.Type `json:"type"`
		Reference string      `json:"reference"`
	}
	t, p, err := c.byNumber()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	kind := claim.Kind(req.Type)
	if kind != claim.Dev && kind != claim.Preview && kind != claim.Prod {
		return invalid("InvalidDeploymentType", "type must be dev, preview or prod.")
	}
	name := strings.TrimPrefix(req.Reference, string(kind)+"/")
	if req.Reference == "" {
		name = defaultProd
		if kind != claim.Prod {
			name = strings.ToLower(strconv.FormatInt(c.DB.Now().UnixMilli(), 36))
		}
	} else if err := checkReference(req.Reference); err != nil {
		return err
	}
	d, created, err := c.opened(t, p, store.Opening{Kind: kind, Reference: name})
	if err == nil && !created {
		err = fault.New(fault.Conflict, "The reference %s is taken by the deployment %s.", reference(d), d.Name).WithCode("ReferenceInUse")
	}
	if err != nil {
		return err
	}
	return c.ok(c.wireDeployment(d, p))
}

// minLifetime is how far ahead the end of a preview must be, as Convex has it.
const minLifetime = 30 * time.Minute

// updateDeployment changes when a preview ends.
func (c *call) updateDeployment() error {
	var req struct {
		ExpiresAt *int64 `json:"expiresAt"` // milliseconds since 1970; null: never
	}
	d, err := c.usable(c.r.PathValue("name"), "deployment:updateExpiresAt")
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	if d.Kind != claim.Preview {
		return invalid("InvalidExpiresAt", "Only preview deployments end by themselves.")
	}
	var at time.Time
	if req.ExpiresAt != nil {
		if at = time.UnixMilli(*req.ExpiresAt); at.Before(c.DB.Now().Add(minLifetime)) {
			return invalid("InvalidExpiresAt", "expiresAt must be at least %d minutes ahead.", int(minLifetime.Minutes()))
		}
	}
	t, p, err := c.projectOf(d)
	if err != nil {
		return err
	}
	if err := t.SetExpiry(c.ctx(), d.ID, at); err != nil {
		return err
	}
	d.ExpiresAt = at
	return route.JSON(c.w, http.StatusOK, c.wireDeployment(d, p))
}
