package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/deployment/value"
	"github.com/berthdev/berth/internal/fault"
)

// txHost answers a query or mutation. All its calls come one at a time.
type txHost struct {
	i             *Instance
	l             *live
	caller        Caller
	tx            *database.Tx
	writes        bool
	askedIdentity bool
	cursors       map[int]*database.Cursor
	nextCursor    int
	pages         *journal
	gone          *[]string // ids of files whose bytes go after the commit
	requestID     string
	log           func(runtime.LogLine)
	depth         int
}

// maxDepth is how deep functions may call functions.
const maxDepth = 8

func newTxHost(i *Instance, l *live, caller Caller, tx *database.Tx, writes bool) *txHost {
	return &txHost{i: i, l: l, caller: caller, tx: tx, writes: writes, cursors: map[int]*database.Cursor{}, pages: readJournal(nil), gone: new([]string)}
}

func (h *txHost) run(ctx context.Context, f function, args value.Object, requestID string, out *Outcome) error {
	h.requestID, h.log = requestID, out.log
	var err error
	out.Value, err = h.l.run(ctx, f, args, h.tx.TableOf, h.call())
	return err
}

func (h *txHost) call() runtime.Call {
	return runtime.Call{Host: h, RequestID: h.requestID, Now: h.i.cfg.DB.Now(), Log: h.log, Nested: h.depth > 0}
}

// parsed reads the arguments of a host call.
func parsed[T any](op string, args []byte) (v T, err error) {
	if err = json.Unmarshal(args, &v); err != nil {
		err = fault.New(fault.Invalid, "%s: the arguments cannot be read", op)
	}
	return v, err
}

// document is how functions get a document: its encoded JSON, or null.
func document(d *database.Document) []byte {
	if d == nil {
		return []byte("null")
	}
	return d.Encoded
}

// Syscall implements [runtime.Host].
func (h *txHost) Syscall(op string, args []byte) ([]byte, error) {
	switch op {
	case "1.0/queryStream":
		a, err := parsed[struct {
			Query *database.Query `json:"query"`
		}](op, args)
		if err != nil || a.Query == nil {
			return nil, orMissing(err, op)
		}
		c, err := h.tx.Query(a.Query)
		if err != nil {
			return nil, err
		}
		h.nextCursor++
		h.cursors[h.nextCursor] = c
		return fmt.Appendf(nil, `{"queryId":%d}`, h.nextCursor), nil
	case "1.0/queryCleanup":
		a, err := parsed[struct {
			QueryID int `json:"queryId"`
		}](op, args)
		delete(h.cursors, a.QueryID)
		return []byte("true"), err
	case "1.0/db/normalizeId":
		a, err := parsed[struct{ Table, IDString string }](op, args)
		if err != nil {
			return nil, err
		}
		if id := h.tx.NormalizeID(a.Table, a.IDString); id != "" {
			return json.Marshal(map[string]string{"id": id})
		}
		return []byte(`{"id":null}`), nil
	case "1.0/getSnapshotTs":
		return json.Marshal(map[string]string{"ts": fmt.Sprint(h.tx.Timestamp())})
	}
	return nil, fault.New(fault.Invalid, "Unknown operation %s", op)
}

func orMissing(err error, op string) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Invalid, "%s: the arguments are not complete", op)
}

// writing is the calls that only mutations may make.
var writing = map[string]bool{"1.0/insert": true, "1.0/shallowMerge": true, "1.0/replace": true, "1.0/remove": true, "1.0/schedule": true, "1.0/cancel_job": true,
	"1.0/storageGenerateUploadUrl": true, "1.0/storageDelete": true, "1.0/storageStore": true}

// AsyncSyscall implements [runtime.Host].
func (h *txHost) AsyncSyscall(ctx context.Context, op string, args []byte) ([]byte, error) {
	if writing[op] && !h.writes {
		return nil, fault.New(fault.Invalid, "%s can only be used in mutations", strings.TrimPrefix(op, "1.0/"))
	}
	switch op {
	case "1.0/getUserIdentity":
		h.askedIdentity = true
		return identity(h.caller)
	case "1.0/queryStreamNext":
		a, err := parsed[struct {
			QueryID int `json:"queryId"`
		}](op, args)
		if err != nil {
			return nil, err
		}
		c := h.cursors[a.QueryID]
		if c == nil {
			return []byte(`{"value":null,"done":true}`), nil
		}
		d, err := c.Next()
		if err != nil {
			return nil, err
		}
		out := append([]byte(`{"value":`), document(d)...)
		return fmt.Appendf(out, `,"done":%v}`, d == nil), nil
	case "1.0/queryPage":
		return h.page(args)
	case "1.0/get":
		a, err := parsed[struct {
			ID       any  `json:"id"`
			IsSystem bool `json:"isSystem"`
			Table    string
		}](op, args)
		if err != nil {
			return nil, err
		}
		id, _ := a.ID.(string)
		if table := h.tx.TableOf(id); a.Table != "" && table != "" && table != a.Table {
			return nil, fault.New(fault.Invalid, "expected an ID of table `%s`, got one of `%s`", a.Table, table)
		}
		d, err := h.tx.Get(id)
		return document(d), err
	case "1.0/count":
		a, err := parsed[struct{ Table string }](op, args)
		if err != nil {
			return nil, err
		}
		n, err := h.tx.Count(a.Table)
		return fmt.Appendf(nil, "%d", n), err
	case "1.0/insert", "1.0/shallowMerge", "1.0/replace", "1.0/remove":
		return h.write(op, args)
	case "1.0/runUdf":
		return h.runFunction(ctx, args)
	case "1.0/schedule":
		return scheduleJob(h.tx, h.l, args)
	case "1.0/cancel_job":
		return cancelJob(h.tx, args)
	case "1.0/getFunctionMetadata", "1.0/getDeploymentMetadata", "1.0/getRequestMetadata":
		return h.i.metadata(op)
	}
	if strings.HasPrefix(op, "1.0/storage") {
		return h.i.storage(ctx, h.tx, h.gone, op, args)
	}
	return nil, unsupported(op)
}

func unsupported(op string) error {
	return fault.New(fault.Unsupported, "Unknown async operation %s: not supported by Berth", op)
}

// identity is what getUserIdentity gives.
func identity(c Caller) ([]byte, error) {
	if c.Refused != nil {
		return nil, fault.New(fault.Invalid, "%s", c.Refused.Message)
	}
	if c.Identity == nil {
		return []byte("null"), nil
	}
	return c.Identity.MarshalJSON()
}

func (i *Instance) metadata(op string) ([]byte, error) {
	cloud, _ := i.URLs()
	if op == "1.0/getDeploymentMetadata" {
		return json.Marshal(map[string]any{"name": i.deployment.Name, "type": i.deployment.Kind, "url": cloud, "region": nil, "class": nil})
	}
	return nil, unsupported(op)
}

func (h *txHost) write(op string, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		Table string
		ID    string
		Value json.RawMessage
	}](op, args)
	if err != nil {
		return nil, err
	}
	var fields value.Object
	if op != "1.0/remove" {
		v, err := value.ParsePatch(a.Value)
		if err != nil {
			return nil, err
		}
		ok := false
		if fields, ok = v.(value.Object); !ok {
			return nil, fault.New(fault.Invalid, "Value for a document must be an object, got %s", value.Text(v))
		}
	}
	if a.ID != "" && strings.HasPrefix(h.tx.TableOf(a.ID), "_") {
		return nil, fault.New(fault.Invalid, "The documents of system tables cannot be changed")
	}
	if op != "1.0/shallowMerge" {
		for name, v := range fields {
			if _, hole := v.(value.Undefined); hole {
				delete(fields, name)
			}
		}
	}
	switch op {
	case "1.0/insert":
		id, err := h.tx.Insert(a.Table, fields)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]string{"_id": id})
	case "1.0/shallowMerge":
		err = h.tx.Patch(a.ID, fields)
	case "1.0/replace":
		err = h.tx.Replace(a.ID, fields)
	default:
		_, err = h.tx.Delete(a.ID)
	}
	if err != nil {
		return nil, err
	}
	d, err := h.tx.Get(a.ID)
	return document(d), err
}

func (h *txHost) page(args []byte) ([]byte, error) {
	a, err := parsed[struct {
		Query           *database.Query `json:"query"`
		Cursor          *string         `json:"cursor"`
		EndCursor       *string         `json:"endCursor"`
		PageSize        float64         `json:"pageSize"`
		MaximumRowsRead *float64        `json:"maximumRowsRead"`
	}]("1.0/queryPage", args)
	if err != nil || a.Query == nil {
		return nil, orMissing(err, "1.0/queryPage")
	}
	r := database.PageRequest{Size: int(min(max(a.PageSize, 1), 100_000))}
	if a.Cursor != nil {
		r.Cursor = *a.Cursor
	}
	if r.End = h.pages.next(); a.EndCursor != nil {
		r.End = *a.EndCursor
	}
	if a.MaximumRowsRead != nil {
		r.Rows = int(min(max(*a.MaximumRowsRead, 1), 1e6))
	}
	p, err := h.tx.Page(a.Query, r)
	if err != nil {
		return nil, err
	}
	h.pages.ended(p.Cursor)
	out := []byte(`{"page":[`)
	for n, d := range p.Documents {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, d.Encoded...)
	}
	cursor, err := json.Marshal(p.Cursor)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(out, `],"isDone":%v,"continueCursor":%s,"splitCursor":null,"pageStatus":null}`, p.Done, cursor), nil
}

// target is a function that a function calls.
type target struct {
	Name           *string         `json:"name"`
	Reference      *string         `json:"reference"`
	FunctionHandle *string         `json:"functionHandle"`
	Args           json.RawMessage `json:"args"`
}

func (t target) path() (string, error) {
	switch {
	case t.Name != nil:
		return *t.Name, nil
	case t.FunctionHandle != nil && strings.HasPrefix(*t.FunctionHandle, "function://"):
		return strings.TrimPrefix(*t.FunctionHandle, "function://;"), nil
	}
	return "", fault.New(fault.Unsupported, "Components are not supported by Berth.")
}

// runFunction is ctx.runQuery and ctx.runMutation within a query or mutation:
// the same transaction, whose part is taken back when it fails.
func (h *txHost) runFunction(ctx context.Context, args []byte) ([]byte, error) {
	a, err := parsed[struct {
		target
		UdfType string `json:"udfType"`
	}]("1.0/runUdf", args)
	if err != nil {
		return nil, err
	}
	p, err := a.path()
	if err != nil {
		return nil, err
	}
	kind := runtime.Query
	if a.UdfType == "mutation" {
		if kind = runtime.Mutation; !h.writes {
			return nil, fault.New(fault.Invalid, "A query cannot run a mutation")
		}
	}
	if h.depth >= maxDepth {
		return nil, fault.New(fault.Invalid, "Functions call each other more than %d levels deep", maxDepth)
	}
	caller := h.caller
	caller.Admin = true // functions may call internal functions
	f, err := h.l.find(caller, p, kind)
	if err != nil {
		return nil, thrown(err)
	}
	parsedArgs, err := arguments(a.Args)
	if err != nil {
		return nil, thrown(err)
	}
	inner := *h
	inner.writes, inner.depth, inner.cursors = kind == runtime.Mutation, h.depth+1, map[int]*database.Cursor{}
	rollback := h.tx.Savepoint()
	out, err := h.l.run(ctx, f, parsedArgs, h.tx.TableOf, inner.call())
	h.askedIdentity = h.askedIdentity || inner.askedIdentity
	if err != nil {
		rollback()
		return nil, thrown(err)
	}
	return out, nil
}

// thrown hands what an inner function threw to the one that called it.
func thrown(err error) error {
	e, ok := errors.AsType[*runtime.FunctionError](err)
	if !ok {
		return err
	}
	text := strings.TrimPrefix(e.Message, "Uncaught ")
	text = strings.TrimPrefix(text, "Error: ")
	return &runtime.HostError{Message: text, Data: e.Data}
}
