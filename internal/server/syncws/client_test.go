package syncws

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/store"
)

// shim is what convex/server makes of handlers, in short.
const shim = `
const ask = async (op, a) => {
	try { return JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(a))); }
	catch (e) { if (e.data !== undefined) throw new ConvexError(e.data); throw new Error(e.message); }
};
export class ConvexError extends Error {
	constructor(data) { super(JSON.stringify(data)); this.name = "ConvexError"; this.data = data; this[Symbol.for("ConvexError")] = true; }
}
const rows = async (table, field, value) => {
	const source = field ? { type: "IndexRange", indexName: table + ".by_" + field, range: [{ type: "Eq", fieldPath: field, value }] } : { type: "FullTableScan", tableName: table };
	const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query: { source, operators: [] } })));
	const all = [];
	for (;;) {
		const { value, done } = await ask("1.0/queryStreamNext", { queryId });
		if (done) return all;
		all.push(value);
	}
};
const page = (table, size, cursor) => ask("1.0/queryPage", { query: { source: { type: "FullTableScan", tableName: table, order: "desc" }, operators: [] }, cursor, pageSize: size });
const register = (kind) => (handler) => {
	const f = () => { throw new Error("call it through the deployment"); };
	f["is" + kind] = true;
	f.isPublic = true;
	f.exportArgs = () => '{"type":"any"}';
	f.exportReturns = () => "null";
	const run = async (text) => {
		try { return JSON.stringify((await handler({ ask, rows, page, who: () => ask("1.0/getUserIdentity", {}) }, JSON.parse(text)[0])) ?? null); }
		catch (e) { if (e && e[Symbol.for("ConvexError")]) e.data = JSON.stringify(e.data); throw e; }
	};
	f["invoke" + kind] = kind === "Action" ? (id, text) => run(text) : run;
	return f;
};
export const query = register("Query"), mutation = register("Mutation"), action = register("Action");
`

const usersModule = `import { query, mutation, action, ConvexError } from "./_deps/server.js";
export const me = query(async (ctx) => { const u = await ctx.who(); console.log("server identity", u); return u && u.tokenIdentifier; });
export const addNote = mutation((ctx, a) => ctx.ask("1.0/insert", { table: "notes", value: a }).then((r) => r._id));
export const notes = query(async (ctx) => (await ctx.rows("notes")).map((n) => n.body));
export const pages = query((ctx) => ctx.page("notes", 2, null).then((p) => p.page.map((n) => n.body)));
export const nothing = mutation(() => "done");
export const fails = query(async (ctx) => { if ((await ctx.rows("notes")).length > 0) throw new ConvexError({ why: "told" }); return "fine"; });
export const refuses = mutation(() => { throw new ConvexError("no"); });
export const big = query(() => "\u00e9".repeat(450_000));
export const env = query(() => process.env.NAME ?? null);
export const mine = query(async (ctx, a) => { const u = await ctx.who(); return (await ctx.rows("counters", "owner", u ? u.subject : "nobody")).map((c) => c.n); });
export const counter = query(async (ctx, a) => (await ctx.rows("counters", "owner", a.owner)).map((c) => c.n));
export const count = mutation(async (ctx, a) => {
	const [c] = await ctx.rows("counters", "owner", a.owner);
	if (!c) { await ctx.ask("1.0/insert", { table: "counters", value: { owner: a.owner, n: a.from ?? 1 } }); return a.from ?? 1; }
	await ctx.ask("1.0/shallowMerge", { id: c._id, value: { n: c.n + 1 } });
	return c.n + 1;
});
`

const actionsModule = `import { action } from "./_deps/server.js";
export const myAction = action(async (ctx) => { console.log({ numbers: [], viewer: null }); await ctx.ask("1.0/actions/mutation", { name: "users:addNote", args: { body: "by an action" } }); return null; });
`

const schemaModule = `export default { export: () => JSON.stringify({ tables: [{ tableName: "counters", indexes: [{ indexDescriptor: "by_owner", fields: ["owner"] }], searchIndexes: [], vectorIndexes: [], documentType: null }], schemaValidation: false }) };`

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// keySet is the test issuer's, as a data: URL.
func keySet() string {
	k := signingKey().PublicKey
	set := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig","n":%q,"e":%q}]}`, b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes()))
	return "data:application/json;base64," + base64.StdEncoding.EncodeToString([]byte(set))
}

func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := b64([]byte(`{"alg":"RS256","typ":"JWT","kid":"k1"}`)) + "." + b64(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, signingKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(signature)
}

// clock is the server's time, moved by tests.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }
func (c *clock) seconds() int64      { return c.now().Unix() }
func newClock(at time.Time) *clock   { c := &clock{}; c.ns.Store(at.UnixNano()); return c }
func (c *clock) set(at time.Time)    { c.ns.Store(at.UnixNano()) }
func (c *clock) user(t testing.TB, sub string) string {
	return token(t, map[string]any{"iss": "http://issuer.test/", "aud": "app1", "sub": sub, "iat": c.seconds(), "exp": c.seconds() + 3600})
}

// rig is a server with deployments of its own.
type rig struct {
	t        testing.TB
	clock    *clock
	db       *store.DB
	registry *instance.Registry
	server   *httptest.Server
	admin    string
	names    []string

	providers string        // more of them in auth.config
	discovery *atomic.Int64 // status of what https://oidc.test answers
}

// newRig returns a server with n deployments of a kind, all with the same functions.
func newRig(t testing.TB, n int, kind claim.Kind) *rig {
	t.Helper()
	r := &rig{t: t, clock: newClock(time.Now()), admin: "local|key", discovery: &atomic.Int64{}}
	var err error
	r.db, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "berth.db"), Now: r.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.db.Close() })
	team, err := r.db.CreateTeam(t.Context(), "Acme", "admin@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	oidc := func(string) (deployment.Target, bool) {
		return deployment.Target{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(r.discovery.Load())) })}, true
	}
	r.registry = instance.NewRegistry(instance.Config{DB: r.db, Fetch: &deployment.Fetcher{Resolve: oidc}, Log: slog.New(slog.DiscardHandler),
		URLs: func(store.Deployment) (string, string) { return "http://127.0.0.1:1", "http://127.0.0.1:2" }})
	t.Cleanup(r.registry.Close)
	h := &Handler{Log: slog.New(slog.DiscardHandler),
		Open: func(req *http.Request) (*instance.Instance, func(), error) {
			return r.registry.Open(req.Context(), req.PathValue("deployment"))
		},
		Admin: func(_ context.Context, _ *instance.Instance, key string, impersonating json.RawMessage) (instance.Caller, *deployment.Refusal) {
			if key != r.admin {
				return instance.Caller{}, deployment.BadAdminKey()
			}
			c := instance.Caller{Admin: true}
			if impersonating != nil {
				c.Identity = &deployment.Identity{TokenIdentifier: "i|s", ExpiresAt: 1 << 40, Fields: map[string]json.RawMessage{"tokenIdentifier": json.RawMessage(`"i|s"`)}}
			}
			return c, nil
		}}
	mux := http.NewServeMux()
	mux.Handle("/{deployment}/api/1.48.0/sync", h)
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	for k := range n {
		d, _, err := team.OpenDeployment(t.Context(), fmt.Sprintf("shop%d", k), kind, "one", false)
		if err != nil {
			t.Fatal(err)
		}
		r.names = append(r.names, d.Name)
		r.push(k, usersModule)
	}
	return r
}

func (r *rig) open(k int) *instance.Instance {
	r.t.Helper()
	i, release, err := r.registry.Open(context.WithoutCancel(r.t.Context()), r.names[k])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(release)
	return i
}

// push deploys a module users.js, with what is always there.
func (r *rig) push(k int, users string) {
	r.t.Helper()
	auth := fmt.Sprintf(`export default { providers: [
		{ type: "customJwt", issuer: "http://issuer.test/", applicationID: "app1", jwks: %q, algorithm: "RS256" },
		%s
	] };`, keySet(), r.providers)
	var p instance.PushRequest
	for path, source := range map[string]string{"users.js": users, "myFunctions.js": actionsModule, "_deps/server.js": shim, "auth.config.js": auth} {
		p.AppDefinition.ChangedModules = append(p.AppDefinition.ChangedModules, runtime.Module{Path: path, Source: source, Environment: "isolate"})
	}
	p.AppDefinition.Schema = &runtime.Module{Path: "schema.js", Source: schemaModule, Environment: "isolate"}
	p.AppDefinition.UDFServerVersion = "1.48.0"
	i := r.open(k)
	started, err := i.StartPush(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := i.FinishPush(r.t.Context(), *started, false); err != nil {
		r.t.Fatal(err)
	}
}

// call runs a function beside the socket.
func (r *rig) mutate(k int, path, args string) instance.Outcome {
	r.t.Helper()
	out, err := r.open(k).Mutation(context.WithoutCancel(r.t.Context()), instance.Caller{Name: "HttpApi"}, path, []byte(args))
	if err != nil || out.Failure != nil {
		r.t.Fatalf("Mutation(%s) = %+v, %v", path, out.Failure, err)
	}
	return out
}

// place is a version as the wire has it.
type place struct {
	QuerySet uint32 `json:"querySet"`
	Identity uint32 `json:"identity"`
	TS       string `json:"ts"`
}

func (p place) ts(t testing.TB) database.Timestamp {
	b, err := base64.StdEncoding.DecodeString(p.TS)
	if err != nil || len(b) != 8 {
		t.Fatalf("ts = %q, want base64 of 8 bytes", p.TS)
	}
	return database.Timestamp(binary.LittleEndian.Uint64(b))
}

type modificationSent struct {
	Type         string          `json:"type"`
	QueryID      uint32          `json:"queryId"`
	Value        json.RawMessage `json:"value"`
	ErrorMessage string          `json:"errorMessage"`
	ErrorData    json.RawMessage `json:"errorData"`
	LogLines     []string        `json:"logLines"`
	Journal      *string         `json:"journal"`
}

// received is any message of the server.
type received struct {
	Type                string             `json:"type"`
	StartVersion        place              `json:"startVersion"`
	EndVersion          place              `json:"endVersion"`
	Modifications       []modificationSent `json:"modifications"`
	ClientClockSkew     float64            `json:"clientClockSkew"`
	ServerTS            float64            `json:"serverTs"`
	RequestID           uint32             `json:"requestId"`
	Success             bool               `json:"success"`
	Result              json.RawMessage    `json:"result"`
	TS                  *string            `json:"ts"`
	ErrorData           json.RawMessage    `json:"errorData"`
	LogLines            []string           `json:"logLines"`
	Error               string             `json:"error"`
	BaseVersion         *uint32            `json:"baseVersion"`
	AuthUpdateAttempted *bool              `json:"authUpdateAttempted"`
	Chunk               string             `json:"chunk"`
	PartNumber          int                `json:"partNumber"`
	TotalParts          int                `json:"totalParts"`
	TransitionID        string             `json:"transitionId"`
}

// client keeps what a Convex client keeps, and holds the server to its rules.
type client struct {
	t       testing.TB
	conn    *websocket.Conn
	at      place
	results map[uint32]modificationSent
	parts   []string
	closed  error // once the connection has ended
	sent    int   // transitions
}

const zero = "AAAAAAAAAAA="

func (r *rig) dial(k int) *client {
	r.t.Helper()
	conn, _, err := websocket.Dial(r.t.Context(), strings.Replace(r.server.URL, "http", "ws", 1)+"/"+r.names[k]+"/api/1.48.0/sync", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	r.t.Cleanup(func() { conn.CloseNow() })
	return &client{t: r.t, conn: conn, at: place{TS: zero}, results: map[uint32]modificationSent{}}
}

// connect dials and says hello.
func (r *rig) connect(k int) *client {
	r.t.Helper()
	c := r.dial(k)
	c.send(`{"type":"Connect","sessionId":"00000000-0000-4000-8000-%012d","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":%d}`, sessions.Add(1), r.clock.now().UnixMilli())
	return c
}

var sessions atomic.Int64

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		c.closed = err
	}
}

func (c *client) add(id int, path, args string) {
	c.t.Helper()
	c.send(`{"type":"ModifyQuerySet","baseVersion":%d,"newVersion":%d,"modifications":[{"type":"Add","queryId":%d,"udfPath":%q,"args":[%s]}]}`, c.at.QuerySet, c.at.QuerySet+1, id, path, args)
}

func (c *client) authenticate(token string) {
	c.t.Helper()
	c.send(`{"type":"Authenticate","baseVersion":%d,"tokenType":"User","value":%q}`, c.at.Identity, token)
}

// next returns the server's next message; ok is false at the end of the connection.
func (c *client) next() (m received, ok bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	_, data, err := c.conn.Read(ctx)
	if err != nil {
		if ctx.Err() != nil {
			c.t.Fatalf("no message of the server; the client is at %+v", c.at)
		}
		c.closed = err
		return m, false
	}
	m, err = c.take(data)
	if err != nil {
		c.t.Fatal(err)
	}
	return m, true
}

// take holds a message to the rules of the protocol.
func (c *client) take(data []byte) (m received, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("message %.200q: %w", data, err)
	}
	switch m.Type {
	case "TransitionChunk":
		if m.PartNumber != len(c.parts) {
			return m, fmt.Errorf("part %d came where %d was due", m.PartNumber, len(c.parts))
		}
		if c.parts = append(c.parts, m.Chunk); len(c.parts) == m.TotalParts {
			whole := strings.Join(c.parts, "")
			c.parts = nil
			return c.take([]byte(whole))
		}
	case "Transition":
		c.sent++
		if m.StartVersion != c.at {
			return m, fmt.Errorf("startVersion = %+v, want %+v", m.StartVersion, c.at)
		}
		if m.EndVersion.QuerySet < c.at.QuerySet || m.EndVersion.Identity < c.at.Identity || m.EndVersion.ts(c.t) < c.at.ts(c.t) {
			return m, fmt.Errorf("endVersion = %+v, before %+v", m.EndVersion, c.at)
		}
		c.at = m.EndVersion
		for _, x := range m.Modifications {
			if x.Type == "QueryRemoved" {
				delete(c.results, x.QueryID)
			} else {
				c.results[x.QueryID] = x
			}
		}
	}
	return m, nil
}

// until reads messages to the first that is wanted.
func (c *client) until(what string, wanted func(received) bool) received {
	c.t.Helper()
	for {
		m, ok := c.next()
		if !ok {
			c.t.Fatalf("the connection ended (%v) before %s", c.closed, what)
		}
		if wanted(m) {
			return m
		}
	}
}

// value waits for a query's result.
func (c *client) value(id uint32, want string) {
	c.t.Helper()
	if string(c.results[id].Value) == want {
		return
	}
	c.until(fmt.Sprintf("query %d = %s (is %s)", id, want, c.results[id].Value), func(received) bool { return string(c.results[id].Value) == want })
}

// ends waits for the server's close frame.
func (c *client) ends(code websocket.StatusCode, reason string) {
	c.t.Helper()
	for c.closed == nil {
		c.next()
	}
	if e, _ := errors.AsType[websocket.CloseError](c.closed); e.Code != code || e.Reason != reason {
		c.t.Fatalf("the connection ended with %v, want code %d, reason %q", c.closed, code, reason)
	}
}
