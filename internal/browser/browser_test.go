package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/browser"
	"github.com/berthdev/berth/internal/fault"
)

func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "step", Value: "1", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteNoneMode, MaxAge: 60})
		http.Redirect(w, r, "/sign-in", http.StatusFound)
	})
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, err := r.Cookie("step"); err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `<body data-hak-page="sign-in"><form method="post" action="/sign-in"><input type="hidden" name="flow" value="f&amp;1"><input name="email"><input type="password" name="password"></form>`)
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("flow") != "f&1" || r.FormValue("password") != "right" || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<body data-hak-page="sign-in"><p role="alert">Not right.</p><form method="post"><input type="password" name="password"></form>`)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "step", MaxAge: -1, Path: "/"})
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s"})
		http.Redirect(w, r, "/home", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /home", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

var now = time.Unix(1_800_000_000, 0)

func TestSignInAsABrowserDoes(t *testing.T) {
	s := site(t)
	b := browser.New(func() time.Time { return now })
	page, err := b.Get(t.Context(), s.URL)
	if err != nil || page.Marker != "sign-in" || page.URL.Path != "/sign-in" || len(page.Hops) != 2 {
		t.Fatalf("Get = %+v, %v; want the sign-in page after one redirect", page, err)
	}
	want := browser.Cookie{Name: "step", Value: "1", Domain: "127.0.0.1", Path: "/", Expires: float64(now.Unix() + 60), HTTPOnly: true, Secure: true, SameSite: "None"}
	if diff := cmp.Diff([]browser.Cookie{want}, b.State().Cookies); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if page, err = b.SignIn(t.Context(), page, browser.Person{Email: "ada@example.com", Password: "right"}); err != nil || page.URL.Path != "/home" {
		t.Fatalf("SignIn = %+v, %v; want /home", page, err)
	}
	got := b.State()
	if len(got.Cookies) != 1 || got.Cookies[0].Name != "session" || got.Cookies[0].Expires != -1 || got.Cookies[0].SameSite != "Lax" || got.Origins == nil {
		t.Errorf("state = %+v, want the session cookie alone", got)
	}
	home, err := url.Parse(s.URL)
	if err != nil || len(b.Cookies(home)) != 1 {
		t.Errorf("Cookies = %v, want one", b.Cookies(home))
	}
}

func TestSignInSaysWhatWentWrong(t *testing.T) {
	s := site(t)
	b := browser.New(time.Now)
	page, err := b.Get(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.SignIn(t.Context(), page, browser.Person{Email: "ada@example.com", Password: "topsecret"})
	if fault.Code(err) != "sign_in_failed" || !strings.Contains(err.Error(), "Not right.") || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("SignIn with a wrong password = %v, want what the page says", err)
	}
	if _, err := b.Get(t.Context(), s.URL+"/loop"); fault.Code(err) != "redirect_loop" {
		t.Errorf("Get of a loop = %v, want redirect_loop", err)
	}
	s.Close()
	if _, err := b.Get(t.Context(), s.URL); fault.Code(err) != "no_answer" || !fault.Is(err, fault.Unavailable) {
		t.Errorf("Get of a closed port = %v, want no_answer", err)
	}
}
