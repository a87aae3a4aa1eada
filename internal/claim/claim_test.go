package claim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
)

var t0 = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func request() Request {
	return Request{Project: "shop", Deployment: "shop/preview/b", Kind: Preview, Branch: "b", Mode: Dedicated, APIBase: "http://x", Lifetime: 24 * time.Hour,
		Want: Entries{RedirectURIs: []string{"https://b/2", "https://b/1", "https://b/1"}}}
}

func TestRequestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		want   string // part of the message; "" when it is fine
	}{
		"fine":                    {func(*Request) {}, ""},
		"a branch with slashes":   {func(r *Request) { r.Deployment = "shop/preview/feature/a b" }, ""},
		"given":                   {func(r *Request) { r.Mode, r.Given = Shared, &Given{ClientID: "client_1"} }, ""},
		"no project":              {func(r *Request) { r.Project = "" }, "project"},
		"slash in the project":    {func(r *Request) { r.Project = "a/b" }, "project"},
		"another kind's key":      {func(r *Request) { r.Deployment = "shop/prod/b" }, "deployment"},
		"no reference":            {func(r *Request) { r.Deployment = "shop/preview/" }, "deployment"},
		"another project's key":   {func(r *Request) { r.Deployment = "other/preview/b" }, "deployment"},
		"long key":                {func(r *Request) { r.Deployment += strings.Repeat("x", 400) }, "deployment"},
		"unknown kind":            {func(r *Request) { r.Kind = "test" }, "kind"},
		"unknown placement":       {func(r *Request) { r.Mode = "any" }, "placement"},
		"pooled":                  {func(r *Request) { r.Mode = Pooled }, "placement"},
		"given but dedicated":     {func(r *Request) { r.Given = &Given{ClientID: "client_1"} }, "shared"},
		"given without client ID": {func(r *Request) { r.Mode, r.Given = Shared, &Given{} }, "client ID"},
		"negative lifetime":       {func(r *Request) { r.Lifetime = -1 }, "lifetime"},
		"no API base":             {func(r *Request) { r.APIBase = "" }, "API base"},
		"too many entries":        {func(r *Request) { r.Want.CORSOrigins = make([]string, 1001) }, "entries"},
	} {
		r := request()
		c.change(&r)
		err := r.Check()
		if c.want == "" && err != nil || c.want != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Check = %v, want %q", name, err, c.want)
		}
	}
}

func TestRenew(t *testing.T) {
	c, changed := Renew(nil, request(), t0)
	if !changed || c.State != Pending || !c.ExpiresAt.Equal(t0.Add(24*time.Hour)) || !slices.Equal(c.Current().RedirectURIs, []string{"https://b/1", "https://b/2"}) {
		t.Fatalf("Renew(nil) = %+v, %v; want a pending claim with a normal set", c, changed)
	}
	c.State = Live
	if again, changed := Renew(&c, request(), t0.Add(59*time.Minute)); changed || !cmp.Equal(again, c) {
		t.Errorf("an equal request within a 24th of the lifetime changed the claim: %+v", again)
	}
	if again, changed := Renew(&c, request(), t0.Add(time.Hour)); !changed || again.State != Live || !again.ExpiresAt.Equal(t0.Add(25*time.Hour)) {
		t.Errorf("an equal request later = %+v, %v; want it renewed and still live", again, changed)
	}
	// A host that names the commit: the newest set first, a few earlier ones kept.
	for i, commit := range []string{"c1", "c2", "c1", "c3", "c4", "c5"} {
		r := request()
		r.Want = Entries{RedirectURIs: []string{"https://" + commit}}
		c, changed = Renew(&c, r, t0.Add(time.Duration(i)*time.Minute))
		if !changed || c.State != Pending || c.Current().RedirectURIs[0] != "https://"+commit || len(c.Sets) > 1+KeptSets {
			t.Errorf("after %s: %+v, want it first among at most %d sets", commit, c.Sets, 1+KeptSets)
		}
		for j := range c.Sets {
			if slices.ContainsFunc(c.Sets[j+1:], c.Sets[j].Equal) {
				t.Errorf("after %s a set is kept twice: %v", commit, c.Sets)
			}
		}
	}
	dev := request()
	dev.Kind, dev.Deployment, dev.Lifetime = Dev, "shop/dev/ada", 0
	d, _ := Renew(nil, dev, t0)
	dev.Want = Entries{RedirectURIs: []string{"http://localhost:5174/callback"}}
	if d, _ = Renew(&d, dev, t0); len(d.Sets) != 1 || !d.ExpiresAt.IsZero() {
		t.Errorf("a dev claim = %+v, want one set and no end", d)
	}
}

// R71-R74: what may be released, and why.
func TestDead(t *testing.T) {
	branches := map[string]bool{"main": true}
	base := Claim{Kind: Preview, Deployment: "shop/preview/b", Branch: "b", Repository: "acme/shop", State: Live, RenewedAt: t0, Lifetime: 14 * 24 * time.Hour, ExpiresAt: t0.AddDate(0, 0, 14)}
	good := Evidence{Repository: "acme/shop", Branches: branches}
	for name, c := range map[string]struct {
		change   func(*Claim)
		evidence Evidence
		now      time.Time
		want     bool
		why      string
	}{
		"a branch that is gone":           {nil, good, t0, true, "branch b is gone"},
		"a branch that exists":            {func(c *Claim) { c.Branch = "main" }, good, t0, false, "exists"},
		"no list of branches":             {nil, Evidence{Repository: "acme/shop"}, t0, false, "could not be listed"},
		"an empty list of branches":       {nil, Evidence{Repository: "acme/shop", Branches: map[string]bool{}}, t0, false, "proves nothing"},
		"another repository":              {nil, Evidence{Repository: "acme/other", Branches: branches}, t0, false, "another repository"},
		"an unknown repository":           {func(c *Claim) { c.Repository = "" }, Evidence{Branches: branches}, t0, false, "another repository"},
		"an unknown branch":               {func(c *Claim) { c.Branch = "" }, good, t0, false, "not known"},
		"a lifetime that is over":         {func(c *Claim) { c.Branch = "main" }, good, t0.AddDate(0, 0, 15), true, "lifetime 14 days"},
		"named by its branch":             {func(c *Claim) { c.Branch = "main" }, Evidence{Named: map[string]bool{"main": true}}, t0, true, "asked for"},
		"named by its key":                {nil, Evidence{Named: map[string]bool{"shop/preview/b": true}}, t0, true, "asked for"},
		"a release that was not finished": {func(c *Claim) { c.State, c.Branch = Releasing, "main" }, good, t0, true, "not finished"},
		"a developer's":                   {func(c *Claim) { c.Kind = Dev }, good, t0.AddDate(1, 0, 0), false, "by name"},
		"a developer's, by its branch":    {func(c *Claim) { c.Kind = Dev }, Evidence{Named: map[string]bool{"b": true}}, t0, false, "by name"},
		"a developer's, by its key":       {func(c *Claim) { c.Kind, c.Deployment = Dev, "shop/dev/ada" }, Evidence{Named: map[string]bool{"shop/dev/ada": true}}, t0, true, "asked for"},
		"production, in every way": {func(c *Claim) { c.Kind, c.State = Prod, Releasing },
			Evidence{Repository: "acme/shop", Branches: branches, Named: map[string]bool{"b": true, "shop/preview/b": true}}, t0.AddDate(9, 0, 0), false, "never"},
	} {
		claim := base
		if c.change != nil {
			c.change(&claim)
		}
		if got, why := Dead(claim, c.evidence, c.now); got != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%s: Dead = %v, %q; want %v, %q", name, got, why, c.want, c.why)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		wish             Mode
		canCreate, given bool
		want             Mode
		kind             fault.Kind // of the error, "" for none
	}{
		{"", true, false, Dedicated, ""}, {"", true, true, Shared, ""}, {"", false, true, Shared, ""}, {"", false, false, "", fault.NeedsPerson},
		{Dedicated, true, false, Dedicated, ""}, {Dedicated, false, true, "", fault.Unsupported},
		{Shared, true, false, Shared, ""}, {Shared, false, true, Shared, ""}, {Shared, false, false, "", fault.NeedsPerson},
		{Pooled, true, true, "", fault.Unsupported}, {"x", true, true, "", fault.Invalid},
	} {
		got, why, err := Choose(c.wish, c.canCreate, c.given)
		if got != c.want || c.kind == "" && (err != nil || why == "") || c.kind != "" && (!fault.Is(err, c.kind) || fault.From(err).Fix == "") {
			t.Errorf("Choose(%q, %v, %v) = %q, %q, %v; want %q, %s", c.wish, c.canCreate, c.given, got, why, err, c.want, c.kind)
		}
	}
}

// Slots of different deployments and generations never meet.
func TestSlotsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, deployment := range []string{"shop/preview/a", "shop/preview/a#1", "shop/preview/a#1#1", "shop/preview/b", "shop/preview/a#2"} {
		for generation := 1; generation < 4; generation++ {
			r := request()
			r.Deployment = deployment
			slot, who := r.Slot(generation), deployment+" generation "+string(rune('0'+generation))
			if prior, ok := seen[slot]; ok {
				t.Errorf("slot %s is that of %s and of %s", slot, prior, who)
			}
			seen[slot] = who
		}
	}
}

func TestEntries(t *testing.T) {
	a, b := Entries{RedirectURIs: []string{"2", "1", "2"}, CORSOrigins: []string{"x"}}, Entries{RedirectURIs: []string{"2", "3"}}
	for name, c := range map[string]struct{ got, want Entries }{
		"Union":     {Union(a, b), Entries{RedirectURIs: []string{"1", "2", "3"}, CORSOrigins: []string{"x"}}},
		"Without":   {a.Without(b), Entries{RedirectURIs: []string{"1"}, CORSOrigins: []string{"x"}}},
		"Intersect": {a.Intersect(b), Entries{RedirectURIs: []string{"2"}, CORSOrigins: []string{}}},
		"Normal":    {Entries{}.Normal(), Entries{RedirectURIs: []string{}, CORSOrigins: []string{}}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !a.Equal(a.Normal()) || a.Equal(b) || a.RedirectURIs[0] != "2" {
		t.Errorf("Equal or Normal changed %v", a)
	}
}

// A request that passes its check keeps what it says on the way over the wire,
// and its claim holds what was wanted.
func FuzzRequest(f *testing.F) {
	for _, r := range []Request{request(), {}} {
		seed, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add([]byte(`{"project":"p","deployment":"p/dev/x","kind":"dev","mode":"shared","api_base":"x","given":{"client_id":"c"},"want":{"redirect_uris":null},"lifetime":9223372036854775807}`))
	f.Add([]byte(`{"want":{"redirect_uris":[null,"a"]},"lifetime":-1,"kind":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Request
		if json.Unmarshal(data, &r) != nil || r.Check() != nil {
			return
		}
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Request
		if err := json.Unmarshal(encoded, &back); err != nil || !cmp.Equal(r, back) {
			t.Fatalf("%s reads back as %+v, %v", encoded, back, err)
		}
		if !strings.HasPrefix(r.Slot(1), "dedicated:") && !strings.HasPrefix(r.Slot(1), "shared:") && !strings.HasPrefix(r.Slot(1), "given:") {
			t.Fatalf("Slot = %s", r.Slot(1))
		}
		c, _ := Renew(nil, r, t0)
		if !c.Entries().Equal(r.Want) || c.Deployment != r.Deployment {
			t.Fatalf("Renew = %+v, want %+v", c, r)
		}
		if _, changed := Renew(&c, r, t0); changed && r.Lifetime >= 24 {
			t.Fatalf("an equal request changed the claim of %s", encoded)
		}
	})
}
