package deploy_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/claim"
)

// listen serves a handler on loopback until the test ends.
func listen(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestAddressesStayTheSame(t *testing.T) {
	dir := t.TempDir()
	h := houseIn(t, dir, "")
	s := h.open(claim.Dev, "ada")
	s.push("")
	s.call("mutation", "myFunctions:addNumber", object{"value": 3}).value(t)
	if s.url == s.site {
		t.Fatalf("both origins are %s", s.url)
	}
	h.stop()
	if _, err := http.Get(s.url); err == nil {
		t.Errorf("the port is open after the server stopped")
	}

	h = houseIn(t, dir, "")
	again := h.open(claim.Dev, "ada")
	if again.url != s.url || again.site != s.site {
		t.Errorf("after a restart %s and %s, want %s and %s", again.url, again.site, s.url, s.site)
	}
	if got := again.call("query", "myFunctions:listNumbers", object{"count": 9}).value(t).(map[string]any)["numbers"]; len(got.([]any)) != 1 {
		t.Errorf("numbers after a restart = %v", got)
	}
	h.stop()

	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h = houseIn(t, dir, "")
	moved := h.open(claim.Dev, "ada")
	if moved.url == s.url || moved.site != s.site {
		t.Errorf("with one port taken = %s and %s, want another than %s and %s", moved.url, moved.site, s.url, s.site)
	}
	moved.call("query", "users:notes", object{}).value(t)
	h.stop()
	h = houseIn(t, dir, "")
	if kept := h.open(claim.Dev, "ada"); kept.url != moved.url {
		t.Errorf("the new address was not kept: %s, want %s", kept.url, moved.url)
	}
}

func TestDeletedDeploymentsAreNotServed(t *testing.T) {
	h := newHouse(t)
	s := h.open(claim.Preview, "branch")
	s.push("")
	c := &http.Client{Transport: &http.Transport{}} // a connection of its own, that stays
	defer c.CloseIdleConnections()
	get := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/instance_name", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	if resp, err := get(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("before = %v, %v", resp, err)
	}
	if err := h.team.DeleteDeployment(t.Context(), "shop", claim.Preview, "branch"); err != nil {
		t.Fatal(err)
	}
	if resp, err := get(); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted deployment = %v, %v, want 404", resp, err)
	}
	gone, err := h.origins.Reconcile(t.Context())
	if err != nil || len(gone) != 1 || gone[0] != s.d.Name {
		t.Errorf("Reconcile = %v, %v", gone, err)
	}
	c.CloseIdleConnections()
	if resp, err := get(); err == nil {
		t.Errorf("its port answers %v", resp.Status)
	}
}

func TestDeploymentsUnderADomain(t *testing.T) {
	h := houseIn(t, t.TempDir(), "convex.example.com")
	h.origins.BaseURL = func() string { return "https://convex.example.com:8443" }
	s := h.open(claim.Dev, "ada")
	if s.url != "https://"+s.d.Name+".convex.example.com:8443" || s.site != "https://"+s.d.Name+".site.convex.example.com:8443" {
		t.Fatalf("origins = %s and %s", s.url, s.site)
	}
	own := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := h.origins.Hosts(own)
	for host, want := range map[string]int{
		s.d.Name + ".convex.example.com:8443": 200, strings.ToUpper(s.d.Name) + ".Convex.Example.com": 200, s.d.Name + ".site.convex.example.com": 404,
		"convex.example.com:8443": 418, "other.example.com": 418, "nobody.convex.example.com": 404, "evil" + "convex.example.com": 418,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/instance_name", nil)
		r.Host = host
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s = %d %s, want %d", host, w.Code, w.Body, want)
		}
		if want == 200 && w.Body.String() != s.d.Name {
			t.Errorf("%s answers as %s", host, w.Body)
		}
	}
}

var pattern = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) /`)

// routes returns the patterns in routes.go with the name of the function that
// registers each: open, admin or the mux itself.
func routes(t *testing.T) map[string]string {
	t.Helper()
	src, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), "routes.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || len(c.Args) == 0 {
			return true
		}
		lit, ok := c.Args[0].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil || !pattern.MatchString(text) {
			return true
		}
		all[text] = "mux"
		if name, ok := c.Fun.(*ast.Ident); ok {
			all[text] = name.Name
		}
		return true
	})
	return all
}

// R14, R61: what one deployment gives out, an admin key or a token, is worth
// nothing on another one, on any route; nor is there a route without a check.
func TestNothingOfOneDeploymentWorksOnAnother(t *testing.T) {
	h := newHouse(t)
	other, err := h.db.CreateTeam(t.Context(), "Mallory", "m@mallory.example")
	if err != nil {
		t.Fatal(err)
	}
	mine, _, err := other.OpenDeployment(t.Context(), "shop", claim.Dev, "ada", false)
	if err != nil {
		t.Fatal(err)
	}
	sibling := h.open(claim.Dev, "bob")
	sibling.push(authConfig(keyOnce()))
	victim := h.open(claim.Dev, "ada")
	victim.push("") // no providers: no token at all
	secret := "value-of-the-victim"
	victim.admin("POST", "/api/update_environment_variables", object{"changes": []object{{"name": "NAME", "value": secret}}})
	state := func() string {
		vars, err := h.db.Variables(t.Context(), victim.d.ID)
		if err != nil {
			t.Fatal(err)
		}
		modules, err := h.db.Modules(t.Context(), victim.d.ID)
		if err != nil {
			t.Fatal(err)
		}
		return vars["NAME"] + victim.admin("POST", "/api/get_config_hashes", object{}).text + strconv.Itoa(len(modules))
	}
	before := state()
	for name, authorization := range map[string]string{
		"the key of another team":                "Convex " + h.db.AdminKey(mine).Reveal(),
		"the key of a sibling":                   "Convex " + sibling.key,
		"a sibling's key with the victim's name": "Convex " + strings.Replace(sibling.key, sibling.d.Name, victim.d.Name, 1),
		"a sibling's key that acts as somebody":  "Convex " + sibling.key + ":eyJzdWJqZWN0IjoieCJ9",
		"a token that the sibling accepts":       "Bearer " + h.token("u1"),
		"an admin key as token":                  "Bearer " + victim.key,
	} {
		for p, by := range routes(t) {
			method, path, _ := strings.Cut(p, " ")
			path = strings.NewReplacer("{$}", "", "{path...}", "users/env", "{version}/{name}", "storage/x").Replace(path)
			if by == "mux" && strings.HasSuffix(path, "sync") || strings.HasSuffix(path, "storage/x") {
				continue // the socket authenticates in its messages; files have ids nobody can guess
			}
			a := send(t, method, victim.url+path, authorization, object{"path": "users:env", "args": object{}, "changes": []object{{"name": "NAME", "value": "taken"}}})
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s with %s = %d %s, want 401", p, name, a.status, a.text)
			}
			if strings.Contains(a.text, secret) || strings.Contains(a.text, victim.key) {
				t.Errorf("%s with %s shows a secret: %s", p, name, a.text)
			}
		}
	}
	for p, by := range routes(t) {
		method, path, _ := strings.Cut(p, " ")
		if by != "admin" {
			continue
		}
		if a := send(t, method, victim.url+path, "", object{}); a.status != http.StatusUnauthorized {
			t.Errorf("%s without a key = %d %s, want 401", p, a.status, a.text)
		}
	}
	if after := state(); after != before {
		t.Errorf("the victim changed: %s, was %s", after, before)
	}
}
