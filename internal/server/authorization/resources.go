package authorization

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func mountResources(on routes) {
	on.handle("POST /authorization/resources", createResource)
	on.handle("GET /authorization/resources", listResources)
	on.handle("GET /authorization/resources/{resource}", getResource)
	on.handle("PATCH /authorization/resources/{resource}", updateResource)
	on.handle("DELETE /authorization/resources/{resource}", deleteResource)
	on.handle("GET /authorization/organizations/{organization}/resources/{type}/{external_id}", getResource)
	on.handle("PATCH /authorization/organizations/{organization}/resources/{type}/{external_id}", updateResource)
	on.handle("DELETE /authorization/organizations/{organization}/resources/{type}/{external_id}", deleteResource)
}

func resource(v identity.Resource) workos.AuthorizationResource {
	return workos.AuthorizationResource{Object: "authorization_resource", ID: v.ID, ExternalID: v.ExternalID, Name: v.Name, Description: keyed.OrNull(v.Description),
		ResourceType: v.Type, OrganizationID: v.OrganizationID, ParentResourceID: keyed.OrNull(v.ParentID), CreatedAt: workos.At(v.CreatedAt), UpdatedAt: workos.At(v.UpdatedAt)}
}

// pathResource finds the resource that a path names, either way.
func pathResource(e *store.Env, r *http.Request) (identity.Resource, error) {
	return e.Resource(r.Context(), r.PathValue("organization"), pathRef(r))
}

func pathRef(r *http.Request) identity.ResourceRef {
	return identity.ResourceRef{ID: r.PathValue("resource"), Type: r.PathValue("type"), ExternalID: r.PathValue("external_id")}
}

// choice names a resource: by id, or by type and external id.
type choice struct{ id, kind, externalID *string }

// ref returns what the choice names; without members it is the zero value.
func (c choice) ref(prefix string) (identity.ResourceRef, error) {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch {
	case c.id != nil && (c.kind != nil || c.externalID != nil):
		return identity.ResourceRef{}, unprocessable("%[1]sresource_id cannot be sent together with %[1]sresource_external_id and %[1]sresource_type_slug.", prefix)
	case c.id != nil && *c.id == "", c.id == nil && (c.kind != nil || c.externalID != nil) && (text(c.kind) == "" || text(c.externalID) == ""):
		return identity.ResourceRef{}, unprocessable("Send %[1]sresource_id, or both %[1]sresource_external_id and %[1]sresource_type_slug.", prefix)
	}
	return identity.ResourceRef{ID: text(c.id), Type: text(c.kind), ExternalID: text(c.externalID)}, nil
}

// parentBody names the parent of a resource.
type parentBody struct {
	ID         keyed.Nullable[string] `json:"parent_resource_id"`
	ExternalID *string                `json:"parent_resource_external_id"`
	Type       *string                `json:"parent_resource_type_slug"`
}

func (b parentBody) ref() (identity.ResourceRef, error) {
	c := choice{kind: b.Type, externalID: b.ExternalID}
	if b.ID.Set && !b.ID.Null {
		c.id = &b.ID.Value
	}
	return c.ref("parent_")
}

func (b parentBody) named() bool { return b.ID.Set || b.ExternalID != nil || b.Type != nil }

// resourceBody is what resources are made from and changed by.
type resourceBody struct {
	ExternalID     string `json:"external_id"`
	ResourceType   string `json:"resource_type_slug"`
	OrganizationID string `json:"organization_id"`

	Name        *string                `json:"name"`
	Description keyed.Nullable[string] `json:"description"`
	parentBody
}

// check holds the body to the limits of the OpenAPI document.
func (b resourceBody) check(creates bool) error {
	switch {
	case creates && b.Name == nil, b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return unprocessable("name is required.")
	case b.Name != nil && utf8.RuneCountInString(*b.Name) > identity.MaxRoleName:
		return unprocessable("name has at most %d characters.", identity.MaxRoleName)
	case utf8.RuneCountInString(b.Description.Value) > identity.MaxRoleDescription:
		return unprocessable("description has at most %d characters.", identity.MaxRoleDescription)
	case !creates:
		return nil
	case b.OrganizationID == "":
		return unprocessable("organization_id is required.")
	case b.ResourceType == identity.OrganizationResource:
		return badRequest("The resource of an organization is made with the organization.")
	}
	if err := identity.CheckExternalID(b.ExternalID); err != nil {
		return err
	}
	return identity.CheckResourceType(b.ResourceType)
}

func createResource(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b resourceBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(true); err != nil {
		return err
	}
	parent, err := b.ref()
	if err != nil {
		return err
	}
	v, err := e.CreateResource(r.Context(), identity.Resource{OrganizationID: b.OrganizationID, Type: b.ResourceType, ExternalID: b.ExternalID,
		Name: *b.Name, Description: b.Description.Value}, parent)
	return answer(w, http.StatusCreated, v, err, resource)
}

func listResources(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := store.ResourceFilter{OrganizationID: q.Get("organization_id"), Type: q.Get("resource_type_slug"), ExternalID: q.Get("resource_external_id"), Search: q.Get("search"),
		Parent: identity.ResourceRef{ID: q.Get("parent_resource_id"), Type: q.Get("parent_resource_type_slug"), ExternalID: q.Get("parent_external_id")}}
	switch p := f.Parent; {
	case p.ID != "" && (p.Type != "" || p.ExternalID != ""):
		return unprocessable("parent_resource_id cannot be sent together with parent_resource_type_slug and parent_external_id.")
	case (p.Type == "") != (p.ExternalID == ""):
		return unprocessable("parent_resource_type_slug and parent_external_id need each other.")
	case f.ExternalID != "" && f.OrganizationID == "" && f.Type == "":
		return fault.New(fault.Invalid, "resource_external_id needs organization_id or resource_type_slug.").WithCode("missing_organization_id_or_resource_type_slug")
	}
	return answerPage(w, r, resource, func(ctx context.Context, p store.Page) ([]identity.Resource, string, string, error) {
		return e.Resources(ctx, f, p)
	})
}

func getResource(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := pathResource(e, r)
	return answer(w, http.StatusOK, v, err, resource)
}

func updateResource(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	v, err := pathResource(e, r)
	if err != nil {
		return err
	}
	var b resourceBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := b.check(false); err != nil {
		return err
	}
	change := store.ResourceChange{Name: b.Name, Description: keyed.Text(b.Description)}
	if b.named() {
		parent, err := b.ref()
		if err != nil {
			return err
		}
		change.Parent = &parent
	}
	v, err = e.UpdateResource(r.Context(), v.ID, change)
	return answer(w, http.StatusOK, v, err, resource)
}

func deleteResource(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	cascade := false
	if text := r.URL.Query().Get("cascade_delete"); text != "" {
		var err error
		if cascade, err = strconv.ParseBool(text); err != nil {
			return badRequest("cascade_delete must be true or false.")
		}
	}
	v, err := pathResource(e, r)
	if err != nil {
		return err
	}
	return noContent(w, e.DeleteResource(r.Context(), v.ID, cascade))
}
