package project

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func TestParseConfigRefusals(t *testing.T) { // R1, R3, R4
	for _, c := range []struct {
		name, src string
		paths     string // of the problems
		reason    string // part of the error
	}{
		{"environmentType in dev", `{"authKit":{"dev":{"environmentType":"development"}}}`, "authKit.environmentType", "only supported in the prod section, not in dev"},
		{"environmentType in preview", `{"authKit":{"preview":{"environmentType":"staging"}}}`, "authKit.environmentType", "not in preview"},
		{"localEnvVars in preview", `{"authKit":{"preview":{"localEnvVars":{}}}}`, "authKit.localEnvVars", "only supported in the dev section, not in preview"},
		{"localEnvVars in prod", `{"authKit":{"prod":{"localEnvVars":{"A":"b"}}}}`, "authKit.localEnvVars", "not in prod"},
		{"bad environmentType", `{"authKit":{"prod":{"environmentType":"live"}}}`, "authKit.prod.environmentType", `"development", "staging", "production"`},
		{"configure true", `{"authKit":{"dev":{"configure":true}}}`, "authKit.dev.configure", "invalid input"},
		{"configure null", `{"authKit":{"dev":{"configure":null}}}`, "authKit.dev.configure", "received null"},
		{"redirectUris is a string", `{"authKit":{"dev":{"configure":{"redirectUris":"x"}}}}`, "authKit.dev.configure", "array of strings"},
		{"redirectUris with a number", `{"authKit":{"dev":{"configure":{"redirectUris":[1]}}}}`, "authKit.dev.configure", "redirectUris[0]"},
		{"appHomepageUrl is a list", `{"authKit":{"dev":{"configure":{"appHomepageUrl":[]}}}}`, "authKit.dev.configure", "appHomepageUrl must be a string"},
		{"localEnvVars true", `{"authKit":{"dev":{"localEnvVars":true}}}`, "authKit.dev.localEnvVars", "invalid input"},
		{"localEnvVars with a number", `{"authKit":{"dev":{"localEnvVars":{"PORT":3000}}}}`, "authKit.dev.localEnvVars", "PORT must be a string"},
		{"authKit null", `{"authKit":null}`, "authKit", "expected object, received null"},
		{"authKit array", `{"authKit":[]}`, "authKit", "expected object, received array"},
		{"section null", `{"authKit":{"dev":null}}`, "authKit.dev", "expected object"},
		{"two problems", "{\"authKit\":{\"dev\":{\"configure\":1},\n\"prod\":false}}", "authKit.dev.configure authKit.prod", "line 2"},
		{"functions is a number", `{"functions":1}`, "functions", "expected string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig("convex.json", []byte(c.src))
			schema, ok := errors.AsType[*SchemaError](err)
			if !ok || fault.Code(err) != "convex-json-schema" {
				t.Fatalf("ParseConfig = %v, want a schema error", err)
			}
			var paths []string
			for _, p := range schema.Problems {
				paths = append(paths, p.Path)
			}
			if got := strings.Join(paths, " "); got != c.paths || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("ParseConfig = paths %q, %v, want paths %q and %q", got, err, c.paths, c.reason)
			}
		})
	}
}

func TestParseConfigSyntax(t *testing.T) {
	for _, c := range []struct{ name, src, code, at string }{
		{"broken", "{\n  \"authKit\": {,}\n}", "json-syntax", "c.json:2:15"},
		{"empty", "", "json-syntax", "c.json:1:1"},
		{"cut off", "{\n \"a\": [1,\n", "json-syntax", "c.json:3:1"},
		{"line comment", "{\n  // ours\n  \"a\": 1}", "json-comment", "c.json:2:3"},
		{"block comment after", "{}\n\n /* x */", "json-comment", "c.json:3:2"},
		{"comment in empty object", "{\n/**/}", "json-comment", "c.json:2:1"},
		{"comment before colon", "{\"a\" /*x*/ :1}", "json-comment", "c.json:1:6"},
		{"trailing comma", "{\n \"a\": [1, 2\n ,]}", "json-trailing-comma", "c.json:3:2"},
		{"byte-order mark", "\ufeff{}", "json-bom", "c.json:1:1"},
		{"root is a list", "[]", "convex-json-schema", "c.json"},
		{"too deep", strings.Repeat("[", 1_000_000), "json-syntax", "c.json"},
		{"bad literal with a key", `{"a": sk_test_secret123}`, "json-syntax", "c.json:1:7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig("c.json", []byte(c.src))
			if fault.Code(err) != c.code || !strings.HasPrefix(err.Error(), c.at) {
				t.Errorf("ParseConfig = %v (%s), want %s at %s", err, fault.Code(err), c.code, c.at)
			}
			if strings.Contains(err.Error(), "secret123") {
				t.Errorf("ParseConfig = %v, want no secret", err)
			}
		})
	}
}

func TestParseConfigSections(t *testing.T) { // R1, R2, R3, R4
	c, err := ParseConfig("convex.json", []byte(`{
  "functions": "src/convex/", "node": {"x": 1},
  "authKit": {
    "dev": {"configure": false, "localEnvVars": {"B": "${authEnv.WORKOS_CLIENT_ID}", "A": "1"}},
    "preview": {},
    "prod": {"environmentType": "staging", "localEnvVars": false, "configure": {
      "redirectUris": ["https://a.example/callback"], "appHomepageUrl": "https://a.example", "corsOrigins": []}}
  }
}`))
	if err != nil || len(c.Findings) > 0 {
		t.Fatalf("ParseConfig = %v, findings %v, want neither", err, c.Findings)
	}
	want := map[Kind]*Section{
		Dev:     {Kind: Dev, Line: 4, ConfigureOff: true, LocalEnvVars: []Template{{"B", "${authEnv.WORKOS_CLIENT_ID}"}, {"A", "1"}}},
		Preview: {Kind: Preview, Line: 5},
		Prod: {Kind: Prod, Line: 6, EnvironmentType: "staging", LocalEnvVarsOff: true, Configure: &Configure{
			RedirectURIs: []string{"https://a.example/callback"}, AppHomepageURL: "https://a.example", CORSOrigins: []string{}}},
	}
	if diff := cmp.Diff(want, c.sections); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	if c.Section(Prod).Production() || c.Functions != "src/convex/" {
		t.Errorf("Production() = %v, Functions = %q, want false and src/convex/", c.Section(Prod).Production(), c.Functions)
	}
	none, err := ParseConfig("convex.json", []byte(`{}`))
	if err != nil || none.HasAuthKit || none.Section(Dev) != nil {
		t.Errorf("ParseConfig({}) = %+v, %v, want no section", none, err)
	}
	if prod := (&Section{Kind: Prod}); !prod.Production() || (&Section{Kind: Dev}).Production() {
		t.Error("Production() by default: want true for prod and false for dev")
	}
}

func TestFindings(t *testing.T) {
	for _, c := range []struct{ name, src, code, path, text, fix string }{
		{"misspelt section", `{"authKit":{"production":{}}}`, CodeUnknownKey, "authKit.production", `did you mean "prod"`, `"prod"`},
		{"unknown section", `{"authKit":{"staging":{}}}`, CodeUnknownKey, "authKit.staging", "is ignored", "dev, preview, prod"},
		{"misspelt key", `{"authKit":{"dev":{"configure":{"redirectUri":[]}}}}`, CodeUnknownKey, "authKit.dev.configure.redirectUri", `did you mean "redirectUris"`, "redirectUris"},
		{"other case", `{"authKit":{"dev":{"configure":{"redirectURIs":[]}}}}`, CodeUnknownKey, "authKit.dev.configure.redirectURIs", `"redirectUris"`, "redirectUris"},
		{"misspelt step", `{"authKit":{"dev":{"config":{}}}}`, CodeUnknownKey, "authKit.dev.config", "is ignored", "configure"},
		{"misspelt authKit", `{"authkit":{}}`, CodeUnknownKey, "authkit", `did you mean "authKit"`, "authKit"},
		{"authKit twice", `{"authKit":{},"authKit":{"dev":{}}}`, CodeDuplicateKey, "authKit", "only the last", "keep one"},
		{"key twice", `{"authKit":{"dev":{},"dev":{}}}`, CodeDuplicateKey, "authKit.dev", "only the last", "keep one"},
		{"chat-mangled (R13)", `{"authKit":{"dev":{"configure":{"redirectUris":["<http://localhost:3000/callback\"],>"]}}}}`, CodeMalformedURI, "authKit.dev.configure.redirectUris[0]", "do not belong", "write http://localhost:3000/callback"},
		{"mangled template", `{"authKit":{"preview":{"configure":{"redirectUris":["<https://${buildEnv.VERCEL_URL}/callback>,"]}}}}`, CodeMalformedURI, "authKit.preview.configure.redirectUris[0]", "do not belong", "write https://${buildEnv.VERCEL_URL}/callback"},
		{"no scheme (R13)", `{"authKit":{"dev":{"configure":{"redirectUris":["localhost:3000/callback"]}}}}`, CodeMalformedURI, "authKit.dev.configure.redirectUris[0]", "no scheme", "write http://localhost:3000/callback"},
		{"host variable without scheme", `{"authKit":{"preview":{"configure":{"redirectUris":["${buildEnv.VERCEL_URL}/callback"]}}}}`, CodeMalformedURI, "authKit.preview.configure.redirectUris[0]", "no scheme", "https://${buildEnv.VERCEL_URL}/callback"},
		{"two schemes", `{"authKit":{"preview":{"configure":{"redirectUris":["https://${buildEnv.DEPLOY_PRIME_URL}/callback"]}}}}`, CodeMalformedURI, "authKit.preview.configure.redirectUris[0]", "two schemes", "write ${buildEnv.DEPLOY_PRIME_URL}/callback"},
		{"white space", `{"authKit":{"dev":{"configure":{"appHomepageUrl":"http://localhost:3000 "}}}}`, CodeMalformedURI, "authKit.dev.configure.appHomepageUrl", "white space", "write http://localhost:3000"},
		{"trailing dot", `{"authKit":{"dev":{"configure":{"appHomepageUrl":"http://localhost:3000."}}}}`, CodeMalformedURI, "authKit.dev.configure.appHomepageUrl", "punctuation", "write http://localhost:3000"},
		{"origin with path", `{"authKit":{"dev":{"configure":{"corsOrigins":["http://localhost:3000/"]}}}}`, CodeMalformedURI, "authKit.dev.configure.corsOrigins[0]", "not an origin", "write http://localhost:3000"},
		{"fragment", `{"authKit":{"dev":{"configure":{"redirectUris":["http://localhost:1/a#b"]}}}}`, CodeMalformedURI, "authKit.dev.configure.redirectUris[0]", "fragment", "http://localhost:1/a"},
		{"password in URI", `{"authKit":{"dev":{"configure":{"redirectUris":["https://me:hunter2@x.example/cb"]}}}}`, CodeMalformedURI, "authKit.dev.configure.redirectUris[0]", "user name or password", ""},
		{"localhost in prod", `{"authKit":{"prod":{"configure":{"redirectUris":["https://localhost:3000/callback"]}}}}`, CodeLocalInProd, "authKit.prod.configure.redirectUris[0]", "only https", "https"},
		{"http in prod", `{"authKit":{"prod":{"configure":{"redirectUris":["http://x.example/callback"]}}}}`, CodeLocalInProd, "authKit.prod.configure.redirectUris[0]", "only https", "https"},
		{"unknown template (R7)", `{"authKit":{"dev":{"configure":{"redirectUris":["http://${env.X}/"]}}}}`, CodeUnknownTemplate, "authKit.dev.configure.redirectUris[0]", "unknown template expression ${env.X}", "${buildEnv.NAME}"},
		{"key in public variable (R42)", `{"authKit":{"dev":{"localEnvVars":{"VITE_KEY":"${authEnv.WORKOS_API_KEY}"}}}}`, CodePublicKey, "authKit.dev.localEnvVars.VITE_KEY", "browser", "WORKOS_API_KEY"},
		{"key in file", `{"authKit":{"dev":{"localEnvVars":{"WORKOS_API_KEY":"sk_test_abcdefsecret"}}}}`, CodeKeyInConfig, "authKit.dev.localEnvVars.WORKOS_API_KEY", "API key", "revoke"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := ParseConfig("convex.json", []byte(c.src))
			if err != nil {
				t.Fatalf("ParseConfig = %v, want findings", err)
			}
			if len(config.Findings) != 1 {
				t.Fatalf("Findings = %+v, want one", config.Findings)
			}
			f := config.Findings[0]
			if f.Code != c.code || f.Path != c.path || f.Line != 1 || !strings.Contains(f.Message, c.text) || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("finding = %+v, want %s at %s with %q and fix %q", f, c.code, c.path, c.text, c.fix)
			}
			if strings.Contains(f.Message+f.Fix, "hunter2") || strings.Contains(f.Message+f.Fix, "abcdefsecret") {
				t.Errorf("finding = %+v, want no secret", f)
			}
		})
	}
}

func TestExpand(t *testing.T) { // R5, R6, R7
	v := Values{
		Auth: func(n string) (string, bool) { return map[string]string{"WORKOS_CLIENT_ID": "client_1"}[n], true },
		Build: func(n string) (string, bool) {
			return map[string]string{"VERCEL_URL": "a.vercel.app", "EMPTY": ""}[n], true
		},
	}
	for _, c := range []struct{ in, want, used, missing, code string }{
		{"plain", "plain", "", "", ""},
		{"https://${buildEnv.VERCEL_URL}/x?${authEnv.WORKOS_CLIENT_ID}", "https://a.vercel.app/x?client_1", "buildEnv.VERCEL_URL authEnv.WORKOS_CLIENT_ID", "", ""},
		{"${buildEnv.EMPTY}${buildEnv.NONE}${buildEnv.EMPTY}", "", "buildEnv.EMPTY buildEnv.NONE", "no value for EMPTY, NONE", ""},
		{"${authEnv.WORKOS_API_KEY}", "", "authEnv.WORKOS_API_KEY", "no value for WORKOS_API_KEY", ""},
		{"${authEnv.OTHER}", "", "", "", "template-unknown"},
		{"${WORKOS_CLIENT_ID}", "", "", "", "template-unknown"},
		{"${}", "", "", "", "template-unknown"},
		{"${buildEnv.}", "", "", "", "template-unknown"},
		{"${buildEnv.A", "", "", "", "template-unknown"},
		{"$5 and $${buildEnv.VERCEL_URL}", "$5 and $a.vercel.app", "buildEnv.VERCEL_URL", "", ""},
	} {
		got, used, err := Expand(c.in, v)
		var names []string
		for _, r := range used {
			names = append(names, r.String())
		}
		missing, isMissing := errors.AsType[*MissingError](err)
		if got != c.want || strings.Join(names, " ") != c.used || isMissing != (c.missing != "") || isMissing && missing.Error() != c.missing || fault.Code(err) != c.code {
			t.Errorf("Expand(%q) = %q, %v, %v, want %q, %q, missing %q, code %q", c.in, got, names, err, c.want, c.used, c.missing, c.code)
		}
	}
}

func TestSectionNeedsAndResolve(t *testing.T) {
	c, err := ParseConfig("convex.json", []byte(`{"authKit":{"dev":{"configure":{
	  "redirectUris":["https://${buildEnv.A}/1","https://${buildEnv.B}/2"],"appHomepageUrl":"https://${buildEnv.A}","corsOrigins":["https://c"]},
	  "localEnvVars":{"ID":"${authEnv.WORKOS_CLIENT_ID}","odd.redirectUris[0]":"x"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	needs, err := c.Section(Dev).Needs()
	want := []Need{
		{"authKit.dev.configure.redirectUris[0]", Ref{BuildEnv, "A"}},
		{"authKit.dev.configure.redirectUris[1]", Ref{BuildEnv, "B"}},
		{"authKit.dev.configure.appHomepageUrl", Ref{BuildEnv, "A"}},
		{"authKit.dev.localEnvVars.ID", Ref{AuthEnv, "WORKOS_CLIENT_ID"}},
	}
	if diff := cmp.Diff(want, needs); diff != "" || err != nil {
		t.Errorf("Needs() = %v (-want +got):\n%s", err, diff)
	}
	r, err := c.Section(Dev).Resolve(Values{Build: func(n string) (string, bool) { return "a.example", n == "A" }})
	if err != nil {
		t.Fatal(err)
	}
	wantResolved := &Resolved{
		RedirectURIs: []string{"https://a.example/1"}, AppHomepageURL: "https://a.example", CORSOrigins: []string{"https://c"},
		LocalEnvVars: []Template{{"odd.redirectUris[0]", "x"}},
		Missing: []*MissingError{
			{Path: "authKit.dev.configure.redirectUris[1]", Refs: []Ref{{BuildEnv, "B"}}},
			{Path: "authKit.dev.localEnvVars.ID", Refs: []Ref{{AuthEnv, "WORKOS_CLIENT_ID"}}},
		},
	}
	if diff := cmp.Diff(wantResolved, r); diff != "" {
		t.Errorf("Resolve (-want +got):\n%s", diff)
	}
	if f := r.Missing[0].Fault(); f.Code != "build-variable-missing" || !strings.Contains(f.Error(), "no value for B") {
		t.Errorf("Fault() = %v, want code build-variable-missing naming B", f)
	}
	bad := &Section{Kind: Dev, LocalEnvVars: []Template{{"X", "${nope}"}}}
	if _, err := bad.Needs(); err == nil || !strings.HasPrefix(err.Error(), "authKit.dev.localEnvVars.X: unknown") {
		t.Errorf("Needs(unknown) = %v, want the path", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(`{"authKit":{"dev":{"configure":{"redirectUris":["<http://localhost:3000/callback\"],>"]}}}}`)
	f.Add("{\n// c\n}")
	f.Add(`{"authKit":{"dev":{"localEnvVars":{"A":"${buildEnv.X}"}},"prod":{"environmentType":"production"}}}`)
	f.Add("{\"a\":[1,]}")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := ParseConfig("convex.json", []byte(src))
		if err != nil {
			if fault.Code(err) == "" {
				t.Errorf("ParseConfig(%q) = %v, want a coded error", src, err)
			}
			return
		}
		for _, k := range Kinds {
			if s := c.Section(k); s != nil {
				if _, err := s.Resolve(Values{}); err != nil && fault.Code(err) != "template-unknown" {
					t.Errorf("Resolve(%q) = %v, want only unknown templates", src, err)
				}
			}
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("{\n \"a\": }", 5)
	f.Fuzz(func(t *testing.T, src string, offset int) {
		line, column := position([]byte(src), offset)
		if line < 1 || column < 1 || line > strings.Count(src, "\n")+1 || column > len(src)+1 {
			t.Errorf("position(%q, %d) = %d, %d, want a place in the text", src, offset, line, column)
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add("https://${buildEnv.A}/${authEnv.WORKOS_CLIENT_ID}")
	f.Add("${")
	f.Fuzz(func(t *testing.T, s string) {
		got, _, err := Expand(s, Values{Build: func(string) (string, bool) { return "v", true }, Auth: func(string) (string, bool) { return "v", true }})
		if err == nil && !strings.Contains(s, "${") && got != s {
			t.Errorf("Expand(%q) = %q, want it unchanged", s, got)
		}
		if err != nil && fault.Code(err) != "template-unknown" {
			t.Errorf("Expand(%q) = %v, want code template-unknown", s, err)
		}
	})
}
