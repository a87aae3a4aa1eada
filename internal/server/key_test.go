package server_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// keyed is an account whose environment's keys are changed with a team token.
type keyed struct {
	*account
	clk   *stillClock
	token string
	// plain reads key sets without the comparison with the OpenAPI document, which
	// knows RS256 only and no 304.
	plain *http.Client
}

func newKeyed(t testing.TB) *keyed {
	t.Helper()
	clk := &stillClock{at: time.Now()}
	s := startWith(t, server.Config{Now: clk.now, Limits: noLimits})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	k := &keyed{account: newAccount(t, s, email), clk: clk, plain: &http.Client{Transport: transport}}
	team, err := s.Store().FirstTeam(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	c, err := team.CreateCredential(t.Context(), store.TokenCredential, "test", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	k.token = c.Secret.Reveal()
	return k
}

// own sends a request of Berth's protocol about the environment.
func (k *keyed) own(t testing.TB, method, path string, in, out any) {
	t.Helper()
	status, text := call(t, k.s, method, "/berth/v1/environments/"+k.e.ClientID+path, k.token, in)
	if status != http.StatusOK {
		t.Fatalf("%s %s = %d %s, want 200", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatal(err)
	}
}

func (k *keyed) rotate(t testing.TB, r berth.KeyRotation) (states []string) {
	t.Helper()
	var keys []berth.SigningKey
	k.own(t, "POST", "/signing_keys", r, &keys)
	return statesOf(keys)
}

func (k *keyed) states(t testing.TB) []string {
	t.Helper()
	var keys []berth.SigningKey
	k.own(t, "GET", "/signing_keys", nil, &keys)
	return statesOf(keys)
}

func statesOf(keys []berth.SigningKey) (states []string) {
	for _, key := range keys {
		states = append(states, key.State+" "+key.Algorithm)
	}
	return states
}

// pass lets time go by, minute by minute as the server sees it.
func (k *keyed) pass(t testing.TB, d time.Duration) {
	t.Helper()
	k.clk.add(d)
	if err := k.s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (k *keyed) set(t testing.TB) jose.JSONWebKeySet {
	t.Helper()
	set, err := k.fetch()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// fetch reads the JWKS and holds it to what every one of them must be.
func (k *keyed) fetch() (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	resp, err := k.plain.Get(k.s.URL() + "/sso/jwks/" + k.e.ClientID)
	if err != nil {
		return set, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "public, max-age=60" || resp.Header.Get("ETag") == "" {
		return set, fmt.Errorf("JWKS = %s with %v", resp.Status, resp.Header)
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return set, err
	}
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("the JWKS is empty")
	}
	kids := map[string]bool{}
	for _, key := range set.Keys {
		if key.KeyID == "" || kids[key.KeyID] || !key.Valid() || !key.IsPublic() || key.Use != "sig" || key.Algorithm != identity.RS256 && key.Algorithm != identity.ES256 || len(key.Certificates) != 1 {
			return set, fmt.Errorf("key %+v is not a public signing key with a kid of its own", key)
		}
		kids[key.KeyID] = true
	}
	return set, nil
}

// claims verifies an access token with a set, as a client does: the key is
// found by the token's kid.
func (k *keyed) claims(t testing.TB, set jose.JSONWebKeySet, access any) (map[string]any, string) {
	t.Helper()
	claims, kid, err := verified(set, fmt.Sprint(access))
	if err != nil {
		t.Fatalf("the token does not verify with the published keys: %v", err)
	}
	return claims, kid
}

func verified(set jose.JSONWebKeySet, access string) (map[string]any, string, error) {
	token, err := jwt.ParseSigned(access, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, "", err
	}
	kid := token.Headers[0].KeyID
	found := set.Key(kid)
	if len(found) != 1 || found[0].Algorithm != token.Headers[0].Algorithm {
		return nil, kid, fmt.Errorf("%d keys have the kid %s and the algorithm %s", len(found), kid, token.Headers[0].Algorithm)
	}
	claims := map[string]any{}
	return claims, kid, token.Claims(found[0], &claims)
}

func diffStates(t testing.TB, when string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: keys (-want +got):\n%s", when, diff)
	}
}

// R62: a key is replaced while people are signed in. Every cache has the new
// key before the first token is signed with it, and the old one stays for the
// tokens that it signed.
func TestKeyRotationWhileSessionsLive(t *testing.T) {
	k := newKeyed(t)
	first := k.signIn(t)
	_, old := k.claims(t, k.set(t), first["access_token"])

	diffStates(t, "asked for", k.rotate(t, berth.KeyRotation{}), "current RS256", "next RS256")
	if resp, _ := get(t, http.DefaultClient, k.s.URL()+"/sso/jwks/"+k.e.ClientID); resp.StatusCode != http.StatusOK { // held to the document
		t.Errorf("JWKS = %s, want 200", resp.Status)
	}
	diffStates(t, "asked for again", k.rotate(t, berth.KeyRotation{}), "current RS256", "next RS256")
	cached := k.set(t) // what a client holds that read the set only now
	k.pass(t, identity.KeyLead-time.Second)
	_, second := k.refresh(t, first["refresh_token"])
	if _, kid := k.claims(t, cached, second["access_token"]); kid != old {
		t.Errorf("a token before the time is signed with %s, want the old key %s", kid, old)
	}
	k.pass(t, time.Second)
	diffStates(t, "when its time has come", k.states(t), "current RS256", "retired RS256")
	_, third := k.refresh(t, second["refresh_token"])
	if _, kid := k.claims(t, cached, third["access_token"]); kid == old {
		t.Error("a token after the time is signed with the old key, want the new one")
	}
	k.claims(t, k.set(t), second["access_token"])
	fourth := k.signIn(t)
	k.claims(t, cached, fourth["access_token"])

	k.pass(t, identity.MaxTokenLifetime) // the longest life of any token
	k.claims(t, k.set(t), second["access_token"])
	k.pass(t, identity.KeyKept-identity.MaxTokenLifetime)
	diffStates(t, "when its last token is over", k.states(t), "current RS256")
	if _, _, err := verified(k.set(t), fmt.Sprint(second["access_token"])); err == nil {
		t.Error("the old key is still published after its last token")
	}
	if status, out := k.refresh(t, third["refresh_token"]); status != http.StatusOK {
		t.Errorf("refresh of a session that saw three keys = %d %v, want 200", status, out)
	}
}

func TestKeyReplacedAtOnce(t *testing.T) {
	k := newKeyed(t)
	first := k.signIn(t)
	k.rotate(t, berth.KeyRotation{})
	before := k.set(t)
	diffStates(t, "at once", k.rotate(t, berth.KeyRotation{Now: true}), "current RS256")
	after := k.set(t)
	if _, _, err := verified(after, fmt.Sprint(first["access_token"])); err == nil {
		t.Error("a token of the replaced key still verifies")
	}
	for _, key := range before.Keys {
		if len(after.Key(key.KeyID)) != 0 {
			t.Errorf("key %s is still published", key.KeyID)
		}
	}
	status, second := k.refresh(t, first["refresh_token"])
	if status != http.StatusOK {
		t.Fatalf("refresh afterwards = %d %v, want 200: the session lives", status, second)
	}
	k.claims(t, after, second["access_token"])
}

// ES256 by choice: from the next token on, with the old key beside the new one.
func TestAlgorithmOfAnEnvironment(t *testing.T) {
	k := newKeyed(t)
	first := k.signIn(t)
	discovered := func() any {
		_, text := get(t, http.DefaultClient, k.s.URL()+"/user_management/"+k.e.ClientID+"/.well-known/openid-configuration")
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		return doc["id_token_signing_alg_values_supported"]
	}
	if diff := cmp.Diff([]any{"RS256"}, discovered()); diff != "" {
		t.Errorf("discovery (-want +got):\n%s", diff)
	}
	k.rotate(t, berth.KeyRotation{}) // a next key of the old algorithm never signs
	diffStates(t, "changed", k.rotate(t, berth.KeyRotation{Algorithm: "ES256"}), "current ES256", "retired RS256")
	if diff := cmp.Diff([]any{"ES256"}, discovered()); diff != "" {
		t.Errorf("discovery (-want +got):\n%s", diff)
	}
	set := k.set(t)
	k.claims(t, set, first["access_token"])
	_, second := k.refresh(t, first["refresh_token"])
	claims, kid := k.claims(t, set, second["access_token"])
	if key := set.Key(kid)[0]; key.Algorithm != "ES256" || claims["sub"] == nil {
		t.Errorf("a token after the change is signed with %s, want ES256", key.Algorithm)
	}
	diffStates(t, "rotated", k.rotate(t, berth.KeyRotation{}), "current ES256", "next ES256", "retired RS256")
	k.pass(t, identity.KeyLead)
	diffStates(t, "and later", k.states(t), "current ES256", "retired ES256", "retired RS256")
	var v berth.Settings
	k.own(t, "PATCH", "/settings", m{"algorithm": "RS256"}, &v)
	k.set(t) // publishes the key before a token is signed with it
	_, third := k.refresh(t, second["refresh_token"])
	k.claims(t, k.set(t), third["access_token"])
	if states := k.states(t); states[0] != "current RS256" {
		t.Errorf("keys after the change back = %v, want a current RS256 key", states)
	}
}

// A JWKS is read while keys are replaced: it is never empty, and it verifies
// every token that was signed before it was read.
func TestKeySetUnderConcurrentRotation(t *testing.T) {
	k := newKeyed(t)
	first := k.signIn(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := k.fetch(); err != nil {
					t.Errorf("fetch: %v", err)
					return
				}
			}
		})
	}
	refresh := first["refresh_token"]
	for i := range 12 {
		switch i % 4 {
		case 0:
			k.rotate(t, berth.KeyRotation{})
		case 1:
			k.pass(t, identity.KeyLead)
		case 2:
			k.rotate(t, berth.KeyRotation{Algorithm: []string{"ES256", "RS256"}[i/4%2]})
		case 3:
			k.rotate(t, berth.KeyRotation{Now: true})
		}
		status, out := k.refresh(t, refresh)
		if status != http.StatusOK {
			t.Fatalf("refresh in step %d = %d %v, want 200", i, status, out)
		}
		refresh = out["refresh_token"]
		k.claims(t, k.set(t), out["access_token"])
	}
	close(stop)
	wg.Wait()
}

func TestKeySetIsCached(t *testing.T) {
	k := newKeyed(t)
	fetch := func(etag string) *http.Response {
		t.Helper()
		r, err := http.NewRequest("GET", k.s.URL()+"/sso/jwks/"+k.e.ClientID, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", etag)
		resp, err := k.plain.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	first := fetch("")
	if got := fetch(first.Header.Get("ETag")); got.StatusCode != http.StatusNotModified || got.Header.Get("Cache-Control") == "" {
		t.Errorf("the same set again = %s, want 304 with Cache-Control", got.Status)
	}
	k.rotate(t, berth.KeyRotation{})
	if got := fetch(first.Header.Get("ETag")); got.StatusCode != http.StatusOK || got.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Errorf("another set = %s with ETag %s, want 200 with another", got.Status, got.Header.Get("ETag"))
	}
	if resp, _ := get(t, http.DefaultClient, k.s.URL()+"/sso/jwks/client_unknown"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("JWKS of an unknown client = %s, want 404", resp.Status)
	}
}

// jwks-behaviour.json was recorded with workos-node: which sets it can use for
// which tokens, and where it throws instead of saying "not signed in". A reader
// that decides as it did finds no set of ours, in any state of its keys, in a
// case that throws.
func TestKeySetsNeverMakeClientsThrow(t *testing.T) {
	data, err := os.ReadFile("testdata/jwks-behaviour.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Cases []struct {
			JWKS   string  `json:"jwks"`
			KID    *string `json:"token_kid"`
			Exp    string  `json:"exp"`
			Result string  `json:"result"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	// jose's rule: with a kid the keys that have it, without one all.
	choose := func(kids []string, kid *string) string {
		n := 0
		for _, have := range kids {
			if kid == nil || have == *kid {
				n++
			}
		}
		switch n {
		case 0:
			return "throws ERR_JWKS_NO_MATCHING_KEY"
		case 1:
			return "valid"
		}
		return "throws ERR_JWKS_MULTIPLE_MATCHING_KEYS"
	}
	sets := map[string][]string{"one key, kid a": {"a"}, "one key, kid a, no alg": {"a"}, "two keys, no kid": {"", ""}, "one key, no kid": {""}, "other key": {"b"}}
	tried := 0
	for _, c := range recorded.Cases {
		kids, known := sets[c.JWKS]
		if !known || c.Exp != "" {
			continue // no set came, or the time decided
		}
		tried++
		if got := choose(kids, c.KID); got != c.Result {
			t.Errorf("%s, token kid %v = %s, want %s: the reader of this test decides otherwise than the client", c.JWKS, c.KID, got, c.Result)
		}
	}
	if tried != 7 {
		t.Fatalf("%d recorded cases were tried, want 7", tried)
	}
	k := newKeyed(t)
	session := k.signIn(t)
	for i, step := range []func(){
		func() {},
		func() { k.rotate(t, berth.KeyRotation{}) },
		func() { k.pass(t, identity.KeyLead) },
		func() { k.rotate(t, berth.KeyRotation{Algorithm: "ES256"}) },
		func() { k.rotate(t, berth.KeyRotation{}) },
		func() { k.rotate(t, berth.KeyRotation{Now: true}) },
	} {
		step()
		var status int
		if status, session = k.refresh(t, session["refresh_token"]); status != http.StatusOK {
			t.Fatalf("refresh after step %d = %d", i, status)
		}
		set := k.set(t)
		var kids []string
		for _, key := range set.Keys {
			kids = append(kids, key.KeyID)
			thumbprint, err := key.Thumbprint(crypto.SHA256)
			if err != nil || len(thumbprint) == 0 {
				t.Errorf("key %s has no thumbprint: %v", key.KeyID, err)
			}
		}
		_, kid := k.claims(t, set, session["access_token"])
		if got := choose(kids, &kid); got != "valid" {
			t.Errorf("after step %d a client answers %s to a token of ours, want valid", i, got)
		}
	}
}

func TestTokenAndSessionSettingsHold(t *testing.T) {
	k := newKeyed(t)
	var v berth.Settings
	k.own(t, "PATCH", "/settings", m{"audience": "api", "access_token_lifetime": 600, "session_lifetime": 7 * 86400, "session_inactivity": 3600}, &v)
	claims := func(out map[string]any) map[string]any {
		t.Helper()
		c, _ := k.claims(t, k.set(t), out["access_token"])
		return c
	}
	first := k.signIn(t)
	if c := claims(first); c["aud"] != "api" || c["exp"].(float64)-c["iat"].(float64) != 600 {
		t.Errorf("claims = %v, want aud api and ten minutes", c)
	}
	if err := k.e.SetJWTTemplate(t.Context(), `{"aud": "of the template"}`); err != nil {
		t.Fatal(err)
	}
	_, second := k.refresh(t, first["refresh_token"])
	if c := claims(second); c["aud"] != "of the template" {
		t.Errorf("aud = %v, want the template's: it wins", c["aud"])
	}

	t.Run("inactivity ends a session for good", func(t *testing.T) {
		k.clk.add(time.Hour - time.Second)
		status, third := k.refresh(t, second["refresh_token"])
		if status != http.StatusOK {
			t.Fatalf("refresh just before = %d %v, want 200", status, third)
		}
		k.clk.add(time.Hour)
		statuses := func() []string {
			t.Helper()
			user := third["user"].(map[string]any)["id"].(string)
			_, text := call(t, k.s, "GET", "/user_management/users/"+user+"/sessions", k.key, nil)
			var list struct {
				Data []struct{ Status string }
			}
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, s := range list.Data {
				out = append(out, s.Status)
			}
			return out
		}
		if got := statuses(); !slices.Equal(got, []string{"expired"}) {
			t.Errorf("sessions before anybody asks = %v, want expired", got)
		}
		for range 2 {
			if status, out := k.refresh(t, third["refresh_token"]); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				t.Errorf("refresh after an hour = %d %v, want 400 invalid_grant", status, out)
			}
			// The limit is lifted: what has ended stays so.
			k.own(t, "PATCH", "/settings", m{"session_inactivity": 0}, &v)
		}
		if got := statuses(); !slices.Equal(got, []string{"expired"}) {
			t.Errorf("sessions afterwards = %v, want expired", got)
		}
	})
	t.Run("a session ends with the lifetime it was opened with", func(t *testing.T) {
		session := k.signIn(t)
		for range 6 {
			k.clk.add(24 * time.Hour)
			var status int
			if status, session = k.refresh(t, session["refresh_token"]); status != http.StatusOK {
				t.Fatalf("refresh within seven days = %d %v", status, session)
			}
		}
		k.clk.add(24 * time.Hour)
		if status, out := k.refresh(t, session["refresh_token"]); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			t.Errorf("refresh after seven days = %d %v, want 400 invalid_grant", status, out)
		}
	})
	t.Run("what cannot hold is refused and changes nothing", func(t *testing.T) {
		for _, patch := range []m{{"algorithm": "HS256"}, {"access_token_lifetime": 1}, {"access_token_lifetime": 86401}, {"access_token_lifetime": -1}, {"access_token_lifetime": int64(1) << 62},
			{"session_lifetime": 5}, {"session_inactivity": 59}, {"audience": strings.Repeat("x", 256)}, {"audience": "a\nb"}} {
			status, text := call(t, k.s, "PATCH", "/berth/v1/environments/"+k.e.ClientID+"/settings", k.token, patch)
			if status != http.StatusBadRequest || !strings.Contains(text, "invalid_settings") {
				t.Errorf("PATCH %v = %d %s, want 400 invalid_settings", patch, status, text)
			}
		}
		var after berth.Settings
		k.own(t, "GET", "/settings", nil, &after)
		if *after.Audience != "api" || *after.AccessTokenLifetime != 600 || *after.Algorithm != "RS256" || *after.SessionLifetime != 7*86400 || *after.SessionInactivity != 0 {
			t.Errorf("settings afterwards = %s, want those from before", fmt.Sprint(*after.Audience, *after.AccessTokenLifetime, *after.Algorithm, *after.SessionLifetime, *after.SessionInactivity))
		}
	})
}

// The clock of the server is set by two minutes while people sign in.
func TestClockThatIsSet(t *testing.T) {
	for name, step := range map[string]time.Duration{"two minutes on": 2 * time.Minute, "two minutes back": -2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			k := newKeyed(t)
			code := k.code(t, nil)
			k.clk.add(step)
			status, first := k.exchange(t, code, nil)
			if status != http.StatusOK {
				t.Fatalf("exchange of a code from before = %d %v, want 200", status, first)
			}
			if status, _ := k.exchange(t, code, url.Values{}); status != http.StatusBadRequest {
				t.Errorf("the code again = %d, want 400", status)
			}
			first = k.signIn(t)
			c, _ := k.claims(t, k.set(t), first["access_token"])
			if iat, now := int64(c["iat"].(float64)), k.clk.now().Unix(); iat > now || iat < now-60 {
				t.Errorf("iat = %d, want the server's time %d", iat, now)
			}
			k.clk.add(step)
			status, second := k.refresh(t, first["refresh_token"])
			if status != http.StatusOK {
				t.Fatalf("refresh after the clock was set = %d %v, want 200", status, second)
			}
			k.clk.add(step)
			k.rotate(t, berth.KeyRotation{})
			k.pass(t, step)
			if status, third := k.refresh(t, second["refresh_token"]); status != http.StatusOK {
				t.Errorf("refresh after it was set again = %d %v, want 200", status, third)
			} else {
				k.claims(t, k.set(t), third["access_token"])
			}
		})
	}
}

// After the window nobody gets tokens for a spent refresh token, however many
// ask at once, and the family is over.
func TestFiftyLateRepeatsGetNothing(t *testing.T) {
	k := newKeyed(t)
	first := k.signIn(t)
	_, second := k.refresh(t, first["refresh_token"])
	k.clk.add(auth.ReplayWindow + time.Second)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if status, out := k.refresh(t, first["refresh_token"]); status != http.StatusBadRequest || out["error"] != "invalid_grant" || out["access_token"] != nil {
				t.Errorf("late repeat = %d %v, want 400 invalid_grant", status, out)
			}
		})
	}
	wg.Wait()
	if status, _ := k.refresh(t, second["refresh_token"]); status != http.StatusBadRequest {
		t.Errorf("the successor afterwards = %d, want 400: the family is revoked", status)
	}
}
