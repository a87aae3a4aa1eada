package server_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestApplicationsAreRegistered(t *testing.T) {
	a := newAccount(t, start(t), email)
	org := a.organization(t, "Acme")
	app := a.api(t, "POST", "/connect/applications", m{"name": " Tides ", "application_type": "oauth", "is_first_party": true,
		"redirect_uris": []any{m{"uri": "https://a.example/cb"}, m{"uri": "https://b.example/cb", "default": true}}}, http.StatusCreated)
	path := "/connect/applications/" + app["id"].(string)
	if app["name"] != "Tides" || app["redirect_uris"].([]any)[1].(m)["default"] != true || app["redirect_uris"].([]any)[0].(m)["default"] != false {
		t.Errorf("application = %v", app)
	}
	if out := a.api(t, "PUT", path, m{"description": "High water", "redirect_uris": nil}, http.StatusOK); out["description"] != "High water" || out["name"] != "Tides" || len(out["redirect_uris"].([]any)) != 0 {
		t.Errorf("update = %v, want the description set, the name kept and no redirect URIs", out)
	}
	if out := a.api(t, "GET", "/connect/applications/"+app["client_id"].(string), nil, http.StatusOK); out["id"] != app["id"] {
		t.Errorf("application by client ID = %v", out)
	}
	made := a.api(t, "POST", path+"/client_secrets", m{}, http.StatusCreated)
	if hint := made["secret_hint"].(string); len(hint) != 4 || !strings.HasSuffix(made["secret"].(string), hint) {
		t.Errorf("secret = %v", made)
	}
	if status, text := call(t, a.s, "GET", path+"/client_secrets", a.key, nil); status != http.StatusOK || strings.Contains(text, made["secret"].(string)) || !strings.Contains(text, made["id"].(string)) {
		t.Errorf("list of secrets = %d %s, want it without the value", status, text)
	}
	a.api(t, "DELETE", "/connect/client_secrets/"+made["id"].(string), nil, http.StatusNoContent)
	a.api(t, "DELETE", "/connect/client_secrets/"+made["id"].(string), nil, http.StatusNotFound)

	a.api(t, "POST", "/connect/applications", m{"name": "Robot", "application_type": "m2m", "organization_id": org}, http.StatusCreated)
	for query, want := range map[string]int{"": 2, "?organization_id=" + org: 1, "?registration_types=dynamic": 0, "?registration_types=dynamic,authenticated": 2, "?limit=1": 1} {
		if out := a.api(t, "GET", "/connect/applications"+query, nil, http.StatusOK); len(out["data"].([]any)) != want {
			t.Errorf("list%s = %v, want %d", query, out, want)
		}
	}
	for name, body := range map[string]m{
		"no name":                 {"application_type": "oauth", "is_first_party": true},
		"no type":                 {"name": "x"},
		"no party":                {"name": "x", "application_type": "oauth"},
		"third party of nobody":   {"name": "x", "application_type": "oauth", "is_first_party": false},
		"machine of nobody":       {"name": "x", "application_type": "m2m"},
		"machine with a redirect": {"name": "x", "application_type": "m2m", "organization_id": org, "redirect_uris": []any{m{"uri": "https://a.example"}}},
		"a scope with a blank":    {"name": "x", "application_type": "oauth", "is_first_party": true, "scopes": []string{"a b"}},
		"a wildcard":              {"name": "x", "application_type": "oauth", "is_first_party": true, "redirect_uris": []any{m{"uri": "https://*.a.example"}}},
		"a script":                {"name": "x", "application_type": "oauth", "is_first_party": true, "redirect_uris": []any{m{"uri": "javascript:alert(1)"}}},
		"two defaults":            {"name": "x", "application_type": "oauth", "is_first_party": true, "redirect_uris": []any{m{"uri": "https://a.example", "default": true}, m{"uri": "https://b.example", "default": true}}},
		"a name that is too long": {"name": strings.Repeat("x", 257), "application_type": "oauth", "is_first_party": true},
	} {
		if status, text := call(t, a.s, "POST", "/connect/applications", a.key, body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s = %d %s, want 422", name, status, text)
		}
	}
	a.api(t, "POST", "/connect/applications", m{"name": "x", "application_type": "m2m", "organization_id": "org_x"}, http.StatusNotFound)
	a.api(t, "DELETE", path, nil, http.StatusNoContent)
	a.api(t, "GET", path, nil, http.StatusNotFound)
}
