package demo

import (
	"bytes"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/berthdev/berth/internal/fault"
)

// Page is what a person sees after a navigation.
type Page struct {
	URL     *url.URL
	Status  int
	Title   string
	Marker  string   // which page it is, by its body's data-…-page attribute
	Heading string   // text of the first h1
	Alerts  []string // what the page says is wrong
	Codes   []string // text of code elements: addresses and commands
	Forms   []Form
}

// Form is a form of a page with the values that its fields have.
type Form struct {
	Method string
	Action *url.URL
	Fields map[string]string
	page   *url.URL
}

// Origin is the origin of the page.
func (p *Page) Origin() string { return p.URL.Scheme + "://" + p.URL.Host }

// FormWith returns the first form that has all the named fields.
func (p *Page) FormWith(names ...string) (Form, bool) {
	for _, f := range p.Forms {
		all := true
		for _, name := range names {
			_, ok := f.Fields[name]
			all = all && ok
		}
		if all {
			return f, true
		}
	}
	return Form{}, false
}

// stopped is the error for a page that a navigation should not have ended on.
func (p *Page) stopped(why string) error {
	what := strings.Join(p.Alerts, " ")
	if what == "" {
		what = p.Heading
	}
	return fault.New(fault.Denied, "%s", what).WithCode(p.Marker).WithFix("the page %s (status %d, %q) %s", shownURL(p.URL), p.Status, p.Title, why)
}

// readPage reads an answer. One that is neither HTML nor empty is no page.
func readPage(u *url.URL, resp *http.Response, body []byte) (*Page, error) {
	p := &Page{URL: u, Status: resp.StatusCode}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "text/html" {
		return nil, fault.New(fault.Unavailable, "%s answered %d and no page", shownURL(u), resp.StatusCode)
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the page %s cannot be read", shownURL(u))
	}
	p.read(root, nil)
	return p, nil
}

// read walks the tree in document order.
func (p *Page) read(n *html.Node, in *Form) {
	if n.Type == html.ElementNode {
		switch n.DataAtom {
		case atom.Title:
			p.Title = text(n)
		case atom.Body:
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "data-") && strings.HasSuffix(a.Key, "-page") {
					p.Marker = a.Val
				}
			}
		case atom.H1:
			if p.Heading == "" {
				p.Heading = text(n)
			}
		case atom.Code:
			p.Codes = append(p.Codes, text(n))
		case atom.Form:
			in = p.form(n)
		case atom.Input, atom.Button:
			in.field(n)
		}
		if attr(n, "role") == "alert" || slices.Contains(strings.Fields(attr(n, "class")), "field-error") {
			p.Alerts = append(p.Alerts, text(n))
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		p.read(c, in)
	}
	if n.DataAtom == atom.Form && in != nil {
		p.Forms = append(p.Forms, *in)
	}
}

func (p *Page) form(n *html.Node) *Form {
	f := &Form{Method: http.MethodGet, Action: p.URL, Fields: map[string]string{}, page: p.URL}
	if strings.EqualFold(attr(n, "method"), "post") {
		f.Method = http.MethodPost
	}
	if to, err := p.URL.Parse(attr(n, "action")); err == nil {
		f.Action = to
	}
	return f
}

// field adds an input. A button with a name is sent only when it is the one that
// is pressed, so it is left out, and so are boxes that are not ticked.
func (f *Form) field(n *html.Node) {
	name := attr(n, "name")
	if f == nil || name == "" || n.DataAtom == atom.Button {
		return
	}
	switch strings.ToLower(attr(n, "type")) {
	case "submit", "button", "image", "reset", "file":
		return
	case "checkbox", "radio":
		if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "checked" }) {
			return
		}
	}
	f.Fields[name] = attr(n, "value")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// text is the text below n with white space as a browser shows it.
func text(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

func sortedKeys(q url.Values) []string { return slices.Sorted(maps.Keys(q)) }
