package control

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountDeployments(on func(string, func(*call) error)) {
	on("GET /api/deployment/{name}/team_and_project", (*call).teamAndProject)
	on("POST /api/deployment/provision_and_authorize", (*call).provision)
	on("POST /api/deployment/authorize_within_current_project", (*call).authorizeWithin)
	on("POST /api/deployment/authorize_prod", (*call).authorizeProd)
	on("POST /api/deployment/authorize_preview", (*call).authorizePreview)
	on("POST /api/deployment/existing_dev", (*call).existingDev)
	on("POST /api/claim_preview_deployment", (*call).claimPreview)
	on("POST /v1/deployments/{name}/delete", (*call).deleteDeployment)
}

// defaultProd is the reference of a project's default production deployment.
const defaultProd = "prod"

// reference is how Convex's tools name a deployment within its project.
func reference(d store.Deployment) string {
	if d.Kind == claim.Prod {
		return d.Reference
	}
	return string(d.Kind) + "/" + store.Slug(d.Reference)
}

// isDefault says whether `dev` or `prod` alone means the deployment.
func isDefault(d store.Deployment) bool { return d.Kind == claim.Prod && d.Reference == defaultProd }

// checkReference refuses what is no reference of Convex's.
func checkReference(s string) error {
	bad := len(s) < 3 || len(s) > 100 || strings.HasPrefix(s, "local-") || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-/") != ""
	if bad {
		return invalid("InvalidReference", "A reference has 3 to 100 lower-case letters, digits, hyphens and slashes.")
	}
	return nil
}

func (c *call) credentials(d store.Deployment) error {
	ref, def := reference(d), isDefault(d)
	return c.ok(convex.Credentials{AdminKey: convex.Token(c.AdminKey(d).Reveal()), URL: c.URL(d), DeploymentName: d.Name,
		DeploymentType: convex.Type(d.Kind), Reference: &ref, IsDefault: &def})
}

func (c *call) teamAndProject() error {
	d, err := c.named(c.r.PathValue("name"))
	if err != nil {
		return err
	}
	t, p, err := c.projectOf(d)
	if err != nil {
		return err
	}
	return c.ok(convex.TeamAndProject{Team: t.Slug, Project: p.Slug, TeamID: t.Number, ProjectID: p.Number})
}

// opened opens a deployment of a project for the caller and says so when it is new.
func (c *call) opened(t *store.Team, p store.Project, o store.Opening) (store.Deployment, bool, error) {
	// Whoever makes a project administers it.
	if p.ID != "" && !c.MayOpen(p, o.Kind) {
		what := map[claim.Kind]string{claim.Dev: "make dev deployments here", claim.Preview: "make preview deployments here",
			claim.Prod: "use production of this project: it takes an admin of the team or the project"}[o.Kind]
		return store.Deployment{}, false, forbidden(what)
	}
	o.Project = p.Slug
	o.PersonID = cmp.Or(c.Person.ID, c.Key.PersonID)
	o.Lifetime = cmp.Or(c.PreviewLifetime, PreviewLifetime)
	d, created, err := t.Open(c.ctx(), o)
	if err == nil && created {
		err = c.Forget(c.ctx()) // it may stand in the place of another one
	}
	return d, created, err
}

func (c *call) provision() error {
	var req convex.ProvisionRequest
	if err := c.read(&req); err != nil {
		return err
	}
	o := store.Opening{Kind: claim.Prod, Reference: defaultProd}
	switch req.DeploymentType {
	case convex.Prod:
	case convex.Dev:
		o.Kind, o.Reference = claim.Dev, ""
		if c.Person.ID == "" && c.Key.PersonID == "" {
			o.Reference = cmp.Or(c.r.Header.Get(berth.OwnerHeader), "default")
		}
	default:
		return invalid("InvalidDeploymentType", "deploymentType must be dev or prod.")
	}
	t, p, err := c.provisioned(req)
	if err != nil {
		return err
	}
	d, _, err := c.opened(t, p, o)
	if err != nil {
		return err
	}
	return c.credentials(d)
}

// provisioned returns the project of a request: the one of the key, or the one
// that slugs name.
func (c *call) provisioned(req convex.ProvisionRequest) (*store.Team, store.Project, error) {
	if req.TeamSlug != nil && req.ProjectSlug != nil {
		return c.projectNamed(*req.TeamSlug, *req.ProjectSlug)
	}
	if !c.IsKey() {
		return nil, store.Project{}, fault.New(fault.NotFound, "The request names no project.").WithCode(convex.CodeProjectNotFound)
	}
	p, err := c.DB.ProjectByID(c.ctx(), c.ProjectID())
	if err != nil {
		return nil, p, err
	}
	t, err := c.Team(c.ctx(), p.TeamID)
	return t, p, err
}

func (c *call) authorizeWithin() error {
	var req convex.AuthorizeWithinRequest
	if err := c.read(&req); err != nil {
		return err
	}
	_, p, err := c.selected(req.ProjectSelection)
	if err != nil {
		return err
	}
	d, err := c.named(req.SelectedDeploymentName)
	if err != nil {
		return err
	}
	if d.ProjectID != p.ID {
		return missing(req.SelectedDeploymentName)
	}
	if err := c.may(d, ""); err != nil {
		return err
	}
	return c.credentials(d)
}

// authorizeProd makes the production deployment when there is none yet:
// `convex deploy` asks for nothing else.
func (c *call) authorizeProd() error {
	var req convex.AuthorizeProdRequest
	if err := c.read(&req); err != nil {
		return err
	}
	d, err := c.named(req.DeploymentName)
	if err != nil {
		return err
	}
	t, p, err := c.projectOf(d)
	if err != nil {
		return err
	}
	if d, _, err = c.opened(t, p, store.Opening{Kind: claim.Prod, Reference: defaultProd}); err != nil {
		return err
	}
	return c.credentials(d)
}

// find returns the deployment of a project that fits, or false.
func (c *call) find(p store.Project, fits func(store.Deployment) bool) (store.Deployment, bool, error) {
	if p.ID == "" {
		return store.Deployment{}, false, nil
	}
	all, err := c.DB.DeploymentsOf(c.ctx(), p.ID)
	for _, d := range all {
		if fits(d) {
			return d, true, nil
		}
	}
	return store.Deployment{}, false, err
}

func (c *call) authorizePreview() error {
	var req convex.AuthorizePreviewRequest
	if err := c.read(&req); err != nil {
		return err
	}
	_, p, err := c.selected(req.ProjectSelection)
	if err != nil {
		return err
	}
	d, ok, err := c.find(p, func(d store.Deployment) bool { return d.Kind == claim.Preview && d.Reference == req.PreviewName })
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "No preview deployment is named %s.", req.PreviewName).WithCode(convex.CodePreviewNotFound)
	}
	if err == nil {
		err = c.may(d, "")
	}
	if err != nil {
		return err
	}
	return c.credentials(d)
}

// own reports whether a deployment is what `dev` means for the caller.
func (c *call) own(d store.Deployment) bool {
	person := cmp.Or(c.Person.ID, c.Key.PersonID)
	return d.Kind == claim.Dev && (person != "" && d.PersonID == person || person == "" && d.Reference == cmp.Or(c.r.Header.Get(berth.OwnerHeader), "default"))
}

func (c *call) existingDev() error {
	var req struct{ TeamSlug, ProjectSlug string }
	if err := c.read(&req); err != nil {
		return err
	}
	_, p, err := c.projectNamed(req.TeamSlug, req.ProjectSlug)
	if err != nil {
		return err
	}
	_, ok, err := c.find(p, c.own)
	if err != nil {
		return err
	}
	return c.ok(map[string]string{"kind": map[bool]string{true: "Exists", false: "DoesNotExist"}[ok]})
}

// maxPreviewName bounds names of previews: GitHub's branches have at most 244
// bytes.
const maxPreviewName = 250

func (c *call) claimPreview() error {
	var req convex.ClaimPreviewRequest
	if err := c.read(&req); err != nil {
		return err
	}
	t, p, err := c.selected(req.ProjectSelection)
	if err != nil {
		return err
	}
	if req.Identifier == "" || len(req.Identifier) > maxPreviewName || strings.ContainsFunc(req.Identifier, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("InvalidPreviewName", "The name of a preview has 1 to %d printable characters.", maxPreviewName)
	}
	d, created, err := c.opened(t, p, store.Opening{Kind: claim.Preview, Reference: req.Identifier, Fresh: !req.Reuse})
	if err != nil {
		return err
	}
	ref := reference(d)
	return c.ok(convex.PreviewDeployment{AdminKey: convex.Token(c.AdminKey(d).Reveal()), InstanceURL: c.URL(d), DeploymentName: d.Name,
		IsNewDeployment: created, Reference: &ref})
}

func (c *call) deleteDeployment() error {
	d, err := c.usable(c.r.PathValue("name"), "deployment:delete")
	if err != nil {
		return err
	}
	if d.Kind == claim.Prod {
		return fault.New(fault.Denied, "The production deployment %s is not deleted through this call.", d.Name).WithCode("CannotDeleteProd")
	}
	t, _, err := c.projectOf(d)
	if err != nil {
		return err
	}
	if err := t.DeleteDeployment(c.ctx(), d.Project, d.Kind, d.Reference); err != nil {
		return err
	}
	if err := c.Forget(c.ctx()); err != nil {
		return err
	}
	if d.Kind == claim.Preview {
		if err := c.Gone(c.ctx(), t, d.Project, d.Reference); err != nil {
			return err
		}
	}
	return c.empty()
}

// keyed returns the deployment that a key of one is for. Keys with and without
// the right prefix to be a credential are alike here.
func (a *API) keyed(r *http.Request) (store.Deployment, error) {
	bad := fault.New(fault.Unauthenticated, "The deploy key is unknown, has expired or was revoked.").WithCode(convex.CodeBadDeployKey)
	var req convex.DeployKeyRequest
	if err := route.Read(r, &req); err != nil {
		return store.Deployment{}, err
	}
	key, err := convex.ParseDeployKey(string(req.DeployKey))
	if err != nil || key.Class != convex.ClassDeployment {
		return store.Deployment{}, bad
	}
	// A custom: key names no kind that the database knows: only its end counts.
	value := key.Value.Reveal()
	if key.Type == convex.Custom {
		value = strings.TrimPrefix(value, "custom:")
	}
	d, err := a.DB.DeploymentByAdminKey(r.Context(), value)
	if fault.Is(err, fault.Unauthenticated) {
		err = bad
	}
	return d, err
}

func (a *API) urlForKey(w http.ResponseWriter, r *http.Request) error {
	d, err := a.keyed(r)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, a.URL(d))
}

func (a *API) teamAndProjectForKey(w http.ResponseWriter, r *http.Request) error {
	d, err := a.keyed(r)
	if err != nil {
		return err
	}
	t, err := a.DB.Team(r.Context(), d.TeamID)
	if err != nil {
		return err
	}
	p, err := a.DB.ProjectByID(r.Context(), d.ProjectID)
	if err != nil {
		return err
	}
	ref, def := reference(d), isDefault(d)
	return route.JSON(w, http.StatusOK, convex.TeamAndProject{Team: t.Slug, Project: p.Slug, TeamID: t.Number, ProjectID: p.Number, Reference: &ref, IsDefault: &def})
}
