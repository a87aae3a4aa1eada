package web

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const testNonce = "TESTNONCE0"

func TestEverySampleIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Gallery() {
		if seen[s.Name] {
			t.Errorf("Gallery() has two samples named %q", s.Name)
		}
		seen[s.Name] = true
		t.Run(s.Name, func(t *testing.T) { checkPage(t, renderPage(t, s.Page)) })
	}
}

// Every string of every page comes from outside some day. Fill each in turn and all at
// once with markup, script addresses and attribute endings.
func TestHostileTextStaysText(t *testing.T) {
	hostile := []string{
		`"><script>alert(1)</script><img src=x onerror=alert(1)>`,
		`javascript:alert(1)//</title></style><script>alert(1)</script>`,
		`' onmouseover='alert(1)`,
		`{{.Nonce}}</code></pre><svg/onload=alert(1)>`,
		"https://a.example/\u202e\x00\n<script>alert(1)</script>",
		`//evil.example/`, `/\evil.example/`, `data:text/html,<script>alert(1)</script>`,
	}
	for _, s := range Gallery() {
		t.Run(s.Name, func(t *testing.T) {
			for _, text := range hostile {
				page := reflect.New(reflect.TypeOf(s.Page)).Elem()
				page.Set(reflect.ValueOf(s.Page))
				fillStrings(page, text)
				doc := renderPage(t, page.Interface().(Page))
				if strings.Contains(strings.ToLower(doc), "<script") {
					t.Errorf("page filled with %q holds a script element", text)
				}
				checkPage(t, doc)
			}
		})
	}
}

// fillStrings puts text into every string below v, copying slices first.
func fillStrings(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.Type() != reflect.TypeOf(Kind("")) || text[0] != 'j' {
			v.SetString(text)
		}
		if v.Type() == reflect.TypeOf(Kind("")) && text[0] == '\'' {
			v.SetString(string(Preview)) // so that badge, inbox and test users show
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fillStrings(v.Field(i), text)
		}
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			fillStrings(c.Index(i), text)
		}
		v.Set(c)
	}
}

func renderPage(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b, testNonce); err != nil {
		t.Fatalf("Render(%T) = %v, want nil", p, err)
	}
	return b.String()
}

// checkPage holds what every document must be: well-formed, one h1, labelled inputs,
// unique ids that references find, nothing inline, only safe addresses.
func checkPage(t *testing.T, doc string) {
	t.Helper()
	if err := wellFormed(doc); err != nil {
		t.Errorf("document is not well-formed: %v", err)
	}
	root, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatalf("html.Parse = %v, want nil", err)
	}
	count := map[string]int{}
	ids := map[string]bool{}
	labels := map[string]bool{}
	var nodes []*html.Node
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		nodes = append(nodes, n)
		count[n.Data]++
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("id %q stands twice", id)
			}
			ids[id] = true
		}
		if n.Data == "label" && text(n) != "" {
			labels[attr(n, "for")] = true
		}
	}
	for element, want := range map[string]int{"h1": 1, "main": 1, "title": 1, "script": 0, "iframe": 0, "style": 1, "base": 0} {
		if count[element] != want {
			t.Errorf("document has %d %s elements, want %d", count[element], element, want)
		}
	}
	focused := 0
	for _, n := range nodes {
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has inline attribute %s", n.Data, a.Key)
			}
			switch a.Key {
			case "href", "src", "action", "formaction":
				checkAddress(t, n, a.Val)
			case "autofocus":
				focused++
			case "aria-describedby", "aria-labelledby", "for":
				for _, id := range strings.Fields(a.Val) {
					if !ids[id] {
						t.Errorf("<%s %s=%q> refers to an id that does not exist", n.Data, a.Key, a.Val)
					}
				}
			}
		}
		switch n.Data {
		case "html":
			if attr(n, "lang") == "" {
				t.Error("<html> has no lang")
			}
		case "title", "h1", "h2", "button", "a", "summary":
			if text(n) == "" {
				t.Errorf("<%s> is empty", n.Data)
			}
		case "body":
			if attr(n, "data-hak-page") == "" {
				t.Error("<body> has no data-hak-page")
			}
		case "style":
			if attr(n, "nonce") != testNonce {
				t.Error("<style> does not carry the nonce")
			}
		case "img":
			if !hasAttr(n, "alt") {
				t.Error("<img> has no alt")
			}
		case "input":
			if attr(n, "type") == "hidden" || hasAttr(n, "hidden") {
				continue
			}
			if !labels[attr(n, "id")] {
				t.Errorf("input %q has no label", attr(n, "name"))
			}
			if attr(n, "autocomplete") == "" {
				t.Errorf("input %q has no autocomplete", attr(n, "name"))
			}
			if hasAttr(n, "aria-invalid") != strings.Contains(attr(n, "aria-describedby"), "-error") {
				t.Errorf("input %q: aria-invalid and its error text do not go together", attr(n, "name"))
			}
		case "form":
			if attr(n, "method") != "post" {
				t.Error("a form is not posted")
			}
		}
	}
	if focused > 1 {
		t.Errorf("%d elements have autofocus, want at most 1", focused)
	}
}

func checkAddress(t *testing.T, n *html.Node, address string) {
	t.Helper()
	ok := strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") ||
		strings.HasPrefix(address, "/") && !isNetworkPath(address) ||
		(n.Data == "img" || n.Data == "link") && strings.HasPrefix(address, "data:image/")
	if n.Data == "a" && strings.HasPrefix(address, "otpauth://totp/") {
		ok = true
	}
	if n.Data == "form" {
		ok = !strings.Contains(address, "script:") // the template engine replaces those
	}
	if !ok {
		t.Errorf("<%s> leads to %q", n.Data, address)
	}
}

// wellFormed checks with a tokenizer, which mends nothing, that elements nest.
func wellFormed(doc string) error {
	void := map[string]bool{"meta": true, "link": true, "input": true, "img": true, "br": true}
	z := html.NewTokenizer(strings.NewReader(doc))
	var open []string
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) != 0 {
				return fmt.Errorf("left open: %v", open)
			}
			return nil
		case html.StartTagToken:
			if name, _ := z.TagName(); !void[string(name)] {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				return fmt.Errorf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
