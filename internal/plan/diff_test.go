package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

func uris(list ...string) (out []workos.RedirectURI) {
	for i, u := range list {
		out = append(out, workos.RedirectURI{ID: fmt.Sprintf("redir_%d", i), URI: u})
	}
	return out
}

func origins(list ...string) (out []workos.CORSOrigin) {
	for i, o := range list {
		out = append(out, workos.CORSOrigin{ID: fmt.Sprintf("cors_origin_%d", i), Origin: o})
	}
	return out
}

var preview = Target{Deployment: "preview feature-x", Environment: "shared-staging", Server: "WorkOS", Placement: Shared}

func wholePlan() Plan {
	return Diff(Desired{
		Target: preview, RedirectURIs: []string{"https://x.example.com/callback", "https://a.example.com/callback", "https://x.example.com/callback"},
		Origins: []string{"https://X.example.com/"}, Homepage: "https://x.example.com", JWTTemplate: `{"aud": "x"}`,
		Variables: []DesiredVariable{
			{Name: "WORKOS_API_KEY", Value: "sk_test_new", Secret: true}, {Name: "WORKOS_CLIENT_ID", Value: "client_1"},
			{Name: "SAME", Value: "v"}, {Name: "MINE", Value: "default", Default: true},
		},
		Files:  []DesiredFile{{Path: ".env.local", Content: []byte("WORKOS_API_KEY=sk_test_new\n"), Summary: "WORKOS_API_KEY set"}},
		Ours:   Ours{RedirectURIs: []string{"https://old.example.com/callback", "https://other.example.com/callback"}, Origins: []string{"https://old.example.com"}, Variables: []string{"GONE", "SAME"}},
		Others: Others{RedirectURIs: []string{"https://other.example.com/callback"}, Homepage: "https://main.example.com", HomepageBy: "preview main"},
	}, Actual{
		Environment:  &EnvironmentState{ID: "environment_1"},
		RedirectURIs: uris("https://a.example.com/callback", "https://old.example.com/callback", "https://other.example.com/callback", "https://person.example.com/callback"),
		Origins:      origins("https://old.example.com"),
		Variables:    map[string]secret.String{"WORKOS_API_KEY": "sk_test_old", "SAME": "v", "MINE": "by hand", "GONE": "g"},
		Files:        map[string][]byte{".env.local": []byte("WORKOS_API_KEY=sk_test_old\n")},
	})
}

func TestTextView(t *testing.T) {
	want := `plan for preview feature-x (environment shared-staging, shared, at WorkOS)
  + redirect_uri https://x.example.com/callback
  + cors_origin  https://x.example.com
  + jwt_template {"aud": "x"}
  = variable     MINE  (set by a person)
  ~ variable     WORKOS_API_KEY: a new [secret]
  + variable     WORKOS_CLIENT_ID: client_1
  ~ file         .env.local  (WORKOS_API_KEY set)
  - variable     GONE  (ours, no longer wanted)
  - redirect_uri https://old.example.com/callback  (ours, no longer wanted)
note: cors_origin https://old.example.com: no longer wanted, but WorkOS has no call that removes a CORS origin; remove it in the dashboard
note: homepage https://x.example.com: not set: this environment is shared and its one homepage is https://main.example.com, set by preview main; sign-out must pass return_to to come back here
`
	if diff := cmp.Diff(want, wholePlan().Text(nil)); diff != "" {
		t.Errorf("Text differs (-want +got):\n%s", diff)
	}
	bold := func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	if got := wholePlan().Text(&Style{Add: bold}); !strings.Contains(got, "\x1b[1m+ redirect_uri https://x.example.com/callback\x1b[0m\n") || strings.Count(got, "\x1b[1m") != 4 {
		t.Errorf("Text with a style = %q, want the four additions bold", got)
	}
	if got := (Plan{}).Text(nil); got != "plan\n  nothing to change\n" {
		t.Errorf("Text of an empty plan = %q", got)
	}
}

func TestNoViewShowsSecrets(t *testing.T) {
	p := wholePlan()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	views := p.Text(nil) + string(data) + fmt.Sprintf("%v %+v %#v %s %q %d", p, p, p, p.Changes, p.Changes, p.Changes)
	r := newReport(p)
	report, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	views += r.Text(nil) + string(report) + fmt.Sprintf("%+v", *r)
	if i := strings.Index(views, "sk_test_"); i >= 0 {
		t.Errorf("a view shows a secret: …%s…", views[max(0, i-80):min(len(views), i+40)])
	}
	var decoded struct {
		Empty   bool
		Changes []struct{ Action, Resource, Name, After string }
		Notes   []Note
	}
	if err := json.Unmarshal(data, &decoded); err != nil || decoded.Empty || len(decoded.Changes) != 9 || len(decoded.Notes) != 2 {
		t.Errorf("JSON view = %s, %v, want the nine changes and two notes", data, err)
	}
}

func TestViewsOfHostileNamesStayOnOneLine(t *testing.T) {
	p := Diff(Desired{RedirectURIs: []string{"https://x/\x1b[2J\n+ redirect_uri https://fake"}}, Actual{})
	if got := p.Text(nil); strings.ContainsAny(got, "\x1b") || strings.Count(got, "\n") != 2 {
		t.Errorf("Text = %q, want no control characters", got)
	}
}

func TestHomepage(t *testing.T) {
	const mine, theirs = "https://a.example.com", "https://b.example.com"
	known := func(v, refused string) AppliedHomepage {
		return AppliedHomepage{Value: v, Known: true, Refused: refused}
	}
	for _, tt := range []struct {
		name               string
		placement          Placement
		applied            AppliedHomepage
		others             string
		sets, notes, warns int
	}{
		{"unknown is set", Dedicated, AppliedHomepage{}, "", 1, 0, 0},
		{"equal is left", Dedicated, known(mine, ""), "", 0, 0, 0},
		{"different is set", Dedicated, known(theirs, ""), "", 1, 0, 0},
		{"shared and free is set", Shared, AppliedHomepage{}, "", 1, 0, 0},
		{"shared and taken is not flipped (R59)", Shared, known(theirs, ""), theirs, 0, 1, 0},
		{"shared and taken is not flipped although unknown", Shared, AppliedHomepage{}, theirs, 0, 1, 0},
		{"refused is not tried again", Dedicated, known(mine, "no localhost"), "", 0, 0, 1},
		{"refused of another value is tried", Dedicated, known(theirs, "no localhost"), "", 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Diff(Desired{Target: Target{Placement: tt.placement}, Homepage: mine, Others: Others{Homepage: tt.others}}, Actual{Homepage: tt.applied})
			if len(p.Changes) != tt.sets || len(p.Notes) != tt.notes || len(p.Warnings) != tt.warns {
				t.Errorf("Diff = %d changes, %d notes, %d warnings, want %d, %d, %d", len(p.Changes), len(p.Notes), len(p.Warnings), tt.sets, tt.notes, tt.warns)
			}
			for _, n := range p.Notes {
				if !strings.Contains(n.Reason, "return_to") {
					t.Errorf("note = %q, want it to say what sign-out must pass", n.Reason)
				}
			}
		})
	}
}

func TestEnvironmentIsReleasedOnlyWhenItIsOurs(t *testing.T) {
	for _, tt := range []struct {
		name      string
		placement Placement
		state     *EnvironmentState
		want      Action
		notes     int
	}{
		{"made by Berth", Dedicated, &EnvironmentState{ID: "e", Ours: true}, Remove, 0},
		{"production (R74)", Dedicated, &EnvironmentState{ID: "e", Ours: true, Production: true}, "", 1},
		{"not recorded (R74)", Dedicated, &EnvironmentState{ID: "e"}, "", 1},
		{"shared with others", Shared, &EnvironmentState{ID: "e", Ours: true}, "", 0},
		{"gone already", Dedicated, nil, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Diff(Desired{Target: Target{Placement: tt.placement}, Environment: Wish{Name: "e", Release: true}}, Actual{Environment: tt.state})
			if len(p.Notes) != tt.notes || tt.want == "" && len(p.Changes) != 0 || tt.want != "" && (len(p.Changes) != 1 || p.Changes[0].Action != tt.want) {
				t.Errorf("Diff = %v, notes %v, want %q", p.Changes, p.Notes, tt.want)
			}
		})
	}
}

func TestVariablesThatCannotBeReadAreSet(t *testing.T) {
	p := Diff(Desired{Variables: []DesiredVariable{{Name: "A", Value: "1"}}, Ours: Ours{Variables: []string{"B"}}}, Actual{})
	if len(p.Changes) != 1 || p.Changes[0].Action != Set || !strings.Contains(p.Changes[0].Reason, "cannot be read") {
		t.Errorf("Diff with unreadable variables = %v, want A set with the reason (R84)", p.Changes)
	}
}

func TestDefaultRedirectURIIsReportedNotRemoved(t *testing.T) {
	have := uris("https://old.example.com/cb")
	have[0].Default = true
	p := Diff(Desired{Ours: Ours{RedirectURIs: []string{"https://old.example.com/cb"}}}, Actual{RedirectURIs: have})
	if !p.Empty() || len(p.Notes) != 1 {
		t.Errorf("Diff = %v, notes %v, want one note (R75)", p.Changes, p.Notes)
	}
}

func TestJWTTemplate(t *testing.T) {
	const want = `{"aud": "x"}`
	for _, tt := range []struct {
		name      string
		placement Placement
		have      string
		ours      string
		change    Action
		notes     int
	}{
		{"never set", Shared, "", "", Add, 0},
		{"reformatted by the other end", Shared, `{"aud":"x"}`, "", "", 0},
		{"shared, a person's", Shared, `{"a":"b"}`, "", "", 1},
		{"shared, ours", Shared, `{"a":"b"}`, `{"a":"b"}`, Set, 0},
		{"dedicated", Dedicated, `{"a":"b"}`, "", Set, 0},
	} {
		p := Diff(Desired{Target: Target{Placement: tt.placement}, JWTTemplate: want, Ours: Ours{JWTTemplate: tt.ours}}, Actual{JWTTemplate: tt.have})
		if len(p.Notes) != tt.notes || (tt.change == "") != (len(p.Changes) == 0) || tt.change != "" && p.Changes[0].Action != tt.change {
			t.Errorf("%s: Diff = %v, notes %v, want %q", tt.name, p.Changes, p.Notes, tt.change)
		}
	}
}

// after is the world once every change of p is done.
func after(a Actual, p Plan) Actual {
	a.RedirectURIs, a.Origins = slices.Clone(a.RedirectURIs), slices.Clone(a.Origins)
	a.Variables, a.Files = maps.Clone(a.Variables), maps.Clone(a.Files)
	if a.Variables == nil {
		a.Variables = map[string]secret.String{} // it can be read the next time
	}
	if a.Files == nil {
		a.Files = map[string][]byte{}
	}
	for _, c := range p.Changes {
		switch {
		case c.Action == Keep:
		case c.Resource == Environment && c.Action == Remove:
			a.Environment, a.RedirectURIs, a.Origins = nil, nil, nil
		case c.Resource == Environment:
			a.Environment = &EnvironmentState{ID: "environment_new", Ours: true}
		case c.Resource == RedirectURI && c.Action == Add:
			a.RedirectURIs = append(a.RedirectURIs, workos.RedirectURI{ID: "new " + c.Name, URI: c.Name})
		case c.Resource == RedirectURI:
			a.RedirectURIs = slices.DeleteFunc(a.RedirectURIs, func(u workos.RedirectURI) bool { return u.ID == c.ID })
		case c.Resource == CORSOrigin && c.Action == Add:
			a.Origins = append(a.Origins, workos.CORSOrigin{ID: "new " + c.Name, Origin: c.Name})
		case c.Resource == CORSOrigin:
			a.Origins = slices.DeleteFunc(a.Origins, func(o workos.CORSOrigin) bool { return o.ID == c.ID })
		case c.Resource == Homepage:
			a.Homepage = AppliedHomepage{Value: c.After, Known: true}
		case c.Resource == JWTTemplate:
			a.JWTTemplate = c.After
		case c.Resource == Variable && c.Action == Remove:
			delete(a.Variables, c.Name)
		case c.Resource == Variable:
			a.Variables[c.Name] = secret.String(c.After)
		case c.Resource == File:
			a.Files[c.Name] = []byte(c.After)
		}
	}
	return a
}

// FuzzDiff: after applying, the next Diff is empty; nothing foreign and
// nothing that others claim is removed; all that is desired is there.
func FuzzDiff(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		pick := func(format string) (out []string) {
			for range r.IntN(6) {
				out = append(out, fmt.Sprintf(format, r.IntN(8)))
			}
			return out
		}
		const uri, origin = "https://h%d.example.com/cb", "https://H%d.example.com"
		d := Desired{
			Target: Target{Placement: []Placement{Dedicated, Pooled, Shared}[r.IntN(3)]}, RedirectURIs: pick(uri), Origins: pick(origin + "/"),
			Ours:   Ours{RedirectURIs: pick(uri), Origins: pick(origin), Variables: pick("V%d")},
			Others: Others{RedirectURIs: pick(uri), Origins: pick(origin)},
		}
		d.Environment = Wish{Name: "e", Release: r.IntN(4) == 0}
		maybe := func(s string) string { return []string{"", s, s + "2"}[r.IntN(3)] }
		d.Homepage, d.Others.Homepage = maybe("https://h"), maybe("https://h")
		d.JWTTemplate, d.Ours.JWTTemplate, d.Others.JWTTemplate = maybe(`{"a":1}`), maybe(`{"a":1}`), maybe(`{"a":1}`)
		for _, n := range pick("V%d") {
			d.Variables = append(d.Variables, DesiredVariable{Name: n, Value: secret.String(maybe("x")), Secret: r.IntN(2) == 0, Default: r.IntN(3) == 0})
		}
		for _, n := range pick("f%d") {
			d.Files = append(d.Files, DesiredFile{Path: n, Content: []byte(maybe("c"))})
		}
		have := Actual{RedirectURIs: uris(unique(pick(uri))...), Origins: origins(unique(pick(strings.ToLower(origin)))...), OriginsRemovable: r.IntN(2) == 0, JWTTemplate: maybe(`{"a":1}`)}
		if r.IntN(3) > 0 {
			have.Environment = &EnvironmentState{ID: "environment_1", Ours: r.IntN(2) == 0, Production: r.IntN(4) == 0}
		}
		if r.IntN(2) == 0 {
			have.Homepage = AppliedHomepage{Value: "https://h", Known: true}
		}
		if r.IntN(3) > 0 {
			have.Variables = map[string]secret.String{}
			for _, n := range pick("V%d") {
				have.Variables[n] = "x"
			}
		}
		p := Diff(d, have)
		if again := Diff(d, have); p.Text(nil) != again.Text(nil) {
			t.Fatalf("Diff is not stable:\n%s\n%s", p.Text(nil), again.Text(nil))
		}
		if !slices.IsSortedFunc(p.Changes, compareChanges) {
			t.Fatalf("changes are not sorted:\n%s", p.Text(nil))
		}
		now := after(have, p)
		if next := Diff(d, now); !next.Empty() {
			t.Fatalf("after\n%sthe next plan is\n%s", p.Text(nil), next.Text(nil))
		}
		for _, c := range p.Changes {
			if c.Action == Remove && c.Resource == RedirectURI && (!slices.Contains(d.Ours.RedirectURIs, c.Name) || slices.Contains(d.Others.RedirectURIs, c.Name) || slices.Contains(d.RedirectURIs, c.Name)) {
				t.Fatalf("%v removes what is not ours alone", c)
			}
		}
		if d.Environment.Release {
			return
		}
		for _, u := range d.RedirectURIs {
			if !slices.ContainsFunc(now.RedirectURIs, func(r workos.RedirectURI) bool { return r.URI == u }) {
				t.Fatalf("%s is missing after\n%s", u, p.Text(nil))
			}
		}
	})
}
