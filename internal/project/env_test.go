package project

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/joho/godotenv"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

func vars(pairs ...string) []EnvVar {
	var vs []EnvVar
	for i := 0; i < len(pairs); i += 2 {
		vs = append(vs, EnvVar{Name: pairs[i], Value: secret.String(pairs[i+1])})
	}
	return vs
}

func TestParseEnv(t *testing.T) {
	for _, c := range []struct{ name, src, key, want string }{
		{"bare", "A=b", "A", "b"},
		{"spaces", "  A =  b c  \n", "A", "b c"},
		{"export", "export A=b\n", "A", "b"},
		{"a name that begins with export", "exportA=b\n", "exportA", "b"},
		{"double quotes", `A="b # c" # d`, "A", "b # c"},
		{"single quotes", `A='b\nc'`, "A", `b\nc`},
		{"escaped line feed", `A="b\nc"`, "A", "b\nc"},
		{"backquotes", "A=`it's \"x\"`", "A", `it's "x"`},
		{"several lines", "A=\"b\nc\nd\"\nB=1", "A", "b\nc\nd"},
		{"after several lines", "A=\"b\nB=2\"\nB=1", "B", "1"},
		{"comment touching", "A=b#c", "A", "b"},
		{"open quote", "A=\"b\nB=1", "A", `"b`},
		{"after open quote", "A=\"b\nB=1", "B", "1"},
		{"text after quote", `A="b" c`, "A", `"b" c`},
		{"quotes at both ends", `A="b" "c"`, "A", `b" "c`},
		{"a variable called export", "export =b", "export", "b"},
		{"escape without a closing quote", `A="b\nc`, "A", "\"b\nc"},
		{"several lines with crlf", "A='b\r\nc'\r\n", "A", "b\nc"},
		{"windows path", `A='C:\x\'`, "A", `C:\x\`},
		{"crlf", "A=b\r\nB=c\r\n", "A", "b"},
		{"byte-order mark", "\ufeffA=b", "A", "b"},
		{"last wins", "A=1\nA=2", "A", "2"},
		{"empty", "A=\nB=1", "A", ""},
		{"colon", "A: b", "A", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := ParseEnv([]byte(c.src)).Lookup(c.key); got != c.want || !ok {
				t.Errorf("Lookup(%s) of %q = %q, %v, want %q", c.key, c.src, got, ok, c.want)
			}
		})
	}
	f := ParseEnv([]byte("# A=1\nnot an assignment\n=x\nCONVEX_URL_OLD=1\n"))
	if names := f.Names(); !cmp.Equal(names, []string{"CONVEX_URL_OLD"}) {
		t.Errorf("Names() = %q, want CONVEX_URL_OLD", names)
	}
	if _, ok := f.Lookup("CONVEX_URL"); ok {
		t.Error("Lookup(CONVEX_URL) found CONVEX_URL_OLD, want an exact match")
	}
}

// TestEnvSet covers R43 and R45: what is written, and that every other byte stays.
func TestEnvSet(t *testing.T) {
	mark := func(name, value string) string { return name + "@" + fingerprint(name, value) }
	m := func(pairs ...string) string {
		var words []string
		for i := 0; i < len(pairs); i += 2 {
			words = append(words, mark(pairs[i], pairs[i+1]))
		}
		return markPrefix + strings.Join(words, " ")
	}
	for _, c := range []struct {
		name, src string
		set       []EnvVar
		want      string
		actions   string
	}{
		{"new file", "", vars("A", "1", "B", "2"), m("A", "1", "B", "2") + "\nA=1\nB=2\n", "added added"},
		{"after a file without line feed", "X=y", vars("A", "1"), "X=y\n\n" + m("A", "1") + "\nA=1\n", "added"},
		{"crlf", "X=y\r\n", vars("A", "1"), "X=y\r\n\r\n" + m("A", "1") + "\r\nA=1\r\n", "added"},
		{"a longer name above", "A_OLD=keep\nA=\n", vars("A", "1"), "A_OLD=keep\n" + m("A", "1") + "\nA=1\n", "filled"},
		{"empty with comment and export", "export A= # mine\n", vars("A", "1"), m("A", "1") + "\nexport A=1 # mine\n", "filled"},
		{"empty quotes", "A=\"\" # mine\n", vars("A", "1"), m("A", "1") + "\nA=\"1\" # mine\n", "filled"},
		{"a person's value", "A=theirs\n", vars("A", "1"), "A=theirs\n", "kept,stale"},
		{"a person's value that is right", "A='1'\n", vars("A", "1"), "A='1'\n", "kept"},
		{"a value that was ours", m("A", "1") + "\nA=1 # port\nX=y\n", vars("A", "2"), m("A", "2") + "\nA=2 # port\nX=y\n", "updated"},
		{"ours, edited by hand", m("A", "1") + "\nA=9\n", vars("A", "2"), m("A", "1") + "\nA=9\n", "kept,stale"},
		{"ours, marker deleted", "A=1\n", vars("A", "2"), "A=1\n", "kept,stale"},
		{"added to the block", m("A", "1") + "\nA=1\nX=y\n", vars("B", "2"), m("A", "1", "B", "2") + "\nA=1\nB=2\nX=y\n", "added"},
		{"added to a block without last line feed", m("A", "1") + "\nA=1", vars("B", "2"), m("A", "1", "B", "2") + "\nA=1\nB=2", "added"},
		{"a person's value above ours", "A=theirs\n" + m("A", "1", "B", "2") + "\nA=1\nB=2\n", vars("A", "3"), "A=theirs\n" + m("B", "2") + "\nB=2\n", "kept,stale"},
		{"a person's value below ours", m("A", "1") + "\nA=1\nA=theirs\n", vars("A", "1"), "A=theirs\n", "kept,stale"},
		{"twice empty", "A=\nA=\n", vars("A", "1"), "A=\n" + m("A", "1") + "\nA=1\n", "filled"},
		{"quotes needed", "", vars("A", "a b#c"), m("A", "a b#c") + "\nA=\"a b#c\"\n", "added"},
		{"inside several lines", "K=\"\nA=\n\"\n", vars("A", "1"), "K=\"\nA=\n\"\n\n" + m("A", "1") + "\nA=1\n", "added"},
		{"byte-order mark", "\ufeffA=\n", vars("A", "1"), "\ufeff" + m("A", "1") + "\nA=1\n", "filled"},
		{"emptied", m("A", "1") + "\nA=1\n", vars("A", ""), m("A", "") + "\nA=\n", "updated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, changes, err := ParseEnv([]byte(c.src)).Set(c.set, "")
			if err != nil {
				t.Fatalf("Set = %v", err)
			}
			var actions []string
			for _, ch := range changes {
				a := string(ch.Action)
				if ch.Stale {
					a += ",stale"
				}
				actions = append(actions, a)
			}
			if diff := cmp.Diff(c.want, string(next.Bytes())); diff != "" || strings.Join(actions, " ") != c.actions {
				t.Errorf("Set = %q, want %q; (-want +got):\n%s", actions, c.actions, diff)
			}
			again, _, err := next.Set(c.set, "")
			if err != nil || string(again.Bytes()) != string(next.Bytes()) {
				t.Errorf("second Set = %q, %v, want the same bytes", again.Bytes(), err)
			}
		})
	}
}

func TestEnvSetNote(t *testing.T) { // R25
	f, _, err := ParseEnv(nil).Set(vars("A", "1"), "https://one.example\nX=1")
	if err != nil {
		t.Fatal(err)
	}
	f, _, err = f.Set(vars("A", "1"), "https://two.example")
	want := markPrefix + "A@" + fingerprint("A", "1") + "\n# berth: environment https://two.example\nA=1\n"
	if diff := cmp.Diff(want, string(f.Bytes())); diff != "" || err != nil {
		t.Errorf("Set with note = %v (-want +got):\n%s", err, diff)
	}
}

func TestCookiePassword(t *testing.T) { // R44
	v, other := CookiePassword(), CookiePassword()
	if len(v.Value.Reveal()) != 43 || v.Value == other.Value {
		t.Errorf("CookiePassword() has %d characters, want 43 random ones", len(v.Value.Reveal()))
	}
	f, _, err := ParseEnv(nil).Set([]EnvVar{v}, "")
	if err != nil {
		t.Fatal(err)
	}
	again, changes, err := f.Set([]EnvVar{other}, "")
	if err != nil || changes[0].Action != EnvUnchanged || string(again.Bytes()) != string(f.Bytes()) {
		t.Errorf("second Set = %v, %v, want the first password kept", changes, err)
	}
	for src, want := range map[string]EnvChange{
		"WORKOS_COOKIE_PASSWORD=short\n":                                 {Name: "WORKOS_COOKIE_PASSWORD", Action: EnvKept, Stale: true, Line: 1},
		"WORKOS_COOKIE_PASSWORD=0123456789012345678901234567890123456\n": {Name: "WORKOS_COOKIE_PASSWORD", Action: EnvKept, Line: 1},
	} {
		_, changes, err := ParseEnv([]byte(src)).Set([]EnvVar{v}, "")
		if diff := cmp.Diff([]EnvChange{want}, changes); diff != "" || err != nil {
			t.Errorf("Set over %q = %v (-want +got):\n%s", src, err, diff)
		}
	}
}

func TestEnvSetRefusals(t *testing.T) {
	for _, v := range []EnvVar{{Name: "A B", Value: "1"}, {Name: "A=1\nB", Value: "1"}, {Name: "A", Value: "sec\rret"}, {Name: "A", Value: "'\"`"}} {
		_, _, err := ParseEnv(nil).Set([]EnvVar{v}, "")
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "sec") {
			t.Errorf("Set(%q) = %v, want kind invalid without the value", v.Name, err)
		}
	}
}

func FuzzEnvSet(f *testing.F) {
	f.Add("A=1\nB=\"x\ny\" # c\nexport C='\n", "B", "v w")
	f.Add("\ufeffA: 1\r\n# berth: managed A@00\r\nA=", "A", "#'")
	f.Add("A=`1\nA=\"2\\\"\"#\n", "A", "multi\nline")
	f.Fuzz(func(t *testing.T, src, name, value string) {
		before := ParseEnv([]byte(src))
		next, changes, err := before.Set([]EnvVar{{Name: name, Value: secret.String(value)}}, "")
		if err != nil {
			return
		}
		got, _ := next.Lookup(name)
		if changes[0].Action != EnvKept && got != value {
			t.Errorf("Set(%q, %q) on %q gives %q, want the value back", name, value, src, got)
		}
		for _, other := range before.Names() {
			want, _ := before.Lookup(other)
			if got, ok := next.Lookup(other); other != name && (got != want || !ok) {
				t.Errorf("Set(%q) on %q changes %s to %q, want %q", name, src, other, got, want)
			}
		}
		again, _, err := next.Set([]EnvVar{{Name: name, Value: secret.String(value)}}, "")
		if err != nil || string(again.Bytes()) != string(next.Bytes()) {
			t.Errorf("second Set on %q = %q, %v, want %q", src, again.Bytes(), err, next.Bytes())
		}
	})
}

// TestEnvReadByOthers checks with another reader of env files that what Set
// writes is read back.
func TestEnvReadByOthers(t *testing.T) {
	for _, value := range []string{"client_01ABC", "http://localhost:3000/callback", "a b", "x#y", "it's"} {
		f, _, err := ParseEnv([]byte("X=1\n")).Set(vars("A", value), "")
		if err != nil {
			t.Fatal(err)
		}
		m, err := godotenv.UnmarshalBytes(f.Bytes())
		if err != nil || m["A"] != value || m["X"] != "1" {
			t.Errorf("godotenv reads %q as %q, %v, want %q", f.Bytes(), m["A"], err, value)
		}
	}
}
