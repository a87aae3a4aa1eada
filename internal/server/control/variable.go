package control

import (
	"slices"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/store"
)

func (a *API) mountVariables(on func(string, func(*call) error)) {
	on("GET /v1/projects/{id}/list_default_environment_variables", (*call).defaults)
	on("POST /v1/projects/{id}/update_default_environment_variables", (*call).changeDefaults)
}

// kinds are the kinds of deployments with defaults, in their order on the wire.
var kinds = []claim.Kind{claim.Dev, claim.Preview, claim.Prod}

// mayReadDefaults says whose defaults are whose to read: those of production are
// for who rules the project.
func (c *call) mayReadDefaults(p store.Project, kind claim.Kind) bool {
	return c.MayAdminister(p) || kind != claim.Prod && !c.IsKey()
}

// defaults lists each name and value once, with the kinds that begin with it.
func (c *call) defaults() error {
	_, p, err := c.byNumber()
	if err != nil {
		return err
	}
	q := c.r.URL.Query()
	asked := claim.Kind(q.Get("deploymentType"))
	switch {
	case asked == "custom": // no deployment here has that type
	case asked != "" && !slices.Contains(kinds, asked):
		return invalid("InvalidDeploymentType", "deploymentType must be dev, preview, prod or custom.")
	case asked != "" && !c.mayReadDefaults(p, asked):
		return forbidden("see these variables: it takes an admin of the team or the project")
	}
	all, err := c.DB.DefaultVariables(c.ctx(), p.ID)
	if err != nil {
		return err
	}
	out := page[convex.DefaultVariable]{Items: []convex.DefaultVariable{}}
	for _, v := range all {
		if asked != "" && v.Kind != asked || q.Get("name") != "" && v.Name != q.Get("name") || !c.mayReadDefaults(p, v.Kind) {
			continue
		}
		i := slices.IndexFunc(out.Items, func(o convex.DefaultVariable) bool { return o.Name == v.Name && o.Value == v.Value })
		if i < 0 {
			i = len(out.Items)
			out.Items = append(out.Items, convex.DefaultVariable{Name: v.Name, Value: v.Value})
		}
		out.Items[i].DeploymentTypes = append(out.Items[i].DeploymentTypes, convex.Type(v.Kind))
	}
	return c.ok(out)
}

func (c *call) changeDefaults() error {
	var req struct {
		Changes []convex.DefaultChange `json:"changes"`
	}
	t, p, err := c.ruled()
	if err == nil {
		err = c.read(&req)
	}
	if err != nil {
		return err
	}
	changes := map[claim.Kind][]deployment.Change{}
	for _, change := range req.Changes {
		kind := claim.Kind(change.DeploymentType)
		if !slices.Contains(kinds, kind) {
			return invalid("InvalidDeploymentType", "deploymentType must be dev, preview or prod: no other deployments are made here.")
		}
		changes[kind] = append(changes[kind], deployment.Change{Name: change.Name, Value: change.Value})
	}
	var changed []claim.Kind
	for _, kind := range kinds {
		if len(changes[kind]) > 0 {
			changed = append(changed, kind)
		}
	}
	if err := t.ChangeDefaultVariables(c.ctx(), p.ID, changed, func(kind claim.Kind, vars map[string]string) (map[string]string, error) {
		return deployment.Apply(vars, changes[kind])
	}); err != nil {
		return err
	}
	return c.empty()
}
