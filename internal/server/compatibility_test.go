package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/workos"
)

// servedOperations returns the pattern of each operation that has a route.
func servedOperations(t *testing.T) map[workos.Operation]string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", http.NotFoundHandler())
	for _, p := range mounted(t) {
		mux.Handle(p, http.NotFoundHandler())
	}
	served := map[workos.Operation]string{}
	for _, o := range workos.Operations() {
		if p := server.ServedBy(mux, o); p != "" {
			served[o] = p
		}
	}
	return served
}

// beyond returns the calls in WorkOS's style that its document does not have.
func beyond(t *testing.T, served map[workos.Operation]string) []string {
	t.Helper()
	known, roots := map[string]bool{}, []string{"/platform/", "/oauth2/", "/.well-known/"}
	for _, p := range served {
		known[p] = true
	}
	for _, o := range workos.Operations() {
		first, _, _ := strings.Cut(o.Path[1:], "/")
		roots = append(roots, "/"+first+"/")
	}
	var list []string
	for _, p := range mounted(t) {
		method, path, _ := strings.Cut(p, " ")
		if !known[p] && method != http.MethodOptions && slices.ContainsFunc(roots, func(r string) bool { return strings.HasPrefix(path+"/", r) }) {
			list = append(list, p)
		}
	}
	return list
}

func compatibility(t *testing.T) []byte {
	t.Helper()
	served := servedOperations(t)
	var tags []string
	byTag := map[string][]workos.Operation{}
	count := map[string]int{}
	for _, o := range workos.Operations() {
		if byTag[o.Tag] == nil {
			tags = append(tags, o.Tag)
		}
		byTag[o.Tag] = append(byTag[o.Tag], o)
		if served[o] != "" {
			count[o.Tag]++
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Compatibility with WorkOS

Berth serves %d of the %d operations of WorkOS's OpenAPI document 0.61.0. This page is
made from that list and the routes of the code; a test fails when it is out of date
(`+"`BERTH_UPDATE_GOLDEN=1 go test ./internal/server -run TestCompatibilityPage`"+` writes it).
The tests of the server hold every answer to the document.

A call that is not served answers 401 without a valid API key and 501 with one:

    {"code":"not_supported_by_berth","message":"POST /vault/v1/kv is not supported by Berth.","fix":"…"}

A path that WorkOS does not have answers 404.

| Tag | Served | Of |
|---|---:|---:|
`, len(served), len(workos.Operations()))
	for _, tag := range tags {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", tag, count[tag], len(byTag[tag]))
	}
	b.WriteString("\n## Operations\n\n| Operation | Tag | |\n|---|---|---|\n")
	for _, tag := range tags {
		for _, o := range byTag[tag] {
			state := "served"
			if served[o] == "" {
				state = "not supported by Berth"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", o, tag, state)
		}
	}
	b.WriteString("\n## Calls beyond the document\n\nThe Platform API, OpenID Connect and OAuth 2.0, and calls that the SDKs or tools of WorkOS make\nwithout an operation in the document. Berth's own protocol is not among them.\n\n")
	for _, p := range beyond(t, served) {
		fmt.Fprintf(&b, "- `%s`\n", p)
	}
	return b.Bytes()
}

// R99: the page that says what is served says so truly.
func TestCompatibilityPage(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "compatibility.md")
	want := compatibility(t)
	if os.Getenv("BERTH_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is out of date (-code +page):\n%s\nfix: BERTH_UPDATE_GOLDEN=1 go test ./internal/server -run TestCompatibilityPage", name, diff)
	}
}

// Every operation without a route says so, to callers with an API key only, and
// none that has one does.
func TestOperationsThatAreNotServedSaySo(t *testing.T) {
	s := startWith(t, server.Config{Limits: noLimits})
	a := newAccount(t, s, email)
	served := servedOperations(t)
	lacking := 0
	for _, o := range workos.Operations() {
		path := strings.NewReplacer("{", "", "}", "").Replace(o.Path)
		if served[o] != "" {
			if status, out := call(t, s, o.Method, path, a.key, nil); status == http.StatusNotImplemented {
				t.Errorf("%s, which has a route, = %d %s", o, status, out)
			}
			continue
		}
		lacking++
		for credential, want := range map[string]int{"": 401, "sk_test_wrong": 401, a.key: 501} {
			status, out := call(t, s, o.Method, path, credential, nil)
			var body workos.NotSupportedError
			if err := json.Unmarshal([]byte(out), &body); err != nil || status != want {
				t.Errorf("%s with key %q = %d %s (%v), want %d in JSON", o, credential, status, out, err, want)
			}
			if want == 501 && (body.Code != "not_supported_by_berth" || body.Message != o.Method+" "+path+" is not supported by Berth." || body.Fix == "") {
				t.Errorf("%s = %s, want code, message and fix", o, out)
			}
		}
	}
	if lacking == 0 {
		t.Error("every operation has a route: this test and the page have no purpose any more")
	}
	for _, path := range []string{"/nothing", "/user_management/nothing", "/vault/v2/kv"} {
		status, out := call(t, s, "GET", path, a.key, nil)
		var body map[string]string
		if err := json.Unmarshal([]byte(out), &body); err != nil || status != http.StatusNotFound || len(body) != 1 || body["message"] == "" {
			t.Errorf("GET %s = %d %s, want 404 in shape A", path, status, out)
		}
	}
}
