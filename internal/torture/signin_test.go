//go:build unix

package torture

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
	"github.com/berthdev/berth/internal/workos"
	"github.com/berthdev/berth/web"
)

func (h *house) context() context.Context { return h.t.Context() }

func elapsed(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}

const password = "correct horse battery"

// addUser makes a test user in the environment of a deployment.
func (h *house) addUser(d deployed, email string) error {
	env := workos.NewEnvironment(wire.Client{Base: h.url}, d.Environment.ClientID, h.key(d.Deployment))
	_, err := env.CreateUser(h.context(), workos.NewUser{Email: email, Password: password, EmailVerified: true})
	return err
}

// signInAndOut signs a person in as a browser and an app do it, from authorize
// through the hosted page and the callback to the exchange of the code, and out
// again. It returns where sign-out ended.
func (h *house) signInAndOut(clientID, callback, email string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), h.url+"/") {
			return http.ErrUseLastResponse // the app's own host
		}
		return nil
	}}
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	page, err := browser.Get(h.url + "/user_management/authorize?" + url.Values{"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"},
		"provider": {"authkit"}, "state": {state}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}.Encode())
	if err != nil {
		return "", err
	}
	action, fields, err := form(page)
	if err != nil {
		return "", fmt.Errorf("authorize with %s: %w", callback, err)
	}
	fields.Set(web.FieldEmail, email)
	fields.Set(web.FieldPassword, password)
	post, err := http.NewRequestWithContext(h.context(), http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return "", err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("Sec-Fetch-Site", "same-origin")
	back, err := browser.Do(post)
	if err != nil {
		return "", err
	}
	back.Body.Close()
	to, err := url.Parse(back.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), callback+"?") || to.Query().Get("state") != state || to.Query().Get("code") == "" {
		return "", fmt.Errorf("after the sign-in the browser went to %q (status %d), want %s with code and state", back.Header.Get("Location"), back.StatusCode, callback)
	}
	// A public client, as a web page is: PKCE instead of an API key.
	tokens, err := workos.NewEnvironment(wire.Client{Base: h.url}, clientID, "").AuthenticateWithCode(h.context(), secret.String(to.Query().Get("code")), secret.String(verifier))
	if err != nil {
		return "", err
	}
	if tokens.User.Email != email {
		return "", fmt.Errorf("signed in as %q, want %q", tokens.User.Email, email)
	}
	session, err := sessionOf(tokens.AccessToken.Secret().Reveal())
	if err != nil {
		return "", err
	}
	out, err := browser.Get(h.url + "/user_management/sessions/logout?session_id=" + url.QueryEscape(session))
	if err != nil {
		return "", err
	}
	out.Body.Close()
	return out.Header.Get("Location"), nil
}

func sessionOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("the access token has %d parts", len(parts))
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(data, &claims); err != nil || claims.SID == "" {
		return "", fmt.Errorf("the access token names no session: %v", err)
	}
	return claims.SID, nil
}

// form returns the first form with a password field, and its hidden values.
func form(page *http.Response) (*url.URL, url.Values, error) {
	defer page.Body.Close()
	data, err := io.ReadAll(page.Body)
	if err != nil {
		return nil, nil, err
	}
	root, err := html.Parse(strings.NewReader(string(data)))
	if err != nil {
		return nil, nil, err
	}
	for n := range root.Descendants() {
		if n.DataAtom != atom.Form {
			continue
		}
		fields := url.Values{}
		for input := range n.Descendants() {
			if input.DataAtom == atom.Input {
				fields.Set(attr(input, "name"), attr(input, "value"))
			}
		}
		if fields.Has(web.FieldPassword) {
			action, err := page.Request.URL.Parse(attr(n, "action"))
			return action, fields, err
		}
	}
	return nil, nil, fmt.Errorf("status %d and no sign-in form:\n%.2000s", page.StatusCode, data)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
