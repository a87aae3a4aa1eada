package deploy_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/server/deploy"
	"github.com/berthdev/berth/internal/store"
)

// convexServer is convex/server and convex/values 1.48.0 as one module.
//
//go:embed testdata/convex-server.js
var convexServer string

const usersModule = `import { query, mutation, action, internalMutation, v, ConvexError } from "./_deps/server.js";
export const me = query({ args: {}, handler: async (ctx) => { const id = await ctx.auth.getUserIdentity(); console.log("server identity", id); return id && id.tokenIdentifier; } });
export const addNote = mutation({ args: { body: v.string(), n: v.optional(v.int64()) }, handler: async (ctx, args) => {
	if ((await ctx.auth.getUserIdentity()) === null) throw new ConvexError({ code: "unauthenticated", big: 1n });
	return await ctx.db.insert("notes", args);
} });
export const notes = query({ args: {}, handler: async (ctx) => (await ctx.db.query("notes").collect()).map((n) => n.body) });
export const values = query({ args: {}, handler: async () => ({ arr: [1, null, true], b: new Uint8Array([1, 2, 255]).buffer, i: 2n ** 53n + 1n, inf: -Infinity, nan: NaN, neg: -1n, negz: -0, s: "é" }) });
export const boom = query({ args: {}, handler: async () => { throw new Error("kaboom"); } });
export const purge = internalMutation({ args: {}, handler: async () => "purged" });
export const env = query({ args: {}, handler: async () => process.env.NAME ?? null });
export const spin = query({ args: {}, handler: async () => { for (;;); } });
export const bomb = query({ args: {}, handler: async () => { const all = []; for (;;) all.push(new Array(100000).fill("x" + all.length)); } });
export const deep = query({ args: {}, handler: async () => { const f = () => f() + 1; return f(); } });
export const echo = action({ args: { text: v.string() }, handler: async (_, { text }) => text });
`

const numbersModule = `import { query, mutation, v } from "./_deps/server.js";
export const whoami = query({ args: {}, handler: (ctx) => ctx.auth.getUserIdentity() });
export const addNumber = mutation({ args: { value: v.number() }, handler: async (ctx, { value }) => { const id = await ctx.db.insert("numbers", { value }); console.log("Added new document with id:", id); } });
export const listNumbers = query({ args: { count: v.number() }, handler: async (ctx, { count }) => ({
	viewer: (await ctx.auth.getUserIdentity())?.name ?? null, numbers: (await ctx.db.query("numbers").order("desc").take(count)).reverse().map((n) => n.value),
}) });
`

const filesModule = `import { query, mutation, action, v } from "./_deps/server.js";
export const uploadURL = mutation({ args: {}, handler: (ctx) => ctx.storage.generateUploadUrl() });
export const url = query({ args: { id: v.id("_storage") }, handler: (ctx, { id }) => ctx.storage.getUrl(id) });
export const about = query({ args: { id: v.id("_storage") }, handler: (ctx, { id }) => ctx.db.system.get(id) });
export const drop = mutation({ args: { id: v.id("_storage") }, handler: (ctx, { id }) => ctx.storage.delete(id) });
export const dropAndFail = mutation({ args: { id: v.id("_storage") }, handler: async (ctx, { id }) => { await ctx.storage.delete(id); throw new Error("after all not"); } });
export const keep = action({ args: { text: v.string() }, handler: async (ctx, { text }) => {
	const id = await ctx.storage.store(new Blob([text], { type: "text/plain" }));
	return { id, again: await (await ctx.storage.get(id)).text() };
} });
`

const httpModule = `import { httpAction, httpRouter } from "./_deps/server.js";
const http = httpRouter();
http.route({ path: "/hook", method: "POST", handler: httpAction(async (ctx, request) => new Response((await request.text()).toUpperCase(), { status: 201, headers: { "X-Seen": request.headers.get("X-Sent") ?? "", "Set-Cookie": "a=b" } })) });
http.route({ pathPrefix: "/who/", method: "GET", handler: httpAction(async (ctx, request) => {
	try {
		const who = await ctx.auth.getUserIdentity();
		return new Response(JSON.stringify({ who: who?.subject ?? null, path: new URL(request.url).pathname }));
	} catch (e) { return new Response(e.message, { status: 418 }); }
}) });
http.route({ path: "/boom", method: "GET", handler: httpAction(async () => { throw new Error("kaboom"); }) });
export default http;
`

// house is a store with the origins of its deployments, served on real ports.
type house struct {
	t       testing.TB
	db      *store.DB
	team    *store.Team
	origins *deploy.Origins
	clock   *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newHouse(t testing.TB) *house { return houseIn(t, t.TempDir(), "") }

func houseIn(t testing.TB, dir, domain string) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{now: time.Now().Truncate(time.Second)}}
	var err error
	if h.db, err = store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "berth.db"), Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	if h.team, err = h.db.FirstTeam(t.Context(), "Acme"); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h.origins = &deploy.Origins{DB: h.db, Log: log, BaseURL: func() string { return "http://127.0.0.1:1" }, Here: func() bool { return true }, Domain: domain}
	registry := instance.NewRegistry(instance.Config{DB: h.db, Fetch: &deployment.Fetcher{}, Log: log, URLs: h.origins.URLs})
	surface := &deploy.Surface{DB: h.db, Log: log, Registry: registry, Version: "test"}
	h.origins.Handler = surface.Handler()
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		surface.Stop(ctx)
		if err := h.origins.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		registry.Close()
		if err := h.db.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	t.Cleanup(stop)
	h.clock.mu.Lock()
	defer h.clock.mu.Unlock()
	stops.Store(h, stop)
	return h
}

var stops sync.Map

func (h *house) stop() {
	stop, _ := stops.Load(h)
	stop.(func())()
}

// shop is one deployment and how to call it.
type shop struct {
	h         *house
	d         store.Deployment
	url, site string
	key       string
}

func (h *house) open(kind claim.Kind, reference string) *shop {
	h.t.Helper()
	d, _, err := h.team.OpenDeployment(h.t.Context(), "shop", kind, reference, false)
	if err != nil {
		h.t.Fatal(err)
	}
	s := &shop{h: h, d: d, key: h.db.AdminKey(d).Reveal()}
	s.url, s.site = h.origins.URLs(d)
	return s
}

type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		t.Fatalf("answer %d %q is not JSON: %v", a.status, a.text, err)
	}
	return v
}

// send sends a request; body is bytes, nil or what is sent as JSON.
func send(t testing.TB, method, url, authorization string, body any, header ...string) answer {
	t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		data = b
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Convex-Client", "npm-1.48.0")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

type object = map[string]any

func (s *shop) admin(method, path string, body any) answer {
	s.h.t.Helper()
	return send(s.h.t, method, s.url+path, "Convex "+s.key, body)
}

func (s *shop) call(kind, path string, args object) answer {
	s.h.t.Helper()
	return send(s.h.t, "POST", s.url+"/api/"+kind, "", object{"path": path, "args": []any{args}, "format": "convex_encoded_json"})
}

// value returns what a call gave.
func (a answer) value(t testing.TB) any {
	t.Helper()
	v := a.json(t)
	if a.status != http.StatusOK || v["status"] != "success" {
		t.Fatalf("call = %d %s, want a value", a.status, a.text)
	}
	return v["value"]
}

func module(path, source string) object {
	return object{"path": path, "source": source, "environment": "isolate"}
}

func pushBody(key string, modules ...object) object {
	return object{"adminKey": key, "dryRun": false, "functions": "convex/", "componentDefinitions": []any{}, "nodeDependencies": []any{}, "forCodegen": false,
		"appDefinition": object{"definition": module("convex.config.js", "export default {}"), "dependencies": []any{}, "schema": nil, "changedModules": modules,
			"unchangedModuleHashes": []any{}, "udfServerVersion": "1.48.0"}}
}

// push deploys the functions of the tests, with auth.config when it is not "".
func (s *shop) push(authConfig string) {
	s.h.t.Helper()
	modules := []object{module("_deps/server.js", convexServer), module("users.js", usersModule), module("myFunctions.js", numbersModule), module("files.js", filesModule), module("http.js", httpModule)}
	if authConfig != "" {
		modules = append(modules, module("auth.config.js", authConfig))
	}
	a := s.admin("POST", "/api/deploy2/start_push", pushBody(s.key, modules...))
	if a.status != http.StatusOK {
		s.h.t.Fatalf("start_push = %d %s", a.status, a.text)
	}
	f := s.admin("POST", "/api/deploy2/finish_push", object{"adminKey": s.key, "startPush": json.RawMessage(a.text), "dryRun": false, "message": nil})
	if f.status != http.StatusOK {
		s.h.t.Fatalf("finish_push = %d %s", f.status, f.text)
	}
}

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var keyOnce = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func jwks(k *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig","n":%q,"e":%q}]}`,
		base64.RawURLEncoding.EncodeToString(k.N.Bytes()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.E)).Bytes()))
}

// authConfig is the two providers of the recorded exchanges.
func authConfig(k *rsa.PrivateKey) string {
	url := "data:application/json;base64," + base64.StdEncoding.EncodeToString([]byte(jwks(k)))
	return `export default { providers: [
	{ type: "customJwt", issuer: "http://issuer.test/", applicationID: "app1", algorithm: "RS256", jwks: ` + "`" + url + "`" + ` },
	{ type: "customJwt", issuer: "http://issuer.test/user_management/client_1", algorithm: "RS256", jwks: ` + "`" + url + "`" + ` },
] };`
}

func sign(t testing.TB, k *rsa.PrivateKey, header, claims object) string {
	t.Helper()
	part := func(o object) string {
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token is one that the providers of authConfig accept.
func (h *house) token(subject string) string {
	now := h.clock.Now().Unix()
	return sign(h.t, keyOnce(), object{"alg": "RS256", "kid": "k1"}, object{"iss": "http://issuer.test/", "aud": "app1", "sub": subject, "iat": now, "exp": now + 300})
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
