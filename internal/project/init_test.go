package project

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tailscale/hujson"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, path), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

var fixtures = map[FrameworkID]string{
	Vite:          `{"devDependencies": {"vite": "7"}}`,
	NextJS:        `{"dependencies": {"next": "16"}}`,
	TanStackStart: `{"dependencies": {"@tanstack/react-start": "1", "vite": "7"}}`,
	SvelteKit:     `{"devDependencies": {"@sveltejs/kit": "2", "vite": "7"}}`,
	ReactRouter:   `{"devDependencies": {"@react-router/dev": "7", "vite": "7"}}`,
	Expo:          `{"dependencies": {"expo": "54"}}`,
	Plain:         `{}`,
}

// TestInit covers R8, R9, R43 and R44: the files of every framework, on Vercel
// and elsewhere, and that everything is the same the second time (R10).
func TestInit(t *testing.T) {
	for id, pkg := range fixtures {
		for _, host := range []string{"none", "vercel"} {
			t.Run(string(id)+" on "+host, func(t *testing.T) {
				a := findApp(t, writeTree(t, map[string]string{"package.json": pkg}))
				o := InitOptions{Host: host, Port: a.Framework.Port + 7}
				if host == "none" {
					o.ProdURL = "https://app.example.com/"
				}
				plan, err := a.InitPlan(o)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := a.Apply(plan.Changes); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(string(id), "convex."+host+".json"), read(t, a.ConfigPath))
				c, err := findApp(t, a.Root).ReadConfig()
				if err != nil || len(c.Findings) > 0 {
					t.Fatalf("ReadConfig = %v, %+v, want a clean file", err, c)
				}
				if again, err := a.InitPlan(o); err != nil || len(again.Changes) != 0 || len(again.Notes) != 2 {
					t.Errorf("second InitPlan = %+v, %v, want no change and two notes", again, err)
				}
				o.AddMissing = true
				if again, err := a.InitPlan(o); err != nil || len(again.Changes) != 0 {
					t.Errorf("second InitPlan with AddMissing = %+v, %v, want no change", again, err)
				}
				if _, err := a.ReadAuthConfig(); err != nil {
					t.Errorf("ReadAuthConfig = %v, want the file init wrote", err)
				}
				r, err := c.Section(Dev).Resolve(Values{Auth: func(n string) (string, bool) {
					return map[string]string{
						"WORKOS_CLIENT_ID": "client_01ABC", "WORKOS_API_KEY": "sk_test_example"}[n], true
				}})
				if err != nil || len(r.Missing) > 0 {
					t.Fatalf("Resolve = %v, %v", r, err)
				}
				var set []EnvVar
				for _, v := range r.LocalEnvVars {
					set = append(set, EnvVar{Name: v.Name, Value: secret.String(v.Value)})
				}
				if a.Framework.Server {
					v := CookiePassword()
					v.Value = "cookie-password-of-the-golden-file-1234567"
					set = append(set, v)
				}
				if _, err := setEnv(t, a, set); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(string(id), "env.local"), read(t, a.EnvPath()))
				if w, err := setEnv(t, a, set); err != nil || len(w) != 0 {
					t.Errorf("second write = %v, %v, want none", w, err)
				}
			})
		}
	}
}

// TestInitKeepsWhatIsThere covers R10 and R34.
func TestInitKeepsWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		name, src  string
		addMissing bool
		want       string
	}{
		{"an authKit section stays", `{"authKit":{"dev":{}}}`, false, `{"authKit":{"dev":{}}}`},
		{"other keys, order and tabs stay", "{\r\n\t\"node\": {\"x\":  1},\r\n\r\n\t\"functions\" :\"convex/\"\r\n}\r\n", false,
			"{\r\n\t\"node\": {\"x\":  1},\r\n\r\n\t\"functions\" :\"convex/\",\r\n\t\"authKit\": {\r\n\t\t\"dev\": {\r\n\t\t\t\"configure\": {\r\n\t\t\t\t\"redirectUris\": [\"http://localhost:5173/callback\"],\r\n\t\t\t\t\"appHomepageUrl\": \"http://localhost:5173\",\r\n\t\t\t\t\"corsOrigins\": [\"http://localhost:5173\"]\r\n\t\t\t},\r\n\t\t\t\"localEnvVars\": {\r\n\t\t\t\t\"VITE_WORKOS_CLIENT_ID\": \"${authEnv.WORKOS_CLIENT_ID}\",\r\n\t\t\t\t\"VITE_WORKOS_REDIRECT_URI\": \"http://localhost:5173/callback\"\r\n\t\t\t}\r\n\t\t},\r\n\t\t\"preview\": {}\r\n\t}\r\n}\r\n"},
		{"missing parts are added when asked", "{\n  \"authKit\": {\n    \"dev\": {\n      \"configure\": false,\n      \"localEnvVars\": { \"VITE_WORKOS_CLIENT_ID\": \"mine\" }\n    }\n  }\n}", true,
			"{\n  \"authKit\": {\n    \"dev\": {\n      \"configure\": false,\n      \"localEnvVars\": { \"VITE_WORKOS_CLIENT_ID\": \"mine\", \"VITE_WORKOS_REDIRECT_URI\": \"http://localhost:5173/callback\" }\n    },\n    \"preview\": {}\n  }\n}"},
		{"a file on one line stays on it", `{"functions": "convex/"}`, false,
			`{"functions": "convex/", "authKit": {"dev": {"configure": {"redirectUris": ["http://localhost:5173/callback"], "appHomepageUrl": "http://localhost:5173", "corsOrigins": ["http://localhost:5173"]}, "localEnvVars": {"VITE_WORKOS_CLIENT_ID": "${authEnv.WORKOS_CLIENT_ID}", "VITE_WORKOS_REDIRECT_URI": "http://localhost:5173/callback"}}, "preview": {}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := findApp(t, writeTree(t, map[string]string{"package.json": fixtures[Vite], "convex.json": c.src, "convex/auth.config.js": "export default {}"}))
			plan, err := a.InitPlan(InitOptions{AddMissing: c.addMissing})
			if err != nil {
				t.Fatal(err)
			}
			if read(t, a.ConfigPath) != c.src {
				t.Error("InitPlan wrote convex.json, want a plan only")
			}
			if _, err := a.Apply(plan.Changes); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, read(t, a.ConfigPath)); diff != "" {
				t.Errorf("convex.json (-want +got):\n%s", diff)
			}
			if again, err := a.InitPlan(InitOptions{AddMissing: true}); err != nil || c.addMissing && len(again.Changes) != 0 {
				t.Errorf("second InitPlan = %+v, %v, want no change", again, err)
			}
			if got := names(t, a.FunctionsDir); !cmp.Equal(got, []string{"auth.config.js"}) {
				t.Errorf("convex/ = %v, want the file that was there", got)
			}
		})
	}
}

func TestInitEmptyObjects(t *testing.T) {
	for _, src := range []string{"{}", "{\n}\n", "{ }", "{\n  \"authKit\": {}\n}\n", "{\n  \"authKit\": {\n  }\n}"} {
		a := findApp(t, writeTree(t, map[string]string{"package.json": "{}", "convex.json": src}))
		plan, err := a.InitPlan(InitOptions{AddMissing: true})
		if err != nil || len(plan.Changes) != 2 {
			t.Fatalf("InitPlan(%q) = %+v, %v, want two changes", src, plan, err)
		}
		got := string(plan.Changes[0].After)
		if !strings.HasPrefix(got, "{\n  \"authKit\": {\n    \"dev\": {\n      \"configure\": {\n") || !strings.Contains(got, "\n    \"preview\": {}\n  }\n}") {
			t.Errorf("InitPlan(%q) gives\n%s\nwant an indented section", src, got)
		}
	}
}

func TestInitRefusals(t *testing.T) {
	a := findApp(t, writeTree(t, map[string]string{"package.json": "{}"}))
	for _, c := range []struct {
		o    InitOptions
		code string
	}{
		{InitOptions{ProdURL: "http://app.example.com"}, "prod-url-invalid"},
		{InitOptions{ProdURL: "https://localhost:3000"}, "prod-url-invalid"},
		{InitOptions{ProdURL: "https://app.example.com/path"}, "prod-url-invalid"},
		{InitOptions{ProdURL: "app.example.com"}, "prod-url-invalid"},
		{InitOptions{Port: 70000}, "port-invalid"},
		{InitOptions{CallbackPath: "callback"}, "callback-invalid"},
		{InitOptions{Host: "fly"}, "host-unknown"},
	} {
		if _, err := a.InitPlan(c.o); fault.Code(err) != c.code || !fault.Is(err, fault.Invalid) {
			t.Errorf("InitPlan(%+v) = %v, want code %s", c.o, err, c.code)
		}
	}
	if plan, err := a.InitPlan(InitOptions{}); err != nil || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "--prod-url") {
		t.Errorf("InitPlan without a production address = %+v, %v, want a note", plan, err)
	}
}

// TestRetargetPort covers R46: config and redirect variable follow the port.
func TestRetargetPort(t *testing.T) {
	src := `{ "authKit": {"dev": {"configure": {"redirectUris": ["http://localhost:5173/callback", "http://localhost:51730/x", "http://127.0.0.1:5173"],
  "appHomepageUrl": "http://localhost:5173"}, "localEnvVars": {"VITE_WORKOS_REDIRECT_URI": "http://localhost:5173/callback", "P": "5173"}},
  "prod": {"configure": {"appHomepageUrl": "http://localhost:5173"}}}}`
	want := strings.Replace(src, `"http://localhost:5173/callback", "http://localhost:51730/x", "http://127.0.0.1:5173"`, `"http://localhost:5174/callback", "http://localhost:51730/x", "http://127.0.0.1:5174"`, 1)
	want = strings.Replace(want, `"appHomepageUrl": "http://localhost:5173"}, "localEnvVars": {"VITE_WORKOS_REDIRECT_URI": "http://localhost:5173/`, `"appHomepageUrl": "http://localhost:5174"}, "localEnvVars": {"VITE_WORKOS_REDIRECT_URI": "http://localhost:5174/`, 1)
	a := findApp(t, writeTree(t, map[string]string{"package.json": fixtures[Vite], "convex.json": src}))
	change, err := a.RetargetPort(5173, 5174)
	if diff := cmp.Diff(want, string(change.After)); diff != "" || err != nil {
		t.Errorf("RetargetPort = %v (-want +got):\n%s", err, diff)
	}
	if same, err := a.RetargetPort(4000, 4001); err != nil || same.Changed() {
		t.Errorf("RetargetPort(another port) = %v, %v, want no change", same.Changed(), err)
	}
	c, err := a.ReadConfig()
	if err != nil || !cmp.Equal(c.DevPorts(), []int{5173, 51730}) {
		t.Errorf("DevPorts() = %v, %v, want 5173 and 51730", c.DevPorts(), err)
	}
}

func TestLocalTemplates(t *testing.T) {
	a := findApp(t, writeTree(t, map[string]string{"package.json": fixtures[Vite]}))
	own := []Template{{"A", "1"}}
	for _, c := range []struct {
		s    *Section
		want []Template
	}{
		{nil, []Template{{"VITE_WORKOS_CLIENT_ID", "${authEnv.WORKOS_CLIENT_ID}"}, {"VITE_WORKOS_REDIRECT_URI", "http://localhost:5174/callback"}}},
		{&Section{LocalEnvVarsOff: true}, nil},
		{&Section{LocalEnvVars: own}, own},
		{&Section{LocalEnvVars: []Template{}}, []Template{}},
	} {
		if diff := cmp.Diff(c.want, a.LocalTemplates(c.s, 5174)); diff != "" {
			t.Errorf("LocalTemplates(%+v) (-want +got):\n%s", c.s, diff)
		}
	}
}

// FuzzMerge holds the law of every edit of convex.json: the result reads back,
// what was there is still there, and the same edit again changes nothing (R10).
func FuzzMerge(f *testing.F) {
	for _, src := range []string{`{}`, "{\n\t\"a\" : [ ]\r\n}", `{"authKit":{"dev":{"configure":false}}}`, `{"authKit":1,"b":{"c":"d"}}`, "{\"a\":1,\n\"authKit\":{}}"} {
		f.Add(src)
	}
	a := &App{Framework: Detect(map[string]string{"next": ""})}
	wanted, _, err := a.authKit(InitOptions{Host: "vercel"})
	if err != nil {
		f.Fatal(err)
	}
	wanted = object(field{"authKit", wanted})
	f.Fuzz(func(t *testing.T, src string) {
		doc, err := parseDocument("convex.json", []byte(src))
		if err != nil || doc.root.Value.Kind() != '{' {
			return
		}
		before := doc.root.Clone()
		merge(&doc.root, wanted, layoutOf(doc), "")
		after, err := parseDocument("convex.json", doc.root.Pack())
		if err != nil {
			t.Fatalf("merge into %q gives %s: %v", src, doc.root.Pack(), err)
		}
		if merge(&after.root, wanted, layoutOf(after), "") {
			t.Errorf("second merge into %q adds to %s", src, doc.root.Pack())
		}
		for _, m := range before.Value.(*hujson.Object).Members {
			name := memberName(m)
			if kept := member(&after.root, name); kept == nil || name != "authKit" && string(kept.Pack()) != string(member(&before, name).Pack()) {
				t.Errorf("merge into %q changes %q", src, name)
			}
		}
	})
}

// TestPortChangeEndToEnd covers R46 and R45: config and redirect variable follow
// the port in one run, the second run writes nothing, a person's value stays.
func TestPortChangeEndToEnd(t *testing.T) {
	a := findApp(t, writeTree(t, map[string]string{"package.json": fixtures[Vite], ".env.local": "# mine\nMINE=1\n"}))
	plan, err := a.InitPlan(InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Apply(plan.Changes); err != nil {
		t.Fatal(err)
	}
	run := func(from, to int) (wrote bool, changes []EnvChange) {
		t.Helper()
		move, err := a.RetargetPort(from, to)
		if err != nil {
			t.Fatal(err)
		}
		written, err := a.Apply([]FileChange{move})
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.ReadConfig()
		if err != nil {
			t.Fatal(err)
		}
		s := *c.Section(Dev)
		s.LocalEnvVars = a.LocalTemplates(&s, to)
		r, err := s.Resolve(Values{Auth: func(string) (string, bool) { return "client_1", true }})
		if err != nil {
			t.Fatal(err)
		}
		var set []EnvVar
		for _, v := range r.LocalEnvVars {
			set = append(set, EnvVar{Name: v.Name, Value: secret.String(v.Value)})
		}
		changes, env, err := a.WriteEnv(a.EnvPath(), set, "")
		if err != nil {
			t.Fatal(err)
		}
		return env || len(written) > 0, changes
	}
	run(5173, 5173)
	if wrote, changes := run(5173, 5174); !wrote || changes[1].Action != EnvUpdated {
		t.Errorf("run on another port = %v, %+v, want the redirect URI updated", wrote, changes)
	}
	got := read(t, a.EnvPath())
	if !strings.HasPrefix(got, "# mine\nMINE=1\n") || !strings.Contains(got, "VITE_WORKOS_REDIRECT_URI=http://localhost:5174/callback\n") || strings.Contains(read(t, a.ConfigPath), "5173") {
		t.Errorf(".env.local = %s\nwant port 5174 there and in convex.json", got)
	}
	if wrote, changes := run(5173, 5174); wrote || changes[1].Action != EnvUnchanged {
		t.Errorf("second run = %v, %+v, want no write", wrote, changes)
	}
	edited := strings.Replace(got, "5174/callback", "9999/mine", 1)
	if err := os.WriteFile(a.EnvPath(), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, changes := run(5174, 5175); changes[1].Action != EnvKept || !changes[1].Stale || read(t, a.EnvPath()) != edited {
		t.Errorf("run after an edit by hand = %+v, want the value kept and called stale", changes)
	}
}
