package workos

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/wire"
)

// transcript is the part of a vector file that the tests read.
type transcript struct {
	Cases []transcriptCase `json:"cases"`
}

type transcriptCase struct {
	Step    string `json:"step"`
	Request struct {
		Method string          `json:"method"`
		URL    string          `json:"url"`
		Body   json.RawMessage `json:"body"`
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	} `json:"response"`
}

func readTranscript(t *testing.T, name string) []transcriptCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var tr transcript
	if err := json.Unmarshal(data, &tr); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	if len(tr.Cases) == 0 {
		t.Fatalf("%s has no cases", name)
	}
	return tr.Cases
}

// replay answers every request with the response of one case and checks that
// the request is the one of the transcript.
func replay(t *testing.T, c transcriptCase) *Environment {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := strings.TrimPrefix(c.Request.URL, "{base}"); r.Method != c.Request.Method || r.URL.Path != want {
			t.Errorf("request = %s %s, want %s %s", r.Method, r.URL.Path, c.Request.Method, want)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer sk_test_default" {
			t.Errorf("Authorization = %q, want the API key", got)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got, want := decoded(t, body), decoded(t, c.Request.Body); !cmp.Equal(got, want) {
			t.Errorf("request body = %v, want %v", got, want)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(c.Response.Status)
		if string(c.Response.Body) != "null" {
			// The transcripts hold access tokens in decoded form.
			_, _ = w.Write(undecoded(t, c.Response.Body))
		}
	}))
	t.Cleanup(s.Close)
	return NewEnvironment(wire.Client{Base: s.URL, Retries: -1}, "client_01TESTENV0000000000000000A", "sk_test_default")
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("body %s: %v", data, err)
	}
	return v
}

func undecoded(t *testing.T, data []byte) []byte {
	t.Helper()
	v := decoded(t, data)
	if m, ok := v.(map[string]any); ok && m["access_token"] != nil {
		m["access_token"] = "header.payload.signature"
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReplayConfiguration sends the configuration calls of the emulator
// transcript and of workos-go through the client (issue vectors, R75).
func TestReplayConfiguration(t *testing.T) {
	type result struct {
		State State
		Kind  fault.Kind
	}
	want := map[string]result{
		"emulator-env-config.json: redirect create":   {State: Done},
		"emulator-env-config.json: redirect dup":      {State: AlreadyThere},
		"emulator-env-config.json: redirect invalid":  {State: Done},
		"emulator-env-config.json: redirect wildcard": {State: Done},
		"emulator-env-config.json: redirect list":     {Kind: fault.NotFound},
		"emulator-env-config.json: cors create":       {State: Done},
		"emulator-env-config.json: cors dup":          {State: AlreadyThere}, // 422 there, 409 in the specification
		"emulator-env-config.json: cors list":         {Kind: fault.NotFound},
		"emulator-env-config.json: homepage":          {Kind: fault.NotFound},
		"emulator-env-config.json: jwt get":           {State: Done}, // 404: never set
		"emulator-env-config.json: jwt put reserved":  {Kind: fault.Invalid},
		"emulator-env-config.json: jwt put":           {State: Done},
		"workos-go-10.1.json: POST redirect_uris 201": {State: Done},
		"workos-go-10.1.json: POST redirect_uris 422": {State: AlreadyThere},
		"workos-go-10.1.json: GET redirect_uris 404":  {Kind: fault.NotFound},
		"workos-go-10.1.json: DELETE redir 404":       {State: AlreadyGone},
		"workos-go-10.1.json: POST cors_origins 201":  {State: Done},
		"workos-go-10.1.json: POST cors_origins 422":  {State: AlreadyThere},
	}
	got := map[string]result{}
	for _, file := range []string{"emulator-env-config.json", "workos-go-10.1.json"} {
		for _, c := range readTranscript(t, file) {
			path := strings.TrimPrefix(c.Request.URL, "{base}")
			name := file + ": " + c.Step
			if file == "workos-go-10.1.json" {
				last := path[strings.LastIndex(path, "/")+1:]
				last, _, _ = strings.Cut(last, "_0")
				name = file + ": " + c.Request.Method + " " + last + " " + http.StatusText(c.Response.Status)
				name = strings.NewReplacer("Created", "201", "Unprocessable Entity", "422", "Not Found", "404", "OK", "200").Replace(name)
			}
			var body struct{ URI, Origin, URL, Content string }
			_ = json.Unmarshal(c.Request.Body, &body)
			var out Outcome
			var err error
			switch ctx, e := t.Context(), replay(t, c); c.Request.Method + " " + path {
			case "POST " + pathRedirectURIs:
				out, err = e.AddRedirectURI(ctx, body.URI)
			case "GET " + pathRedirectURIs:
				_, err = e.ListRedirectURIs(ctx)
			case "POST " + pathCORSOrigins:
				out, err = e.AddCORSOrigin(ctx, body.Origin)
			case "GET " + pathCORSOrigins:
				_, err = e.ListCORSOrigins(ctx)
			case "PUT " + pathHomepage:
				out, err = e.SetHomepage(ctx, body.URL)
			case "GET " + pathJWTTemplate:
				_, err = e.GetJWTTemplate(ctx)
				out.State = Done
			case "PUT " + pathJWTTemplate:
				out, err = e.SetJWTTemplate(ctx, body.Content)
			default:
				if c.Request.Method != http.MethodDelete || !strings.HasPrefix(path, pathRedirectURIs+"/") {
					continue // sign-in, webhooks, Platform: not calls of Environment's configuration
				}
				out, err = e.DeleteRedirectURI(ctx, strings.TrimPrefix(path, pathRedirectURIs+"/"))
			}
			r := result{State: out.State}
			if err != nil {
				r = result{Kind: fault.From(err).Kind}
			}
			got[name] = r
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes differ (-want +got):\n%s", diff)
	}
}

// TestReplayUsers sends the user and sign-in calls of workos-node through the client.
func TestReplayUsers(t *testing.T) {
	ran := 0
	for _, c := range readTranscript(t, "workos-node-8.13.json") {
		run := func(f func(t *testing.T, e *Environment)) {
			ran++
			t.Run(c.Step, func(t *testing.T) { f(t, replay(t, c)) })
		}
		var req AuthenticateRequest
		_ = json.Unmarshal(c.Request.Body, &req)
		switch c.Step {
		case "authenticateWithCode secret only":
			run(func(t *testing.T, e *Environment) {
				out, err := e.AuthenticateWithCode(t.Context(), req.Code.Secret(), "")
				if err != nil || out.User.Email != "alice@acme.test" || out.OrganizationID == "" || out.AccessToken == "" {
					t.Errorf("AuthenticateWithCode = %+v, %v, want alice in an organization", out, err)
				}
			})
		case "authenticateWithCode replay":
			run(func(t *testing.T, e *Environment) {
				if _, err := e.AuthenticateWithCode(t.Context(), req.Code.Secret(), ""); fault.Code(err) != CodeInvalidGrant || !fault.Is(err, fault.Invalid) {
					t.Errorf("AuthenticateWithCode of a spent code = %v, want code invalid_grant", err)
				}
			})
		case "password ok":
			run(func(t *testing.T, e *Environment) {
				out, err := e.AuthenticateWithPassword(t.Context(), req.Email, req.Password.Secret())
				if err != nil || out.User.ID == "" || out.RefreshToken == "" {
					t.Errorf("AuthenticateWithPassword = %+v, %v, want a session", out, err)
				}
			})
		case "password wrong":
			run(func(t *testing.T, e *Environment) {
				if _, err := e.AuthenticateWithPassword(t.Context(), req.Email, req.Password.Secret()); fault.Code(err) != CodeInvalidCredentials {
					t.Errorf("AuthenticateWithPassword with a wrong one = %v, want invalid_credentials", err)
				}
			})
		case "session.refresh", "refresh replay old token":
			run(func(t *testing.T, e *Environment) {
				_, err := e.AuthenticateWithRefresh(t.Context(), req.RefreshToken.Secret(), req.OrganizationID)
				if fails := c.Response.Status != http.StatusOK; fails != (fault.Code(err) == CodeInvalidGrant) {
					t.Errorf("AuthenticateWithRefresh = %v, status %d", err, c.Response.Status)
				}
			})
		case "createUser", "createUser dup", "createUser bad email":
			run(func(t *testing.T, e *Environment) {
				var u NewUser
				if err := json.Unmarshal(c.Request.Body, &u); err != nil {
					t.Fatal(err)
				}
				made, err := e.CreateUser(t.Context(), u)
				switch c.Response.Status {
				case http.StatusCreated:
					if err != nil || made.Email != u.Email || made.ExternalID == nil || *made.ExternalID != "ext-1" {
						t.Errorf("CreateUser = %+v, %v", made, err)
					}
				case http.StatusConflict:
					if !fault.Is(err, fault.Conflict) || fault.Code(err) != CodeUserAlreadyExists {
						t.Errorf("CreateUser of a known address = %v, want a conflict", err)
					}
				default:
					if !fault.Is(err, fault.Invalid) {
						t.Errorf("CreateUser of a bad address = %v, want invalid", err)
					}
				}
			})
		case "getUser", "getUser 404":
			run(func(t *testing.T, e *Environment) {
				u, err := e.GetUser(t.Context(), c.Request.URL[strings.LastIndex(c.Request.URL, "/")+1:])
				if c.Response.Status == http.StatusOK && (err != nil || u.ID == "") || c.Response.Status == http.StatusNotFound && !fault.Is(err, fault.NotFound) {
					t.Errorf("GetUser = %+v, %v, status %d", u, err, c.Response.Status)
				}
			})
		case "deleteUser":
			run(func(t *testing.T, e *Environment) {
				if out, err := e.DeleteUser(t.Context(), c.Request.URL[strings.LastIndex(c.Request.URL, "/")+1:]); err != nil || out.State != Done {
					t.Errorf("DeleteUser = %v, %v, want done", out, err)
				}
			})
		}
	}
	if ran != 12 {
		t.Errorf("replayed %d cases, want 12", ran)
	}
}

// TestErrorShapes: each error body of the contract fits a shape of this
// package and is encoded as it came (authkit sections 0 and 2.3).
func TestErrorShapes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "expected-errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name   string
			Status int
			Body   json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var fits []string
			for name, shape := range map[string]any{
				"A": new(MessageError), "B": new(CodeError), "C": new(OAuthError), "C sso": new(SSORequiredError), "C methods": new(OrganizationMethodsError),
			} {
				dec := json.NewDecoder(bytes.NewReader(c.Body))
				dec.DisallowUnknownFields()
				if dec.Decode(shape) != nil {
					continue
				}
				again, err := json.Marshal(shape)
				if err != nil {
					t.Fatal(err)
				}
				want := decoded(t, c.Body)
				if u, ok := want.(map[string]any)["user"].(map[string]any); ok {
					u["name"] = nil // "may be absent"; we always send it
				}
				if cmp.Equal(decoded(t, again), want) {
					fits = append(fits, name)
				}
			}
			if len(fits) == 0 {
				t.Errorf("body %s fits no error shape", c.Body)
			}
		})
	}
}

// TestAnswers: what our server will send is what the contract expects, and
// what the client understands.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		answer Answer
		status int
		body   string
	}{
		{UnauthorizedAnswer(), 401, `{"message":"Unauthorized"}`},
		{RedirectURIExists("https://example.com/callback"), 422, `{"message":"Redirect URI 'https://example.com/callback' already exists."}`},
		{CORSOriginExists(), 409, `{"code":"duplicate_cors_origin","message":"CORS origin already exists."}`},
		{CORSOriginInvalid(nil), 422, `{"message":"Validation failed.","errors":[{"property":"origin","constraints":{}}]}`},
		{OAuthAnswer("invalid_grant", "Refresh token already exchanged."), 400, `{"error":"invalid_grant","error_description":"Refresh token already exchanged."}`},
		{InvalidCredentials("a@example.com"), 400, `{"code":"invalid_credentials","message":"Invalid credentials for 'a@example.com'."}`},
	} {
		w := httptest.NewRecorder()
		if err := tt.answer.Write(w); err != nil {
			t.Fatal(err)
		}
		if w.Code != tt.status || w.Body.String() != tt.body {
			t.Errorf("Write = %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
		}
	}
	w := httptest.NewRecorder()
	if err := TooManyRequests(1500e6).Write(w); err != nil || w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After = %q, %v, want 2", w.Header().Get("Retry-After"), errors.Join(err))
	}
}
