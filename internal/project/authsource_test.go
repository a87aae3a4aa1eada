package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

func TestReadAuthConfig(t *testing.T) {
	for _, c := range []struct {
		name, src, reads string
		dynamic          bool
	}{
		{"the file that init writes (R86)", authConfig, "WORKOS_CLIENT_ID", false},
		{"all ways to read", `// process.env.COMMENT
const { B, C: c2, D = "x" } = process.env;
const text = "process.env.TEXT", other = 'process.env["TEXT2"]';
const t = ` + "`process.env.T1 ${process.env.A + `${process.env.E}`} process.env.T2 ${{a: B}}`" + `;
export default { providers: [t, text, other, process.env["F"], process.env.NODE_ENV, B, c2, D, process.env?.G] };`, "A B C D E F G", false},
		{"a variable name", `const n = "X" + Math.random(); export default { providers: [process.env[n]] };`, "", true},
		{"the whole environment", `const e = process.env; export default { providers: [e.X] };`, "", true},
		{"an import", `import { id } from "./lib/ids"; export default { providers: [id] };`, "IMPORTED", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := findApp(t, writeTree(t, map[string]string{
				"package.json": "{}", "convex/auth.config.ts": c.src,
				"convex/lib/ids.ts": `export const id: string = process.env.IMPORTED!;`,
			}))
			s, err := a.ReadAuthConfig()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Fields(c.reads), s.Reads, cmpEmpty); diff != "" || s.Dynamic != c.dynamic {
				t.Errorf("Reads, dynamic %v, want %v (-want +got):\n%s\n%s", s.Dynamic, c.dynamic, diff, s.Source)
			}
			if !strings.Contains(s.Source, "export{") && !strings.Contains(s.Source, "export {") {
				t.Errorf("Source = %s, want an ES module", s.Source)
			}
			if strings.Contains(c.src, "NODE_ENV") && (!strings.Contains(s.Source, `"production"`) || strings.Contains(s.Source, "NODE_ENV")) {
				t.Errorf("Source = %s, want NODE_ENV replaced", s.Source)
			}
		})
	}
}

var cmpEmpty = cmp.Transformer("empty", func(s []string) string { return strings.Join(s, " ") })

func TestReadAuthConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		code  string
		text  string
	}{
		{"missing", map[string]string{}, "auth-config-missing", "convex"},
		{"twice", map[string]string{"convex/auth.config.ts": "", "convex/auth.config.js": ""}, "auth-config-twice", "both"},
		{"broken", map[string]string{"convex/auth.config.ts": "export default {\n  providers: ]"}, "auth-config-syntax", "auth.config.ts:2:14"},
		{"missing import", map[string]string{"convex/auth.config.js": `import "./gone"`}, "auth-config-syntax", "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.files["package.json"] = "{}"
			_, err := findApp(t, writeTree(t, c.files)).ReadAuthConfig()
			if fault.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("ReadAuthConfig = %v (%s), want %s with %q", err, fault.Code(err), c.code, c.text)
			}
		})
	}
}

func TestNeedsProvisioning(t *testing.T) { // R15
	reads := &AuthSource{Reads: []string{"OTHER", "WORKOS_CLIENT_ID"}}
	if !reads.NeedsProvisioning(func(string) bool { return false }) || reads.NeedsProvisioning(func(n string) bool { return n == "WORKOS_CLIENT_ID" }) {
		t.Error("NeedsProvisioning: want true only while WORKOS_CLIENT_ID is unset")
	}
	if (&AuthSource{Reads: []string{"OTHER"}}).NeedsProvisioning(func(string) bool { return false }) {
		t.Error("NeedsProvisioning without a read of WORKOS_CLIENT_ID = true, want false")
	}
}
