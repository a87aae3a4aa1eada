package convex

import (
	"context"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// Project answers the Platform API's project lookup.
type Project struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Slug     string `json:"slug"`
	TeamID   int64  `json:"teamId,omitempty"`
	TeamSlug string `json:"teamSlug,omitempty"`
}

// DefaultVariable is a variable that new deployments of a project begin with.
type DefaultVariable struct {
	Name            string `json:"name"`
	Value           string `json:"value"`
	DeploymentTypes []Type `json:"deploymentTypes,omitempty"`
}

// DefaultChange sets a default for one type of deployment, or removes it when
// Value is null.
type DefaultChange struct {
	Name           string  `json:"name"`
	DeploymentType Type    `json:"deploymentType"`
	Value          *string `json:"value"`
}

// page is the envelope of the Platform API's lists.
type page[T any] struct {
	Items      []T `json:"items"`
	Pagination struct {
		HasMore    bool   `json:"hasMore"`
		NextCursor string `json:"nextCursor"`
	} `json:"pagination"`
}

// maxPages bounds how often a list is asked for its next page.
const maxPages = 100

// every reads all pages of a list. A server that gives the same cursor twice
// does not hold us for ever.
func every[T any](ctx context.Context, c *Control, path string, query url.Values) ([]T, error) {
	var out []T
	if query == nil {
		query = url.Values{}
	}
	for range maxPages {
		var p page[T]
		if err := c.get(ctx, path, query, &p); err != nil {
			return nil, err
		}
		out = append(out, p.Items...)
		if !p.Pagination.HasMore || p.Pagination.NextCursor == "" || p.Pagination.NextCursor == query.Get("cursor") {
			return out, nil
		}
		query.Set("cursor", p.Pagination.NextCursor)
	}
	return nil, fault.New(fault.Unavailable, "%s has more than %d pages at %s", c.Name, maxPages, path)
}

// ProjectBySlug looks up a project. team is a slug or an id.
func (c *Control) ProjectBySlug(ctx context.Context, team, project string) (Project, error) {
	var out Project
	err := c.get(ctx, "/v1/teams/"+url.PathEscape(team)+"/projects/"+url.PathEscape(project), nil, &out)
	return out, err
}

// DeploymentByReference gives the name of a project's deployment.
func (c *Control) DeploymentByReference(ctx context.Context, team, project, reference string) (string, error) {
	var out struct {
		Name string `json:"name"`
	}
	err := c.get(ctx, "/v1/teams/"+url.PathEscape(team)+"/projects/"+url.PathEscape(project)+"/deployment", url.Values{"reference": {reference}}, &out)
	if err == nil && out.Name == "" {
		err = fault.New(fault.Unavailable, "%s answered without the deployment's name", c.Name)
	}
	return out.Name, err
}

// DefaultVariables lists what new deployments of a type begin with; an empty
// name means all.
func (c *Control) DefaultVariables(ctx context.Context, projectID int64, kind Type, name string) ([]DefaultVariable, error) {
	query := url.Values{"deploymentType": {string(kind)}}
	if name != "" {
		query.Set("name", name)
	}
	return every[DefaultVariable](ctx, c, teamPath("/v1/projects/", projectID, "list_default_environment_variables"), query)
}

// UpdateDefaultVariables makes all changes in one call. No changes make no call.
func (c *Control) UpdateDefaultVariables(ctx context.Context, projectID int64, changes []DefaultChange) error {
	if len(changes) == 0 {
		return nil
	}
	body := struct {
		Changes []DefaultChange `json:"changes"`
	}{changes}
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: teamPath("/v1/projects/", projectID, "update_default_environment_variables"), Body: body, Repeatable: true})
}

// CreateDeployKey makes a deploy key for a deployment.
func (c *Control) CreateDeployKey(ctx context.Context, deployment, name string) (Token, error) {
	var out struct {
		DeployKey Token `json:"deployKey"`
	}
	body := struct {
		Name string `json:"name"`
	}{name}
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/v1/deployments/" + url.PathEscape(deployment) + "/create_deploy_key", Body: body, Out: &out})
	return out.DeployKey, err
}

// DeleteDeployKey revokes a deploy key by its name or the part after its |.
func (c *Control) DeleteDeployKey(ctx context.Context, deployment, id string) error {
	body := struct {
		ID string `json:"id"`
	}{id}
	return c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/v1/deployments/" + url.PathEscape(deployment) + "/delete_deploy_key", Body: body, Repeatable: true})
}

// CreatePersonalAccessToken makes a token of the person whose login token the
// client presents.
func (c *Control) CreatePersonalAccessToken(ctx context.Context, name string) (Token, error) {
	var out struct {
		AccessToken Token `json:"accessToken"`
	}
	body := struct {
		Name        string  `json:"name"`
		AnonymousID *string `json:"anonymousId"`
	}{Name: name}
	err := c.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/v1/create_personal_access_token", Body: body, Out: &out})
	if err == nil && out.AccessToken == "" {
		err = fault.New(fault.Unavailable, "%s answered without a token", c.Name)
	}
	return out.AccessToken, err
}
