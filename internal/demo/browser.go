package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/web"
)

// Bounds of one navigation.
const (
	maxHops     = 20
	maxPage     = 1 << 20
	hopDeadline = 20 * time.Second
)

// Browser is one person's browser: cookies of its own, redirects followed one by
// one, forms filled in as they are on the page. It is not for concurrent use.
type Browser struct {
	client *http.Client
	at     *Page
	hops   []Hop
}

// NewBrowser returns a browser without cookies on the network.
func NewBrowser(n *Network) *Browser {
	jar, _ := cookiejar.New(nil) // fails never (net/http/cookiejar)
	return &Browser{client: &http.Client{
		Transport: n.transport, Jar: jar, Timeout: hopDeadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Hop is one request of a navigation and what came back.
type Hop struct {
	Method string `json:"method"`
	URL    string `json:"url"` // values of the query that may hold a secret are left out
	Status int    `json:"status"`
	Page   string `json:"page,omitempty"` // title, when it was a page
}

// Hops returns everything the browser asked for so far, as evidence.
func (b *Browser) Hops() []Hop { return slices.Clone(b.hops) }

// Page is the page that the browser shows, nil before the first.
func (b *Browser) Page() *Page { return b.at }

// Open goes to address and follows redirects. A page that says that something
// is wrong is a page, not an error; an error is [fault.Unavailable] (nobody
// answered, too many redirects, an answer that is no page).
func (b *Browser) Open(ctx context.Context, address string) (*Page, error) {
	return b.navigate(ctx, http.MethodGet, address, nil)
}

// Submit fills values into the form, as far as the form has such fields, and
// sends it.
func (b *Browser) Submit(ctx context.Context, f Form, values map[string]secret.String) (*Page, error) {
	fields := url.Values{}
	for name, value := range f.Fields {
		fields.Set(name, value)
	}
	for name, value := range values {
		if _, ok := f.Fields[name]; !ok {
			return nil, fault.New(fault.NotFound, "the form on %s has no field %q", shownURL(f.page), name)
		}
		fields.Set(name, value.Reveal())
	}
	if f.Method == http.MethodGet {
		to := *f.Action
		to.RawQuery = fields.Encode()
		return b.navigate(ctx, http.MethodGet, to.String(), nil)
	}
	return b.navigate(ctx, http.MethodPost, f.Action.String(), fields)
}

func (b *Browser) navigate(ctx context.Context, method, address string, form url.Values) (*Page, error) {
	to, err := url.Parse(address)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "this is not an address that a browser can open")
	}
	from := b.at
	for range maxHops {
		resp, body, err := b.send(ctx, method, to, form, from, "text/html")
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			p, err := readPage(to, resp, body)
			if err != nil {
				return nil, err
			}
			b.hops[len(b.hops)-1].Page = p.Title
			b.at = p
			return p, nil
		}
		next, err := to.Parse(location)
		if err != nil || next.Scheme != "http" && next.Scheme != "https" {
			return nil, fault.Wrap(err, fault.Unavailable, "%s redirects to something that is not an address", shownURL(to))
		}
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			method, form = http.MethodGet, nil // RFC 9110 section 15.4, as browsers do it
		}
		to = next
	}
	return nil, fault.New(fault.Unavailable, "more than %d redirects, the last to %s", maxHops, shownURL(to))
}

func (b *Browser) send(ctx context.Context, method string, to *url.URL, form url.Values, from *Page, accept string) (*http.Response, []byte, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "this is not an address that a browser can open")
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "berth-demo")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", fetchSite(from, to))
	}
	resp, err := b.client.Do(r)
	if ctx.Err() != nil {
		return nil, nil, fault.Wrap(ctx.Err(), fault.Interrupted, "stopped while opening %s", shownURL(to))
	}
	if err != nil {
		var failure *url.Error // its text repeats the address with its query
		if errors.As(err, &failure) {
			err = failure.Err
		}
		return nil, nil, fault.Wrap(err, fault.Unavailable, "%s does not answer", shownURL(to))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err == nil && len(data) > maxPage {
		err = errors.New("the page is larger than 1 MiB")
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "the answer of %s cannot be read", shownURL(to))
	}
	b.hops = append(b.hops, Hop{Method: method, URL: shownURL(to), Status: resp.StatusCode})
	return resp, data, nil
}

// fetchSite is what a browser says about where a form comes from (Fetch
// Metadata, section 2.3).
func fetchSite(from *Page, to *url.URL) string {
	if from != nil && from.URL.Scheme == to.Scheme && from.URL.Host == to.Host {
		return "same-origin"
	}
	return "cross-site"
}

// JSON asks for data, as the page's own script does.
func (b *Browser) JSON(ctx context.Context, address string, out any) error {
	to, err := url.Parse(address)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "this is not an address")
	}
	resp, body, err := b.send(ctx, http.MethodGet, to, nil, b.at, "application/json")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.Unavailable, "%s answered %d", shownURL(to), resp.StatusCode)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s did not answer with JSON", shownURL(to))
	}
	return nil
}

// SignIn signs a person in to the app at origin: from the app's sign-in link
// through the hosted page and the callback back to the app's home on the same
// origin. A page that stops it is the error [fault.Denied], with the page's
// marker as code and the page's own words as message; [Browser.Page] then is
// that page.
func (b *Browser) SignIn(ctx context.Context, origin, email string, password secret.String) (Me, error) {
	p, err := b.Open(ctx, origin+"/sign-in")
	if err != nil {
		return Me{}, err
	}
	form, ok := p.FormWith(web.FieldEmail, web.FieldPassword)
	if !ok {
		return Me{}, p.stopped("asked for no e-mail and password")
	}
	if p, err = b.Submit(ctx, form, map[string]secret.String{web.FieldEmail: secret.String(email), web.FieldPassword: password}); err != nil {
		return Me{}, err
	}
	if p.Origin() != origin || p.URL.Path != "/" || p.Status != http.StatusOK {
		return Me{}, p.stopped("is not the app's home on " + origin)
	}
	me, err := b.Me(ctx, origin)
	if err == nil && !strings.EqualFold(me.Email, email) {
		err = fault.New(fault.Denied, "after the sign-in %s knows the visitor as %q, not as %s", origin, me.Email, email)
	}
	return me, err
}

// Me asks the app at origin who is signed in.
func (b *Browser) Me(ctx context.Context, origin string) (Me, error) {
	var me Me
	err := b.JSON(ctx, origin+"/me", &me)
	return me, err
}

// Token returns the access token as the page's backend client gets it.
func (b *Browser) Token(ctx context.Context, origin string) (secret.String, error) {
	var out struct {
		AccessToken string `json:"access_token"`
	}
	err := b.JSON(ctx, origin+"/token", &out)
	if err == nil && out.AccessToken == "" {
		err = fault.New(fault.Unavailable, "%s has no access token", origin)
	}
	return secret.String(out.AccessToken), err
}

// Press opens the app's home at origin and sends the form that posts to path,
// such as /refresh or /sign-out. The page is where that ended.
func (b *Browser) Press(ctx context.Context, origin, path string) (*Page, error) {
	p, err := b.Open(ctx, origin+"/")
	if err != nil {
		return nil, err
	}
	for _, f := range p.Forms {
		if f.Action.Path == path {
			return b.Submit(ctx, f, nil)
		}
	}
	return nil, p.stopped("has no button for " + path)
}

// shownURL is u without the query values that may hold a code, a state or a
// session: what is left is safe to print.
func shownURL(u *url.URL) string {
	shown := *u
	shown.User, shown.Fragment, shown.RawQuery = nil, "", ""
	var query []string
	q := u.Query()
	for _, name := range []string{"client_id", "redirect_uri", "error", "return_to"} {
		if v := q.Get(name); v != "" {
			query = append(query, name+"="+v)
		}
		delete(q, name)
	}
	for _, name := range sortedKeys(q) {
		query = append(query, name+"=…")
	}
	text := shown.String()
	if query != nil {
		text += "?" + strings.Join(query, "&")
	}
	return text
}
