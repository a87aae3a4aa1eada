//go:build unix

package torture

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/berthdev/berth/web"
)

// signer is one client that signs people up and in. It remembers what was
// answered to it, and leaves out of that what it cannot know: the effect of a
// request whose answer a kill has cut off.
type signer struct {
	w    *writers
	name string
	rng  *mathrand.Rand
	http *http.Client
	n    int // people made

	users []person // acknowledged
	live  []*lived
	ended []string // ids of sessions whose end was acknowledged
	spent []spent
	codes []code
	did   map[string]int
	cut   bool // the server is gone
}

type person struct{ id, email string }

// lived is a session that must work.
type lived struct {
	id        string
	token     string // the newest that was answered
	before    string // the one that gave it, "" for none
	rotations int    // answered ones
	at        time.Time
	unsure    bool // a refresh was cut off: the token may have been used
	changed   bool // since the last check
}

// spent is a refresh token whose successor was never presented.
type spent struct {
	token, session string
	at             time.Time
}

// code is one that was sent for redemption.
type code struct {
	value, verifier string
	session         string // that it opened, "" when the answer was cut off
}

// keptLive bounds the sessions of one signer, so that a check stays short.
const keptLive = 12

// renew takes fresh connections: those to a killed server are gone.
func (s *signer) renew() {
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.w.t.Error(err)
	}
	s.cut = false
	s.http = &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 4}, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), s.w.url+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// write does one thing after another until the server is gone.
func (s *signer) write() {
	s.renew()
	for !s.cut && !s.w.t.Failed() {
		switch dice := s.rng.IntN(100); {
		case dice < 2 || len(s.users) == 0:
			s.createUser()
		case dice < 4:
			s.signUp()
		case dice < 7 || len(s.live) == 0:
			s.password()
		case dice < 11:
			s.redeem()
		case dice < 15 || len(s.live) > keptLive:
			s.revoke()
		default:
			s.refresh()
		}
	}
}

// post sends a form, or JSON with the API key, and returns the answer. An error
// means that there was none.
func (s *signer) post(path, key string, body any) (status int, out map[string]any, err error) {
	text, kind := "", "application/x-www-form-urlencoded"
	if form, ok := body.(url.Values); ok {
		text = form.Encode()
	} else {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		text, kind = string(data), "application/json"
	}
	req, err := http.NewRequestWithContext(s.w.context(), http.MethodPost, s.w.url+path, strings.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", kind)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	if len(data) > 0 {
		err = json.Unmarshal(data, &out)
	}
	return resp.StatusCode, out, err
}

// answered reports whether a request was answered as it must be. One that was
// cut off ends the round.
func (s *signer) answered(what string, status, want int, body map[string]any, err error) bool {
	switch {
	case err != nil:
		s.cut = true
		return false
	case status != want:
		s.w.t.Errorf("%s = %d %v, want %d", what, status, body, want)
		return false
	}
	s.did[what]++
	return true
}

func (s *signer) newEmail() string {
	s.n++
	return fmt.Sprintf("%s-%d@example.com", s.name, s.n)
}

func (s *signer) anyone() person { return s.users[s.rng.IntN(len(s.users))] }

func (s *signer) createUser() {
	p := person{email: s.newEmail()}
	status, body, err := s.post("/user_management/users", s.w.apiKey, map[string]any{"email": p.email, "password": password, "email_verified": true})
	if !s.answered("create user", status, http.StatusCreated, body, err) {
		return
	}
	p.id, _ = body["id"].(string)
	s.users = append(s.users, p)
}

func (s *signer) password() {
	if len(s.users) == 0 {
		return
	}
	status, body, err := s.post("/user_management/authenticate", "", url.Values{"client_id": {s.w.clientID}, "client_secret": {s.w.apiKey}, "grant_type": {"password"},
		"email": {s.anyone().email}, "password": {password}})
	if s.answered("password", status, http.StatusOK, body, err) {
		s.opened(body)
	}
}

// opened keeps a session that was answered.
func (s *signer) opened(body map[string]any) (id string) {
	access, _ := body["access_token"].(string)
	id, err := sessionOf(access)
	if err != nil {
		s.w.t.Error(err)
	}
	token, _ := body["refresh_token"].(string)
	s.live = append(s.live, &lived{id: id, token: token, changed: true})
	return id
}

// visit opens the sign-in or sign-up page and posts its form.
func (s *signer) visit(hint, email string) (*http.Response, string, error) {
	// One browser for each: the server remembers who signed in.
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, "", err
	}
	s.http.Jar = jar
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	page, err := s.http.Get(s.w.url + "/user_management/authorize?" + url.Values{"client_id": {s.w.clientID}, "redirect_uri": {s.w.callback}, "response_type": {"code"},
		"provider": {"authkit"}, "screen_hint": {hint}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}.Encode())
	if err != nil {
		return nil, "", err
	}
	action, fields, err := form(page)
	if err != nil {
		return nil, "", err
	}
	fields.Set(web.FieldEmail, email)
	fields.Set(web.FieldPassword, password)
	post, err := http.NewRequestWithContext(s.w.context(), http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, "", err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := s.http.Do(post)
	if err != nil {
		return nil, "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp, verifier, err
}

// signUp makes an account on the page. The address is not proved: the account
// is there all the same.
func (s *signer) signUp() {
	p := person{email: s.newEmail()}
	resp, _, err := s.visit("sign-up", p.email)
	if err != nil {
		s.cut = true
		return
	}
	if s.answered("sign-up", resp.StatusCode, http.StatusOK, nil, nil) {
		s.w.signedUp(p.email)
	}
}

// redeem signs in on the page and redeems the code.
func (s *signer) redeem() {
	resp, verifier, err := s.visit("sign-in", s.anyone().email)
	if err != nil {
		s.cut = true
		return
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	c := code{value: to.Query().Get("code"), verifier: verifier}
	if err != nil || c.value == "" {
		s.w.t.Errorf("after the sign-in the browser went to %q (status %d), want a code", resp.Header.Get("Location"), resp.StatusCode)
		return
	}
	status, body, err := s.post("/user_management/authenticate", "", s.codeForm(c))
	if s.answered("code", status, http.StatusOK, body, err) {
		c.session = s.opened(body)
	}
	s.codes = append(s.codes, c)
}

func (s *signer) codeForm(c code) url.Values {
	return url.Values{"client_id": {s.w.clientID}, "grant_type": {"authorization_code"}, "code": {c.value}, "code_verifier": {c.verifier}}
}

func (s *signer) revoke() {
	if len(s.live) == 0 {
		return
	}
	i := s.rng.IntN(len(s.live))
	v := s.live[i]
	s.live = append(s.live[:i], s.live[i+1:]...)
	status, body, err := s.post("/user_management/sessions/revoke", s.w.apiKey, map[string]any{"session_id": v.id})
	// Cut off, it may have ended or not: nothing was promised.
	if s.answered("revoke", status, http.StatusOK, body, err) {
		s.ended = append(s.ended, v.id)
	}
}

func (s *signer) refresh() {
	if len(s.live) == 0 {
		return
	}
	s.refreshOne(s.rng.IntN(len(s.live)))
}

// refreshOne refreshes a session of the list, which must work.
func (s *signer) refreshOne(i int) {
	v := s.live[i]
	if v.unsure && time.Since(v.at) > window-near {
		s.live = append(s.live[:i], s.live[i+1:]...) // its token may be too old by now
		s.did["given up"]++
		return
	}
	begun := time.Now()
	status, body, err := s.post("/user_management/authenticate", "", s.refreshForm(v.token))
	if !s.answered("refresh", status, http.StatusOK, body, err) {
		if !v.unsure {
			v.unsure, v.at = true, begun
		}
		return
	}
	next, _ := body["refresh_token"].(string)
	if next == v.token || next == "" {
		s.w.t.Errorf("a refresh gave no new token")
	}
	v.before, v.token, v.rotations, v.unsure, v.changed, v.at = v.token, next, v.rotations+1, false, true, begun
}

// mustRefresh refreshes and returns the successor.
func (s *signer) mustRefresh(token string) string {
	s.w.t.Helper()
	status, body, err := s.post("/user_management/authenticate", "", s.refreshForm(token))
	if err != nil || status != http.StatusOK {
		s.w.t.Errorf("refresh = %d %v, %v; want 200", status, body, err)
	}
	next, _ := body["refresh_token"].(string)
	return next
}

// mustRefuse presents a token that must not work.
func (s *signer) mustRefuse(what, token string) {
	s.w.t.Helper()
	status, body, err := s.post("/user_management/authenticate", "", s.refreshForm(token))
	if err != nil || status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		s.w.t.Errorf("refresh with %s = %d %v, %v; want 400 invalid_grant", what, status, body, err)
	}
}

// check looks at what was promised before the kill. The database itself is
// looked at by checkDatabase.
func (s *signer) check() {
	for i := len(s.live) - 1; i >= 0 && !s.w.t.Failed(); i-- {
		v := s.live[i]
		if !v.changed && !v.unsure && s.rng.IntN(10) > 0 {
			continue
		}
		// The token that gave the newest one gives it again, and no other.
		if v.before != "" && !v.unsure && time.Since(v.at) < window-near && s.rng.IntN(2) == 0 {
			if again := s.mustRefresh(v.before); again != v.token {
				s.w.t.Errorf("a repeated refresh gave another successor than the first")
			}
		}
		old := v.before
		s.refreshOne(i)
		v.changed = false
		switch {
		case old == "" || v.unsure || s.rng.IntN(8) > 0:
		case s.rng.IntN(2) == 0:
			// Its successor has been used: a stranger holds it.
			s.mustRefuse("a token two generations old", old)
			s.mustRefuse("the newest token of a session ended by a replay", v.token)
			s.end(i)
		default:
			// Left alone until its window is over.
			s.spent = append(s.spent, spent{token: v.before, session: v.id, at: time.Now()})
			s.live = append(s.live[:i], s.live[i+1:]...)
		}
	}
	s.checkSpent()
	s.checkCodes()
	if s.cut {
		s.w.t.Errorf("the server that was started again did not answer")
	}
}

func (s *signer) end(i int) {
	s.ended = append(s.ended, s.live[i].id)
	s.live = append(s.live[:i], s.live[i+1:]...)
}

// checkSpent presents tokens whose window is over.
func (s *signer) checkSpent() {
	var young []spent
	for _, v := range s.spent {
		if time.Since(v.at) <= window+time.Second {
			young = append(young, v)
			continue
		}
		s.mustRefuse("a token whose window is over", v.token)
		s.ended = append(s.ended, v.session)
		s.did["window over"]++
	}
	s.spent = young
}

// checkCodes redeems every code again. What a code gave is no longer trusted
// then.
func (s *signer) checkCodes() {
	for _, c := range s.codes {
		status, body, err := s.post("/user_management/authenticate", "", s.codeForm(c))
		switch {
		case err != nil:
			s.w.t.Errorf("redeem again: %v", err)
		case c.session == "" && status == http.StatusOK:
			s.opened(body) // nobody had got an answer
		case status != http.StatusBadRequest || body["error"] != "invalid_grant":
			s.w.t.Errorf("redeem again = %d %v, want 400 invalid_grant", status, body)
		case c.session != "":
			s.did["code replayed"]++
			s.forget(c.session)
			s.ended = append(s.ended, c.session)
		}
	}
	s.codes = nil
}

func (s *signer) forget(session string) {
	for i, v := range s.live {
		if v.id == session {
			s.live = append(s.live[:i], s.live[i+1:]...)
			return
		}
	}
	for i, v := range s.spent {
		if v.session == session {
			s.spent = append(s.spent[:i], s.spent[i+1:]...)
			return
		}
	}
}

// checkDatabase reads the file of the running server: it is whole, and holds
// every user and session that was answered.
func (w *writers) checkDatabase() {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data(), "berth.db")+"?mode=ro&_pragma=busy_timeout(15000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if got := w.texts(db, "PRAGMA integrity_check"); !maps.Equal(got, map[string]string{"ok": ""}) {
		w.t.Errorf("integrity_check = %v, want ok", got)
	}
	if got := w.texts(db, `SELECT "table" FROM pragma_foreign_key_check`); len(got) > 0 {
		w.t.Errorf("foreign keys are broken in %v", got)
	}
	users := w.texts(db, "SELECT id, email FROM users")
	sessions := w.texts(db, "SELECT id, status || ' ' || generation FROM sessions")
	emails := map[string]bool{}
	for _, email := range users {
		emails[email] = true
	}
	for email := range w.emails {
		if !emails[email] {
			w.t.Errorf("user %s, who signed up, is lost", email)
		}
	}
	for _, s := range w.all {
		for _, p := range s.users {
			if users[p.id] != p.email {
				w.t.Errorf("user %s (%s), whose creation was answered, is lost", p.email, p.id)
			}
		}
		for _, v := range s.live {
			want, or := fmt.Sprint("active ", v.rotations), fmt.Sprint("active ", v.rotations)
			if v.unsure {
				or = fmt.Sprint("active ", v.rotations+1)
			}
			if got := sessions[v.id]; got != want && got != or {
				w.t.Errorf("session %s is %q, want %q", v.id, got, want)
			}
		}
		for _, id := range s.ended {
			if got := sessions[id]; !strings.HasPrefix(got, "revoked ") {
				w.t.Errorf("session %s, whose end was answered, is %q", id, got)
			}
		}
	}
}

// texts returns the first column of a query, and the second one by it.
func (w *writers) texts(db *sql.DB, query string) map[string]string {
	w.t.Helper()
	rows, err := db.QueryContext(w.context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for rows.Next() {
		var key, value string
		into := []any{&key, &value}[:len(names)]
		if err := rows.Scan(into...); err != nil {
			w.t.Fatal(err)
		}
		out[key] = value
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}
