package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCheck covers R12, R42, R54 and R56.
func TestCheck(t *testing.T) {
	dev := func(s string) string { return `{"authKit":{"dev":{` + s + `}}}` }
	route := `"configure":{"redirectUris":["http://localhost:3000/callback"]}`
	next := `{"dependencies":{"next":"16","@workos-inc/authkit-nextjs":"3","@convex-dev/workos":"0"}}`
	vite := `{"dependencies":{"vite":"7","@workos-inc/authkit-react":"0","@convex-dev/workos":"0"}}`
	for _, c := range []struct {
		name        string
		files       map[string]string
		config, env string
		want        string // codes
		text        string
	}{
		{"nothing to say", map[string]string{"package.json": next, "app/callback/route.ts": ""}, dev(route), "", "", ""},
		{"a Next.js variable in a Vite app", map[string]string{"package.json": vite}, dev(`"localEnvVars":{"NEXT_PUBLIC_WORKOS_REDIRECT_URI":"http://localhost:5173/callback"}`), "", CodeWrongPrefix, "rename it to VITE_WORKOS_REDIRECT_URI"},
		{"values set by hand", map[string]string{"package.json": vite}, dev(""), "VITE_WORKOS_CLIENT_ID=client_x\nWORKOS_API_KEY=\n", CodeHandSet, "VITE_WORKOS_CLIENT_ID is set by hand"},
		{"values set by hand without a managed section", map[string]string{"package.json": vite}, `{}`, "VITE_WORKOS_CLIENT_ID=client_x\n", "", ""},
		{"Berth's own value", map[string]string{"package.json": vite}, dev(""), markPrefix + "WORKOS_API_KEY@" + fingerprint("WORKOS_API_KEY", "k") + "\nWORKOS_API_KEY=k\n", "", ""},
		{"an API key in a public variable", map[string]string{"package.json": vite}, `{}`, "VITE_X=sk_test_hidden1\n", CodePublicKey, "browser"},
		{"packages missing", map[string]string{"package.json": `{"dependencies":{"next":"16","@convex-dev/workos":"0"}}`, "bun.lock": ""}, `{}`, "", CodePackages, "bun add @workos-inc/authkit-nextjs"},
		{"no callback route", map[string]string{"package.json": next, "app/other/route.ts": ""}, dev(route), "", CodeNoCallback, "/callback"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.files["convex.json"] = c.config
			a := findApp(t, writeTree(t, c.files))
			config, err := a.ReadConfig()
			if err != nil {
				t.Fatal(err)
			}
			found, err := a.Check(config, ParseEnv([]byte(c.env)))
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			var text strings.Builder
			for _, f := range found {
				codes = append(codes, f.Code)
				text.WriteString(f.Message + " " + f.Fix)
			}
			if diff := cmp.Diff(c.want, strings.Join(codes, " ")); diff != "" || !strings.Contains(text.String(), c.text) {
				t.Errorf("Check = %+v, want %q with %q", found, c.want, c.text)
			}
			if strings.Contains(text.String(), "hidden1") {
				t.Errorf("Check = %+v, want no secret", found)
			}
		})
	}
}

func TestCallbackRoute(t *testing.T) { // R56
	for _, c := range []struct {
		id   FrameworkID
		path string
		file string
		ok   bool
	}{
		{NextJS, "/callback", "app/callback/route.ts", true},
		{NextJS, "/callback", "src/app/(auth)/callback/route.js", true},
		{NextJS, "/api/callback", "pages/api/callback.ts", true},
		{NextJS, "/callback", "app/callback/helper.ts", false},
		{TanStackStart, "/callback", "src/routes/callback.tsx", true},
		{TanStackStart, "/api/auth/callback", "src/routes/api.auth.callback.tsx", true},
		{TanStackStart, "/api/auth/callback", "src/routes/api/auth/callback.ts", true},
		{SvelteKit, "/auth/callback", "src/routes/auth/callback/+server.ts", true},
		{SvelteKit, "/callback", "src/routes/auth/callback/+server.ts", false},
		{ReactRouter, "/callback", "app/routes/callback.tsx", true},
		{ReactRouter, "/callback", "app/routes/_auth.callback.tsx", true},
		{ReactRouter, "/callback", "app/routes.ts", true},
		{Vite, "/callback", "", true},
	} {
		t.Run(string(c.id)+" "+c.path+" "+c.file, func(t *testing.T) {
			files := map[string]string{"package.json": fixtures[c.id]}
			if c.file != "" {
				files[c.file] = `export default [route("callback", "./callback.tsx")];`
			}
			a := findApp(t, writeTree(t, files))
			file, ok, err := a.CallbackRoute(c.path)
			if err != nil || ok != c.ok || ok && c.file != "" && a.Rel(file) != c.file {
				t.Errorf("CallbackRoute(%s) = %q, %v, %v, want %q, %v", c.path, file, ok, err, c.file, c.ok)
			}
		})
	}
}
