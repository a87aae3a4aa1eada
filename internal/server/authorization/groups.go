package authorization

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

func mountGroups(on routes) {
	on.handle("POST /organizations/{organization}/groups", createGroup)
	on.handle("GET /organizations/{organization}/groups", listGroups)
	on.handle("GET /organizations/{organization}/groups/{group}", getGroup)
	on.handle("PATCH /organizations/{organization}/groups/{group}", updateGroup)
	on.handle("DELETE /organizations/{organization}/groups/{group}", deleteGroup)
	on.handle("POST /organizations/{organization}/groups/{group}/organization-memberships", addGroupMember)
	on.handle("GET /organizations/{organization}/groups/{group}/organization-memberships", listGroupMembers)
	on.handle("DELETE /organizations/{organization}/groups/{group}/organization-memberships/{membership}", removeGroupMember)
	on.handle("GET /user_management/organization_memberships/{membership}/groups", listMembershipGroups)
}

func group(g identity.Group) workos.Group {
	return workos.Group{Object: "group", ID: g.ID, OrganizationID: g.OrganizationID, Name: g.Name, Description: keyed.OrNull(g.Description),
		CreatedAt: workos.At(g.CreatedAt), UpdatedAt: workos.At(g.UpdatedAt)}
}

func groupMemberEvent(m identity.GroupMember) any {
	return struct {
		GroupID      string `json:"group_id"`
		MembershipID string `json:"organization_membership_id"`
	}{m.GroupID, m.MembershipID}
}

// groupBody is what groups are made from and changed by.
type groupBody struct {
	Name        *string                `json:"name"`
	Description keyed.Nullable[string] `json:"description"`
}

func readGroup(r *http.Request, creates bool) (groupBody, error) {
	var b groupBody
	if err := route.Read(r, &b); err != nil {
		return b, err
	}
	switch {
	case creates && b.Name == nil, b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return b, unprocessable("name is required.")
	case b.Name != nil && utf8.RuneCountInString(*b.Name) > identity.MaxGroupName:
		return b, unprocessable("name has at most %d characters.", identity.MaxGroupName)
	case utf8.RuneCountInString(b.Description.Value) > identity.MaxGroupDescription:
		return b, unprocessable("description has at most %d characters.", identity.MaxGroupDescription)
	}
	return b, nil
}

func createGroup(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	b, err := readGroup(r, true)
	if err != nil {
		return err
	}
	g, err := e.CreateGroup(r.Context(), identity.Group{OrganizationID: r.PathValue("organization"), Name: *b.Name, Description: b.Description.Value})
	return answer(w, http.StatusCreated, g, err, group)
}

func listGroups(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, group, func(ctx context.Context, p store.Page) ([]identity.Group, string, string, error) {
		return e.Groups(ctx, r.PathValue("organization"), p)
	})
}

func getGroup(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	g, err := e.Group(r.Context(), r.PathValue("organization"), r.PathValue("group"))
	return answer(w, http.StatusOK, g, err, group)
}

func updateGroup(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	b, err := readGroup(r, false)
	if err != nil {
		return err
	}
	g, err := e.RenameGroup(r.Context(), r.PathValue("organization"), r.PathValue("group"), b.Name, keyed.Text(b.Description))
	return answer(w, http.StatusOK, g, err, group)
}

func deleteGroup(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.DeleteGroup(r.Context(), r.PathValue("organization"), r.PathValue("group")))
}

func addGroupMember(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		MembershipID string `json:"organization_membership_id"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.MembershipID == "" {
		return unprocessable("organization_membership_id is required.")
	}
	g, err := e.AddGroupMember(r.Context(), r.PathValue("organization"), r.PathValue("group"), b.MembershipID)
	return answer(w, http.StatusOK, g, err, group)
}

func listGroupMembers(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, baseMembership, func(ctx context.Context, p store.Page) ([]identity.Membership, string, string, error) {
		return e.GroupMembers(ctx, r.PathValue("organization"), r.PathValue("group"), p)
	})
}

func removeGroupMember(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return noContent(w, e.RemoveGroupMember(r.Context(), r.PathValue("organization"), r.PathValue("group"), r.PathValue("membership")))
}

func listMembershipGroups(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	return answerPage(w, r, group, func(ctx context.Context, p store.Page) ([]identity.Group, string, string, error) {
		return e.MembershipGroups(ctx, r.PathValue("membership"), p)
	})
}
