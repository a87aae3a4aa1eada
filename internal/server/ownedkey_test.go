package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// shop is an application with a customer: an organization and a member of it.
type shop struct {
	*application
	organization identity.Organization
	user         identity.User
}

func newShop(t testing.TB, cfg server.Config) *shop {
	t.Helper()
	v := &shop{application: newApplication(t, cfg)}
	var err error
	if v.organization, err = v.env.CreateOrganization(t.Context(), identity.Organization{Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	v.user = v.application.user(t, "ada@example.com", "Ada")
	if _, err = v.env.CreateMembership(t.Context(), v.organization.ID, v.user.ID, nil); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *shop) permission(t testing.TB, slug string) {
	t.Helper()
	if _, err := v.env.CreatePermission(t.Context(), identity.Permission{Slug: slug, Name: slug}); err != nil {
		t.Fatal(err)
	}
}

// R99: an API key of a customer, from its making to its end.
func TestAKeyOfACustomer(t *testing.T) {
	clk := newStopped()
	v := newShop(t, server.Config{Now: clk.now})
	v.permission(t, "posts:read")
	for name, c := range map[string]struct {
		path  string
		body  m
		owner m
	}{
		"of an organization": {"/organizations/" + v.organization.ID + "/api_keys", m{"name": "CI", "permissions": []string{"posts:read"}}, m{"type": "organization", "id": v.organization.ID}},
		"of a user": {"/user_management/users/" + v.user.ID + "/api_keys", m{"name": "CI", "permissions": []string{"posts:read"}, "organization_id": v.organization.ID},
			m{"type": "user", "id": v.user.ID, "organization_id": v.organization.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			made := v.json(t, "POST", c.path, c.body, http.StatusCreated)
			value := made["value"].(string)
			delete(made, "value")
			if diff := cmp.Diff(c.owner, made["owner"]); diff != "" || made["obfuscated_value"] != "sk_..."+value[len(value)-4:] || made["last_used_at"] != nil || made["expires_at"] != nil {
				t.Errorf("key = %v (owner -want +got):\n%s", made, diff)
			}
			list := v.json(t, "GET", c.path, nil, http.StatusOK)
			if diff := cmp.Diff([]any{made}, list["data"]); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			check := func() any {
				return v.json(t, "POST", "/api_keys/validations", m{"value": value}, http.StatusOK)["api_key"]
			}
			valid, ok := check().(map[string]any)
			if !ok || valid["id"] != made["id"] || valid["last_used_at"] == nil || !cmp.Equal(valid["permissions"], []any{"posts:read"}) {
				t.Errorf("validation = %v, want the key with its permissions and last use", valid)
			}
			if wrong := v.json(t, "POST", "/api_keys/validations", m{"value": value + "x"}, http.StatusOK); wrong["api_key"] != nil || len(wrong) != 1 {
				t.Errorf("validation of a wrong value = %v, want null", wrong)
			}
			path := "/api_keys/" + made["id"].(string)
			at := clk.now().Add(time.Hour).UTC().Format(time.RFC3339)
			if out := v.json(t, "POST", path+"/expire", m{"expires_at": at}, http.StatusOK); !strings.HasPrefix(out["expires_at"].(string), at[:19]) {
				t.Errorf("expire at %s = %v", at, out)
			}
			if check() == nil {
				t.Error("a key whose end is planned is not valid before it")
			}
			if out := v.json(t, "POST", path+"/expire", m{"expires_at": nil}, http.StatusOK); out["expires_at"] != nil {
				t.Errorf("expire with null = %v, want no end", out)
			}
			if out := v.json(t, "POST", path+"/expire", nil, http.StatusOK); out["expires_at"] == nil || check() != nil {
				t.Errorf("expire = %v, want its end now and no validation", out)
			}
			if out := v.json(t, "POST", path+"/expire", m{}, http.StatusConflict); out["code"] != "api_key_already_expired" {
				t.Errorf("expire again = %v", out)
			}
			v.json(t, "DELETE", path, nil, http.StatusNoContent)
			v.json(t, "DELETE", path, nil, http.StatusNotFound)
		})
	}
	names, text := v.events(t, "&events=api_key.created&events=api_key.revoked")
	one := []string{"api_key.created", "api_key.revoked"}
	if diff := cmp.Diff(slices.Concat(one, one), names); diff != "" || strings.Contains(text, `"value"`) {
		t.Errorf("events = %s, want no value (-want +got):\n%s", text, diff)
	}
	// The OpenAPI document that answers are held to is older than this event.
	changes, _, err := v.env.Events(t.Context(), store.EventFilter{Names: []string{"api_key.updated"}}, store.Page{Limit: 10, Ascending: true})
	if err != nil || len(changes) != 6 || !strings.Contains(string(changes[0].Data), `"previous_attributes":{"expires_at":null}`) ||
		!strings.Contains(string(changes[1].Data), `"expires_at":null,`) || strings.Contains(string(changes[1].Data), `"previous_attributes":{"expires_at":null}`) {
		t.Errorf("api_key.updated = %s, %v; want three for each key, with what was before", changes, err)
	}
}

func TestBadKeysOfCustomersAreRefused(t *testing.T) {
	v := newShop(t, server.Config{})
	stranger := v.application.user(t, "bob@example.com", "Bob")
	org, user := "/organizations/"+v.organization.ID+"/api_keys", "/user_management/users/"+v.user.ID+"/api_keys"
	past := time.Now().Add(-time.Hour).Format(time.RFC3339)
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		says   string
	}{
		"no name":                      {org, m{}, 422, "name_required"},
		"a name of blanks":             {org, m{"name": "  "}, 422, "name_required"},
		"a long name":                  {org, m{"name": strings.Repeat("x", 256)}, 422, "name_too_long"},
		"an unknown permission":        {org, m{"name": "x", "permissions": []string{"posts:read"}}, 422, "permission_not_found"},
		"an end that has been":         {org, m{"name": "x", "expires_at": past}, 422, "expires_at_not_in_future"},
		"an end that is no time":       {org, m{"name": "x", "expires_at": "soon"}, 422, "expires_at_invalid"},
		"a name that is a number":      {org, m{"name": 7}, 422, "name must be a string"},
		"an unknown organization":      {"/organizations/org_none/api_keys", m{"name": "x"}, 404, "org_none"},
		"a user's without one":         {user, m{"name": "x"}, 400, "organization_id_required"},
		"a user's unknown permission":  {user, m{"name": "x", "organization_id": v.organization.ID, "permissions": []string{"nope"}}, 400, "permission_not_found"},
		"a user's unknown one":         {user, m{"name": "x", "organization_id": "org_none"}, 404, "org_none"},
		"an unknown user":              {"/user_management/users/user_none/api_keys", m{"name": "x", "organization_id": v.organization.ID}, 404, "user_none"},
		"a user who is no member":      {"/user_management/users/" + stranger.ID + "/api_keys", m{"name": "x", "organization_id": v.organization.ID}, 422, "not an active member"},
		"a validation without a value": {"/api_keys/validations", m{}, 422, "value is required"},
		"an end of an unknown key":     {"/api_keys/api_key_none/expire", m{}, 404, "api_key_none"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := call(t, v.s, "POST", c.path, v.key, c.body); status != c.status || !strings.Contains(text, c.says) {
				t.Errorf("POST %s = %d %s, want %d with %q", c.path, status, text, c.status, c.says)
			}
		})
	}
	for _, path := range []string{"/organizations/org_none/api_keys", "/user_management/users/user_none/api_keys"} {
		if status, text := call(t, v.s, "GET", path, v.key, nil); status != http.StatusNotFound {
			t.Errorf("GET %s = %d %s, want 404", path, status, text)
		}
	}
	if list := v.json(t, "GET", org, nil, http.StatusOK); len(list["data"].([]any)) != 0 {
		t.Errorf("keys after refusals = %v, want none", list)
	}
}
