package runtime

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // offered to functions as in browsers
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nlnwa/whatwg-url/url"
	"modernc.org/quickjs"

	"github.com/berthdev/berth/internal/fault"
)

// machine is one context of the engine, with a program loaded. It runs one
// function and is closed: nothing of one run is seen by another.
type machine struct {
	vm   *quickjs.VM
	call *running // nil until a function runs
}

// collectAt is the memory in use, in bytes, at which the engine first looks for
// cycles that nothing refers to; the rest is freed by counting. Its own default
// (256 KiB) comes in the middle of loading, and short runs need no such search.
const collectAt = 8 << 20

// loadTime bounds the loading of all modules.
const loadTime = 5 * time.Second

func (p *Program) newMachine(memory uintptr) (m *machine, err error) {
	code, err := preludeCode()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "compile the prelude")
	}
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "start a JavaScript engine")
	}
	m = &machine{vm: vm}
	defer func() {
		if err != nil {
			m.close()
			m = nil
		}
	}()
	vm.SetMemoryLimit(memory)
	vm.SetGCThreshold(collectAt)
	vm.SetCanBlock(false) // Atomics.wait would sleep beyond every limit
	if err := m.register(); err != nil {
		return m, fault.Wrap(err, fault.Internal, "set up a JavaScript engine")
	}
	if _, err := vm.EvalBytecode(code); err != nil {
		return m, fault.Wrap(err, fault.Internal, "run the prelude")
	}
	env, err := json.Marshal(p.env)
	if err != nil {
		return m, err
	}
	if _, err := vm.Call("__env", string(env)); err != nil {
		return m, fault.Wrap(err, fault.Internal, "set variables")
	}
	if err := vm.SetEvalTimeout(loadTime); err != nil {
		return m, fault.Wrap(err, fault.Internal, "limit a JavaScript engine")
	}
	if _, err := vm.EvalBytecode(p.code); err != nil {
		return m, p.loadFailure(err)
	}
	return m, nil
}

// loadFailure is what a module threw while it was loaded.
func (p *Program) loadFailure(err error) error {
	if f := limited(err, loadTime); f != nil {
		return f
	}
	text := err.Error()
	message, stack, _ := strings.Cut(text, "\n")
	return &FunctionError{Message: "Uncaught " + message, Stack: p.lines.stack(stack)}
}

func (m *machine) close() {
	// A machine that was stopped in the middle may not free all; its memory is
	// the engine's own and goes with it.
	_ = m.vm.Close()
}

func ok(text string) string { return "v" + text }

func failed(message string, data []byte) string {
	out := struct {
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data,omitempty"`
	}{message, data}
	text, err := json.Marshal(out)
	if err != nil {
		text = []byte(`{"message":"an error that cannot be shown"}`)
	}
	return "e" + string(text)
}

func (m *machine) register() error {
	text := func(args []any, i int) string {
		if i >= len(args) {
			return ""
		}
		s, _ := args[i].(string)
		return s
	}
	for name, fn := range map[string]quickjs.HostFunc{
		"__sync": func(args []any) (any, error) {
			if m.call == nil {
				return failed("Convex functions cannot be used while modules are loaded", nil), nil
			}
			return m.call.sync(text(args, 0), []byte(text(args, 1))), nil
		},
		"__async": func(args []any) (any, error) {
			if m.call == nil {
				return failed("Convex functions cannot be used while modules are loaded", nil), nil
			}
			return m.call.async(text(args, 0), []byte(text(args, 1))), nil
		},
		"__log": func(args []any) (any, error) {
			if m.call != nil {
				m.call.log(text(args, 0), text(args, 1))
			}
			return nil, nil
		},
		"__clock":  func([]any) (any, error) { return float64(time.Now().UnixMilli()), nil },
		"__random": func(args []any) (any, error) { return randomHex(args) },
		"__url":    func(args []any) (any, error) { return readURL(text(args, 0), text(args, 1)), nil },
		"__codec":  func(args []any) (any, error) { return codec(text(args, 0), text(args, 1)), nil },
		"__digest": func(args []any) (any, error) { return digest(text(args, 0), text(args, 1)), nil },
	} {
		if err := m.vm.RegisterHostFunc(name, fn); err != nil {
			return err
		}
	}
	return m.vm.RegisterFunc("__part", m.part, false)
}

// maxRandom is how many bytes crypto.getRandomValues gives at once, as in browsers.
const maxRandom = 65536

func randomHex(args []any) (any, error) {
	n := 0
	switch v := args[0].(type) {
	case int:
		n = v
	case int64:
		n = int(v)
	case float64:
		n = int(v)
	}
	if n < 0 || n > maxRandom {
		return nil, errors.New("the array is longer than 65536 bytes")
	}
	b := make([]byte, n)
	_, err := rand.Read(b)
	return hex.EncodeToString(b), err
}

func readURL(text, base string) string {
	var u *url.Url
	var err error
	if base == "" {
		u, err = url.Parse(text)
	} else {
		u, err = url.ParseRef(base, text)
	}
	if err != nil {
		return ""
	}
	out, err := json.Marshal(map[string]string{"href": u.Href(false), "protocol": u.Protocol(), "username": u.Username(), "password": u.Password(), "host": u.Host(),
		"hostname": u.Hostname(), "port": u.Port(), "pathname": u.Pathname(), "search": u.Search(), "hash": u.Hash(), "origin": origin(u)})
	if err != nil {
		return ""
	}
	return string(out)
}

func origin(u *url.Url) string {
	if p := u.Protocol(); p == "http:" || p == "https:" || p == "ws:" || p == "wss:" {
		return p + "//" + u.Host()
	}
	return "null"
}

func codec(name, text string) string {
	switch name {
	case "atob":
		s := strings.TrimRight(strings.NewReplacer(" ", "", "\t", "", "\n", "", "\f", "", "\r", "").Replace(text), "=")
		data, err := base64.RawStdEncoding.DecodeString(s)
		if err != nil {
			return "eThe string to be decoded is not correctly encoded."
		}
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		return "v" + string(runes)
	case "btoa":
		data := make([]byte, 0, len(text))
		for _, r := range text {
			if r > 0xff {
				return "eThe string to be encoded contains characters outside of the Latin1 range."
			}
			data = append(data, byte(r))
		}
		return "v" + base64.StdEncoding.EncodeToString(data)
	case "utf8":
		return "v" + hex.EncodeToString([]byte(strings.ToValidUTF8(text, "\ufffd")))
	}
	data, err := hex.DecodeString(text)
	if err != nil {
		return "ethe bytes cannot be read"
	}
	if name == "text!" && !utf8.Valid(data) {
		return "eThe encoded data was not valid utf-8"
	}
	return "v" + strings.ToValidUTF8(string(data), "\ufffd")
}

func digest(name, text string) string {
	data, err := hex.DecodeString(text)
	if err != nil {
		return ""
	}
	var sum []byte
	switch name {
	case "SHA-1":
		s := sha1.Sum(data) //nolint:gosec // offered to functions as in browsers
		sum = s[:]
	case "SHA-256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "SHA-384":
		s := sha512.Sum384(data)
		sum = s[:]
	default:
		s := sha512.Sum512(data)
		sum = s[:]
	}
	return hex.EncodeToString(sum)
}

// step runs f, which enters JavaScript, within what is left of the time.
func (m *machine) step(ctx context.Context, f func() error) error {
	c := m.call
	left := c.limits.Time - c.used
	if left <= 0 {
		return timedOut(c.limits.Time)
	}
	if err := m.vm.SetEvalTimeout(left); err != nil {
		return fault.Wrap(err, fault.Internal, "limit a JavaScript engine")
	}
	begun, waited := time.Now(), c.hostTime
	err := f()
	c.used += time.Since(begun) - (c.hostTime - waited)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f := limited(err, c.limits.Time); f != nil {
		return f
	}
	return &FunctionError{Message: "Uncaught " + firstLine(err.Error())}
}

func timedOut(after time.Duration) *FunctionError {
	return &FunctionError{Message: fmt.Sprintf("Function execution timed out (maximum duration: %v)", after)}
}

func outOfMemory() *FunctionError {
	return &FunctionError{Message: "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"}
}

// limited recognises that the engine stopped at a limit.
func limited(err error, time time.Duration) *FunctionError {
	switch text := err.Error(); {
	case strings.Contains(text, "InternalError: interrupted"):
		return timedOut(time)
	case strings.Contains(text, "InternalError: out of memory"):
		return outOfMemory()
	}
	return nil
}

// outcome returns what the function settled to, or "" while it waits.
func (m *machine) outcome() (string, error) {
	v, err := m.vm.Call("__outcome")
	s, _ := v.(string)
	return s, err
}

func (m *machine) settle(id int, text string) error {
	_, err := m.vm.Call("__settle", strconv.Itoa(id), text)
	return err
}
