package syncws

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/internal/claim"
)

// FuzzMessages sends any sequence of text frames, one a line. Nothing panics,
// the connection ends when the client goes, nothing runs on, and another client
// is served as before (R90).
func FuzzMessages(f *testing.F) {
	const hello = `{"type":"Connect","sessionId":"s","connectionCount":0,"lastCloseReason":null,"clientTs":1}`
	for _, seed := range []string{
		"", "null", "[]", "\x00", hello, hello + "\n" + hello,
		hello + "\n" + `{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"a.b.c"}`,
		hello + "\n" + `{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"local|key","impersonating":{}}` + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"_system/cli/tableData","args":[{"table":"notes","paginationOpts":{"numItems":1e308,"cursor":"x"}}]}]}`,
		hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":4294967295,"modifications":[{"type":"Add","queryId":4294967295,"udfPath":"users:notes","args":[{"$integer":"x"}],"journal":"["}]}`,
		hello + "\n" + `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":1,"udfPath":"users","args":[[[[]]]]},{"type":"Remove","queryId":1}]}`,
		hello + "\n" + `{"type":"Mutation","requestId":0,"udfPath":"users:nothing","args":null}` + "\n" + `{"type":"Mutation","requestId":0,"udfPath":"users:nothing"}`,
		hello + "\n" + `{"type":"Action","requestId":1,"udfPath":":","args":[{"a":1e999}]}` + "\n" + `{"type":"Event","eventType":"x","event":{}}`,
	} {
		f.Add(seed)
	}
	r := newRig(f, 1, claim.Dev)
	beside := r.connect(0)
	beside.add(0, "users:env", "{}")
	beside.value(0, "null")
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > 1<<16 {
			return
		}
		before := goruntime.NumGoroutine()
		r := *r
		r.t = t
		c := r.dial(0)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for m := range strings.SplitSeq(lines, "\n") {
			if c.conn.Write(ctx, websocket.MessageText, []byte(m)) != nil {
				break // the server has ended it
			}
		}
		_ = c.conn.Close(websocket.StatusNormalClosure, "")
		if ctx.Err() != nil {
			t.Fatal("the server does not end the connection")
		}
		settled(t, before)
	})
}

// settled waits until no more goroutines run than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if goruntime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Fatalf("%d goroutines, %d before\n%s", goruntime.NumGoroutine(), before, stacks[:goruntime.Stack(stacks, true)])
}

func TestNothingRunsOnWhenClientsGo(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	warm := r.connect(0)
	warm.add(0, "users:notes", "{}")
	warm.value(0, "[]")
	before := goruntime.NumGoroutine()
	for n := range 8 {
		c := r.connect(0)
		c.add(0, "users:me", "{}")
		c.send(`{"type":"Mutation","requestId":1,"udfPath":"users:addNote","args":[{"body":"x"}]}`)
		c.send(`{"type":"Action","requestId":2,"udfPath":"myFunctions:myAction","args":[{}]}`)
		if n%2 == 0 {
			c.until("something", transitions)
		}
		c.conn.CloseNow()
	}
	settled(t, before)
}

// A client that receives nothing holds up neither others nor the deployment.
func TestAClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	r := newRig(t, 1, claim.Dev)
	slow := r.connect(0)
	slow.send("%s", manyBig(16)) // more than the buffers between the two take
	slow.add2(16, "users:notes", "{}")
	quick := r.connect(0)
	quick.add(0, "users:notes", "{}")
	quick.value(0, "[]")
	for _, want := range []string{`["x"]`, `["x","x"]`, `["x","x","x"]`} {
		r.mutate(0, "users:addNote", `[{"body":"x"}]`)
		quick.value(0, want)
	}
	slow.value(16, `["x","x","x"]`) // once it reads, it gets the latest
}

// manyBig asks n times for one large result.
func manyBig(n int) string {
	var mods []string
	for id := range n {
		mods = append(mods, fmt.Sprintf(`{"type":"Add","queryId":%d,"udfPath":"users:big","args":[{}]}`, id))
	}
	return fmt.Sprintf(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[%s]}`, strings.Join(mods, ","))
}
