// Package browser goes through a sign-in as a web browser does, over plain
// HTTP: it follows redirects, keeps cookies, reads forms and posts them. It runs
// no scripts. What it ends up with can be handed to a real browser in a test, as
// a storage state of Playwright.
package browser

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/berthdev/berth/internal/fault"
)

// maxRedirects is what browsers follow; maxPage is more than any page here.
const (
	maxRedirects = 20
	maxPage      = 4 << 20
	timeout      = 30 * time.Second // of one request: dev servers compile on the first
)

// Browser is one profile: its cookies. It is not safe for concurrent use.
type Browser struct {
	jar    *jar
	client *http.Client
	// Stop says that a redirect is not followed: the page that is returned is
	// the one that redirects, and its Next is where to. Nil follows all.
	Stop func(*url.URL) bool
}

// New returns a browser without cookies. now is the clock, for their lifetimes.
func New(now func() time.Time) *Browser {
	j := newJar(now)
	return &Browser{jar: j, client: &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Page is what the browser shows after redirects.
type Page struct {
	URL    *url.URL
	Status int
	Marker string     // data-hak-page of AuthKit's pages, such as "sign-in"; "" elsewhere
	Alert  string     // text of the page's alert, "" for none
	Forms  []Form     // in the order of the page
	Links  []*url.URL // of anchors, in the order of the page
	Next   *url.URL   // the redirect that Stop held back, or nil
	Hops   []*url.URL // every address that was asked on the way, in order
}

// Form is a form of a page.
type Form struct {
	Action  *url.URL
	Method  string     // GET or POST
	Values  url.Values // hidden and prefilled inputs
	Names   []string   // inputs that a person fills in
	Buttons []Button
}

// Button is a submit button with a value.
type Button struct{ Name, Value, Text string }

// Has reports whether a person fills in an input of this name.
func (f Form) Has(name string) bool {
	for _, n := range f.Names {
		if n == name {
			return true
		}
	}
	return false
}

// Form returns the first form with an input of this name.
func (p *Page) Form(name string) (Form, bool) {
	for _, f := range p.Forms {
		if f.Has(name) {
			return f, true
		}
	}
	return Form{}, false
}

// Get opens an address.
func (b *Browser) Get(ctx context.Context, address string) (*Page, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "%q is no http or https address", address).WithCode("url_invalid")
	}
	return b.follow(ctx, http.MethodGet, u, "", "none")
}

// Submit posts a form with what a person filled in.
func (b *Browser) Submit(ctx context.Context, f Form, filled url.Values) (*Page, error) {
	values := url.Values{}
	for k, v := range f.Values {
		values[k] = v
	}
	for k, v := range filled {
		values[k] = v
	}
	if f.Method == http.MethodGet {
		u := *f.Action
		u.RawQuery = values.Encode()
		return b.follow(ctx, http.MethodGet, &u, "", "same-origin")
	}
	return b.follow(ctx, http.MethodPost, f.Action, values.Encode(), "same-origin")
}

func (b *Browser) follow(ctx context.Context, method string, u *url.URL, body, site string) (*Page, error) {
	var hops []*url.URL
	for range maxRedirects {
		hops = append(hops, u)
		resp, err := b.send(ctx, method, u, body, site)
		if err != nil {
			return nil, err
		}
		to, redirected := location(u, resp)
		if !redirected || b.Stop != nil && b.Stop(to) {
			page, err := read(u, resp)
			if err != nil {
				return nil, err
			}
			if page.Hops = hops; redirected {
				page.Next = to
			}
			return page, nil
		}
		_ = resp.Body.Close()
		// RFC 9110 section 15.4: 303 turns into GET, 301 and 302 do so for POST.
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			method, body = http.MethodGet, ""
		}
		if to.Host != u.Host || to.Scheme != u.Scheme {
			site = "cross-site"
		}
		u = to
	}
	return nil, fault.New(fault.Unavailable, "%s redirects without end", origin(u)).WithFix("open it in a browser; cookies that do not stick are the usual reason").WithCode("redirect_loop")
}

// location is where a response sends the browser.
func location(from *url.URL, resp *http.Response) (*url.URL, bool) {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil, false
	}
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, false
	}
	return to, true
}

func (b *Browser) send(ctx context.Context, method string, u *url.URL, body, site string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("User-Agent", "Mozilla/5.0 (berth)")
	// A navigation, as middleware of frameworks tells it from a prefetch.
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("Upgrade-Insecure-Requests", "1")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.jar.cookies(u) {
		req.AddCookie(c)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fault.Wrap(ctx.Err(), fault.Interrupted, "interrupted")
		}
		return nil, fault.Wrap(err, fault.Unavailable, "nothing answers at %s", origin(u)).WithCode("no_answer")
	}
	b.jar.set(u, resp.Cookies())
	return resp, nil
}

// origin names an address without what may be secret in it.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func read(u *url.URL, resp *http.Response) (*Page, error) {
	defer resp.Body.Close()
	page := &Page{URL: u, Status: resp.StatusCode}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return page, nil
	}
	root, err := html.Parse(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the page of %s cannot be read", origin(u)).WithCode("no_answer")
	}
	page.walk(root, nil)
	return page, nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(text(c))
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// walk collects what a person could see and use.
func (p *Page) walk(n *html.Node, form *Form) {
	if n.Type == html.ElementNode {
		if attr(n, "role") == "alert" && p.Alert == "" {
			p.Alert = text(n)
		}
		switch n.Data {
		case "body":
			p.Marker = attr(n, "data-hak-page")
		case "a":
			if to, err := p.URL.Parse(attr(n, "href")); err == nil && attr(n, "href") != "" {
				p.Links = append(p.Links, to)
			}
		case "form":
			f := Form{Action: p.URL, Method: http.MethodGet, Values: url.Values{}}
			if to, err := p.URL.Parse(attr(n, "action")); err == nil && attr(n, "action") != "" {
				f.Action = to
			}
			if strings.EqualFold(attr(n, "method"), "post") {
				f.Method = http.MethodPost
			}
			for c := range n.ChildNodes() {
				p.walk(c, &f)
			}
			p.Forms = append(p.Forms, f)
			return
		case "input":
			if name := attr(n, "name"); form != nil && name != "" {
				switch kind := strings.ToLower(attr(n, "type")); kind {
				case "submit", "button", "image", "reset", "file":
				case "checkbox", "radio":
				case "hidden":
					form.Values.Add(name, attr(n, "value"))
				default:
					form.Names = append(form.Names, name)
					if value := attr(n, "value"); value != "" {
						form.Values.Set(name, value)
					}
				}
			}
		case "button":
			if name := attr(n, "name"); form != nil && name != "" {
				form.Buttons = append(form.Buttons, Button{name, attr(n, "value"), text(n)})
			}
		}
	}
	for c := range n.ChildNodes() {
		p.walk(c, form)
	}
}
