package server_test

import (
	"encoding/base64"
	"encoding/json"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// stillClock is a server's time that passes only when told to: codes depend on
// the half minute.
type stillClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *stillClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *stillClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// phone is an authenticator app.
type phone struct {
	key *otp.Key
	clk *stillClock
}

func newPhone(t testing.TB, clk *stillClock, uri string) phone {
	t.Helper()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatalf("otp.NewKeyFromURL(%q) = %v", uri, err)
	}
	return phone{key, clk}
}

// code is what the app shows when its clock is off by skew.
func (p phone) code(t testing.TB, skew time.Duration) string {
	t.Helper()
	code, err := totp.GenerateCode(p.key.Secret(), p.clk.now().Add(skew))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrong is a code that the app shows at no time near now.
func (p phone) wrong(t testing.TB) string {
	t.Helper()
	near := map[string]bool{}
	for skew := -3; skew <= 3; skew++ {
		near[p.code(t, time.Duration(skew)*30*time.Second)] = true
	}
	for _, c := range []string{"111111", "222222", "333333", "444444", "555555", "666666", "777777", "888888"} {
		if !near[c] {
			return c
		}
	}
	t.Fatal("every code is near")
	return ""
}

// mfaSetup is a server on a clock, with an environment and a user with a password.
type mfaSetup struct {
	s    *server.Server
	clk  *stillClock
	team *store.Team
	e    *store.Env
	key  string
	user string
}

func newMFA(t *testing.T) *mfaSetup {
	t.Helper()
	return newMFAWith(t, server.Config{})
}

func newMFAWith(t *testing.T, cfg server.Config) *mfaSetup {
	t.Helper()
	clk := &stillClock{at: time.Date(2026, 1, 15, 12, 0, 5, 0, time.UTC)}
	cfg.Now = clk.now
	m := &mfaSetup{clk: clk, s: startWith(t, cfg)}
	m.team, m.e = environment(t, m.s, "dev")
	_, value, err := m.e.CreateAPIKey(t.Context(), "test", time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	m.key = value.Reveal()
	if _, err := m.e.AddRedirectURI(t.Context(), callback); err != nil {
		t.Fatal(err)
	}
	m.user = m.api(t, "POST", "/user_management/users", map[string]any{"email": "ada@example.com", "password": password, "email_verified": true}, http.StatusCreated)["id"].(string)
	return m
}

func (m *mfaSetup) api(t testing.TB, method, path string, body any, want int) map[string]any {
	t.Helper()
	status, text := call(t, m.s, method, path, m.key, body)
	if status != want {
		t.Fatalf("%s %s = %d %s, want %d", method, path, status, text, want)
	}
	out := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s %s answered %q: %v", method, path, text, err)
		}
	}
	return out
}

func (m *mfaSetup) grant(t testing.TB, form url.Values) (int, map[string]any) {
	t.Helper()
	form.Set("client_id", m.e.ClientID)
	form.Set("client_secret", m.key)
	return authenticate(t, m.s.URL(), form)
}

func (m *mfaSetup) passwordGrant(t testing.TB) (int, map[string]any) {
	return m.grant(t, url.Values{"grant_type": {"password"}, "email": {"ada@example.com"}, "password": {password}})
}

func (m *mfaSetup) totpGrant(t testing.TB, pending, challenge, code string) (int, map[string]any) {
	return m.grant(t, url.Values{"grant_type": {"urn:workos:oauth:grant-type:mfa-totp"}, "pending_authentication_token": {pending},
		"authentication_challenge_id": {challenge}, "code": {code}})
}

// enroll makes a factor of the user and returns it with its first challenge.
func (m *mfaSetup) enroll(t testing.TB) (p phone, factorID, challengeID string) {
	t.Helper()
	out := m.api(t, "POST", "/user_management/users/"+m.user+"/auth_factors", map[string]any{"type": "totp", "totp_issuer": "Acme: Ltd"}, http.StatusCreated)
	f := out["authentication_factor"].(map[string]any)
	return newPhone(t, m.clk, f["totp"].(map[string]any)["uri"].(string)), f["id"].(string), out["authentication_challenge"].(map[string]any)["id"].(string)
}

// enrolled is a user with a verified factor, some time ago.
func (m *mfaSetup) enrolled(t testing.TB) (phone, string) {
	t.Helper()
	p, id, challenge := m.enroll(t)
	if out := m.api(t, "POST", "/auth/challenges/"+challenge+"/verify", map[string]any{"code": p.code(t, 0)}, http.StatusCreated); out["valid"] != true {
		t.Fatalf("verify = %v, want valid", out)
	}
	m.clk.add(5 * time.Minute)
	return p, id
}

func (m *mfaSetup) challenge(t testing.TB, factorID string) string {
	t.Helper()
	return m.api(t, "POST", "/auth/factors/"+factorID+"/challenge", nil, http.StatusCreated)["id"].(string)
}

func (m *mfaSetup) pending(t testing.TB) string {
	t.Helper()
	status, out := m.passwordGrant(t)
	if status != http.StatusForbidden {
		t.Fatalf("password grant = %d %v, want a step", status, out)
	}
	return out["pending_authentication_token"].(string)
}

// R92: both halves of the answer, an image that opens, a key that apps take in.
func TestEnrollmentAnswersWithKeyAndChallenge(t *testing.T) {
	m := newMFA(t)
	out := m.api(t, "POST", "/user_management/users/"+m.user+"/auth_factors", map[string]any{"type": "totp", "totp_issuer": "Acme", "totp_secret": "jbsw y3dp ehpk 3pxp"}, http.StatusCreated)
	f, c := out["authentication_factor"].(map[string]any), out["authentication_challenge"].(map[string]any)
	totpPart := f["totp"].(map[string]any)
	if totpPart["secret"] != "JBSWY3DPEHPK3PXP" || totpPart["issuer"] != "Acme" || totpPart["user"] != "ada@example.com" || f["user_id"] != m.user || f["type"] != "totp" || f["object"] != "authentication_factor" {
		t.Errorf("factor = %v", f)
	}
	if key, err := otp.NewKeyFromURL(totpPart["uri"].(string)); err != nil || key.Issuer() != "Acme" || key.AccountName() != "ada@example.com" || key.Secret() != "JBSWY3DPEHPK3PXP" {
		t.Errorf("uri = %v, %v", totpPart["uri"], err)
	}
	image, ok := strings.CutPrefix(totpPart["qr_code"].(string), "data:image/png;base64,")
	if _, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(image))); !ok || err != nil {
		t.Errorf("qr_code is no PNG: %v", err)
	}
	if c["object"] != "authentication_challenge" || c["authentication_factor_id"] != f["id"] || !strings.HasPrefix(c["id"].(string), "auth_challenge_") || !strings.HasPrefix(f["id"].(string), "auth_factor_") {
		t.Errorf("challenge = %v", c)
	}

	got := m.api(t, "GET", "/auth/factors/"+f["id"].(string), nil, http.StatusOK)
	want := map[string]any{"object": "authentication_factor", "id": f["id"], "type": "totp", "user_id": m.user,
		"totp": map[string]any{"issuer": "Acme", "user": "ada@example.com"}, "created_at": f["created_at"], "updated_at": f["updated_at"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GET factor (-want +got):\n%s", diff)
	}
	list := m.api(t, "GET", "/user_management/users/"+m.user+"/auth_factors", nil, http.StatusOK)
	if diff := cmp.Diff(map[string]any{"object": "list", "data": []any{want}, "list_metadata": map[string]any{"before": nil, "after": nil}}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	m.api(t, "DELETE", "/auth/factors/"+f["id"].(string), nil, http.StatusNoContent)
	m.api(t, "GET", "/auth/factors/"+f["id"].(string), nil, http.StatusNotFound)
}

func TestEnrollmentRefusesWhatItCannotMake(t *testing.T) {
	m := newMFA(t)
	users := "/user_management/users/" + m.user + "/auth_factors"
	for name, c := range map[string]struct {
		path   string
		body   map[string]any
		status int
	}{
		"no type":                {users, map[string]any{}, http.StatusUnprocessableEntity},
		"sms":                    {users, map[string]any{"type": "sms"}, http.StatusUnprocessableEntity},
		"secret is not base32":   {users, map[string]any{"type": "totp", "totp_secret": "0189"}, http.StatusUnprocessableEntity},
		"secret is short":        {users, map[string]any{"type": "totp", "totp_secret": "JBSWY3DP"}, http.StatusUnprocessableEntity},
		"issuer is long":         {users, map[string]any{"type": "totp", "totp_issuer": strings.Repeat("x", 200)}, http.StatusUnprocessableEntity},
		"unknown user":           {"/user_management/users/user_x/auth_factors", map[string]any{"type": "totp"}, http.StatusNotFound},
		"enroll without account": {"/auth/factors/enroll", map[string]any{"type": "totp", "totp_issuer": "x"}, http.StatusUnprocessableEntity},
		"enroll for a stranger":  {"/auth/factors/enroll", map[string]any{"type": "totp", "totp_issuer": "x", "totp_user": "y", "user_id": "user_x"}, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) { m.api(t, "POST", c.path, c.body, c.status) })
	}
}

// The MFA API alone: its users are the caller's own.
func TestFactorWithoutUser(t *testing.T) {
	m := newMFA(t)
	f := m.api(t, "POST", "/auth/factors/enroll", map[string]any{"type": "totp", "totp_issuer": "Acme", "totp_user": "alan"}, http.StatusCreated)
	p := newPhone(t, m.clk, f["totp"].(map[string]any)["uri"].(string))
	if _, has := f["user_id"]; has {
		t.Errorf("factor = %v, want no user_id", f)
	}
	verify := func(challenge, code string, status int) map[string]any {
		t.Helper()
		return m.api(t, "POST", "/auth/challenges/"+challenge+"/verify", map[string]any{"code": code}, status)
	}
	c := m.challenge(t, f["id"].(string))
	verify(c, "", http.StatusUnprocessableEntity)
	if out := verify(c, p.wrong(t), http.StatusCreated); out["valid"] != false {
		t.Errorf("wrong code = %v, want valid false", out)
	}
	code := p.code(t, 0)
	if out := verify(c, code[:3]+" "+code[3:], http.StatusCreated); out["valid"] != true || out["challenge"].(map[string]any)["id"] != c {
		t.Errorf("right code = %v, want valid true", out)
	}
	if out := verify(c, code, http.StatusUnprocessableEntity); out["code"] != "authentication_challenge_previously_verified" {
		t.Errorf("answered challenge = %v", out)
	}
	if out := verify(m.challenge(t, f["id"].(string)), code, http.StatusCreated); out["valid"] != false {
		t.Errorf("replayed code = %v, want valid false", out)
	}
	old := m.challenge(t, f["id"].(string))
	m.clk.add(identity.ChallengeLifetime + time.Second)
	if out := verify(old, p.code(t, 0), http.StatusUnprocessableEntity); out["code"] != "authentication_challenge_expired" {
		t.Errorf("old challenge = %v", out)
	}
	c = m.challenge(t, f["id"].(string))
	for range identity.MaxCodeAttempts {
		verify(c, p.wrong(t), http.StatusCreated)
	}
	if out := verify(c, p.code(t, 0), http.StatusBadRequest); out["code"] != "one_time_code_too_many_attempts" {
		t.Errorf("sixth attempt = %v", out)
	}
	verify("auth_challenge_x", "123456", http.StatusNotFound)
	m.api(t, "POST", "/auth/factors/auth_factor_x/challenge", nil, http.StatusNotFound)
}

// R62, R92: the grant, and the step-up bodies of expected-errors.json.
func TestSignInWithSecondFactor(t *testing.T) {
	m := newMFA(t)
	// A factor that no code was seen of is not asked for.
	p, id, first := m.enroll(t)
	if status, out := m.passwordGrant(t); status != http.StatusOK {
		t.Fatalf("password grant before verification = %d %v, want 200", status, out)
	}
	m.api(t, "POST", "/auth/challenges/"+first+"/verify", map[string]any{"code": p.code(t, 0)}, http.StatusCreated)
	status, out := m.passwordGrant(t)
	user, _ := out["user"].(map[string]any)
	if diff := cmp.Diff([]any{map[string]any{"id": id, "type": "totp"}}, out["authentication_factors"]); status != http.StatusForbidden || out["code"] != "mfa_challenge" || user["id"] != m.user || diff != "" {
		t.Fatalf("password grant = %d %v, want mfa_challenge; factors (-want +got):\n%s", status, out, diff)
	}
	pending := out["pending_authentication_token"].(string)

	code := p.code(t, 0)
	if status, out := m.totpGrant(t, pending, m.challenge(t, id), code); status != http.StatusBadRequest || out["code"] != "one_time_code_previously_used" {
		t.Errorf("code that enrolled = %d %v, want one_time_code_previously_used", status, out)
	}
	m.clk.add(30 * time.Second)
	if status, out := m.totpGrant(t, pending, m.challenge(t, id), p.code(t, 0)); status != http.StatusOK || out["authentication_method"] != "Password" {
		t.Fatalf("grant = %d %v, want tokens", status, out)
	}
}

func TestEachCodeOfTheGrant(t *testing.T) {
	m := newMFA(t)
	p, id := m.enrolled(t)
	other := m.api(t, "POST", "/user_management/users", map[string]any{"email": "bob@example.com", "email_verified": true}, http.StatusCreated)["id"].(string)
	bobs := m.api(t, "POST", "/user_management/users/"+other+"/auth_factors", map[string]any{"type": "totp"}, http.StatusCreated)
	_, _, unverified := m.enroll(t)
	refused := func(pending, challenge, code string, wantStatus int, wantCode string) {
		t.Helper()
		status, out := m.totpGrant(t, pending, challenge, code)
		if got := firstOf(out, "code", "error"); status != wantStatus || got != wantCode {
			t.Errorf("grant = %d %v, want %d %s", status, out, wantStatus, wantCode)
		}
	}
	pending := m.pending(t)
	refused("x", m.challenge(t, id), p.code(t, 0), http.StatusBadRequest, "invalid_pending_authentication_token")
	refused("", m.challenge(t, id), p.code(t, 0), http.StatusBadRequest, "invalid_request")
	refused(pending, "", p.code(t, 0), http.StatusBadRequest, "invalid_request")
	refused(pending, m.challenge(t, id), "", http.StatusBadRequest, "invalid_request")
	refused(pending, "auth_challenge_x", p.code(t, 0), http.StatusNotFound, "")
	refused(pending, bobs["authentication_challenge"].(map[string]any)["id"].(string), p.code(t, 0), http.StatusBadRequest, "user_mismatch")
	refused(pending, unverified, p.code(t, 0), http.StatusBadRequest, "invalid_request")
	refused(pending, m.challenge(t, id), p.wrong(t), http.StatusBadRequest, "invalid_one_time_code")
	refused(pending, m.challenge(t, id), p.code(t, 61*time.Second), http.StatusBadRequest, "invalid_one_time_code")
	refused(pending, m.challenge(t, id), p.code(t, -61*time.Second), http.StatusBadRequest, "invalid_one_time_code")
	old := m.challenge(t, id)
	m.clk.add(identity.ChallengeLifetime + time.Second)
	refused(pending, old, p.code(t, 0), http.StatusBadRequest, "invalid_pending_authentication_token")
	pending = m.pending(t)
	refused(pending, old, p.code(t, 0), http.StatusBadRequest, "one_time_code_expired")
	c := m.challenge(t, id)
	for range identity.MaxCodeAttempts {
		refused(pending, c, p.wrong(t), http.StatusBadRequest, "invalid_one_time_code")
	}
	refused(pending, c, p.code(t, 0), http.StatusBadRequest, "one_time_code_too_many_attempts")
	c = m.challenge(t, id)
	if status, out := m.totpGrant(t, pending, c, p.code(t, 0)); status != http.StatusOK {
		t.Fatalf("grant = %d %v, want 200", status, out)
	}
	m.clk.add(time.Minute)
	refused(m.pending(t), c, p.code(t, 0), http.StatusBadRequest, "one_time_code_previously_used")
}

func firstOf(out map[string]any, names ...string) string {
	for _, n := range names {
		if s, ok := out[n].(string); ok {
			return s
		}
	}
	return ""
}

// RFC 6238 section 5.2: one step of drift either way; a step counts once, and
// after it no earlier one.
func TestClockDriftAndReplay(t *testing.T) {
	m := newMFA(t)
	p, id := m.enrolled(t)
	try := func(skew time.Duration) string {
		t.Helper()
		_, out := m.totpGrant(t, m.pending(t), m.challenge(t, id), p.code(t, skew))
		return firstOf(out, "code")
	}
	for _, c := range []struct {
		skew time.Duration
		want string
	}{{-30 * time.Second, ""}, {-30 * time.Second, "one_time_code_previously_used"}, {30 * time.Second, ""}, {0, "one_time_code_previously_used"}, {30 * time.Second, "one_time_code_previously_used"}} {
		if got := try(c.skew); got != c.want {
			t.Errorf("code of a clock off by %v = %q, want %q", c.skew, got, c.want)
		}
	}
	m.clk.add(time.Minute)
	if got := try(0); got != "" {
		t.Errorf("a minute later = %q, want tokens", got)
	}
}

// Guessing is bounded over all challenges of a factor, and ends by itself.
func TestManyChallengesGiveNoMoreGuesses(t *testing.T) {
	m := newMFA(t)
	p, id := m.enrolled(t)
	pending := m.pending(t)
	for range identity.MaxFactorFailures {
		m.totpGrant(t, pending, m.challenge(t, id), p.wrong(t))
	}
	if status, out := m.totpGrant(t, pending, m.challenge(t, id), p.code(t, 0)); status != http.StatusBadRequest || out["code"] != "one_time_code_too_many_attempts" {
		t.Fatalf("right code after %d wrong ones = %d %v, want it refused", identity.MaxFactorFailures, status, out)
	}
	m.clk.add(identity.FactorWindow + time.Second)
	if status, out := m.totpGrant(t, pending, m.challenge(t, id), p.code(t, 0)); status != http.StatusOK {
		t.Errorf("after the window = %d %v, want tokens", status, out)
	}
}

// One code sent twenty times at once signs in once.
func TestOneCodeOneSignIn(t *testing.T) {
	m := newMFA(t)
	p, id := m.enrolled(t)
	pending, code := m.pending(t), p.code(t, 0)
	challenges := make([]string, 8)
	for i := range challenges {
		challenges[i] = m.challenge(t, id)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for _, c := range challenges {
		wg.Go(func() {
			if status, _ := m.totpGrant(t, pending, c, code); status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d sign-ins with one code, want 1", won)
	}
}

func TestRequiredSecondFactorIsEnrolledThroughTheAPI(t *testing.T) {
	m := newMFA(t)
	token, err := m.team.CreateCredential(t.Context(), store.TokenCredential, "test", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	path := "/berth/v1/environments/" + m.e.ClientID
	if status, out := call(t, m.s, "PATCH", path+"/settings", token.Secret.Reveal(), map[string]any{"mfa_required": true}); status != http.StatusOK {
		t.Fatalf("PATCH = %d %s", status, out)
	}
	if _, out := call(t, m.s, "GET", path, token.Secret.Reveal(), nil); !strings.Contains(out, `"mfa_required":true`) {
		t.Errorf("environment = %s, want mfa_required", out)
	}
	status, out := m.passwordGrant(t)
	if user, _ := out["user"].(map[string]any); status != http.StatusForbidden || out["code"] != "mfa_enrollment" || user["id"] != m.user {
		t.Fatalf("password grant = %d %v, want mfa_enrollment", status, out)
	}
	p, _, challenge := m.enroll(t)
	if status, out := m.totpGrant(t, out["pending_authentication_token"].(string), challenge, p.code(t, 0)); status != http.StatusOK {
		t.Fatalf("grant = %d %v, want tokens", status, out)
	}
	if _, out := m.passwordGrant(t); out["code"] != "mfa_challenge" {
		t.Errorf("next sign-in = %v, want mfa_challenge", out)
	}
}

// R62: the step-up bodies have the members of the contract and no others.
func TestStepUpBodiesHaveTheMembersOfTheContract(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "expected-errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name   string
			Status int
			Body   map[string]any
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	m := newMFA(t)
	if err := m.e.SetMFARequired(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	status := map[string]int{}
	status["mfa enrollment"], got["mfa enrollment"] = m.passwordGrant(t)
	m.enrolled(t)
	status["mfa challenge"], got["mfa challenge"] = m.passwordGrant(t)
	seen := 0
	for _, c := range file.Cases {
		if got[c.Name] == nil {
			continue
		}
		seen++
		want := c.Body
		want["user"].(map[string]any)["name"] = nil // may be absent; we always send it
		if diff := cmp.Diff(members(want), members(got[c.Name])); diff != "" || status[c.Name] != c.Status {
			t.Errorf("%s = %d, want %d; members (-want +got):\n%s", c.Name, status[c.Name], c.Status, diff)
		}
	}
	if seen != len(got) {
		t.Errorf("the contract has %d of %d bodies", seen, len(got))
	}
}

// members lists the paths of all members of a body.
func members(v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			all = append(all, name)
			for _, m := range members(inner) {
				all = append(all, name+"."+m)
			}
		}
	case []any:
		for _, inner := range v {
			all = append(all, members(inner)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
