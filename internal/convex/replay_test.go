package convex

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

// exchange is one HTTP exchange of a transcript of the convex command line.
type exchange struct {
	Kind    string `json:"kind"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		JSON    json.RawMessage   `json:"json"`
		Text    string            `json:"text"` // a form
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		JSON   json.RawMessage `json:"json"`
	} `json:"response"`
}

var placeholder = regexp.MustCompile(`\{deployment:[^}]*\}|\{oidc\}`)

// replay serves the exchanges of a transcript whose path is among paths, in
// their order, and fails on every other request and on those that never came.
func replay(t *testing.T, file string, paths ...string) *httptest.Server {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var transcript struct{ Exchanges []exchange }
	if err := json.Unmarshal(data, &transcript); err != nil {
		t.Fatal(err)
	}
	var queue []exchange
	taken := map[int]bool{} // a path that is named twice stands for its next exchange
	for _, path := range paths {
		for i, x := range transcript.Exchanges {
			if x.Kind == "http" && x.Request.Path == path && !taken[i] {
				queue, taken[i] = append(queue, x), true
				break
			}
		}
	}
	if len(queue) != len(paths) {
		t.Fatalf("%s has %d of the exchanges %v", file, len(queue), paths)
	}
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(queue) == 0 {
			t.Errorf("unexpected request %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		x := queue[0]
		queue = queue[1:]
		if want, err := url.Parse(x.Request.Path); err != nil || r.Method != x.Request.Method || r.URL.Path != want.Path || !cmp.Equal(r.URL.Query(), want.Query()) {
			t.Errorf("request %s %s, want %s %s", r.Method, r.URL, x.Request.Method, x.Request.Path)
		}
		for _, name := range []string{"authorization", "convex-client"} {
			if got := r.Header.Get(name); got != x.Request.Headers[name] {
				t.Errorf("%s of %s = %q, want %q", name, r.URL.Path, got, x.Request.Headers[name])
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if x.Request.Text != "" {
			got, gotErr := url.ParseQuery(string(body))
			want, wantErr := url.ParseQuery(x.Request.Text)
			if diff := cmp.Diff(want, got); diff != "" || gotErr != nil || wantErr != nil {
				t.Errorf("form of %s (-want +got):\n%s", r.URL.Path, diff)
			}
		} else if diff := cmp.Diff(decoded(t, x.Request.JSON), decoded(t, body)); diff != "" {
			t.Errorf("body of %s (-want +got):\n%s", r.URL.Path, diff)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(x.Response.Status)
		_, _ = w.Write(placeholder.ReplaceAll(x.Response.JSON, []byte(srv.URL)))
	}))
	t.Cleanup(func() {
		srv.Close()
		for _, x := range queue {
			t.Errorf("the request %s %s never came", x.Request.Method, x.Request.Path)
		}
	})
	return srv
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Errorf("%q is not JSON: %v", data, err)
	}
	return v
}

func mustKey(t *testing.T, value string) Key {
	t.Helper()
	key, err := ParseDeployKey(value)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func same(t *testing.T, call string, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s = %v, want no error", call, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", call, diff)
	}
}

func TestProdKey(t *testing.T) {
	const lookup = "/api/deployment/"
	srv := replay(t, "deploy-prod-cmd", lookup+"url_for_key", lookup+"team_and_project_for_key", PathCanonicalURLs)
	key := mustKey(t, "prod:quick-otter-456|secret")
	control := NewControl(srv.URL, key.Value)
	origin, err := control.URLForKey(t.Context(), key)
	same(t, "URLForKey", srv.URL, origin, err)
	project, err := control.TeamAndProjectForKey(t.Context(), key)
	same(t, "TeamAndProjectForKey", TeamAndProject{Team: "acme", Project: "web"}, project, err)
	d, err := NewDeployment(origin, key.Value)
	if err != nil {
		t.Fatal(err)
	}
	urls, err := d.CanonicalURLs(t.Context())
	same(t, "CanonicalURLs", CanonicalURLs{srv.URL, srv.URL}, urls, err)
}

func TestUserToken(t *testing.T) {
	const team = "/api/deployment/happy-animal-123/team_and_project"
	t.Run("sets a variable of the dev deployment", func(t *testing.T) {
		const authorize = "/api/deployment/authorize_within_current_project"
		srv := replay(t, "env-set", team, authorize, PathUpdateVariables)
		control := NewControl(srv.URL, "usertoken")
		project, err := control.TeamAndProject(t.Context(), "happy-animal-123")
		same(t, "TeamAndProject", TeamAndProject{Team: "acme", Project: "web", TeamID: 11, ProjectID: 22}, project, err)
		creds, err := control.AuthorizeWithinProject(t.Context(), "happy-animal-123", ByDeployment("happy-animal-123", Dev))
		same(t, "AuthorizeWithinProject", Credentials{AdminKey: "dev:happy-animal-123|adminkey-happy-animal-123", URL: srv.URL, DeploymentName: "happy-animal-123", DeploymentType: Dev}, creds, err)
		d, err := NewDeployment(creds.URL+"/", creds.AdminKey.Secret())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.UpdateVariables(t.Context(), []VariableChange{{"NEW", new("value")}}); err != nil {
			t.Errorf("UpdateVariables = %v, want no error", err)
		}
		if err := d.UpdateVariables(t.Context(), nil); err != nil {
			t.Errorf("UpdateVariables of nothing = %v, want no call", err)
		}
	})
	t.Run("removes a variable that auth.config reads", func(t *testing.T) {
		srv := replay(t, "env-remove-rejected", PathUpdateVariables)
		d, err := NewDeployment(srv.URL, "dev:happy-animal-123|adminkey-happy-animal-123")
		if err != nil {
			t.Fatal(err)
		}
		err = d.UpdateVariables(t.Context(), []VariableChange{{"A", nil}})
		if !fault.Is(err, fault.Invalid) || fault.Code(err) != "AuthConfigMissingEnvironmentVariable" {
			t.Errorf("UpdateVariables = %v, want the refusal of the deployment", err)
		}
	})
	t.Run("finds production", func(t *testing.T) {
		srv := replay(t, "env-get-prod", "/api/deployment/authorize_prod")
		creds, err := NewControl(srv.URL, "usertoken").AuthorizeProd(t.Context(), "happy-animal-123")
		if err != nil || creds.DeploymentName != "quick-otter-456" {
			t.Errorf("AuthorizeProd = %v, %v, want quick-otter-456", creds, err)
		}
	})
	for file, want := range map[string]struct {
		kind fault.Kind
		code string
	}{
		"control-401":                  {fault.Unauthenticated, "Unauthorized"},
		"control-403":                  {fault.Denied, "Forbidden"},
		"control-deployment-not-found": {fault.NotFound, "DeploymentNotFound"},
	} {
		t.Run(file, func(t *testing.T) {
			srv := replay(t, file, team)
			_, err := NewControl(srv.URL, "usertoken").TeamAndProject(t.Context(), "happy-animal-123")
			if !fault.Is(err, want.kind) || fault.Code(err) != want.code {
				t.Errorf("TeamAndProject = %v, want %s %s", err, want.kind, want.code)
			}
		})
	}
	t.Run("an unknown preview", func(t *testing.T) {
		srv := replay(t, "env-get-preview-name-missing", "/api/deployment/authorize_preview")
		_, err := NewControl(srv.URL, "usertoken").AuthorizePreview(t.Context(), "nope", ByDeployment("happy-animal-123", Dev))
		if !fault.Is(err, fault.NotFound) || fault.Code(err) != "PreviewNotFound" {
			t.Errorf("AuthorizePreview = %v, want not found", err)
		}
	})
}

func TestPreviewKey(t *testing.T) {
	key := mustKey(t, "preview:acme:web|secret")
	project := BySlugs(key.Team, key.Project)
	t.Run("claims a new preview", func(t *testing.T) {
		srv := replay(t, "deploy-preview-key-create", "/api/claim_preview_deployment")
		got, err := NewControl(srv.URL, key.Value).ClaimPreview(t.Context(), project, "feat-a", false)
		want := PreviewDeployment{AdminKey: "preview:calm-fox-701|adminkey-calm-fox-701", InstanceURL: srv.URL, DeploymentName: "calm-fox-701", IsNewDeployment: true}
		same(t, "ClaimPreview", want, got, err)
	})
	t.Run("opens an existing preview", func(t *testing.T) {
		srv := replay(t, "env-get-preview-key", "/api/deployment/authorize_preview")
		got, err := NewControl(srv.URL, key.Value).AuthorizePreview(t.Context(), "feat-a", project)
		want := Credentials{AdminKey: "preview:calm-fox-701|adminkey-calm-fox-701", URL: srv.URL, DeploymentName: "calm-fox-701", DeploymentType: Preview}
		same(t, "AuthorizePreview", want, got, err)
	})
}

func TestProjectKeyProvisions(t *testing.T) {
	srv := replay(t, "deploy-prod-project-key", "/api/deployment/provision_and_authorize")
	key := mustKey(t, "project:acme:web|secret")
	got, err := NewControl(srv.URL, key.Value).ProvisionAndAuthorize(t.Context(), "", "", Prod)
	want := Credentials{AdminKey: "prod:quick-otter-456|adminkey-quick-otter-456", URL: srv.URL, DeploymentName: "quick-otter-456", DeploymentType: Prod}
	same(t, "ProvisionAndAuthorize", want, got, err)
}

func noSleep(context.Context, time.Duration) error { return nil }

func TestVariablesThatMayNotBeRead(t *testing.T) { // R84
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == PathListVariables {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":"Unauthorized","message":"You do not have permission to perform this operation (deployment:env:view)."}`)
		}
	}))
	defer srv.Close()
	d, err := NewDeployment(srv.URL, "prod:quick-otter-456|secret")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.ListVariables(t.Context())
	if !fault.Is(err, fault.Denied) || fault.From(err).Fix == "" || wire.Status(err) != 403 {
		t.Errorf("ListVariables = %v, want denied with a next step", err)
	}
	if err := d.UpdateVariables(t.Context(), []VariableChange{{"A", nil}}); err != nil {
		t.Errorf("UpdateVariables = %v, want no error: writing is another right", err)
	}
}

func TestListVariables(t *testing.T) {
	for body, want := range map[string]map[string]string{
		`{"environmentVariables":{"A":"1","B":""}}`: {"A": "1", "B": ""},
		`{"environmentVariables":{}}`:               {},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Convex k" {
				t.Errorf("%s with %q, want GET with the admin key", r.Method, r.Header.Get("Authorization"))
			}
			_, _ = io.WriteString(w, body)
		}))
		d, err := NewDeployment(srv.URL, "k")
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.ListVariables(t.Context())
		same(t, "ListVariables", want, got, err)
		srv.Close()
	}
}

func TestDeleteDeploymentTwice(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; r.Method != http.MethodPost || r.URL.Path != "/v1/deployments/calm-fox-701/delete" {
			t.Errorf("request %s %s", r.Method, r.URL.Path)
		}
		if calls == 1 { // the deployment is gone, the answer too
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer srv.Close()
	control := NewControl(srv.URL, secret.String("token"))
	control.Sleep = noSleep
	if err := control.DeleteDeployment(t.Context(), "calm-fox-701"); err != nil || calls != 2 {
		t.Errorf("DeleteDeployment = %v after %d calls, want no error after 2", err, calls)
	}
}

func TestClaimWithoutReuseIsNotRepeated(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer srv.Close()
	control := NewControl(srv.URL, "token")
	control.Sleep = noSleep
	if _, err := control.ClaimPreview(t.Context(), BySlugs("acme", "web"), "feat-a", false); !fault.Is(err, fault.Unavailable) || calls != 1 {
		t.Errorf("ClaimPreview = %v after %d calls, want unavailable after 1", err, calls)
	}
}

func TestNewDeploymentTakesOrigins(t *testing.T) {
	for _, origin := range []string{"", "happy-animal-123.convex.cloud", "https://a/b", "https://a?x", "ftp://a", "https://u:p@a", "https://a#x"} {
		if _, err := NewDeployment(origin, "k"); !fault.Is(err, fault.Invalid) {
			t.Errorf("NewDeployment(%q) = %v, want invalid", origin, err)
		}
	}
	d, err := NewDeployment("https://happy-animal-123.convex.cloud/", "k")
	if err != nil || d.URL() != "https://happy-animal-123.convex.cloud" {
		t.Errorf("NewDeployment = %v, %v, want the origin", d, err)
	}
}

func TestProjectSelectionJSON(t *testing.T) {
	for want, s := range map[string]ProjectSelection{
		`{"kind":"deploymentName","deploymentName":"a","deploymentType":null}`:  ByDeployment("a", ""),
		`{"kind":"deploymentName","deploymentName":"a","deploymentType":"dev"}`: ByDeployment("a", Dev),
		`{"kind":"teamAndProjectSlugs","teamSlug":"t","projectSlug":"p"}`:       BySlugs("t", "p"),
	} {
		data, err := json.Marshal(s)
		if err != nil || string(data) != want {
			t.Errorf("Marshal = %s, %v, want %s", data, err, want)
		}
		var back ProjectSelection
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	}
}
